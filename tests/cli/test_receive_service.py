"""trunkline receive as a service: real processes that are told to end, killed, and run out of disk."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.commands import read_rest, receiving, trunkline_here
from tests.net.endpoints import call_messages, close_of, pcm_of, received_directly, run, send
from trunkline.cli.ending import Ending
from trunkline.cli.live import RecordingView
from trunkline.cli.receiving import Receiving
from trunkline.cli.summary import counted
from trunkline.cli.worker import Report, order
from trunkline.cli.workers import Workers
from trunkline.net import RecordingStats
from trunkline.net.server_stats import CallCounts
from trunkline.testing import speech_like

PCM = speech_like(1.01)
TOKEN = "canary0bearer0token"  # noqa: S105
HALF = 30  # messages
Peer = aiohttp.ClientWebSocketResponse


@contextmanager
def serving(out: Path, *options: object, **env: str) -> Iterator[tuple["subprocess.Popen[str]", str, str]]:
    """Run `trunkline receive --status`; give the process, and where it listens and tells its status."""
    with receiving(out, "--status", "127.0.0.1:0", *options, **env) as (process, url):
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"  status at (http://\S+)/healthz, \S+/metrics\n", line)
        assert found, line
        yield process, url, found[1]


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metrics(status: str) -> dict[str, float]:
    """The samples, by name and the values of their labels."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(ask(f"{status}/metrics")[1])
        for sample in family.samples
    }


