"""Input and outputs that are not right: one line says which and why, and nothing half-written stays."""

import io
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import soundfile

from tests.convert.recordings import PEAK_KIB, noise, read_s16, wav_bytes
from tests.full_disk import file_size_limit
from tests.reference.wav import chunk, fmt, fmt_fields, riff
from trunkline.convert import Plan, convert, convert_bytes
from trunkline.convert.items import items_of
from trunkline.convert.plan import FORMATS, parse_raw
from trunkline.errors import FormatError, TrunklineError

GOOD = wav_bytes(noise(2000))
STEREO = wav_bytes(noise(2000, 2))


def flac_of(n_samples: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, noise(n_samples), 8000, "PCM_16", format="FLAC")
    return file.getvalue()


#: Bytes of an input, and the beginning of what is said of it.
REFUSED = {
    "empty": (b"", "it is empty"),
    "one byte": (b"R", "1 bytes: a WAV file has at least 44"),
    "text": (b"hello, this is no audio at all\n" * 9, "not a WAV file: begins with b'hell'"),
    "no channels": (
        riff(fmt_fields(1, 0, 8000, 16), chunk(b"data", bytes(10))),
        "fmt chunk at byte 20: 0 channels of 16 bits at 8000 Hz, block align 0",
    ),
    "no rate": (
        riff(fmt_fields(1, 1, 0, 16), chunk(b"data", bytes(10))),
        "fmt chunk at byte 20: 1 channels of 16 bits at 0 Hz, block align 2",
    ),
    "no data": (riff(fmt("pcm16")), "no data chunk before the file ends at byte 36"),
    "header only": (GOOD[:30], "chunk at byte 12 claims 28 bytes, 10 are there"),
    "flac header only": (flac_of(100)[:20], "not a WAV file: begins with b'fLaC'"),
    "ogg header only": (b"OggS\0\2" + bytes(20) + b"OpusHead" + bytes(30), ""),
    "capture of nothing": (
        b'{"format":"trunkline-capture","version":1}\n',
        "a capture in which no stream starts",
    ),
}
#: Bytes of an input, what is said of its damage, and how many samples there are.
DAMAGED = {
    "truncated": (GOOD[:-100], "truncated: 3900 bytes of audio are there, the header claims 4000", 1950),
    "a byte too few": (GOOD[:-1], "truncated: 3999 bytes of audio are there, the header claims 4000", 1999),
    "4 GiB claimed": (
        riff(fmt("pcm16"), chunk(b"data", bytes(200), 0xFFFF_FFF0), size=0xFFFF_FFF8),
        "truncated: 200 bytes of audio are there, the header claims 4294967280",
        100,
    ),
    "truncated flac": (flac_of(60_000)[:50_000], "soundfile: flac decoder lost sync after about ", None),
}


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*"))


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(tmp_path: Path, kind: str) -> None:
    data, said = REFUSED[kind]
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises((FormatError, OSError)) as raised:
        convert(tmp_path / "a.wav", tmp_path / "b.wav")
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)
    assert names_in(tmp_path) == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == data
    if "capture" not in kind:
        with pytest.raises(TrunklineError):
            convert_bytes(data)


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_there_is_converted(tmp_path: Path, kind: str) -> None:
    data, said, n_samples = DAMAGED[kind]
    (tmp_path / "a.wav").write_bytes(data)
    made = convert(tmp_path / "a.wav", tmp_path / "b.wav")
    assert made.damage[0].startswith(said)
    samples = read_s16(tmp_path / "b.wav")[0]
    if n_samples is not None:
        assert len(samples) == n_samples
    assert samples.tobytes() == noise(60_000 if n_samples is None else 2000)[: len(samples)].tobytes() or (
        not samples.any()
    )
    (tmp_path / "b.wav").unlink()
    with pytest.raises(FormatError) as raised:
        convert(tmp_path / "a.wav", tmp_path / "b.wav", strict=True)
    assert str(raised.value).startswith(said)
    assert names_in(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("room", [0, 100, 3000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, target: str, room: int, libopus: object) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(40_000)))
    (tmp_path / f"b.{target}").write_bytes(b"from before")
    with file_size_limit(room), pytest.raises(OSError, match="File too large") as raised:
        convert(tmp_path / "a.wav", tmp_path / f"b.{target}")
    assert raised.value.filename == str(tmp_path / f"b.{target}")
    assert names_in(tmp_path) == ["a.wav", f"b.{target}"]
    assert (tmp_path / f"b.{target}").read_bytes() == b"from before"


