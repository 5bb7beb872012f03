"""The curl lines of docs/switch-rest.md are run, in their order, against a switch."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.net.endpoints import Seen, run
from tests.ports import reserved_port
from tests.switch.rest_doors import PROJECT, TOKEN, basic, doors
from trunkline.net import serve

PAGE = Path(__file__).parents[2] / "docs" / "switch-rest.md"


with_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)
    return [command for block in blocks for command in re.split(r"\n(?=curl )", block.strip())]


async def curl(command: str, variables: dict[str, str]) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command.replace("curl ", "curl -sS --fail-with-body --max-time 60 ", 1),
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, f"{command}\n{out.decode()}"
    answer = json.loads(out)
    assert isinstance(answer, dict)
    return answer


@with_curl
def test_the_curl_lines() -> None:
    commands = curl_lines()
    assert len(commands) >= 9

    async def test() -> None:
        async with doors() as d:
            call = d.call()
            await call.answer()
            variables = {
                "HOST": f"http://{d.host}",
                "PROJECT": PROJECT,
                "TOKEN": TOKEN,
                "CALL": call.id,
                "ENDPOINT": d.endpoint.url,
            }
            answers = [await curl(command, variables) for command in commands]
            assert [stream.request.custom_parameters for stream in call.streams.values()] == [
                {},
                {"customer": "gold"},
                {"customer": "gold"},
            ]
            assert call.end_reason == "hangup"
            dialled = d.switch.calls[str(answers[-1]["sid"])]
            await dialled.wait_for_ended()
            assert [stream.state for stream in dialled.streams.values()] == ["finished"]

    run(test())


@with_curl
def test_the_program_and_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    seen = Seen()

    async def test(port: int) -> None:
        names: dict[str, Any] = {}
        exec(program.replace("8080", str(port)).replace("asyncio.run(main())", ""), names)  # noqa: S102
        running = asyncio.ensure_future(names["main"]())
        while not (call_id := capsys.readouterr().out.strip()):
            assert not running.done()
            await asyncio.sleep(0)
        url = f"http://127.0.0.1:{port}/Accounts/my-project/Calls/{call_id}"
        variables = {"PROJECT": "my-project", "TOKEN": "my-token", "CALL": call_id}
        async with serve(seen) as receiver:
            assert receiver.url.startswith("ws://127.0.0.1:")  # as `trunkline receive` prints it
            variables |= {"ENDPOINT": receiver.url, "HOST": f"http://127.0.0.1:{port}"}
            await curl(curl_lines()[0], variables)
            await seen.until(call_id, 3)
        async with (
            aiohttp.ClientSession(headers={"Authorization": basic("my-project", "my-token")}) as client,
            client.post(url, data={"Status": "completed"}) as answer,
        ):
            assert (await answer.json())["status"] == "completed"
        await running

    with reserved_port() as port:
        run(test(port))