@asynccontextmanager
async def calling(url: str, n_calls: int) -> AsyncIterator[list[Peer]]:
    """Begin calls "0", "1" ..., each of them half way through."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        peers = [await session.ws_connect(url) for _ in range(n_calls)]
        for k, peer in enumerate(peers):
            await send(peer, messages(k)[:HALF])
        yield peers


def messages(k: int) -> list[bytes]:
    return call_messages(str(k), PCM, stream_id="s")


def assert_recorded(out: Path, k: int, n_messages: int | None = None) -> None:
    samples, rate = soundfile.read(out / f"{k}_s.wav", dtype="int16")
    assert (rate, samples.tobytes()) == (8000, pcm_of(received_directly(messages(k)[:n_messages])))


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def packets_have_come(status: str, n_packets: int) -> None:
    """Wait until the processes have read what was sent."""
    await eventually(lambda: metrics(status)["trunkline_track_packets_total inbound"] >= n_packets)


def listens(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2].rstrip("/")))).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_command_that_cannot_be_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trunkline.cli.workers.COMMAND", (str(tmp_path / "nothing"),))
    failed = trunkline_here(capsys, "receive", "--listen", "127.0.0.1:0", "--out", tmp_path, "--workers", 1)
    said = f"warning: a process cannot begin: {tmp_path}/nothing: No such file or directory\n"
    assert failed == (1, said, "")


def test_a_process_that_is_told_nothing_ends() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "trunkline.cli.worker"]
        with subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE, text=True) as process:
            ours.close()
            assert read_rest(process) == (1, None, "")


def test_a_process_that_ends_may_be_asked_until_its_last_report_is_read(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "trunkline.cli.worker"]
    with theirs, subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE, text=True) as process:
        theirs.close()
        with ours, ours.makefile("rb") as told:
            ours.sendall(order(of_nothing(tmp_path), debug=False))
            url = msgspec.json.decode(told.readline(), type=Report).url
            ours.sendall(b"drain\n")
            assert msgspec.json.decode(told.readline(), type=Report).url == url
            assert told.read() == b""
            ours.sendall(b"report\n")
        assert read_rest(process) == (0, None, "")


@pytest.mark.parametrize("options", [(), ("--workers", 2)])
def test_sigterm_lets_the_calls_end(tmp_path: Path, options: tuple[object, ...]) -> None:
    out = tmp_path / "out"

    async def calls(process: "subprocess.Popen[str]", url: str, status: str) -> None:
        async with calling(url, 4) as peers:
            await packets_have_come(status, 4 * (HALF - 2))
            assert ask(f"{status}/healthz") == (200, "ok\n")
            assert metrics(status)["trunkline_live_calls"] == 4
            assert TOKEN not in "".join(map(command_line, children_of(process.pid)))
            process.terminate()
            await eventually(lambda: ask(f"{status}/healthz") == (503, "draining\n"))
            await eventually(lambda: not listens(url))
            for k, peer in enumerate(peers):
                await send(peer, messages(k)[HALF:])
                assert await close_of(peer) == (1000, "")

    with serving(out, *options, TRUNKLINE_BEARER_TOKEN=TOKEN) as (process, url, status):
        run(calls(process, url, status))
        code, output, errors = read_rest(process)
    assert (code, errors) == (0, "")
    assert "draining: 4 calls, for 25 s; Ctrl-C ends all at once\n" in output
    assert TOKEN not in output
    for k in range(4):
        assert_recorded(out, k)


@pytest.mark.parametrize("options", [("--drain", 0.1), ("--drain", 0.1, "--workers", 1)])
def test_what_lasts_for_longer_than_the_drain_is_ended_and_kept(
    tmp_path: Path, options: tuple[object, ...]
) -> None:
    async def calls(process: "subprocess.Popen[str]", url: str, status: str) -> None:
        async with calling(url, 2) as peers:
            await packets_have_come(status, 2 * (HALF - 2))
            process.terminate()
            for peer in peers:
                assert await close_of(peer) == (1001, "server is shutting down")

    with serving(tmp_path, *options) as (process, url, status):
        run(calls(process, url, status))
        code, output, errors = read_rest(process)
    assert (code, errors) == (0, "")
    why = "cut short: closed on this side before stop: server is shutting down"
    ended = re.findall(
        rf"^ended \S+/(\d)_s\.wav: 0\.\d+ s; inbound: \d+ packets.*; {why}$", output, re.MULTILINE
    )
    assert sorted(ended) == ["0", "1"]
    for k in range(2):
        assert_recorded(tmp_path, k, HALF)


@pytest.mark.parametrize(("options", "second"), [((), signal.SIGINT), (("--workers", 1), signal.SIGTERM)])
def test_a_second_signal_ends_at_once(tmp_path: Path, options: tuple[object, ...], second: int) -> None:
    async def calls(process: "subprocess.Popen[str]", url: str, status: str) -> None:
        async with calling(url, 1) as (peer,):
            await packets_have_come(status, HALF - 2)
            process.terminate()
            await eventually(lambda: ask(f"{status}/healthz")[0] == 503)
            process.send_signal(second)
            assert await close_of(peer) == (1001, "server is shutting down")

    with serving(tmp_path, *options) as (process, url, status):
        run(calls(process, url, status))
        code, _, errors = read_rest(process)
    assert (code, errors) == (0, "")
    assert_recorded(tmp_path, 0, HALF)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_process_that_is_killed_costs_the_others_no_call(tmp_path: Path) -> None:
    out, stats = tmp_path / "out", tmp_path / "stats.jsonl"
    options = ("--workers", 2, "--stats", stats, "--capture", tmp_path / "capture.jsonl")
    n_calls = 16  # that one process gets them all happens once in 32,768 times

    async def calls(process: "subprocess.Popen[str]", url: str, status: str) -> list[int]:
        kept = []
        async with calling(url, n_calls) as peers:
            await packets_have_come(status, n_calls * (HALF - 2))
            victim, other = children_of(process.pid)
            before = metrics(status)
            os.kill(victim, signal.SIGKILL)
            await eventually(lambda: len({*children_of(process.pid)} - {victim}) == 2)
            assert other in children_of(process.pid)
            for k, peer in enumerate(peers):
                try:
                    await send(peer, messages(k)[HALF:])
                    if (await close_of(peer))[0] == 1000:
                        kept.append(k)
                except ConnectionError:
                    pass
            await eventually(lambda: metrics(status)["trunkline_workers"] == 2)
            after = metrics(status)
        assert after["trunkline_worker_restarts_total"] == 1
        counters = [name for name in before if "_total" in name]
        assert {name for name in counters if after[name] < before[name]} == set()
        assert after["trunkline_calls_total"] == n_calls
        assert after["trunkline_live_calls"] == 0
        assert after["trunkline_calls_ended_total stopped"] == len(kept)
        assert after["trunkline_calls_ended_total lost"] == n_calls - len(kept)
        assert after["trunkline_recordings_total written"] == len(kept)
        assert after["trunkline_recordings_total failed"] == n_calls - len(kept)
        return kept

    with serving(out, *options) as (process, url, status):
        kept = run(calls(process, url, status))
        process.send_signal(signal.SIGINT)
        code, output, errors = read_rest(process)
    assert (code, errors) == (1, "")
    assert 0 < len(kept) < n_calls
    for k in range(n_calls):
        if k in kept:
            assert_recorded(out, k)
        else:  # less than a second is lost, and these calls had half of one
            soundfile.read(out / f"{k}_s.wav")
    lines = output.splitlines()
    assert (
        sum(bool(re.fullmatch(r"started \S+_s\.wav: PCMU .*, from \S+", line)) for line in lines) == n_calls
    )
    ended = [
        line for line in lines if re.fullmatch(r"ended \S+_s\.wav: 1\.01 s; inbound: 51 packets.*", line)
    ]
    assert len(ended) == len(kept)
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert len(warnings) == 1
    lost = counted(n_calls - len(kept), "call")
    assert re.search(
        rf"process \d+ was killed by signal 9, {lost} lost; another one takes its place", warnings[0]
    )
    assert len(lines) == n_calls + len(kept) + 1
    told = [json.loads(line) for line in stats.read_text().splitlines()]
    assert sorted(line["call_id"] for line in told) == sorted(map(str, kept))
    captures = [path.read_text() for path in tmp_path.glob("capture*.jsonl")]
    assert len(captures) == n_calls
    for capture in captures:
        assert all(json.loads(line) for line in capture.splitlines())


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_process_may_be_told_to_end_and_all_drain_when_the_first_one_is_killed(tmp_path: Path) -> None:
    async def calls(process: "subprocess.Popen[str]", url: str, status: str) -> list[int]:
        (told,) = children_of(process.pid)
        os.kill(told, signal.SIGTERM)
        await eventually(lambda: is_gone(told) and len(children_of(process.pid)) == 1)
        await eventually(lambda: metrics(status)["trunkline_workers"] == 1)
        async with calling(url, 2) as peers:
            await packets_have_come(status, 2 * (HALF - 2))
            workers = children_of(process.pid)
            process.kill()
            for k, peer in enumerate(peers):
                await send(peer, messages(k)[HALF:])
                assert await close_of(peer) == (1000, "")
        await eventually(lambda: all(map(is_gone, workers)))
        return [told, *workers]

    with serving(tmp_path, "--workers", 1) as (process, url, status):
        told, worker = run(calls(process, url, status))
        _, output, errors = read_rest(process)
    assert told != worker
    assert errors == ""
    assert f"warning: process {told} ended with exit code 0; another one takes its place\n" in output
    for k in range(2):
        assert_recorded(tmp_path, k)


def test_a_full_disk_is_one_line_and_the_call_goes_on(tmp_path: Path) -> None:
    long = call_messages("long", speech_like(10), stream_id="s")
    short = call_messages("short", PCM, stream_id="s")

    async def calls(url: str, status: str) -> dict[str, float]:
        async with aiohttp.ClientSession() as session:
            for said in (long, short):
                async with session.ws_connect(url) as peer:
                    await send(peer, said)
                    assert await close_of(peer) == (1000, "")
        return metrics(status)

    command = [sys.executable, "-c", LIMITED, "60000"]
    options = ("--status", "127.0.0.1:0", "--workers", 1)
    with receiving(tmp_path, *options, under=tuple(command)) as (process, url):
        assert process.stdout is not None
        status = process.stdout.readline().split()[2].removesuffix("/healthz,")
        told = run(calls(url, status))
        process.terminate()
        code, output, errors = read_rest(process)
    assert (code, errors) == (1, "")
    cure = "File too large: files may not be longer here (ulimit -f)"
    assert output.count("error: ") == 1
    assert f"error: {tmp_path}/long_s.wav: the recording ends here: {cure}\n" in output
    assert "cut short" not in output
    assert told["trunkline_recordings_total written"] == told["trunkline_recordings_total failed"] == 1
    assert told["trunkline_calls_ended_total stopped"] == 2
    assert told["trunkline_track_packets_total inbound"] == 500 + 51
    whole = pcm_of(received_directly(long))
    samples, _ = soundfile.read(tmp_path / "long_s.wav", dtype="int16")
    assert 20_000 < len(samples) < 30_000
    assert whole.startswith(samples.tobytes())
    samples, _ = soundfile.read(tmp_path / "short_s.wav", dtype="int16")
    assert samples.tobytes() == pcm_of(received_directly(short))


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_process_that_cannot_begin_ends_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trunkline.cli.workers.COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    failed = trunkline_here(capsys, "receive", "--listen", "127.0.0.1:0", "--out", tmp_path, "--workers", 2)
    assert (failed.returncode, failed.stderr) == (1, "")
    assert re.fullmatch(r"(warning: process \d+ ended with exit code 3\n){2}", failed.stdout)


HANGS = """
import os, sys, time
os.write(0, sys.argv[1].encode() + b"\\n")
time.sleep(60)
"""


def test_a_process_that_hangs_is_counted_as_it_was_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = CallCounts().stats({})
    told = Report("ws://x/", msgspec.structs.replace(zero, calls=3, live_calls=1), RecordingStats(2, 0))
    monkeypatch.setattr(
        "trunkline.cli.workers.COMMAND", (sys.executable, "-c", HANGS, msgspec.json.encode(told).decode())
    )
    monkeypatch.setattr("trunkline.cli.workers.REPORT_TIMEOUT_S", 0.01)
    monkeypatch.setattr("trunkline.cli.workers.CLOSE_TIMEOUT_S", 0.01)

    async def main() -> None:
        ending = Ending()
        workers = Workers(of_nothing(tmp_path), 2, ending, RecordingView(), debug=False)
        keeping = asyncio.create_task(workers.keep())
        assert await workers.url() == "ws://x/"
        assert workers.health() == "ok"
        assert (await workers.total()).server.live_calls == 2
        assert "trunkline_calls_total 6\n" in await workers.metrics()
        ending.drain()
        assert workers.health() == "draining"
        await keeping
        assert workers.exit_code == 1
        total = await workers.total()
        assert (total.server.calls, total.server.live_calls) == (6, 0)
        assert total.server.ended["lost"] == 2
        assert total.recordings == RecordingStats(written=4, failed=2)

    run(main())


DIES_ONCE_ASKED = """
import os, signal, sys
told = sys.argv[1:]
os.write(0, told[0].encode() + b"\\n")
said = b""
while not said.endswith(b"report\\n"):
    said += os.read(0, 65536) or sys.exit(1)
