"""Sources by their names on a command line."""

import asyncio
from pathlib import Path

import pytest

from trunkline import wav
from trunkline.errors import FormatError
from trunkline.stream import CaptureWriter, StreamSender
from trunkline.switch import CaptureSource, FileSource, RtpSource, SilenceSource, SpeechSource, ToneSource
from trunkline.switch.source_names import check_source, make_source, open_source
from trunkline.testing import tone


def test_each_name_makes_its_source(tmp_path: Path) -> None:
    wav.write(tmp_path / "a.wav", tone(0.1, 1000, 16_000), 16_000)
    sender = StreamSender("PCMU", call_id="c")
    with CaptureWriter(tmp_path / "a.jsonl") as capture:
        for message in [*sender.start(), *sender.media(tone(0.1, 1000)), *sender.stop()]:
            capture.write(message, 0)
    for name, kind, rate in (
        ("speech", SpeechSource, 8000),
        ("silence", SilenceSource, 8000),
        ("tone:1000", ToneSource, 8000),
        (str(tmp_path / "a.wav"), FileSource, 16_000),
        (str(tmp_path / "a.jsonl"), CaptureSource, 8000),
    ):
        source = make_source(name)
        assert (type(source), source.sample_rate) == (kind, rate)
        assert any(source.read(80)) == (name != "silence")
        source.close()
        check_source(name)


@pytest.mark.parametrize(
    "name",
    [
        "tone:",
        "tone:-1",
        "tone:4000",
        "tone:1e3",
        "tone:٣",
        "tone:99999999",
        "rtp:",
        "rtp:5004",
        "rtp::5004",
        "rtp:[]:5004",
        "rtp:127.0.0.1:65536",
        "rtp:127.0.0.1:99999999999",
        "rtp:127.0.0.1:x",
        "rtp:127.0.0.1:5004/",
        "rtp:127.0.0.1:5004/NONE",
    ],
)
def test_names_of_nothing(name: str) -> None:
    if name.endswith("5004/"):  # the default
        check_source(name)
        return
    with pytest.raises(FormatError):
        check_source(name)
    with pytest.raises(FormatError):
        make_source(name)


def test_files_that_are_not_there_or_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_source(str(tmp_path / "nothing.wav"))
    (tmp_path / "a.jsonl").write_text("no capture\n")
    with pytest.raises(FormatError):
        check_source(str(tmp_path / "a.jsonl"))


def test_rtp_listens() -> None:
    async def script() -> None:
        source = await open_source("rtp:127.0.0.1:0/L16@16000h")
        assert isinstance(source, RtpSource)
        assert (source.sample_rate, source.url[:16]) == (16_000, "rtp://127.0.0.1:")
        source.close()
        silent = await open_source("silence")
        assert isinstance(silent, SilenceSource)

    asyncio.run(script())
