"""The program of docs/relay.md, as it stands and with the SDK's import, each in a process of its own."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.net.endpoints import run
from tests.relay.scripted import PROJECT, TOKEN, Exchange, exchange

DOCUMENT = (Path(__file__).parents[2] / "docs" / "relay.md").read_text()
[PROGRAM] = re.findall(r"```python\n(from trunkline.*?)```", DOCUMENT, re.DOTALL)


@asynccontextmanager
async def running(program: str, serving: Exchange, token: str) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = {
        "SIGNALWIRE_PROJECT_ID": PROJECT,
        "SIGNALWIRE_API_TOKEN": token,
        "SIGNALWIRE_SPACE": serving.host,
        "SIGNALWIRE_LOG_MODE": "off",  # the SDK's log goes to standard output
    }
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env={**os.environ, **settings}, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("library", ["trunkline", "signalwire"])
def test_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    pytest.importorskip(f"{library}.relay", reason="signalwire-sdk is not installed")
    assert PROGRAM.count("trunkline") == 1
    program = PROGRAM.replace("trunkline", library)

    async def script() -> None:
        async with exchange(tmp_path, monkeypatch) as serving, running(program, serving, TOKEN) as process:
            await serving.until_connected()
            await serving.call_in()
            assert process.stdout is not None
            said = [await process.stdout.readline() for _ in range(2)]
            assert said == [b"completed: finished\n", b"ended: hangup\n"]
            process.send_signal(signal.SIGINT)
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 0

    run(script())


def test_wrong_credentials_end_it_at_the_third_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with exchange(tmp_path, monkeypatch) as serving, running(PROGRAM, serving, "wrong") as process:
            _, errors = await process.communicate()
            assert process.returncode == 1
            assert errors.endswith(b"RELAY error -32002: the project or its token is wrong\n")
            assert len(serving.peers) == 3

    run(script())
