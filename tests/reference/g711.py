"""G.711 the slow way: decision and output values as tables 1 and 2 of ITU-T G.711 list them.

A code stands for one interval of the whole s16 range. An interval holds its lower end and not its upper
end, on both sides of zero: that is what the one's complement of negative samples in G.191's reference
comes to, and how a sample that lies exactly on a decision value is settled.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

ULAW_WIDTHS = [1] + 15 * [2] + [2 << segment for segment in range(1, 8) for _ in range(16)]  # 14-bit units
ALAW_WIDTHS = 32 * [2] + [2 << segment for segment in range(1, 7) for _ in range(16)]  # 13-bit units


def _decision_values(widths: Iterable[int], unit: int) -> list[int]:
    """Give where each interval begins, from the lowest sample to the highest, in s16 units."""
    positive = [unit * x for x in accumulate(widths, initial=0)][:-1]
    return [-x for x in reversed(positive[1:])] + positive


ULAW_DECISIONS = _decision_values(ULAW_WIDTHS, 4)
ALAW_DECISIONS = _decision_values(ALAW_WIDTHS, 8)


def _interval(decisions: list[int], sample: int) -> tuple[bool, int]:
    """Give the polarity (True: positive or zero) and the number, 0 to 127 away from zero."""
    if not -32768 <= sample <= 32767:
        raise ValueError(f"{sample} is not an s16 sample")
    index = bisect_right(decisions, sample)  # intervals that begin at or below it; at 0 the 128th does
    return (True, index - 128) if index >= 128 else (False, 127 - index)


def ulaw_encode_sample(sample: int) -> int:
    """Encode one s16 sample to mu-law: table 2, all bits inverted."""
    positive, number = _interval(ULAW_DECISIONS, sample)
    return ((0x00 if positive else 0x80) | number) ^ 0xFF


def alaw_encode_sample(sample: int) -> int:
    """Encode one s16 sample to A-law: table 1, even bits inverted."""
    positive, number = _interval(ALAW_DECISIONS, sample)
    return ((0x80 if positive else 0x00) | number) ^ 0x55


def ulaw_decode_sample(code: int) -> int:
    """Decode one mu-law code to the middle of its interval; the one around zero gives zero."""
    bits = code ^ 0xFF
    number = bits & 0x7F
    magnitude = 4 * sum(ULAW_WIDTHS[:number]) + 2 * ULAW_WIDTHS[number] if number else 0
    return -magnitude if bits & 0x80 else magnitude


def alaw_decode_sample(code: int) -> int:
    """Decode one A-law code to the middle of its interval."""
    bits = code ^ 0x55
    number = bits & 0x7F
    magnitude = 8 * sum(ALAW_WIDTHS[:number]) + 4 * ALAW_WIDTHS[number]
    return magnitude if bits & 0x80 else -magnitude


def s16_of_float(value: float) -> int:
    """Give the s16 sample of a float sample in +-1.0: nearest, ties to even, saturated; NaN is 0."""
    if value != value:
        return 0
    return round(min(max(value * 32768.0, -32768.0), 32767.0))