os.write(0, told[1].encode() + b"\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_process_counted_before_it_was_killed_counts_though_nobody_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = CallCounts().stats({})
    told = [
        Report(
            "ws://x/", msgspec.structs.replace(zero, calls=n_calls, live_calls=1), RecordingStats(n_calls - 1)
        )
        for n_calls in (3, 7)
    ]
    lines = [msgspec.json.encode(report).decode() for report in told]
    monkeypatch.setattr("trunkline.cli.workers.COMMAND", (sys.executable, "-c", DIES_ONCE_ASKED, *lines))
    monkeypatch.setattr("trunkline.cli.workers.REPORT_S", 0.01)

    async def main() -> None:
        ending = Ending()

        class View(RecordingView):
            def note(self, text: str, style: str = "") -> None:
                assert re.fullmatch(
                    r"warning: process \d+ was killed by signal 9, 1 call lost; another one takes its place",
                    text,
                )
                ending.drain()

        workers = Workers(of_nothing(tmp_path), 1, ending, View(), debug=False)
        await workers.keep()
        total = await workers.total()
        assert (total.server.calls, total.server.ended["lost"]) == (7, 1)
        assert total.recordings == RecordingStats(written=6, failed=1)
        assert workers.exit_code == 1

    run(main())


def of_nothing(out: Path) -> Receiving:
    """Make the options of a process that nobody calls."""
    return Receiving(
        "127.0.0.1", 0, out, "stereo", "wav", None, None, None, None, 0.01, n_calls=None, options={}
    )


def test_elsewhere_a_port_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    failed = trunkline_here(capsys, "receive", "--out", tmp_path, "--workers", 2)
    assert failed.returncode == 2
    assert "--workers takes Linux" in failed.stderr


def test_a_port_that_is_taken_is_named_by_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for workers in ((), ("--workers", 1)):
            for option, other in (("--status", "--listen"), ("--listen", "--status")):
                given = (option, address, other, "127.0.0.1:0", *workers)
                failed = trunkline_here(capsys, "receive", "--out", tmp_path, *given)
                assert failed.returncode == 1
                assert failed.stderr == f"error: {address} is in use: choose another port with {option}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", 2, "--calls", 3), "no worker knows how many calls the others have taken"),
        (("--workers", 2, "--rtp", "127.0.0.1:0"), "--rtp takes no --workers"),
        (("--workers", 0), "0 is not in the range"),
        (("--drain", -1), "-1.0 is not in the range"),
        (("--status", "9000"), "'9000' is not HOST:PORT"),
    ],
)
def test_wrong_usage_is_told(
    arguments: tuple[object, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = trunkline_here(capsys, "receive", "--out", tmp_path / "out", *arguments)
    assert failed.returncode == 2
    assert message in " ".join(failed.stderr.split())
