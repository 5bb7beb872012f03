"""The project's token, bearer tokens and the signing key show nowhere over one whole life of a switch."""

import asyncio
import io
import json
import logging
import traceback
import warnings
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

import trunkline
from tests.net.endpoints import GUARD_S, Seen
from tests.switch.callback_server import Receiver, receiving
from tests.switch.parties import NUMBERS, raw_endpoint
from tests.switch.rest_doors import basic, loopback_tls, serving
from trunkline.errors import FormatError, StreamStartError
from trunkline.net.targets import LOOPBACK, Targets
from trunkline.stream import StreamRequest
from trunkline.switch import CallbackSender, Journal, Switch, rest_routes
from trunkline.switch.status import StatusCallback

PROJECT = "p-1"
PROJECT_TOKEN = "canary0project0token"  # noqa: S105
BEARER = "canary0bearer0token"
SIGNING_KEY = "canary0signing0key"
CANARIES = (PROJECT_TOKEN, BEARER, SIGNING_KEY)
# As they are, and as Basic authentication has them.
SECRETS = [
    *CANARIES,
    *(b64encode(f"{name}:{canary}".encode()).decode() for name in (PROJECT, "") for canary in CANARIES),
]
ACCOUNT = f"/Accounts/{PROJECT}"
CALLING = "/api/calling/calls"


class Told:
    """All that was shown, by the place where it was."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add(self, place: str, shown: object) -> None:
        self.texts.append((place, shown if isinstance(shown, str) else repr(shown)))

    def error(self, place: str, error: BaseException) -> None:
        """What an error and those behind it say, and the traceback that a log would have."""
        self.add(place, "".join(traceback.format_exception(error)))
        behind: BaseException | None = error
        while behind is not None:
            self.add(f"{place}: {type(behind).__name__}", f"{behind} {behind!r} {behind.args!r}")
            behind = behind.__cause__ or behind.__context__

    def hits(self) -> list[tuple[str, str, str]]:
        return [
            (place, secret, text[max(0, text.index(secret) - 200) :][:400])
            for place, text in self.texts
            for secret in SECRETS
            if secret in text
        ]


@contextmanager
def logged(told: Told) -> Iterator[None]:
    """Everything that is logged or warned of, from DEBUG on and with its tracebacks."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        assert "asyncio" in stream.getvalue() or "Executing" in stream.getvalue()
        told.add("logs", stream.getvalue())


@dataclass
class Life:
    """A switch with everything that it can have, and what a test does to it."""

    told: Told
    switch: Switch
    host: str
    url: str
    echo_url: str
    garbage_url: str
    status_url: str

    def params(self, **changes: Any) -> dict[str, Any]:
        return {
            "url": self.url,
            "status_url": self.status_url,
            "authorization_bearer_token": BEARER,
            "custom_parameters": {"k": "v"},
        } | changes

    async def fails(self, call: Any, **changes: Any) -> None:
        """Start a stream in process that does not come about."""
        with pytest.raises((FormatError, StreamStartError)) as raised:
            await call.stream(**self.params(**changes))
        self.told.error(f"stream with {list(changes)}", raised.value)

    async def ask(
        self, status: int, path: str, body: Any = None, *, form: Any = None, token: str = PROJECT_TOKEN
    ) -> Any:
        data = None if body is None else json.dumps(body)
        headers = {"Authorization": basic(PROJECT, token), "Content-Type": "application/json"}
        if form is not None:
            data = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with (
            aiohttp.ClientSession() as client,
            client.request(
                "GET" if data is None else "POST", f"http://{self.host}{path}", data=data, headers=headers
            ) as response,
        ):
            text = await response.text()
        self.told.add(f"answer of {path}", f"{text} {response.headers!r}")
        assert response.status == status, text
        return json.loads(text)


async def in_process(life: Life) -> None:
    """Streams by Call.stream that come about, that break, and that do not come about."""
    switch, told = life.switch, life.told
    call = switch.place_call(**NUMBERS)
    await call.answer()
    action = await call.stream(**life.params(name="n", control_id="one"))
    await life.fails(call, control_id="one")
    await life.fails(call, name="n")
    await life.fails(call, codec="G722")
    await life.fails(call, codec="no codec")
    await life.fails(call, authorization_bearer_token="canary0wrong0bearer")  # noqa: S106
    await life.fails(call, authorization_bearer_token=f"{BEARER} with a space")
    await life.fails(call, authorization_bearer_token=f"{BEARER}\r\nX: y")
    await life.fails(call, url="ws://127.0.0.1:9/")
    await life.fails(call, url="ws://example.com/")
    await life.fails(call, url=life.url.replace("wss://", "ws://"))
    await life.fails(call, url=life.echo_url.replace("ws://", "wss://"))
    await life.fails(call, url=f"{life.echo_url}?status")
    await life.fails(call, url=life.garbage_url)
    stream = await echoed(life, call)
    for shown in (switch, call, action, action.result, stream, stream.request, call.streams):
        told.add("repr", f"{shown!r} {shown}")
    await call.hangup()
    with pytest.raises(StreamStartError) as raised:
        await call.start_stream(StreamRequest.parse(life.params(), insecure_loopback=True))
    told.error("stream of a call that ended", raised.value)


async def echoed(life: Life, call: Any) -> Any:
    """Stream to the endpoint that says the token in its close, before or after the stream has started."""
    for _ in range(20):
        try:
            action = await call.stream(**life.params(url=life.echo_url))
        except StreamStartError as error:
            life.told.error("error of a stream", error)
            continue
        event = await action.wait()
        life.told.error("error of a stream", event.stream.error)
        if "close code 1011: Bearer ..." in str(event.stream.error):
            return event.stream
    raise AssertionError("no close of the endpoint was seen")


