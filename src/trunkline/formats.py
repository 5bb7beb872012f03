"""Codecs and media formats: what they are called and which rates they take."""

import re
from typing import Final

import msgspec

from trunkline.errors import FormatError

__all__ = ["CODECS", "STREAM_RATE_MAX", "CodecSpec", "MediaFormat", "whole_samples"]

SAMPLE_RATE_MIN: Final = 4_000
SAMPLE_RATE_MAX: Final = 192_000
STREAM_RATE_MAX: Final = 48_000
PTIME_MS_MAX: Final = 200  # RFC 3551 4.2: a receiver should accept packets of 0 to 200 ms
CHANNELS_MAX: Final = 8
OPUS_CHANNELS_MAX: Final = 2
OPUS_RATES: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
OPUS_PTIMES_MS: Final = (5, 10, 20, 40, 60, 80, 100, 120)

#: Every codec the grammar knows, with its default sample rate in Hz.
CODECS: Final[dict[str, int]] = {
    "PCMU": 8_000,
    "PCMA": 8_000,
    "L16": 16_000,
    "OPUS": 48_000,
    "G722": 16_000,
    "AMR-WB": 16_000,
}
_FIXED_RATES: Final = {
    "OPUS": OPUS_RATES,
    "G722": (16_000,),
    "AMR-WB": (16_000,),
}
_GRAMMAR: Final = re.compile(r"([A-Za-z0-9-]+)(?:@([0-9]{1,9})h)?(?:@([0-9]{1,9})i)?", re.ASCII | re.I)


class CodecSpec(msgspec.Struct, frozen=True):
    """A codec as the stream APIs spell it: `NAME[@<rate>h][@<ptime>i]`, case-insensitive.

    Parameters: `name` one of `CODECS`; `sample_rate` in Hz, 4,000 to 48,000 (OPUS: 8, 12, 16, 24
    or 48 kHz); `ptime_ms`, the audio in one packet, 1 to 200 ms and a whole number of samples.

    >>> CodecSpec.parse("l16@24000h@40i")
    CodecSpec(name='L16', sample_rate=24000, ptime_ms=40)
    >>> str(CodecSpec.parse("PCMU"))
    'PCMU@8000h@20i'
    """

    name: str
    sample_rate: int
    ptime_ms: int = 20

    def __post_init__(self) -> None:
        _check_codec(self.name, self.sample_rate, STREAM_RATE_MAX)
        if not 1 <= self.ptime_ms <= PTIME_MS_MAX:
            raise FormatError(f"ptime of {self.ptime_ms} ms: takes 1 to {PTIME_MS_MAX} ms")
        if self.name == "OPUS" and self.ptime_ms not in OPUS_PTIMES_MS:
            takes = ", ".join(map(str, OPUS_PTIMES_MS))
            raise FormatError(f"ptime of {self.ptime_ms} ms: an Opus packet takes {takes} ms")
        whole_samples(self.ptime_ms, self.sample_rate, "ptime")

    @classmethod
    def parse(cls, text: str) -> "CodecSpec":
        """Read a codec specification; FormatError when the text is not one."""
        match = _GRAMMAR.fullmatch(text)
        if match is None:
            raise FormatError(
                f"codec {text[:64]!r}: the form is NAME[@<rate>h][@<ptime>i], such as L16@24000h@20i"
            )
        name = match[1].upper()
        rate = int(match[2]) if match[2] else CODECS.get(name, 0)
        return cls(name, rate, int(match[3]) if match[3] else 20)

    def __str__(self) -> str:
        return f"{self.name}@{self.sample_rate}h@{self.ptime_ms}i"

    @property
    def samples_per_packet(self) -> int:
        """Samples per channel in one packet of `ptime_ms`."""
        return whole_samples(self.ptime_ms, self.sample_rate, "ptime")


class MediaFormat(msgspec.Struct, frozen=True):
    """The audio of a stream as its start message declares it.

    >>> MediaFormat("PCMU", 8000)
    MediaFormat(codec='PCMU', sample_rate=8000, channels=1)
    """

    codec: str
    sample_rate: int
    channels: int = 1

    def __post_init__(self) -> None:
        _check_codec(self.codec, self.sample_rate)
        channels_max = OPUS_CHANNELS_MAX if self.codec == "OPUS" else CHANNELS_MAX
        if not 1 <= self.channels <= channels_max:
            raise FormatError(f"{self.channels} channels: {self.codec} takes 1 to {channels_max}")


def whole_samples(duration_ms: int, sample_rate: int, what: str = "duration") -> int:
    """Convert a duration to samples per channel; FormatError when it is not a whole number.

    >>> whole_samples(20, 8000)
    160
    """
    samples, rest = divmod(duration_ms * sample_rate, 1000)
    if rest:
        raise FormatError(f"{what} of {duration_ms} ms is not a whole number of samples at {sample_rate} Hz")
    return samples


def _check_codec(name: str, sample_rate: int, rate_max: int = SAMPLE_RATE_MAX) -> None:
    if name not in CODECS:
        cure = " (the rate is an argument of its own)" if "@" in name else ""
        raise FormatError(f"unknown codec {name[:32]!r}{cure}: known are {', '.join(CODECS)}")
    fixed = _FIXED_RATES.get(name)
    if fixed is not None and sample_rate not in fixed:
        takes = ", ".join(str(rate) for rate in fixed)
        raise FormatError(f"{name} at {sample_rate} Hz: takes {takes}")
    if not SAMPLE_RATE_MIN <= sample_rate <= rate_max:
        raise FormatError(f"{name} at {sample_rate} Hz: takes {SAMPLE_RATE_MIN} to {rate_max}")
