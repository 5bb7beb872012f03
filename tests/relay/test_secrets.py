"""Tokens stay out of logs, reprs and errors."""

import asyncio
import logging
from pathlib import Path

import pytest

from tests.net.endpoints import run
from tests.relay.scripted import PROJECT, TOKEN, exchange
from trunkline.relay import Call, RelayClient, RelayError
from trunkline.stream import StreamRequest

URL = "wss://example.com/"


@pytest.mark.parametrize("token", [TOKEN, "canary-token-wrong"])
def test_no_token_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    """Every logger at DEBUG, asyncio in debug mode; and what the objects say of themselves."""
    shown: list[object] = []

    async def script() -> None:
        asyncio.get_running_loop().set_debug(True)
        async with exchange(tmp_path, monkeypatch) as serving:
            calls: asyncio.Queue[Call] = asyncio.Queue()
            client = RelayClient(project=PROJECT, token=token, host=serving.host)
            shown.append(client)
            try:
                await client.connect()
                client.on_call(calls.put)
                await serving.call_in()
                call = await calls.get()
                action = await call.stream(URL, authorization_bearer_token="canary-bearer")  # noqa: S106
                with pytest.raises(RelayError) as refused:
                    await call.stream(URL, authorization_bearer_token="canary bearer")  # noqa: S106
                with pytest.raises(RelayError) as misplaced:
                    await call.stream("canary://x:canary@y", track="both")
                shown.extend([call, action, refused.value, misplaced.value])
            except RelayError as error:
                shown.append(error)
            finally:
                await client.disconnect()
            shown.extend(serving.commands)
            shown.append(serving.peer.connection)

    with caplog.at_level(logging.DEBUG):
        run(script())
    assert "signalwire.connect" in caplog.text
    text = caplog.text + "".join(f"{thing!r}{thing}" for thing in shown)
    assert "canary" not in text


def test_a_repr_tells_only_that_there_is_a_token() -> None:
    request = StreamRequest.parse({"url": URL, "authorization_bearer_token": "canary"})
    assert "authorization_bearer_token='...'" in repr(request)
    assert "canary" not in f"{request!r}{request}"
