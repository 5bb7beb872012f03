"""trunkline convert as a user has it: options, pipes, reports, a bar on a terminal."""

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, trunkline, trunkline_here
from tests.cli.test_demo_command import read_terminal
from tests.convert.recordings import noise, read_s16, wav_bytes
from trunkline.convert import Plan, convert_bytes
from trunkline.resample import resample

NO_AUDIO = "not a WAV file: begins with b'this', and b'no r' at byte 8; soundfile: Format not recognised"
MONO, STEREO = wav_bytes(noise(2000)), wav_bytes(noise(2000, 2))


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with recordings, one of which is none, as the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("calls").mkdir()
    for k, data in enumerate((MONO, STEREO, b"this is no recording", MONO[:-100])):
        Path(f"calls/{k}.wav").write_bytes(data)
    Path("a.wav").write_bytes(MONO)
    Path("st.wav").write_bytes(STEREO)
    return tmp_path


def test_one_file_says_nothing(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trunkline_here(capsys, "convert", "a.wav", "-o", "b.wav", "--rate", 16_000) == (0, "", "")
    assert read_s16("b.wav")[0].tobytes() == resample(noise(2000).tobytes(), 8000, 16_000, quality="voice")


def test_a_directory_with_a_bad_file(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("calls").iterdir()}
    for jobs in ("1", "3"):
        shown = trunkline_here(
            capsys, "convert", "calls", "-o", f"out{jobs}", "-j", jobs, "--report", f"r{jobs}.jsonl"
        )
        assert (shown.returncode, shown.stdout) == (1, "")
        *lines, last = shown.stderr.splitlines()
        assert sorted(lines) == [
            f"error: calls/2.wav: {NO_AUDIO}",
            "warning: calls/3.wav: truncated: 3900 bytes of audio are there, the header claims 4000",
        ]
        assert re.fullmatch(r"3 of 4 files converted, 1 failed; 0\.7 s of audio, [\d,]+ x real time", last), (
            last
        )
        report = sorted(
            map(json.loads, Path(f"r{jobs}.jsonl").read_text().splitlines()), key=lambda o: o["source"]
        )
        assert [outcome["status"] for outcome in report] == ["converted", "converted", "failed", "converted"]
        assert report[1] == {
            "source": "calls/1.wav",
            "target": f"out{jobs}/1.wav",
            "status": "converted",
            "outputs": [f"out{jobs}/1.wav"],
            "sample_rate": 8000,
            "channels": 2,
            "duration_s": 0.25,
        }
        assert report[3]["damage"] == ["truncated: 3900 bytes of audio are there, the header claims 4000"]
        assert report[2]["error"].startswith("not a WAV file")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("calls").iterdir()} == before
    assert sorted(os.listdir("out1")) == ["0.wav", "1.wav", "3.wav"]


