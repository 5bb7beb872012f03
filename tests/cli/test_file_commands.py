"""trunkline info, verify, repair, plot and diff: what they print, their exit codes, hostile names."""

import os
import re
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, trunkline_here
from tests.convert.captures import write_capture
from trunkline import wav
from trunkline.convert.info import info
from trunkline.convert.verify import verify
from trunkline.testing import conversation, speech_like, tone

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of recordings, some of them bad, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    wav.write("call.wav", speech_like(2), 8000, encoding="ulaw")
    sides = [np.frombuffer(side, np.int16) for side in conversation(2)]
    os.mkdir("more")
    soundfile.write("more/stereo.flac", np.stack(sides, axis=1), 8000)
    write_capture(Path("more/call.jsonl"), leave_out=(22,))
    data = Path("call.wav").read_bytes()
    Path("cut.wav").write_bytes(data[:5000])
    Path("text.wav").write_text("hello\n" * 9)
    return tmp_path


def plain(content: msgspec.Struct) -> dict[str, object]:
    fields: dict[str, object] = msgspec.json.decode(msgspec.json.encode(content))
    return fields


def test_info_tells_people(files: Path, capsys: Captured) -> None:
    shown = trunkline_here(capsys, "info", "call.wav", "more")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "call.wav: wav, ulaw, 8,000 Hz, mono, 2.00 s",
        shown.stdout.splitlines()[1],
        "more/call.jsonl: capture, PCMU, 8,000 Hz, 1.01 s, 102 messages",
        "  inbound: 49 packets, 1 lost (2.0 %), 20 ms concealed",
        "  outbound: 50 packets, silent",
        "more/stereo.flac: flac, pcm16, 8,000 Hz, stereo, 2.00 s",
        *shown.stdout.splitlines()[-2:],
    ]
    levels = r"peak -[56]\.\d dBFS, level -\d\d\.\d dBFS, \d+ % silence"
    assert re.fullmatch("  " + levels, shown.stdout.splitlines()[1])
    assert re.fullmatch("  left: " + levels, shown.stdout.splitlines()[-2])


def test_urls_are_told_to_be_none_of_this_machine(files: Path, capsys: Captured) -> None:
    said = "s3://b/a.wav: takes files of this machine alone; trunkline convert takes URLs\n"
    assert trunkline_here(capsys, "info", "s3://b/a.wav") == (1, "", f"error: {said}")


