"""Plan: what is to be made of a recording."""

from pathlib import PurePath
from typing import Final

import msgspec

from trunkline.errors import FormatError
from trunkline.formats import CHANNELS_MAX, OPUS_RATES, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN
from trunkline.wav.framing import ByteOrder
from trunkline.wav.header import WavFormat

__all__ = ["ENDINGS", "FORMATS", "Plan", "parse_raw", "parse_trim", "raw_by_name"]

#: What is written, and the encodings of each, its own first.
FORMATS: Final = {
    "wav": ("pcm16", "float32", "ulaw", "alaw"),
    "raw": ("pcm16", "float32", "ulaw", "alaw"),
    "opus": ("opus",),
    "flac": ("pcm16",),
}
ENDINGS: Final = {
    ".wav": ("wav", ""),
    ".wave": ("wav", ""),
    ".opus": ("opus", ""),
    ".flac": ("flac", ""),
    ".raw": ("raw", ""),
    ".pcm": ("raw", "pcm16"),
    ".ulaw": ("raw", "ulaw"),
    ".ul": ("raw", "ulaw"),
    ".alaw": ("raw", "alaw"),
    ".al": ("raw", "alaw"),
}
QUALITIES: Final = ("fast", "voice", "high")
SILENCE_DB: Final = -50.0
TIME_MAX_S: Final = 1e9


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be made of a recording; as it stands, a WAV of PCM16 with the same rate and channels.

    - `format`: "wav", "raw", "opus" or "flac"; by the name of the output if not given.
    - `encoding` of WAV and raw: "pcm16", "float32", "ulaw" or "alaw"; samples past full scale saturate.
    - `sample_rate` in Hz, by the filter of `quality` ("fast", "voice", "high"), without its delay.
    - `channels`: 2 or more of a mono recording, all alike. `mix`: the sum of the channels, as one. `pick`:
      one of them, counted from 1. `split`: each to a file of its own, NAME.1.wav and so on.
    - `begin_s`, `end_s`: what lies between these times. `silence_db`: without what is below so many dBFS at
      the beginning and the end.
    - `normalize_db`: scaled, so that the loudest sample has so many dBFS.
    - `dither`: triangular noise of +-1 step, the same on every run, before PCM16 is rounded.
    - `bitrate` of Opus in bit/s; 24,000 a channel if not given.
    - `raw`: what the input holds, if it has no header.

    FormatError for what cannot be. A Plan is plain data: `msgspec.json` writes and reads it.

    >>> Plan(format="wav", encoding="ulaw", sample_rate=8000).for_output("call.wav").encoding
    'ulaw'
    >>> msgspec.json.encode(Plan().for_output("call.al"))
    b'{"format":"raw","encoding":"alaw"}'
    """

    format: str = ""
    encoding: str = ""
    sample_rate: int | None = None
    quality: str = "voice"
    channels: int | None = None
    mix: bool = False
    pick: int | None = None
    split: bool = False
    begin_s: float = 0.0
    end_s: float | None = None
    silence_db: float | None = None
    normalize_db: float | None = None
    dither: bool = False
    bitrate: int | None = None
    raw: WavFormat | None = None

    def __post_init__(self) -> None:
        if self.format and self.format not in FORMATS:
            raise FormatError(f"format {self.format!r}: takes {', '.join(FORMATS)}")
        encodings = FORMATS[self.format or "wav"]
        if self.encoding and self.encoding not in encodings:
            takes = ", ".join(encodings)
            raise FormatError(f"encoding {self.encoding!r}: {self.format or 'wav'} takes {takes}")
        if self.quality not in QUALITIES:
            raise FormatError(f"quality {self.quality!r}: takes {', '.join(QUALITIES)}")
        _check_range("sample rate", self.sample_rate, SAMPLE_RATE_MIN, SAMPLE_RATE_MAX, "Hz")
        _check_range("channels", self.channels, 1, CHANNELS_MAX)
        _check_range("channel", self.pick, 1, 0xFFFF)  # of a WAV file
        _check_range("bitrate", self.bitrate, 500, 512_000, "bit/s")
        _check_range("normalize", self.normalize_db, -100.0, 0.0, "dBFS")
        _check_range("silence", self.silence_db, -100.0, 0.0, "dBFS")
        _check_range("begin", self.begin_s, 0.0, TIME_MAX_S, "s")
        _check_range("end", self.end_s, 0.0, TIME_MAX_S, "s")
        if self.end_s is not None and not self.end_s > self.begin_s:
            raise FormatError(f"end of {self.end_s} s: takes more than {self.begin_s}, where it begins")
        exclusive = {
            f"channels {self.channels}": self.channels is not None and self.channels > 1,
            "mix": self.mix,
            "pick": self.pick is not None,
            "split": self.split,
        }
        if len(given := [name for name, is_given in exclusive.items() if is_given]) > 1:
            raise FormatError(f"{' and '.join(given)}: only one of them can be done")
        if self.raw is not None and not isinstance(self.raw, WavFormat):
            raise TypeError(f"raw of {self.raw!r}: takes a WavFormat, such as of parse_raw('ulaw:8000')")

    def for_output(self, name: str) -> "Plan":
        """Give the plan with its format and encoding set: by the ending of `name`; WAV for "-"."""
        ending = PurePath(name).suffix.lower()
        by_name, its_encoding = ENDINGS.get(ending, ("", ""))
        kind = self.format or by_name or ("wav" if name == "-" else "")
        if not kind:
            takes = ", ".join(ENDINGS)
            what = f"no format ends in {ending!r}" if ending else 'no ending; that of a directory is "/"'
            raise FormatError(f"{name}: {what}: takes {takes}, or --format")
        if kind == "opus" and self.sample_rate not in (None, *OPUS_RATES):
            takes = ", ".join(map(str, OPUS_RATES))
            raise FormatError(
                f"sample rate of {self.sample_rate} Hz: Opus takes {takes}; "
                "without one, the next higher is taken"
            )
        encoding = self.encoding or (its_encoding if kind == "raw" else "") or FORMATS[kind][0]
        return msgspec.structs.replace(self, format=kind, encoding=encoding)

    @property
    def needs_two_passes(self) -> bool:
        """Whether the whole recording is measured before anything is written."""
        return self.normalize_db is not None or self.silence_db is not None


def raw_by_name(name: str) -> str | None:
    """Give what a file without a header holds, by its ending; "" when that leaves it open, None of others."""
    kind, encoding = ENDINGS.get(PurePath(name).suffix.lower(), ("", ""))
    return encoding if kind == "raw" else None


def parse_raw(text: str) -> WavFormat:
    """Read ENCODING[be][:RATE[:CHANNELS]], of audio without a header; FormatError for what is not that.

    `be` says that it is big-endian, as L16 of RTP is.

    >>> parse_raw("ulaw:8000:1")
    WavFormat(encoding='ulaw', sample_rate=8000, channels=1)
    >>> parse_raw("pcm16be:16000").byte_order
    'big'
    """
    encoding, *numbers = text.split(":")
    if len(numbers) > 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise FormatError(f"raw {text[:64]!r}: the form is ENCODING[be][:RATE[:CHANNELS]], such as ulaw:8000")
    rate, channels = [int(number[:10]) for number in numbers] + [8000, 1][len(numbers) :]
    _check_range("raw sample rate", rate, SAMPLE_RATE_MIN, SAMPLE_RATE_MAX, "Hz")
    byte_order: ByteOrder = "big" if encoding.endswith("be") else "little"
    return WavFormat(encoding.removesuffix("be"), rate, channels, byte_order)


def parse_trim(text: str) -> dict[str, float]:
    """Read BEGIN:END in seconds, of which one may be left out, or silence[:DB], as fields of a Plan.

    >>> parse_trim("1.5:10"), parse_trim(":10"), parse_trim("silence")
    ({'begin_s': 1.5, 'end_s': 10.0}, {'end_s': 10.0}, {'silence_db': -50.0})
    """
    first, colon, second = text.partition(":")
    try:
        if first == "silence":
            return {"silence_db": float(second) if colon else SILENCE_DB}
        given = {"begin_s": first, "end_s": second} if colon else {}
        fields = {field: float(value) for field, value in given.items() if value}
    except ValueError:
        fields = {}
    if not fields:
        raise FormatError(f"trim {text[:64]!r}: the form is BEGIN:END in seconds, or silence[:DB]")
    return fields


def _check_range(what: str, value: float | None, low: float, high: float, unit: str = "") -> None:
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"{what} of {value!r}: takes a number")
    if value is not None and not low <= value <= high:
        raise FormatError(f"{what} of {value} {unit}".rstrip() + f": takes {low:g} to {high:g}")