def test_resume_and_its_report(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("convert", "calls", "-o", "out", "--report", "r.jsonl")
    trunkline_here(capsys, *common)
    shown = trunkline_here(capsys, *common, "--resume")
    assert shown.returncode == 1
    assert "0 of 4 files converted, 3 were there already, 1 failed; " in shown.stderr
    statuses = [json.loads(line)["status"] for line in Path("r.jsonl").read_text().splitlines()]
    assert statuses == [
        "converted",
        "converted",
        "failed",
        "converted",
        "skipped",
        "skipped",
        "failed",
        "skipped",
    ]


def test_strict_stops(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = trunkline_here(capsys, "convert", "calls", "-o", "out", "--strict")
    assert shown.returncode == 1
    assert "2 of 4 files converted, 1 failed; " in shown.stderr
    shown = trunkline_here(capsys, "convert", "calls/3.wav", "-o", "x.wav", "--strict")
    assert shown.returncode == 1
    assert shown.stderr.startswith("error: calls/3.wav: truncated: 3900 bytes")
    assert not Path("x.wav").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["a.wav"], "Missing option '-o' / '--out'"),
        (["-o", "b.wav"], "of INPUT..., --stereo LEFT RIGHT and --manifest FILE, takes one"),
        (["a.wav", "--stereo", "a.wav", "a.wav", "-o", "b.wav"], "takes one"),
        (["a.wav", "-o", "b.mp3"], "b.mp3: no format ends in '.mp3': takes .wav, .wave, .opus"),
        (["a.wav", "-o", "b"], 'b: no ending; that of a directory is "/": takes .wav, '),
        (["a.wav", "-o", "b.opus", "--encoding", "ulaw"], "encoding 'ulaw': opus takes opus"),
        (["a.wav", "-o", "b.wav", "--rate", "1"], "sample rate of 1 Hz: takes 4000 to 192000"),
        (["a.wav", "-o", "b.wav", "--rate", "fast"], "'fast' is not a valid integer"),
        (["a.wav", "-o", "b.wav", "--mix", "--pick", "1"], "mix and pick: only one of them can be done"),
        (["a.wav", "-o", "b.wav", "--pick", "0"], "channel of 0: takes 1 to 65535"),
        (
            ["a.wav", "-o", "b.wav", "--trim", "5"],
            "trim '5': the form is BEGIN:END in seconds, or silence[:DB]",
        ),
        (["a.wav", "-o", "b.wav", "--trim", "2:1"], "end of 1.0 s: takes more than 2.0, where it begins"),
        (["a.wav", "-o", "b.wav", "--trim", "0:inf"], "end of inf s: takes 0 to 1e+09"),
        (["a.wav", "-o", "b.wav", "--trim", "nan:"], "begin of nan s"),
        (["a.wav", "-o", "b.wav", "--normalize", "3"], "normalize of 3.0 dBFS: takes -100 to 0"),
        (["a.wav", "-o", "b.wav", "--raw", "mp3"], "unknown encoding 'mp3': takes pcm8, "),
        (
            ["a.wav", "-o", "b.wav", "--raw", "ulaw:x"],
            "raw 'ulaw:x': the form is ENCODING[be][:RATE[:CHANNELS]]",
        ),
        (["a.wav", "-o", "b.wav", "--channels", "2", "--mix"], "channels 2 and mix: only one of them can be"),
        (
            ["a.wav", "-o", "b.opus", "--rate", "44100"],
            "sample rate of 44100 Hz: Opus takes 8000, 12000, 16000, 24000, 48000; without one, the next",
        ),
        (
            ["--manifest", "s3://b/m.csv", "-o", "out"],
            "--manifest s3://b/m.csv: takes a file of this",
        ),
        (
            ["a.wav", "-o", "b.wav", "--report", "s3://b/r"],
            "--report s3://b/r: takes a file of this machine",
        ),
        (["a.wav", "-o", "b.wav", "--jobs", "0"], "0 is not in the range 1<=x<=256"),
        (["a.wav", "-o", "b.wav", "--offset", "1"], "--offset is of --stereo"),
        (["--stereo", "a.wav", "a.wav", "-o", "b.wav", "--offset", "nan"], "offset of nan s"),
        (["calls", "-o", "-"], "standard output takes one file"),
        (["nothing*", "-o", "out"], "nothing*: no file has such a name"),
        (
            ["a.wav", "calls/0.wav", "-o", "b.wav"],
            "b.wav: has the name of one file: several go to a directory",
        ),
    ],
)
def test_wrong_usage(calls: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    before = sorted(calls.rglob("*"))
    shown = trunkline_here(capsys, "convert", *options)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f"Error: {said}" in shown.stderr or said in shown.stderr
    assert sorted(calls.rglob("*")) == before


def test_a_report_that_takes_no_more_is_named(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = trunkline_here(capsys, "convert", "a.wav", "-o", "b.wav", "--report", "/dev/full")
    assert shown == (1, "", "error: /dev/full: No space left on device\n")


def test_errors_are_one_line_each(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("evil\x1b[2J\n.wav").write_bytes(b"x")
    for options, said in (
        (["missing.wav", "-o", "b.wav"], "error: missing.wav: No such file or directory\n"),
        (["a.wav", "-o", "a.wav/b.wav"], "error: a.wav: a.wav/b.wav: Not a directory\n"),
        (["a.wav", "-o", "./a.wav"], "error: a.wav: ./a.wav: is its own source, which is never written to: "),
        (
            ["a.wav", "-o", "/dev/full", "--format", "wav"],
            "error: a.wav: /dev/full: No space left on device\n",
        ),
        (["--manifest", "/dev/null", "-o", "out"], "error: /dev/null: nothing to convert is in it\n"),
        (["evil\x1b[2J\n.wav", "-o", "b.wav"], "error: evil?[2J?.wav: 1 bytes: a WAV file has at least 44"),
        (
            ["--stereo", "a.wav", "st.wav", "-o", "b.wav"],
            "error: a.wav: 1 and 2 channels: two of one channel go",
        ),
        (["--stereo", "a.wav", "no.wav", "-o", "b.wav"], "error: a.wav: no.wav: No such file or directory\n"),
        (["--manifest", "no.jsonl", "-o", "out"], "error: no.jsonl: No such file or directory\n"),
        (
            ["a.wav", "-o", "b.wav", "--report", "no/r.jsonl"],
            "error: no/r.jsonl: No such file or directory\n",
        ),
    ):
        shown = trunkline_here(capsys, "convert", *options)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert shown.stderr.startswith(said), shown.stderr
        assert shown.stderr.count("\n") == 1
    assert not Path("b.wav").exists()


def test_a_report_of_any_name(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename("a.wav", b"n\xff.wav")
    shown = trunkline_here(capsys, "convert", "n\udcff.wav", "a.wav", "-o", "out", "--report", "r.jsonl")
    assert shown.returncode == 1
    first, second = map(json.loads, Path("r.jsonl").read_text().splitlines())
    assert (first["source"], first["status"]) == ("n\udcff.wav", "converted")
    assert second["error"] == "No such file or directory"
    assert os.listdir(b"out") == [b"n\xff.wav"]


def test_manifest(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["source,target,pick", "st.wav,l.wav,1", "st.wav,r.wav,2", "st.wav,r.wav,1", ",,", "gone.wav,,"]
    Path("m.csv").write_text("\n".join(rows))
    shown = trunkline_here(capsys, "convert", "--manifest", "m.csv", "-o", "out", "--format", "wav")
    assert shown.returncode == 1
    *lines, last = shown.stderr.splitlines()
    assert lines == [
        "error: st.wav: r.wav is the output of another file already",
        "error: m.csv:5: no source",
        "error: gone.wav: No such file or directory",
    ]
    assert last.startswith("2 of 5 files converted, 3 failed; ")
    assert read_s16("l.wav")[0].tobytes() == noise(2000, 2)[:, 0].tobytes()
    assert read_s16("r.wav")[0].tobytes() == noise(2000, 2)[:, 1].tobytes()


def test_stereo_split_and_levels(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stereo = ("--stereo", "a.wav", "calls/0.wav", "--offset", "0.1")
    assert trunkline_here(capsys, "convert", *stereo, "-o", "both.wav")[0] == 0
    both, _ = read_s16("both.wav")
    assert both.shape == (2800, 2)
    assert trunkline_here(capsys, "convert", "both.wav", "-o", "x.flac", "--split")[0] == 0
    assert soundfile.read("x.2.flac", dtype="int16")[0].tobytes() == both[:, 1].tobytes()
    assert trunkline_here(capsys, "convert", "a.wav", "-o", "n.wav", "--normalize", "-6")[0] == 0
    assert np.abs(read_s16("n.wav")[0].astype("i4")).max() == round(32768 * 10 ** (-6 / 20))
    assert trunkline_here(capsys, "convert", "a.wav", "-o", "t.wav", "--trim", "0.1:0.2")[0] == 0
    assert read_s16("t.wav")[0].tobytes() == noise(2000)[800:1600].tobytes()


def test_help_reads_well() -> None:
    shown = trunkline("convert", "--help", COLUMNS="80")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "\n  -o, --out FILE|DIRECTORY " in shown.stdout
    assert "\n  trunkline convert call.wav -o call.flac\n" in shown.stdout


def test_help_imports_no_numpy() -> None:
    code = "import sys; from trunkline.cli.app import app; app(['convert', '--help'], standalone_mode=False)"
    code += "\nassert not {'numpy', 'rich', 'asyncio', 'soundfile'} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=ENV)


# Pipes


def piped(
    data: bytes | None, *options: object, stdin: int | None = None
) -> "subprocess.CompletedProcess[bytes]":
    command = [*TRUNKLINE, "convert", *map(str, options)]
    given = {"input": data} if stdin is None else {"stdin": stdin}
    return subprocess.run(command, capture_output=True, timeout=GUARD_S, env=ENV, **given)  # type: ignore[call-overload,no-any-return]


def test_from_a_pipe_into_a_pipe() -> None:
    expected = resample(noise(2000, 2).tobytes(), 8000, 16_000, channels=2, quality="voice")
    done = piped(STEREO, "-", "-o", "-", "--rate", 16_000)
    assert (done.returncode, done.stderr) == (0, b"")
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="int16")
    assert (samples.tobytes(), rate) == (expected, 16_000)
    for command in (
        ["sox", "-t", "wav", "-", "-t", "s16", "-"],
        ["ffmpeg", "-v", "error", "-i", "-", "-f", "s16le", "-"],
        [*TRUNKLINE, "convert", "-", "-o", "-", "--format", "raw"],
    ):
        if shutil.which(command[0]) is not None:
            read = subprocess.run(command, input=done.stdout, capture_output=True, check=True)
            assert read.stdout == expected, command


def test_standard_input_that_is_a_file(calls: Path) -> None:
    """It can be read twice."""
    with open("a.wav", "rb") as file:
        done = piped(None, "-", "-o", "b.wav", "--normalize", "-1", stdin=file.fileno())
    assert (done.returncode, done.stderr) == (0, b"")
    assert Path("b.wav").read_bytes() == convert_bytes(MONO, Plan(normalize_db=-1.0))
    with open("a.wav", "rb") as file:
        done = piped(None, "-", "-o", "a.wav", stdin=file.fileno())
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: standard input: a.wav: is its own source")


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (
            MONO,
            ["--normalize", "-1"],
            b"a pipe is read once; to normalize, split or trim silence, give a file",
        ),
        (MONO, ["--trim", "silence"], b"a pipe is read once"),
        (MONO, ["--format", "flac"], b"FLAC is not written to a pipe: give a file"),
        (b"", [], b"it is empty"),
        (b"fLaC" + bytes(100), [], b"not a WAV file: begins with b'fLaC'"),
        (
            b'{"format":"trunkline-capture","version":1}\n',
            [],
            b"a capture is read by its name, not from a pipe",
        ),
    ],
)
def test_what_pipes_do_not_bring(data: bytes, options: list[str], said: bytes) -> None:
    done = piped(data, "-", "-o", "-", *options)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: standard input: " + said)
    assert done.stderr.count(b"\n") == 1


def test_standard_streams_that_are_closed(calls: Path) -> None:
    command = " ".join(f"'{word}'" for word in TRUNKLINE) + " convert"
    for redirected, said in (
        ("- -o b.wav <&-", "error: standard input: standard input is closed\n"),
        ("a.wav -o - >&-", "error: a.wav: standard output is closed\n"),
        ("a.wav -o - > /dev/full", "error: a.wav: standard output: No space left on device\n"),
    ):
        done = subprocess.run(f"{command} {redirected}", shell=True, capture_output=True, text=True, env=ENV)  # noqa: S602
        assert (done.returncode, done.stderr) == (1, said)


def test_appended_to_a_file(calls: Path) -> None:
    """Which is written to at its end, wherever one seeks: the header does not know its sizes."""
    with open("all.wav", "ab") as file:
        command = [*TRUNKLINE, "convert", "a.wav", "-o", "-"]
        subprocess.run(command, stdout=file, check=True, timeout=GUARD_S, env=ENV)
    assert soundfile.read("all.wav", dtype="int16")[0].tobytes() == noise(2000).tobytes()
    done = piped(MONO, "-", "-o", "-")
    assert Path("all.wav").read_bytes() == done.stdout


@pytest.mark.parametrize("where", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_by_its_path(calls: Path, where: str) -> None:
    done = piped(None, "a.wav", "-o", where, "--format", "raw", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, noise(2000).tobytes())


# Terminals


def on_terminal(*options: object) -> str:
    """What a terminal shows of standard error."""
    main, terminal = pty.openpty()
    command = [*TRUNKLINE, "convert", *map(str, options)]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env={**ENV, "TERM": "xterm"}):
        os.close(terminal)
        shown = b""
        while data := read_terminal(main):
            shown += data
    os.close(main)
    return shown.decode()


def test_a_bar_on_a_terminal(calls: Path) -> None:
    shown = on_terminal("calls", "-o", "out", "--jobs", 2)
    assert "4/4" in shown
    assert " s of audio" in shown
    assert "x real time" in shown
    assert "error: calls/2.wav: not a WAV file" in shown
    assert "\x1b[?25h" in shown  # the cursor is back


def test_no_audio_to_a_terminal(calls: Path) -> None:
    shown = on_terminal("a.wav", "-o", "-")
    assert "Error: standard output is a terminal: redirect it, or name a file" in shown
    assert "RIFF" not in shown


def test_a_report_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(original := wav_bytes(noise(10)))
    (tmp_path / "m.jsonl").write_text(manifest := '{"source": "a.wav"}\n')
    for options in (
        ["a.wav", "-o", "b.wav", "--report", "a.wav"],
        ["a.wav", "-o", "b.wav", "--report", "./b.wav"],
        ["--manifest", "m.jsonl", "-o", "out", "--report", "m.jsonl"],
    ):
        done = subprocess.run([*TRUNKLINE, "convert", *options], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, "is an input or the output" in done.stderr) == (2, True)
    assert (tmp_path / "a.wav").read_bytes() == original
    assert (tmp_path / "m.jsonl").read_text() == manifest