@pytest.mark.parametrize("command", ["info", "verify"])
def test_who_reads_no_more_hears_no_more(files: Path, command: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [*TRUNKLINE, command, "call.wav"], stdout=write_end, stderr=subprocess.PIPE, env=ENV, timeout=GUARD_S
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(("level", "said"), [(0, "minus infinity"), (2, "infinite")])
def test_diff_tells_infinity_and_its_sign(files: Path, capsys: Captured, level: int, said: str) -> None:
    wave = np.frombuffer(tone(1, level_dbfs=-12), np.int16)
    wav.write("a.wav", wave.tobytes(), 8000)
    wav.write("b.wav", (wave * np.int16(level)).tobytes(), 8000)
    assert f", SNR {said}\n" in trunkline_here(capsys, "diff", "a.wav", "b.wav").stdout
    found = msgspec.json.decode(trunkline_here(capsys, "diff", "a.wav", "b.wav", "--json").stdout)
    sign = 1 if level else -1
    assert float(found["snr_db"]) == float(found["channels"][0]["snr_db"]) == sign * np.inf


def test_info_tells_what_is_wrong(files: Path, capsys: Captured) -> None:
    loud = np.frombuffer(tone(1, level_dbfs=0), np.int16).copy()
    loud[:3] = 32767
    wav.write("loud.wav", loud.tobytes(), 8000)
    wav.write("silent.wav", bytes(16000), 8000)
    shown = trunkline_here(capsys, "info", "cut.wav", "loud.wav", "silent.wav").stdout
    assert "  damaged: truncated: 4906 bytes of audio are there, the header claims 16000" in shown
    assert re.search(r"loud.wav: .*\n  peak 0\.0 dBFS, level .* dBFS, \d+ samples clipped", shown)
    assert shown.endswith("silent.wav: wav, pcm16, 8,000 Hz, mono, 1.00 s\n  silent\n")


def test_info_as_json_goes_on_after_a_bad_file(files: Path, capsys: Captured) -> None:
    shown = trunkline_here(capsys, "info", "--json", "text.wav", "nowhere.wav", "call.wav", "more/call.jsonl")
    assert (shown.returncode, shown.stderr) == (1, "")
    lines = [msgspec.json.decode(line) for line in shown.stdout.splitlines()]
    assert lines[0]["error"].startswith("text.wav: not a WAV file: ")
    assert lines[1] == {"file": "nowhere.wav", "error": "nowhere.wav: No such file or directory"}
    assert lines[2] == {"file": "call.wav", **plain(info("call.wav"))}
    assert lines[3]["tracks"]["inbound"]["lost"] == 1
    assert lines[3]["tracks"]["outbound"]["level_dbfs"] is None  # -inf
    shown = trunkline_here(capsys, "info", "text.wav", "call.wav")
    assert (shown.returncode, shown.stdout.count("\n")) == (1, 2)
    assert re.fullmatch(r"error: text.wav: [^\n]+\n", shown.stderr)


def test_info_reads_standard_input(files: Path) -> None:
    command = [*TRUNKLINE, "info", "-"]
    shown = subprocess.run(
        command, input=Path("call.wav").read_bytes(), capture_output=True, env=ENV, timeout=GUARD_S
    )
    assert shown.returncode == 0
    assert shown.stdout.startswith(b"standard input: wav, ulaw, 8,000 Hz, mono, 2.00 s\n")


def test_verify_says_a_line_for_each_file_and_goes_on(files: Path, capsys: Captured) -> None:
    shown = trunkline_here(capsys, "verify", ".", "nowhere.wav")
    assert shown.returncode == 1
    assert shown.stderr == "3 ok, 1 damaged, 2 unreadable\n"
    lines = shown.stdout.splitlines()
    assert lines[0] == "ok         call.wav: 2.00 s"
    assert re.fullmatch(r"damaged    cut.wav: truncated: [^;]+; trunkline repair cut.wav", lines[1])
    assert lines[2:4] == ["ok         more/call.jsonl: 1.01 s", "ok         more/stereo.flac: 2.00 s"]
    assert lines[4].startswith("unreadable text.wav: not a WAV file: ")
    assert lines[5] == "unreadable nowhere.wav: No such file or directory"


def test_verify_is_0_when_all_are_ok(files: Path, capsys: Captured) -> None:
    assert trunkline_here(capsys, "verify", "more/*") == (
        0,
        "ok         more/call.jsonl: 1.01 s\nok         more/stereo.flac: 2.00 s\n",
        "2 ok\n",
    )
    assert trunkline_here(capsys, "verify", "-q", "call.wav") == (0, "", "")


def test_verify_as_json(files: Path, capsys: Captured) -> None:
    shown = trunkline_here(capsys, "verify", "--json", "call.wav", "cut.wav", "text.wav")
    assert (shown.returncode, shown.stderr) == (1, "")
    lines = [msgspec.json.decode(line) for line in shown.stdout.splitlines()]
    for line, name in zip(lines, ("call.wav", "cut.wav", "text.wav"), strict=True):
        assert line == {"file": name, **plain(verify(name))}


@pytest.mark.parametrize(
    ("name", "says"), [("empty", "no audio below it"), ("nothing-*.wav", "no file has such a name")]
)
def test_what_stands_for_no_file_is_an_error(files: Path, name: str, says: str, capsys: Captured) -> None:
    os.mkdir("empty")
    for command in ("verify", "info"):
        shown = trunkline_here(capsys, command, name)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert re.fullmatch(rf"error: {re.escape(name)}: {says}[^\n]*\n", shown.stderr)


def test_repair_says_what_it_did_and_goes_on(files: Path, capsys: Captured) -> None:
    before = Path("cut.wav").read_bytes()
    told = r"cut\.wav: {}: 4,906 samples \(RIFF size [\d,]+ -> 4,992, data size 16,000 -> 4,906, [^)]+\)\n"
    shown = trunkline_here(capsys, "repair", "--dry-run", "cut.wav")
    assert shown.returncode == 0
    assert re.fullmatch(told.format("would be repaired"), shown.stdout)
    assert Path("cut.wav").read_bytes() == before
    shown = trunkline_here(capsys, "repair", "text.wav", "cut.wav", "nowhere.wav", "call.wav")
    assert shown.returncode == 1
    first, second = shown.stdout.splitlines(keepends=True)
    assert re.fullmatch(told.format("repaired"), first)
    assert second == "call.wav: nothing to repair, 16,000 samples\n"
    assert re.fullmatch(
        r"error: text.wav: not a WAV file[^\n]*\nerror: nowhere.wav: No such [^\n]*\n", shown.stderr
    )
    assert verify("cut.wav").status == "ok"


def test_repair_of_a_recording_that_was_not_closed(files: Path, capsys: Captured) -> None:
    with wav.WavWriter("open.wav", sample_rate=8000) as writer:
        writer.write(speech_like(3))
        Path("killed.wav").write_bytes(Path("open.wav").read_bytes())
    shown = trunkline_here(capsys, "repair", "killed.wav")
    assert shown.returncode == 0
    assert re.fullmatch(r"killed.wav: repaired: [\d,]+ samples[^\n]*\n", shown.stdout)
    assert trunkline_here(capsys, "verify", "-q", "killed.wav").returncode == 0


def test_plot_draws_beside_the_recording(files: Path, capsys: Captured) -> None:
    pytest.importorskip("matplotlib")
    assert trunkline_here(capsys, "plot", "call.wav") == (0, "picture: call.png\n", "")
    assert Path("call.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["text.wav"], "text.wav: not a WAV file"),
        (["nowhere.wav"], "nowhere.wav: No such file or directory"),
        (["call.wav", "-o", "call.wav"], "call.wav: the picture would replace the recording"),
        (["call.wav", "-o", "link.png"], "link.png: the picture would replace the recording"),
        (["call.wav", "-o", "nowhere/a.png"], "nowhere/a.png: No such file or directory"),
    ],
)
def test_what_plot_refuses(files: Path, arguments: list[str], says: str, capsys: Captured) -> None:
    pytest.importorskip("matplotlib")
    os.symlink("call.wav", "link.png")
    before = Path("call.wav").read_bytes()
    shown = trunkline_here(capsys, "plot", *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert re.fullmatch(rf"error: {says}[^\n]*\n", shown.stderr)
    assert Path("call.wav").read_bytes() == before


def test_diff_of_the_same(files: Path, capsys: Captured) -> None:
    assert trunkline_here(capsys, "diff", "call.wav", "call.wav") == (
        0,
        "identical: 16,000 samples, 2.00 s\n",
        "",
    )


def test_diff_tells_how_they_differ(files: Path, capsys: Captured) -> None:
    pcm = np.frombuffer(wav.read("call.wav").pcm, np.int16)
    softer = np.rint(pcm * 0.5001).astype(np.int16)
    wav.write("softer.wav", np.concatenate([np.zeros(80, np.int16), softer]).tobytes(), 8000)
    shown = trunkline_here(capsys, "diff", "call.wav", "softer.wav")
    assert (shown.returncode, shown.stderr) == (1, "")
    lines = shown.stdout.splitlines()
    assert lines[:3] == [
        "softer.wav beside call.wav:",
        "  length   2.010 s, not 2.000 s (16,080 samples, not 16,000)",
        "  offset   10.000 ms later (80 samples)",
    ]
    found = re.fullmatch(r"  level    gain -6\.02 dB, SNR (\d\d\.\d\d) dB", lines[3])
    assert found
    assert float(found[1]) > 60
    differing = np.flatnonzero(pcm != softer)
    assert lines[4] == f"  samples  {len(differing):,} of 16,000 differ"
    at = int(differing[0])
    assert lines[5] == (
        f"  first    at {at / 8000:.6f} s, sample {at:,}, channel 1: {softer[at]:,}, "
        f"not {pcm[at]:,} (of 32,768)"
    )
    assert trunkline_here(capsys, "diff", "call.wav", "softer.wav", "--min-snr", "60").returncode == 0
    assert trunkline_here(capsys, "diff", "call.wav", "softer.wav", "--min-snr", "99").returncode == 1
    close = ["diff", "call.wav", "softer.wav", "--min-snr", "60", "--max-offset", "0.009"]
    assert trunkline_here(capsys, *close).returncode == 1
    shown = trunkline_here(capsys, "diff", "--json", "call.wav", "softer.wav")
    assert shown.returncode == 1
    told = msgspec.json.decode(shown.stdout)
    assert (told["file"], told["offset_samples"], told["identical"]) == ("softer.wav", 80, False)


def test_diff_of_what_is_only_longer(files: Path, capsys: Captured) -> None:
    wav.write("longer.wav", wav.read("call.wav").pcm + bytes(16000), 8000)
    shown = trunkline_here(capsys, "diff", "call.wav", "longer.wav")
    assert shown.returncode == 1
    assert shown.stdout.endswith("  samples  the same, all 16,000 that both have\n")
    assert trunkline_here(capsys, "diff", "call.wav", "longer.wav", "--min-snr", "90").returncode == 0
    cut = ["diff", "call.wav", "longer.wav", "--min-snr", "90", "--max-offset", "0.5"]
    assert trunkline_here(capsys, *cut).returncode == 1


def test_diff_of_what_has_nothing_in_common_is_not_close(files: Path, capsys: Captured) -> None:
    wav.write("silent.wav", bytes(32000), 8000)
    wav.write("empty.wav", b"", 8000)
    for other in ("silent.wav", "empty.wav"):
        for names in (("call.wav", other), (other, "call.wav")):
            assert trunkline_here(capsys, "diff", *names, "--min-snr", "0").returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["info"],
        ["verify"],
        ["repair"],
        ["plot"],
        ["diff", "call.wav"],
        ["diff", "call.wav", "call.wav", "--max-offset", "11"],
        ["diff", "call.wav", "call.wav", "--min-snr", "nan"],
    ],
)
def test_wrong_usage_exits_with_2(files: Path, arguments: list[str], capsys: Captured) -> None:
    shown = trunkline_here(capsys, *arguments)
    assert shown.returncode == 2
    assert "Error: " in shown.stderr


def test_a_name_cannot_move_the_cursor_and_need_not_be_text(files: Path, capsys: Captured) -> None:
    name = os.fsdecode(b"\x1b[2J\xff.wav")
    os.rename("cut.wav", name)
    for command in ("info", "verify", "repair"):
        shown = trunkline_here(capsys, command, name)
        assert "?[2J?.wav: " in shown.stdout
        assert "\x1b" not in shown.stdout + shown.stderr
    assert (
        msgspec.json.decode(trunkline_here(capsys, "info", "--json", name).stdout)["file"] == "\x1b[2J?.wav"
    )


def test_a_pipe_is_refused_and_not_waited_for(files: Path, capsys: Captured) -> None:
    os.mkfifo("pipe.wav")
    for command in (["info", "pipe.wav"], ["repair", "pipe.wav"], ["diff", "call.wav", "pipe.wav"]):
        shown = trunkline_here(capsys, *command)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert re.fullmatch(r"error: pipe.wav: no regular file[^\n]*\n", shown.stderr)
