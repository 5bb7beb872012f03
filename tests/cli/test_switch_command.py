"""trunkline switch as a user runs it: a process of its own, and applications that it calls."""

import asyncio
import base64
import hmac
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.cli.commands import ENV, GUARD_S, TRUNKLINE, read_rest, receiving, trunkline, trunkline_here
from tests.net.endpoints import Seen, run
from tests.switch.relay_doors import eventually
from tests.switch.rest_doors import basic, serving
from trunkline import g711, wav
from trunkline.net import serve
from trunkline.net.tls import client_context, kept_certificate, server_context
from trunkline.relay import RelayClient, RelayError
from trunkline.stream import Start
from trunkline.testing import speech_like

TOKEN = "canary-token-of-the-project"  # noqa: S105
SIGNING_KEY = "canary-key-of-the-callbacks"

# What a user of the SDK writes.
APPLICATION = """
import os, sys
from signalwire.relay import RelayClient
client = RelayClient(contexts=["default"])
@client.on_call
async def on_call(call):
    await call.answer()
    action = await call.stream(sys.argv[1], track="both", on_completed=lambda event: print(event.state))
    await action.wait()
    print(await call.wait_for_ended(), flush=True)
    os._exit(0)
client.run()
"""


@contextmanager
def switching(directory: Path, *options: object, **env: str) -> "Iterator[tuple[Any, dict[str, str]]]":
    """Run `trunkline switch` on a free port; give the process and the variables that it prints."""
    command = [*TRUNKLINE, "switch", "--listen", "127.0.0.1:0", "--cert-dir", str(directory)]
    with subprocess.Popen(
        [*command, *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENV, **env},
    ) as process:
        try:
            yield process, read_variables(process.stdout, "no-tls" in str(options), "token" in str(options))
        finally:
            process.kill()


def read_variables(lines: Any, in_the_clear: bool, token_given: bool) -> dict[str, str]:
    """Read the first lines, up to the last variable."""
    variables: dict[str, str] = {}
    last = "SIGNALWIRE_PROJECT_ID" if token_given else "SIGNALWIRE_API_TOKEN"
    while last not in variables:
        line = lines.readline()
        assert line, "it ended"
        if found := re.fullmatch(r"  export (\w+)=(\S+)\n", line):
            variables[found[1]] = found[2]
    assert in_the_clear == ("SIGNALWIRE_RELAY_CA_FILE" not in variables)
    return variables


async def settled(script: Coroutine[Any, Any, None]) -> None:
    """Run a script, and wait until TLS has said goodbye: the other end is another process."""
    await script
    transports = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    await eventually(lambda: all(transport._sock is None for transport in transports.values()))


@pytest.fixture
def caller(tmp_path: Path) -> Path:
    """Two seconds of speech, as a WAV: a stream of it has to begin meanwhile."""
    wav.write(tmp_path / "caller.wav", speech_like(2.0), 8000)
    return tmp_path / "caller.wav"


def test_the_sdk_is_called_and_streams_the_call_into_a_recording(tmp_path: Path, caller: Path) -> None:
    pytest.importorskip("signalwire.relay", reason="signalwire-sdk is not installed")
    keys = tmp_path / "keys"
    keys.mkdir()
    certificate, key = kept_certificate(keys)
    with (
        receiving(tmp_path / "out", "--calls", 1, "--cert", certificate, "--key", key) as (receiver, url),
        switching(keys, "--call", caller, "--outbound", "tone:440", "--once") as (process, variables),
    ):
        shown = subprocess.run(
            [sys.executable, "-c", APPLICATION, url],
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            env={**os.environ, **variables},
        )
        code, output, errors = read_rest(process)
        assert (code, errors) == (0, ""), output
        assert read_rest(receiver)[0] == 0
    assert shown.stdout.startswith("finished\nCallStateEvent("), shown
    assert re.search(r"client 127.0.0.1:\d+ \(.+\): connected, contexts default\n", output)
    assert re.search(
        r"call (\w{8})-[-\w]{27}: ringing, \+15550100 -> \+15550101\n"
        r"call \1: answered\n"
        r"call \1: stream \w{8}: both, PCMU@8000h@20i, to wss://127.0.0.1:\d+/\n"
        r"call \1: stream \w{8}: finished, \d+ messages, at most \d+ ms late\n"
        r"call \1: ended after [2-9]\.\d s: hangup\n\Z",
        output,
    ), output
    [recording] = (tmp_path / "out").glob("*.wav")
    with wav.WavReader(recording) as reader:
        samples = memoryview(reader.read()).cast("h")
    said = g711.ulaw_decode(g711.ulaw_encode(speech_like(2.0)))
    heard = samples[::2].tobytes()
    assert heard
    assert said.endswith(heard)  # to the bit, from when the stream began
    assert any(samples[1::2])


