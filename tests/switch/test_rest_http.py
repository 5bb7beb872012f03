"""What both doors refuse: strangers, other methods, and bodies that are too long, too slow or no bodies."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from tests.net.endpoints import run
from tests.switch.rest_doors import (
    ACCOUNT,
    CALLING,
    PROJECT,
    TOKEN,
    basic,
    doors,
    loopback_tls,
    serving,
)
from trunkline.switch import rest_routes
from trunkline.testing.virtual_time import run_in_virtual_time

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic ü",
        basic(PROJECT, ""),
        basic("", TOKEN),
        basic(PROJECT, TOKEN[:-1]),
        basic(PROJECT, TOKEN + "x"),
        basic(PROJECT, TOKEN.upper()),
        basic(PROJECT.upper(), TOKEN),
        basic("", f"{PROJECT}:{TOKEN}"),
        basic(PROJECT, TOKEN).replace("Basic", "Bearer"),
        f"Bearer {TOKEN}",
        f"Basic {PROJECT}:{TOKEN}",
        basic(PROJECT, TOKEN) + ", Basic YTpi",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CALLING),
        ("GET", f"{ACCOUNT}/Calls.json"),
        ("DELETE", f"{ACCOUNT}/Calls/nobody"),
        ("POST", f"{ACCOUNT}/Calls/nobody/Streams"),
        ("GET", "/api/whatever"),
        ("GET", "/api"),
        ("GET", "/Accounts"),
        ("GET", "/Accounts/other/Calls"),
    ],
)
def test_strangers_learn_nothing(method: str, path: str, given: str) -> None:
    async def test() -> None:
        async with doors() as d:
            error = await d.refused(
                method,
                path,
                401,
                headers={"Authorization": given, **JSON},
                data=b"{}" if method == "POST" else None,
            )
            assert (error["type"], error["code"]) == ("authentication_error", "unauthorized")

    run(test())


@pytest.mark.parametrize(
    "header",
    [b"Authorization: %s\0", b"Authorization : %s", b"Author\xffization: %s", b"Authorization: %s\r\nbad"],
)
def test_headers_that_are_malformed_are_not_logged(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with doors() as d:
            reader, writer = await asyncio.open_connection(*d.host.split(":"))
            header_line = header % basic(PROJECT, TOKEN).encode()
            writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % (CALLING.encode(), header_line))
            assert b" 400 " in await reader.readline()
            writer.close()
        assert "HTTP 400" in caplog.text

    run(test())


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_has_no_case_and_401_names_it(scheme: str) -> None:
    async def test() -> None:
        async with doors() as d:
            header = basic(PROJECT, TOKEN).replace("Basic", scheme)
            await d.ask("GET", f"{ACCOUNT}/Calls", 200, headers={"Authorization": header})
            reader, writer = await asyncio.open_connection(*d.host.split(":"))
            writer.write(b"GET /Accounts/x/Calls HTTP/1.1\r\nHost: x\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b"401" in head
            assert b"www-authenticate: basic realm=" in head
            assert (await reader.read()).endswith(b"}")  # and the connection is closed
            writer.close()

    run(test())


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (CALLING, {"POST"}),
        (f"{ACCOUNT}/Calls", {"GET", "POST"}),
        (f"{ACCOUNT}/Calls/CALL.json", {"GET", "POST"}),
        (f"{ACCOUNT}/Calls/CALL/Streams", {"POST"}),
        (f"{ACCOUNT}/Calls/CALL/Streams/STREAM", {"POST"}),
    ],
)
def test_other_methods(path: str, allowed: set[str]) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            form = {"Url": d.endpoint.url, "Name": "STREAM"}
            await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}/Streams", 201, form=form)
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - allowed:
                error = await d.refused(method, path.replace("CALL", call.id), 405)
                assert error["code"] == "method_not_allowed"

    run(test())


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/calling",
        "/api/calling/calls/",
        "/api/calling/calls/x",
        "/api/calling/Calls",
        "/api/laml/Calls",
        "/api/laml/Accounts/other/Calls",
        f"{ACCOUNT}/calls",
        f"{ACCOUNT}/Calls/",
        f"{ACCOUNT}/Calls/nobody",
        f"{ACCOUNT}/Calls/CALL/",
        f"{ACCOUNT}/Calls/CALL/Recordings",
        f"{ACCOUNT}/Calls/CALL/Streams/nobody",
        f"{ACCOUNT}/Calls/CALL/Streams/",
        f"{ACCOUNT}/Calls/CALL/Streams/nobody/more",
        f"{ACCOUNT}/",
        "/Accounts/.json",
        "/api/laml%2FAccounts/Accounts",
        "/api/laml%2FAccounts/Accounts/x",
        f"{ACCOUNT}/Calls/%FF%FE",
        f"{ACCOUNT}/Calls/../Calls/CALL/x",
        f"{ACCOUNT}/Calls/%00",
        f"{ACCOUNT}/Calls/%0d%0aX:y",
        f"{ACCOUNT}/Calls/" + "x" * 4000,
        *(
            f"{ACCOUNT}/Calls/CALL/Streams/{quote(name, safe='')}"
            for name in ("../..", "a/b", "\r\nX: y", "\0", "'; --", "ü" * 500, "%", "${x}", "{0}", "%s%n")
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there(method: str, path: str) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            await d.refused(method, path.replace("CALL", call.id), 404, headers=JSON)

    run(test())


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"%s/Calls?\xff=1", 422),
        (b"%s/Calls?%%FF=1", 422),
        (b"%s/Calls?%%ED%%A0%%80=1", 422),
        (b"%s/Calls?PageToken=\xff", 422),
        (b"%s/Calls/\xff", 404),
        (b"%s/Calls/%%ED%%A0%%80", 404),
        (b"%s/Calls/\xed\xa0\x80", 404),
    ],
)
def test_bytes_that_are_not_utf8_in_the_request_line(target: bytes, status: int) -> None:
    async def test() -> None:
        async with doors() as d:
            reader, writer = await asyncio.open_connection(*d.host.split(":"))
            line = b"GET " + target % ACCOUNT.encode() + b" HTTP/1.1\r\nHost: x\r\n"
            writer.write(line + f"Authorization: {basic(PROJECT, TOKEN)}\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            answered = int(head.split()[1])
            if not (answered == 400 and not target.isascii()):  # aiohttp's parser in C refuses these
                assert answered == status
                assert json.loads(body)["errors"]
            writer.close()

    run(test())


def paths(call_id: str, sid: str) -> list[str]:
    return [
        CALLING,
        f"{ACCOUNT}/Calls",
        f"{ACCOUNT}/Calls/{call_id}",
        f"{ACCOUNT}/Calls/{call_id}/Streams",
        f"{ACCOUNT}/Calls/{call_id}/Streams/{sid}",
    ]


async def chunks(n_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(0, n_bytes, 1 << 16):
        yield b" " * (1 << 16)


@pytest.mark.parametrize(
    ("headers", "data", "status"),
    [
        (JSON, b"", 400),
        (JSON, b"{", 400),
        (JSON, b"[]", 400),
        (JSON, b'"x"', 400),
        (JSON, b"null", 400),
        (JSON, b'{"Status": "stopped"}{}', 400),
        (JSON, b'{"Status": "\xff"}', 400),
        (JSON, b'{"a":' * 50_000, 400),
        (JSON, b"[" * 500_000, 400),
        (FORM, b"Status=%FF", 400),
        (FORM, b"Status=\xff", 400),
        (FORM, b"&".join(b"a%d=b" % n for n in range(500)), 400),
        ({}, b"Status=stopped", 415),
        ({"Content-Type": "text/plain"}, b"Status=stopped", 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415),
        ({"Content-Type": "application/json; charset=utf-16"}, json.dumps({}).encode("utf-16"), 415),
        ({"Content-Type": "application/json; charset=" + "x" * 500}, b"{}", 415),
        ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(b'{"Status": "stopped"}'), 415),
        ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(b" " * 100_000_000), 415),
        (JSON, b" " * ((1 << 20) + 1), 413),
        (FORM, b"a=" + b"x" * (1 << 20), 413),
        (JSON, (1 << 20) + 1, 413),  # of a length that is not told
    ],
    ids=range(22),
)
def test_bodies_that_are_refused(headers: dict[str, str], data: Any, status: int) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            form = {"Url": d.endpoint.url}
            sid = (await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}/Streams", 201, form=form))["sid"]
            for path in paths(call.id, sid):
                body = chunks(data) if isinstance(data, int) else BytesIO(data)
                sent = headers or {"Content-Type": "application/octet-stream"}
                await d.refused("POST", path, status, headers=sent, data=body)

    run(test())


def test_a_body_of_a_mebibyte_is_read() -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            start = b'{"Url": "wss://", "x": "'
            for data in (
                start + b"x" * ((1 << 20) - len(start) - 2) + b'"}',
                b"Url=wss://".ljust(1 << 20, b"x"),
            ):
                headers = JSON if data.startswith(b"{") else FORM
                error = await d.refused(
                    "POST", f"{ACCOUNT}/Calls/{call.id}/Streams", 422, headers=headers, data=data
                )
                assert error["attribute"] == "Url"

    run(test())


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8", "us-ascii"])
def test_charsets(charset: str) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            headers = {"Content-Type": f"application/json; charset={charset}"}
            path = f"{ACCOUNT}/Calls/{call.id}"
            await d.ask("POST", path, 200, headers=headers, data=b'{"Status": "completed"}')

    run(test())


def test_a_body_that_does_not_come() -> None:
    async def test() -> float:
        async with doors() as d:
            call = d.call()
            before = d.state()
            reader, writer = await asyncio.open_connection(*d.host.split(":"))
            head = (
                f"POST {ACCOUNT}/Calls/{call.id} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Authorization: {basic(PROJECT, TOKEN)}\r\nContent-Length: 99\r\n\r\n"
            )
            writer.write(head.encode() + b'{"Status": ')
            started = asyncio.get_running_loop().time()
            answer = await reader.readuntil(b"\r\n\r\n")
            assert b" 408 " in answer
            assert d.state() == before
            writer.close()
            return asyncio.get_running_loop().time() - started

    assert run_in_virtual_time(test()) == pytest.approx(10.0, abs=0.5)


def test_over_tls() -> None:
    async def test() -> None:
        server_tls, client_tls = loopback_tls()
        async with doors() as d:
            app = web.Application()
            app.add_routes(rest_routes(d.switch))
            connector = aiohttp.TCPConnector(ssl=client_tls)
            async with serving(app, server_tls) as host, aiohttp.ClientSession(connector=connector) as client:
                headers = {"Authorization": basic(PROJECT, TOKEN)}
                for _ in range(2):  # the second over a connection of its own
                    async with client.get(
                        f"https://{host}/Accounts/{PROJECT}/Calls", headers=headers
                    ) as answer:
                        assert (answer.status, (await answer.json())["calls"]) == (200, [])

    run(test())


def test_a_call_that_ends_while_a_stream_is_starting_answers_both() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()  # and never answer
        writer.close()

    accepted = asyncio.Event()

    async def test() -> None:
        async with doors() as d, await asyncio.start_server(accept, "127.0.0.1", 0) as silent:
            call = d.call()
            url = f"wss://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"
            path = f"{ACCOUNT}/Calls/{call.id}"
            starting = asyncio.ensure_future(d.ask("POST", f"{path}/Streams", 422, form={"Url": url}))
            await accepted.wait()
            ended = await d.ask("POST", path, 200, form={"Status": "completed"})
            assert ended["status"] == "canceled"
            assert (await starting)["errors"][0]["message"]

    run(test())
