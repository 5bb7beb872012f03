"""A switch behind its REST doors on loopback, an endpoint for its streams, and a client that sees leaks."""

import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from io import StringIO
from ssl import SSLContext
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

import trunkline
from tests.net.endpoints import Seen
from trunkline.net import Server
from trunkline.net.runner import app_runner
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.switch import Call, Journal, Switch, rest_routes
from trunkline.switch.callbacks import CallbackSender

PROJECT = "6f1a2c7e-project"
TOKEN = "canary-PT5d2f0b9c-of-the-project"  # noqa: S105
STREAM_TOKEN = "canary-9a7e31-of-a-stream"  # noqa: S105
SECRETS = (TOKEN, STREAM_TOKEN, b64encode(f"{PROJECT}:{TOKEN}".encode()).decode())
ACCOUNT = f"/api/laml/2010-04-01/Accounts/{PROJECT}"
CALLING = "/api/calling/calls"


class Doors:
    """What a test holds: the switch, the doors' address, and the endpoint that streams may go to."""

    def __init__(self, switch: Switch, host: str, endpoint: Server, seen: Seen) -> None:
        self.switch = switch
        self.host = host
        self.endpoint = endpoint
        self.seen = seen

    def call(self, **options: Any) -> Call:
        """Place a call from outside."""
        return self.switch.place_call(from_number="+15550100", to_number="+15550101", **options)

    async def ask(
        self,
        method: str,
        path: str,
        status: int | tuple[int, ...],
        *,
        json_body: Any = None,
        form: Mapping[str, Any] | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Ask the doors; the answer has this status, is JSON, says that it closes, and holds no secret."""
        sent = {"Authorization": basic(PROJECT, TOKEN), **(headers or {})}
        if json_body is not None:
            data, sent = json.dumps(json_body), {"Content-Type": "application/json", **sent}
        if form is not None:
            data = urlencode(form)
            sent = {"Content-Type": "application/x-www-form-urlencoded", **sent}
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, f"http://{self.host}{path}", data=data, headers=sent) as response,
        ):
            text = await response.text()
            assert response.status in (status if isinstance(status, tuple) else (status,)), text
            assert response.content_type == "application/json"
            assert response.headers["Connection"] == "close"
        for secret in SECRETS:
            assert secret not in text
            assert secret not in str(response.headers)
        answer = json.loads(text)
        if response.status >= 400:
            [error] = answer["errors"]
            assert answer == {"status": response.status, "message": error["message"], "errors": [error]}
            assert set(error) == {"type", "code", "message", "attribute", "url"}
            assert error["type"]
            assert error["code"]
            assert error["message"]
        assert isinstance(answer, dict)
        return answer

    async def refused(
        self, method: str, path: str, status: int | tuple[int, ...], **body: Any
    ) -> dict[str, Any]:
        """Ask for what is refused, and see that nothing has happened; gives the error."""
        before = self.state()
        answer = await self.ask(method, path, status, **body)
        assert self.state() == before
        error = answer["errors"][0]
        assert isinstance(error, dict)
        return error

    def state(self) -> Any:
        """All that a request could have changed."""
        return [
            (call.id, call.state, [(stream.sid, stream.state) for stream in call.streams.values()])
            for call in self.switch.calls.values()
        ]


def basic(user: str, password: str) -> str:
    """Give the Authorization header of RFC 7617."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


@contextmanager
def no_secret_in_the_logs() -> Iterator[None]:
    """Everything that is logged, from DEBUG on and with its tracebacks, holds no secret."""
    told = StringIO()
    handler, root = logging.StreamHandler(told), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    for secret in SECRETS:
        assert secret not in told.getvalue()


@cache
def loopback_tls() -> tuple[SSLContext, SSLContext]:
    """Make the contexts of a server on loopback and of a client that trusts it."""
    with TemporaryDirectory() as directory:
        certificate, key = self_signed(directory)
        return server_context(certificate, key), client_context(certificate)


@asynccontextmanager
async def doors(
    *,
    bearer_token: str | None = None,
    insecure_loopback: bool = False,
    callbacks: CallbackSender | None = None,
    journal: Journal | None = None,
    **options: Any,
) -> AsyncIterator[Doors]:
    """Serve a switch's REST doors over plain HTTP on loopback; `options` are those of rest_routes."""
    seen = Seen()
    server_tls, client_tls = (None, None) if insecure_loopback else loopback_tls()
    with no_secret_in_the_logs():
        async with (
            trunkline.serve(seen, bearer_token=bearer_token, ssl=server_tls) as endpoint,
            Switch(
                project_id=PROJECT,
                token=TOKEN,
                ssl=client_tls,
                insecure_loopback=insecure_loopback,
                callbacks=callbacks,
                journal=journal,
            ) as switch,
        ):
            app = web.Application()
            app.add_routes(rest_routes(switch, **options))
            async with serving(app) as host:
                yield Doors(switch, host, endpoint, seen)


@asynccontextmanager
async def serving(app: web.Application, ssl: SSLContext | None = None) -> AsyncIterator[str]:
    """Serve an application on a free port of loopback; gives host:port."""
    runner = app_runner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl)
        await site.start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def start_of(seen: Seen, call: Call) -> Any:
    """Wait for the start message of the call's stream at the endpoint."""
    await seen.until(call.id, 1)
    return seen.events[call.id][0]