async def over_rest(life: Life) -> None:
    """The doors, with the right token and a wrong one; what is refused repeats nothing."""
    call = life.switch.place_call(**NUMBERS)
    body = {"command": "calling.stream", "id": call.id, "params": life.params(control_id="one")}
    await life.ask(401, CALLING, body, token=f"{PROJECT_TOKEN}!")
    await life.ask(401, f"{ACCOUNT}/Calls", token=BEARER)
    await life.ask(200, CALLING, body)
    await life.ask(422, CALLING, body)
    for wrong in (
        {"url": f"http://{BEARER}"},
        {"authorization_bearer_token": f"{BEARER} x"},
        {"codec": "no"},
    ):
        await life.ask(422, CALLING, body | {"params": life.params(**wrong)})
    for url in (f"{life.echo_url}?status", life.garbage_url):
        await life.ask(422, CALLING, body | {"params": life.params(url=url)})
    await life.ask(422, CALLING, body | {"params": [BEARER]})
    form = {
        "Url": life.url,
        "AuthorizationBearerToken": BEARER,
        "Name": "n",
        "StatusCallback": life.status_url,
    }
    streams = f"{ACCOUNT}/Calls/{call.id}/Streams"
    await life.ask(201, streams, form=form)
    await life.ask(422, streams, form=form)
    await life.ask(422, streams, form=form | {"AuthorizationBearerToken": f"{BEARER} x", "Name": "m"})
    await life.ask(200, f"{streams}/n", form={"Status": "stopped"})
    stream = {"url": life.url, "authorization_bearer_token": BEARER, "status_url": life.status_url}
    for verb in (stream, stream | {"codec": "no"}, stream | {"authorization_bearer_token": "x y"}):
        document = {"sections": {"main": [{"stream": verb}, {"hangup": {}}]}}
        dial = {"From": "+1", "To": "+2", "Swml": document}
        shown = await life.ask((201 if verb is stream else 422), f"{ACCOUNT}/Calls", dial)
        if verb is stream:
            await life.switch.calls[shown["sid"]].wait_for_ended()
    await life.ask(200, f"{ACCOUNT}/Calls/{call.id}", form={"Status": "completed"})
    await life.ask(200, f"{ACCOUNT}/Calls")


async def echo(request: web.Request) -> web.StreamResponse:
    """An endpoint that says the token which it was given to everybody."""
    token = request.headers["Authorization"]
    if request.query_string:
        raise web.HTTPForbidden(reason=token, text=token)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if '"start"' in message.data:
            break
    await socket.close(code=1011, message=token.encode())
    return socket


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that is none of HTTP, and says all that it was sent."""
    head = await reader.readuntil(b"\r\n\r\n")
    token = head.partition(b"Authorization: ")[2].partition(b"\r\n")[0]
    writer.write(b"HTTP/1.1 x" + token + b"\r\n" + token + b"\r\n\r\n")
    writer.close()


async def live(told: Told, path: Path) -> None:
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 0  # every handle is logged, with its arguments
    receiver, seen = Receiver(), Seen()
    server_tls, client_tls = loopback_tls()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(receiving(receiver))
        echo_url = await stack.enter_async_context(raw_endpoint(echo))
        server = await stack.enter_async_context(await asyncio.start_server(garbage, "127.0.0.1", 0))
        garbage_url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        endpoint = await stack.enter_async_context(trunkline.serve(seen, bearer_token=BEARER, ssl=server_tls))
        journal = stack.enter_context(Journal(path))
        callbacks = await stack.enter_async_context(
            CallbackSender(Targets(LOOPBACK), signing_key=SIGNING_KEY)
        )
        switch = await stack.enter_async_context(
            Switch(
                project_id=PROJECT,
                token=PROJECT_TOKEN,
                insecure_loopback=True,
                ssl=client_tls,
                targets=Targets(["127.0.0.1", "example.com"]),
                callbacks=callbacks,
                journal=journal,
            )
        )
        switch.subscribe(lambda event: told.add("event", event))
        app = web.Application()
        app.add_routes(rest_routes(switch))
        host = await stack.enter_async_context(serving(app))
        life = Life(told, switch, host, endpoint.url, echo_url, garbage_url, receiver.url)
        await in_process(life)
        await over_rest(life)
        dropped = switch.place_call(**NUMBERS)
        await dropped.stream(**life.params(status_url="http://127.0.0.1:9/"))  # where nobody listens
        for shown in (switch, callbacks, journal, endpoint, StatusCallback(url=receiver.url)):
            told.add("repr", f"{shown!r} {shown}")
        await switch.close()
        assert journal.flush()
        for name in (path, Path(f"{path}-wal")):
            told.add("journal", name.read_bytes().decode("latin-1"))
    kinds = {request.headers["Content-Type"] for request in receiver.requests}
    assert kinds == {"application/json", "application/x-www-form-urlencoded"}
    for request in receiver.requests:
        assert any("Signature" in name for name in request.headers)
        told.add("status callback", f"{request.url} {request.headers} {request.body!r}")


def test_no_secret_shows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, told = tmp_path / "j", Told()

    async def guarded() -> None:
        async with asyncio.timeout(GUARD_S):
            await live(told, path)

    with logged(told):
        asyncio.run(guarded(), debug=True)
    with Journal(path) as journal:
        assert len(journal.former) >= 4
        told.add("former calls", dict(journal.former))
    told.add("journal", path.read_bytes().decode("latin-1"))
    told.add("stdout and stderr", "".join(capfd.readouterr()))
    places = {place for place, _ in told.texts}
    assert places >= {"logs", "repr", "event", "status callback", "journal", "error of a stream"}
    assert told.hits() == []