@pytest.mark.parametrize("kind", ["wav", "raw", "opus"])
def test_a_device_that_is_full(tmp_path: Path, kind: str, libopus: object) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(40_000)))
    with pytest.raises(OSError, match="No space left") as raised:
        convert(tmp_path / "a.wav", "/dev/full", Plan(format=kind))
    assert raised.value.filename == "/dev/full"
    made = convert(tmp_path / "a.wav", "/dev/null", Plan(format=kind))
    assert made.duration_s == 5.0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


AS_NOBODY = """
import os, sys
from trunkline.convert import convert
if os.geteuid() == 0:
    os.seteuid(65_534)
try:
    convert(sys.argv[1], sys.argv[2])
except OSError as error:
    print(error.filename, error.strerror)
"""


@pytest.mark.parametrize("target", ["b.wav", "d/b.wav"])
def test_what_may_not_be_written(target: str) -> None:
    """By somebody who, unlike root, may not do everything; in a directory that is everybody's."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        (directory / "a.wav").write_bytes(GOOD)
        (directory / "b.wav").write_bytes(b"from before")
        (directory / "b.wav").chmod(0o444)
        (directory / "d").mkdir(0o555)
        command = [sys.executable, "-c", AS_NOBODY, "a.wav", target]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
        assert done.stdout == f"{target} Permission denied\n"
        assert (directory / "b.wav").read_bytes() == b"from before"
        assert names_in(directory) == ["a.wav", "b.wav", "d"]
        (directory / "d").chmod(0o777)


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(GOOD)
    (tmp_path / "b.wav").touch(0o600)
    convert(tmp_path / "a.wav", tmp_path / "b.wav")
    assert stat.S_IMODE((tmp_path / "b.wav").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "how", ["itself", "symlink", "hard link", "directory of links", "split", "descriptor"]
)
def test_its_own_source_is_no_output(tmp_path: Path, how: str) -> None:
    source = tmp_path / "call.1.wav"
    source.write_bytes(GOOD)
    os.utime(source, (1e9, 1e9))
    target, plan = tmp_path / "link.wav", Plan()
    given: object = source
    if how == "itself":
        target = Path(str(tmp_path) + "/./call.1.wav")
    elif how == "symlink":
        target.symlink_to(source)
    elif how == "hard link":
        target.hardlink_to(source)
    elif how == "directory of links":
        (tmp_path / "d").symlink_to(tmp_path)
        target = tmp_path / "d" / "call.1.wav"
    elif how == "split":
        target, plan = tmp_path / "call.wav", Plan(split=True)
    else:
        target, given = source, open(source, "rb")  # noqa: SIM115
    with pytest.raises(FormatError, match="is its own source, which is never written to: give another name"):
        convert(given, target, plan)  # type: ignore[arg-type]
    if how == "descriptor":
        given.close()  # type: ignore[attr-defined]
    assert source.read_bytes() == GOOD
    assert source.stat().st_mtime == 1e9
    assert not any(name.endswith(".part") for name in names_in(tmp_path))


@pytest.mark.parametrize(
    ("ending", "encoding"), [("raw", "ulaw"), ("UL", "ulaw"), ("pcm", "pcm16"), ("al", "alaw")]
)
def test_what_has_no_header_is_told_how_to_say_so(tmp_path: Path, ending: str, encoding: str) -> None:
    source = tmp_path / f"a.{ending}"
    source.write_bytes(b"\xff" * 8000)
    with pytest.raises(FormatError, match=f"such as --raw {encoding}:8000:1"):
        convert(source, tmp_path / "b.wav")
    convert(source, tmp_path / "b.wav", Plan(raw=parse_raw("ulaw")))
    source.write_bytes(flac_of(2000))  # whatever its name
    convert(source, tmp_path / "b.wav")
    assert read_s16(tmp_path / "b.wav")[0].tobytes() == noise(2000).tobytes()


@pytest.mark.parametrize("raw", ["ulaw:8000", "pcm16:8000:2"])
def test_a_header_that_is_read_as_audio_is_told(tmp_path: Path, raw: str) -> None:
    (tmp_path / "a.wav").write_bytes(GOOD)
    plan = Plan(raw=parse_raw(raw), format="wav")
    told = "it begins like WAV, and is read as if it had no header"
    assert told in convert(tmp_path / "a.wav", tmp_path / "b.wav", plan).damage
    with pytest.raises(FormatError, match=told):
        convert_bytes(GOOD, plan, strict=True)
    for fine in (GOOD[44:], b"\xff" * 800, b"RI", b""):  # mu-law of silence begins like MP3
        (tmp_path / "a.wav").write_bytes(fine)
        assert told not in convert(tmp_path / "a.wav", tmp_path / "b.wav", plan).damage
    convert_bytes(b"\xff" * 800, plan, strict=True)


def test_arguments_of_other_types() -> None:
    for make, said in (
        (lambda: Plan(raw="ulaw"), "raw of 'ulaw': takes a WavFormat"),  # type: ignore[arg-type]
        (lambda: Plan(sample_rate="16000"), "sample rate of '16000': takes a number"),  # type: ignore[arg-type]
        (lambda: convert(None, "b.wav"), "source of None: takes a path, a URL, or a binary file"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=said):
            make()


def test_links_go_on_pointing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(GOOD)
    (tmp_path / "in.wav").symlink_to("a.wav")
    (tmp_path / "out.wav").symlink_to("there.wav")
    convert(tmp_path / "in.wav", tmp_path / "out.wav")
    assert (tmp_path / "out.wav").is_symlink()
    assert (tmp_path / "there.wav").read_bytes() == GOOD
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    with pytest.raises(OSError, match="symbolic links"):
        convert(tmp_path / "loop.wav", tmp_path / "b.wav")


def test_directories_and_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(GOOD)
    with pytest.raises(IsADirectoryError) as raised:
        convert(tmp_path, tmp_path / "b.wav")
    assert raised.value.filename == tmp_path or raised.value.filename == str(tmp_path)
    with pytest.raises(IsADirectoryError):
        convert(tmp_path / "a.wav", tmp_path, Plan(format="wav"))
    with pytest.raises(FileNotFoundError) as raised2:
        convert(tmp_path / "a.wav", tmp_path / "no" / "b.wav")
    assert raised2.value.filename == str(tmp_path / "no" / "b.wav")
    for target in (tmp_path / "b.wav", "/dev/null"):
        with pytest.raises(FileNotFoundError) as raised3:
            convert(tmp_path / "missing.wav", target, Plan(format="wav"))
        assert str(raised3.value.filename) == str(tmp_path / "missing.wav")
    assert names_in(tmp_path) == ["a.wav"]


NAMES = [
    "new\nline.wav",
    "\x1b[2Jclear.wav",
    "n\udcff\udc80.wav",
    "-.wav",
    " .wav",
    "ü" * 125 + ".wav",
    "%s{}.wav",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_names_of_any_bytes(tmp_path: Path, name: str, kind: str) -> None:
    source = f"{tmp_path}/{name[:-3]}{kind}"
    data = GOOD if kind == "wav" else flac_of(2000)
    with open(source, "wb") as file:
        file.write(data)
    os.mkdir(tmp_path / "out")
    made = convert(source, f"{tmp_path}/out/{name}")
    assert read_s16(made.outputs[0])[0].tobytes() == noise(2000).tobytes()
    assert os.listdir(tmp_path / "out") == [name]


def fed(data: bytes, path: Path) -> threading.Thread:
    """Write to a FIFO, in pieces, as somebody who is slow."""

    def write() -> None:
        with open(path, "wb", buffering=0) as fifo:
            for k in range(0, len(data), 999):
                fifo.write(data[k : k + 999])

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", ["wav", "raw", "opus"])
def test_a_pipe_with_a_name(tmp_path: Path, kind: str, libopus: object) -> None:
    os.mkfifo(tmp_path / "in")
    plan = Plan(format="wav", sample_rate=16_000)
    expected = convert_bytes(convert_bytes(STEREO, Plan(format=kind)), Plan(**fields(kind, plan)))
    thread = fed(convert_bytes(STEREO, Plan(format=kind)), tmp_path / "in")
    convert(tmp_path / "in", tmp_path / "out.wav", Plan(**fields(kind, plan)))
    thread.join()
    assert (tmp_path / "out.wav").read_bytes() == expected


def fields(kind: str, plan: Plan) -> dict[str, object]:
    raw = parse_raw("pcm16:8000:2") if kind == "raw" else None
    return {"format": plan.format, "sample_rate": plan.sample_rate, "raw": raw}


def test_into_a_pipe_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(STEREO)
    os.mkfifo(tmp_path / "out.wav")
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append((tmp_path / "out.wav").read_bytes()))
    thread.start()
    convert(tmp_path / "a.wav", tmp_path / "out.wav")
    thread.join()
    assert soundfile.read(io.BytesIO(read[0]), dtype="int16")[0].tobytes() == noise(2000, 2).tobytes()
    assert stat.S_ISFIFO((tmp_path / "out.wav").stat().st_mode)


@pytest.mark.parametrize("plan", [{"normalize_db": -1.0}, {"silence_db": -40.0}, {"split": True}])
def test_what_needs_two_looks_takes_no_pipe(tmp_path: Path, plan: dict[str, object]) -> None:
    """It says so before it reads: the pipe may have no end."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe, pytest.raises(FormatError, match="a pipe is read once"):
        convert(pipe, tmp_path / "b.wav", Plan(**plan))
    os.close(write_end)
    (tmp_path / "a.wav").write_bytes(STEREO)
    with open(tmp_path / "a.wav", "rb") as file:
        convert(file, tmp_path / "b.wav", Plan(**plan))
    os.mkfifo(tmp_path / "fifo.flac")
    thread = fed(flac_of(100), tmp_path / "fifo.flac")
    with pytest.raises(FormatError, match="a pipe brings WAV, Opus or raw audio: give other files by name"):
        convert(tmp_path / "fifo.flac", tmp_path / "c.wav")
    thread.join()


