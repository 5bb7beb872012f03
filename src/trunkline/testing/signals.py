"""Speech-like talkers, two-party conversations and tones.

A talker is a run of syllables. A voiced one is a sum of harmonics of a gliding pitch, weighed by three
formants that glide from one vowel to the next (the source-filter model of speech); half of them begin
with a fricative of high-passed noise. Equal arguments give equal samples.
"""

import numpy as np
import numpy.typing as npt

from trunkline.errors import FormatError
from trunkline.formats import SAMPLE_RATE_MAX, SAMPLE_RATE_MIN

__all__ = ["conversation", "speech_like", "tone"]

PEAK_DBFS = -6.0
HIGHEST_HZ = 7_000  # speech has little above it
#: First three formants of five vowels in Hz (a, e, i, o, u), rounded textbook averages.
VOWELS_HZ = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
FORMANT_WIDTH_HZ = (90, 110, 170)
FORMANT_GAIN = (1.0, 0.5, 0.25)

Signal = npt.NDArray[np.float64]


def speech_like(seconds: float, sample_rate: int = 8000, seed: int = 0) -> bytes:
    """Make one talker: syllables in phrases, with pauses between them.

    `seconds` >= 0 and `sample_rate` in Hz; an even `seed` gives a low voice, an odd one a high voice.
    Returns native-endian s16 mono with its peak at -6 dBFS.

    >>> len(speech_like(0.5)), speech_like(0.5) == speech_like(0.5)
    (8000, True)
    """
    signal = np.zeros(_sample_count(seconds, sample_rate))
    rng = np.random.default_rng(seed)
    _talk(signal, sample_rate, _Voice(rng, high=seed % 2 == 1), rng)
    return _to_s16(signal)


def conversation(seconds: float, sample_rate: int = 8000, seed: int = 0) -> tuple[bytes, bytes]:
    """Make a call of two different talkers who take turns and never overlap.

    Returns the inbound and the outbound side, native-endian s16 mono of the same length; a side is
    digital silence while the other one talks.

    >>> inbound, outbound = conversation(2)
    >>> len(inbound), len(outbound)
    (32000, 32000)
    """
    n_samples = _sample_count(seconds, sample_rate)
    sides = (np.zeros(n_samples), np.zeros(n_samples))
    rng = np.random.default_rng(seed)
    voices = (_Voice(rng, high=False), _Voice(rng, high=True))
    at, turn = int(0.2 * sample_rate), 0
    while at < n_samples:
        end = min(n_samples, at + int(rng.uniform(1.5, 4.0) * sample_rate))
        _talk(sides[turn][at:end], sample_rate, voices[turn], rng)
        at, turn = end + int(rng.uniform(0.2, 0.5) * sample_rate), 1 - turn
    return _to_s16(sides[0]), _to_s16(sides[1])


def tone(
    seconds: float, frequency_hz: float = 440.0, sample_rate: int = 8000, level_dbfs: float = PEAK_DBFS
) -> bytes:
    """Make a sine whose peak is `level_dbfs` (at most 0), as native-endian s16 mono.

    >>> max(memoryview(tone(1, 1000)).cast("h"))
    16422
    """
    if level_dbfs > 0:
        raise FormatError(f"tone of {level_dbfs} dBFS: takes 0 dBFS at most")
    phase = np.arange(_sample_count(seconds, sample_rate)) * (2 * np.pi * frequency_hz / sample_rate)
    pcm: bytes = np.rint(np.sin(phase) * (32767 * 10 ** (level_dbfs / 20))).astype(np.int16).tobytes()
    return pcm


class _Voice:
    """What stays the same through everything one person says."""

    def __init__(self, rng: np.random.Generator, *, high: bool) -> None:
        self.pitch_hz: float = rng.uniform(175, 215) if high else rng.uniform(95, 130)
        self.formant_scale = 1.15 if high else 1.0