def test_ctrl_c_hangs_up_and_tells_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(process: Any, variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        certificate, key = kept_certificate(tmp_path)
        seen = Seen()
        calls: asyncio.Queue[Any] = asyncio.Queue()
        client = RelayClient(contexts=["office"])
        client.on_call(calls.put)
        async with serve(seen, ssl=server_context(certificate, key)) as endpoint, client:
            call = await calls.get()
            await call.answer()
            action = await call.stream(endpoint.url + "?secret=canary", codec="L16@16000h", name="mine")
            await seen.until(call.call_id, 5)
            process.send_signal(signal.SIGINT)
            assert (await action.wait()).state == "finished"
            assert (await call.wait_for_ended()).end_reason == "hangup"
            start = seen.events[call.call_id][0]
            assert isinstance(start, Start)
            assert str(start.media_format.codec) == "L16"

    options = ("--call", "speech", "--context", "office", "--token", TOKEN)
    with switching(tmp_path, *options) as (process, variables):
        assert "SIGNALWIRE_API_TOKEN" not in variables
        run(settled(script(process, variables | {"SIGNALWIRE_API_TOKEN": TOKEN})))
        code, output, errors = read_rest(process)
    assert (code, errors) == (0, "")
    assert "stream mine: finished" in output
    assert "ended after" in output
    assert TOKEN not in output
    assert "canary" not in output


def test_a_client_that_comes_anew_is_called_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        called = []
        for _ in range(2):
            calls: asyncio.Queue[Any] = asyncio.Queue()
            client = RelayClient(contexts=["default"])
            client.on_call(calls.put)
            async with client:
                call = await calls.get()
                await call.answer()
                called.append(call.call_id)
        assert len(set(called)) == 2

    with switching(tmp_path, "--call", "tone:440") as (_, variables):
        run(settled(script(variables)))


def test_a_call_at_once_answered_by_itself_and_streamed_over_rest(tmp_path: Path) -> None:
    """Nothing of RELAY: who has only REST needs a call that is answered."""

    async def script(variables: dict[str, str], output: Any) -> None:
        rest = pytest.importorskip("signalwire.rest", reason="signalwire-sdk is not installed")
        seen = Seen()
        async with serve(seen) as endpoint:
            call_id, state = re.findall(r"^call (\S+): (\w+)", await asyncio.to_thread(output.readline))[0]
            assert state == "ringing"
            assert await asyncio.to_thread(output.readline) == f"call {call_id[:8]}: answered\n"
            client = rest.RestClient(
                project=variables["SIGNALWIRE_PROJECT_ID"],
                token=variables["SIGNALWIRE_API_TOKEN"],
                host=variables["SIGNALWIRE_SPACE"],
            )
            answer = await asyncio.to_thread(client.calling.stream, call_id, url=endpoint.url)
            assert answer["id"] == call_id
            await seen.until(call_id, 10)

    options = ("--call", "tone:440", "--at-once", "--answer-after", 0.1, "--insecure-loopback")
    with switching(tmp_path, *options) as (process, variables):
        run(settled(script(variables, process.stdout)))
        process.terminate()
        code, output, errors = read_rest(process)
    assert (code, errors) == (0, "")
    assert "ended after" in output


@pytest.mark.parametrize("key", [SIGNING_KEY, None])
def test_status_callbacks_are_signed_with_the_key_that_is_given(tmp_path: Path, key: str | None) -> None:
    """The key shows nowhere, not in the list of processes either."""
    told: asyncio.Queue[tuple[bytes, dict[str, str]]] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        told.put_nowait((await request.read(), dict(request.headers)))
        return web.Response()

    async def script(variables: dict[str, str], output: Any) -> None:
        account, token = variables["SIGNALWIRE_PROJECT_ID"], variables["SIGNALWIRE_API_TOKEN"]
        call_id = re.findall(r"^call (\S+):", await asyncio.to_thread(output.readline))[0]
        app = web.Application()
        app.router.add_post("/status", receive)
        async with serve(Seen()) as endpoint, serving(app) as host, aiohttp.ClientSession() as http:
            params = {"url": endpoint.url, "status_url": f"http://{host}/status"}
            async with http.post(
                f"http://{variables['SIGNALWIRE_SPACE']}/api/calling/calls",
                json={"command": "calling.stream", "id": call_id, "params": params},
                headers={"Authorization": basic(account, token)},
            ) as answer:
                assert answer.status == 200
            body, headers = await told.get()
        signed = params["status_url"].encode() + body
        signature = headers.get("X-SignalWire-Sha256-Signature")
        assert signature == (None if key is None else hmac.digest(key.encode(), signed, "sha256").hex())

    env = {} if key is None else {"SIGNALWIRE_SIGNING_KEY": key}
    options = ("--call", "tone:440", "--at-once", "--insecure-loopback")
    with switching(tmp_path, *options, **env) as (process, variables):
        run(settled(script(variables, process.stdout)))
        process.terminate()
        code, output, errors = read_rest(process)
    assert (code, errors) == (0, "")
    assert SIGNING_KEY not in output


def is_written(journal: Path, call_id: str) -> bool:
    """Say whether a crash at this moment would leave the call: look into a copy of the files."""
    with tempfile.TemporaryDirectory() as directory:
        for name in (journal.name, f"{journal.name}-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(journal.parent / name, directory)
        with closing(sqlite3.connect(f"{directory}/{journal.name}")) as connection:
            return bool(connection.execute("SELECT n FROM calls WHERE id = ?", (call_id,)).fetchall())


def test_a_journal_keeps_calls_for_rest_over_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "calls.journal"

    def calls(variables: dict[str, str]) -> list[str]:
        account, token = variables["SIGNALWIRE_PROJECT_ID"], variables["SIGNALWIRE_API_TOKEN"]
        request = urllib.request.Request(
            f"http://{variables['SIGNALWIRE_SPACE']}/api/laml/2010-04-01/Accounts/{account}/Calls.json",
            headers={"Authorization": "Basic " + base64.b64encode(f"{account}:{token}".encode()).decode()},
        )
        with urllib.request.urlopen(request, timeout=GUARD_S) as response:  # noqa: S310  # http:// alone
            return [call["sid"] for call in json.load(response)["calls"]]

    options = ("--call", "tone:440", "--at-once", "--journal", journal)
    with switching(tmp_path, *options) as (process, variables):
        call_id = re.findall(r"^call (\S+):", process.stdout.readline())[0]
        assert calls(variables) == [call_id]
        while not is_written(journal, call_id):  # a thread writes, and the answer does not wait for it
            time.sleep(0.01)
        process.kill()
        read_rest(process)
    with switching(tmp_path, "--journal", journal) as (process, variables):
        assert calls(variables) == [call_id]
        process.terminate()
        assert read_rest(process)[0] == 0


@pytest.mark.parametrize("starts", [True, False])
def test_once_fails_with_a_stream(tmp_path: Path, starts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        async def hang_up_on(call: Any) -> None:
            await call.close(1011, "no more")

        certificate, key = kept_certificate(tmp_path)
        calls: asyncio.Queue[Any] = asyncio.Queue()
        client = RelayClient(contexts=["default"])
        client.on_call(calls.put)
        async with serve(hang_up_on, ssl=server_context(certificate, key)) as endpoint, client:
            call = await calls.get()
            await call.answer()
            if starts:
                await (await call.stream(endpoint.url)).wait()
            else:
                with pytest.raises(RelayError, match="invalid_url"):
                    await call.stream("wss://10.0.0.1/")
            await call.hangup()

    with switching(tmp_path, "--call", "speech", "--once") as (process, variables):
        run(settled(script(variables)))
        code, output, errors = read_rest(process)
    assert (code, errors) == (1, "")
    if starts:
        assert "failed: the stream ended with close code 1011: no more" in output
    else:
        assert "to wss://10.0.0.1 not started: invalid_url: '10.0.0.1' leads to a private address" in output


def test_the_certificate_and_the_token_are_kept(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    with switching(keys) as (_, first):
        pass
    made = {path.name: path.read_bytes() for path in keys.iterdir()}
    assert set(made) == {"certificate.pem", "key.pem", "token"}
    with switching(keys) as (_, second):
        pass
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == made
    assert first["SIGNALWIRE_API_TOKEN"] == second["SIGNALWIRE_API_TOKEN"]
    assert first["SIGNALWIRE_RELAY_CA_FILE"] == str(keys / "certificate.pem")
    for name in ("key.pem", "token"):
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
    client_context(keys / "certificate.pem")


def test_in_the_clear(tmp_path: Path) -> None:
    with switching(tmp_path, "--no-tls") as (_, variables):
        assert set(variables) == {"SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN"}
    assert not (tmp_path / "certificate.pem").exists()


def test_live_lines_on_a_terminal(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    options = ["--listen", "127.0.0.1:0", "--cert-dir", str(tmp_path), "--call", "tone:440", "--at-once"]
    with subprocess.Popen(
        [*TRUNKLINE, "switch", *options], stdout=its, stderr=its, env={**ENV, "TERM": "xterm"}
    ) as process:
        os.close(its)
        shown = b""
        try:
            while b"+15550100 \xe2\x86\x92 +15550101" not in shown:
                shown += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            while chunk := _read(ours):
                shown += chunk
            assert process.wait(GUARD_S) == 0
        finally:
            process.kill()
            os.close(ours)
    assert b"ringing" in shown
    assert re.search(rb"call \w{8}: ended after \d\.\d s: hangup\r\n", shown)
    assert b"answered" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--call", "nothing.wav"], r"'nothing.wav': there is no such file; takes a file, a capture"),
        (["--call", "tone:0"], r"tone of 0 Hz at 8000 Hz: takes 1"),
        (["--call", "rtp:5004"], r"such as rtp:127\.0\.0\.1:5004/PCMU"),
        (["--call", "rtp:127.0.0.1:5004/MP3"], r"unknown codec 'MP3'"),
        (["--dialled", "rtp:127.0.0.1:5004"], r"one RTP port is no source of many calls"),
        (["--outbound", "speech"], r"give --call, too"),
        (["--once"], r"give --call, too"),
        (
            ["--no-tls", "--listen", "192.0.2.1:8443"],
            r"for this machine only: --listen 127\.0\.0\.1:8443",
        ),
        (["--listen", "8443"], r"'8443' is not HOST:PORT"),
        (["--signing-key", ""], r"is empty: leave it out"),
        (["--answer-after", "nan"], r"'nan' is not a number"),
    ],
)
def test_wrong_usage(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = trunkline_here(capsys, "switch", "--cert-dir", tmp_path, *options)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert re.search(message, " ".join(shown.stderr.split())), shown.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--allow", "10.0.0.0/99"], r"error: allowed target '10\.0\.0\.0/99': "),
        (
            ["--listen", "192.0.2.1:0"],
            r"error: cannot listen on 192\.0\.2\.1:0: Cannot assign",
        ),
    ],
)
def test_what_cannot_be(options: list[str], message: str, tmp_path: Path) -> None:
    shown = trunkline("switch", "--cert-dir", tmp_path, *options)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert re.match(message, shown.stderr), shown.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        shown = trunkline("switch", "--cert-dir", tmp_path, "--listen", address)
    assert shown.returncode == 1
    assert shown.stderr == f"error: {address} is in use: choose another port with --listen\n"


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = trunkline("switch", "--cert-dir", tmp_path / "file" / "keys")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == f"error: {tmp_path / 'file' / 'keys'}: Not a directory\n"