def test_flac_into_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(GOOD)
    os.mkfifo(tmp_path / "b.flac")
    reader = threading.Thread(target=(tmp_path / "b.flac").read_bytes)
    reader.start()
    with pytest.raises(FormatError, match="FLAC is not written to a pipe: give a file"):
        convert(tmp_path / "a.wav", tmp_path / "b.flac")
    reader.join()


GUARD_S = 200  # bounds a hang
ENDLESS = f"""
import sys
from trunkline.convert import Plan, convert
from trunkline.convert.plan import parse_raw
before = {PEAK_KIB}
def on_progress(duration_s):
    if duration_s > 3600:
        raise KeyboardInterrupt
try:
    convert(sys.argv[1], "/dev/null", Plan(format="wav", sample_rate=16000, raw=parse_raw("ulaw")),
        on_progress=on_progress)
except KeyboardInterrupt:
    print({PEAK_KIB} - before)
"""


def test_without_end_in_bounded_memory() -> None:
    """An hour of what never ends takes a few MiB."""
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS, "/dev/zero"],
        capture_output=True,
        text=True,
        check=True,
        timeout=GUARD_S,
    )
    assert int(done.stdout) < 8 * 1024  # KiB
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    try:
        done = subprocess.run(
            [sys.executable, "-c", ENDLESS, "-"],
            stdin=yes.stdout,
            capture_output=True,
            text=True,
            check=True,
            timeout=GUARD_S,
        )
        assert int(done.stdout) < 8 * 1024
    finally:
        yes.kill()
        yes.communicate()


def test_a_name_of_this_machine_is_no_url(tmp_path: Path) -> None:
    """A result could replace its input by it, unnoticed."""
    (tmp_path / "a.wav").write_bytes(original := wav_bytes(noise(10)))
    url = f"file://{tmp_path}/a.wav"
    for source, target in ((tmp_path / "a.wav", url), (url, tmp_path / "b.wav")):
        with pytest.raises(FormatError, match=f"is on this machine: give its path, {tmp_path}/a.wav"):
            convert(source, target)
    assert (tmp_path / "a.wav").read_bytes() == original


def test_a_pipe_in_a_directory_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(10)))
    os.mkfifo(tmp_path / "b.wav")
    (tmp_path / "c.wav").symlink_to("nothing")
    found = items_of([str(tmp_path)], "out/", Plan())
    assert [os.path.basename(item.source) for item in found] == ["a.wav", "c.wav"]