def _talk(out: Signal, sample_rate: int, voice: _Voice, rng: np.random.Generator) -> None:
    """Fill `out` with phrases of four to nine syllables, each phrase falling in pitch."""
    at = 0
    vowel = VOWELS_HZ[rng.integers(len(VOWELS_HZ))]
    while at < len(out):
        n_syllables = int(rng.integers(4, 10))
        for k in range(n_syllables):
            if rng.random() < 0.5:
                at += _put(out, at, _fricative(int(rng.uniform(0.05, 0.09) * sample_rate), sample_rate, rng))
            before, vowel = vowel, VOWELS_HZ[rng.integers(len(VOWELS_HZ))]
            start_hz = voice.pitch_hz * (1.15 - 0.3 * k / n_syllables) * rng.uniform(0.95, 1.05)
            glide_hz = (start_hz, start_hz * rng.uniform(0.88, 1.08))
            n_samples = int(rng.uniform(0.11, 0.24) * sample_rate)
            syllable = _vowel(n_samples, sample_rate, glide_hz, (before, vowel), voice.formant_scale)
            at += _put(out, at, syllable)
        at += int(rng.uniform(0.25, 0.6) * sample_rate)
    fade_out = out[-int(0.01 * sample_rate) :]
    fade_out *= np.linspace(1, 0, len(fade_out))  # cut short without a click


def _put(out: Signal, at: int, sound: Signal) -> int:
    room = out[at : at + len(sound)]
    room += sound[: len(room)]
    return len(sound)


def _vowel(
    n_samples: int,
    sample_rate: int,
    pitch_hz: tuple[float, float],
    vowels_hz: tuple[tuple[int, ...], tuple[int, ...]],
    formant_scale: float,
) -> Signal:
    glide = np.linspace(0, 1, n_samples)
    pitch = pitch_hz[0] + (pitch_hz[1] - pitch_hz[0]) * glide
    phase = np.cumsum(pitch) * (2 * np.pi / sample_rate)
    n_harmonics = int(min(HIGHEST_HZ, 0.48 * sample_rate) / max(pitch_hz))
    settle = np.minimum(1, 2.5 * glide)  # the mouth is there before the syllable is half over
    formants = []
    for k, (width, gain) in enumerate(zip(FORMANT_WIDTH_HZ, FORMANT_GAIN, strict=True)):
        centre = formant_scale * (vowels_hz[0][k] + (vowels_hz[1][k] - vowels_hz[0][k]) * settle)
        formants.append((pitch / width, centre / width, gain))
    sound = np.zeros(n_samples)
    before, sine, twice_cosine = np.zeros(n_samples), np.sin(phase), 2 * np.cos(phase)
    for harmonic in range(1, n_harmonics + 1):
        for step, centre, gain in formants:
            sound += gain / (1 + (harmonic * step - centre) ** 2) * sine
        # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x)
        before, sine = sine, twice_cosine * sine - before
    return sound * _fade(n_samples, 0.2)


def _fricative(n_samples: int, sample_rate: int, rng: np.random.Generator) -> Signal:
    spectrum = np.fft.rfft(rng.uniform(-1, 1, n_samples))
    hz = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    spectrum *= (hz > 1_800) & (hz < HIGHEST_HZ)
    sound: Signal = np.fft.irfft(spectrum, n_samples) * _fade(n_samples, 0.3) * 0.25
    return sound


def _fade(n_samples: int, part: float) -> Signal:
    """Rise and fall over `part` of the length at each end, as a raised cosine."""
    edge = np.minimum(np.arange(n_samples), np.arange(n_samples)[::-1]) / max(1.0, part * n_samples)
    fade: Signal = 0.5 - 0.5 * np.cos(np.pi * np.minimum(1, edge))
    return fade


def _to_s16(signal: Signal) -> bytes:
    peak = float(np.abs(signal).max(initial=0.0))
    scale = 32767 * 10 ** (PEAK_DBFS / 20) / peak if peak else 0.0
    return np.rint(signal * scale).astype(np.int16).tobytes()


def _sample_count(seconds: float, sample_rate: int) -> int:
    if not SAMPLE_RATE_MIN <= sample_rate <= SAMPLE_RATE_MAX:
        raise FormatError(f"{sample_rate} Hz: takes {SAMPLE_RATE_MIN} to {SAMPLE_RATE_MAX}")
    if not 0 <= seconds <= 86_400:
        raise FormatError(f"{seconds} s: takes 0 to 86,400 s")
    return round(seconds * sample_rate)
