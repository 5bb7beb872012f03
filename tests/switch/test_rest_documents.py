"""Calls that are created over REST: their documents given or fetched, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.net.endpoints import Seen, pcm_of, run
from tests.switch.rest_doors import ACCOUNT, CALLING, Doors, doors, loopback_tls, serving
from tests.switch.sound_server import sound_server, wav_of
from trunkline.net import serve
from trunkline.net.targets import LOOPBACK, Targets
from trunkline.switch import Call, Sounds, ToneSource, rest_dial
from trunkline.testing import speech_like

Body = dict[str, Any]


async def dial_compat(d: Doors, status: int = 201, **fields: Any) -> Body:
    names = {"swml": "Swml", "url": "Url", "url_method": "Method"}
    form = {"From": "+15550102", "To": "+15550103"} | {names[name]: fields[name] for name in fields}
    return await d.ask("POST", f"{ACCOUNT}/Calls.json", status, form=form)


async def dial_compat_json(d: Doors, status: int = 201, **fields: Any) -> Body:
    names = {"swml": "Swml", "url": "Url", "url_method": "Method"}
    body = {"From": "+15550102", "To": "+15550103"} | {names[name]: fields[name] for name in fields}
    return await d.ask("POST", f"{ACCOUNT}/Calls", status, json_body=body)


async def dial_calling(d: Doors, status: int | tuple[int, ...] = 200, **fields: Any) -> Body:
    params = {"from": "+15550102", "to": "+15550103", **fields}
    status = 200 if status == 201 else status
    return await d.ask("POST", CALLING, status, json_body={"command": "dial", "params": params})


DIALS = [dial_compat, dial_compat_json, dial_calling]
Dial = Callable[..., Awaitable[Body]]


def the_call(d: Doors) -> Call:
    [call] = d.switch.calls.values()
    return call


def document(url: str, **stream: Any) -> str:
    stream = {"url": url, **stream}
    return json.dumps({"sections": {"main": ["answer", {"stream": stream}, {"sleep": -1}]}})


async def streamed(d: Doors) -> tuple[Call, Any]:
    """Wait until the endpoint has the start of the only call's only stream; hang up and wait for its end."""
    call = the_call(d)
    await d.seen.until(call.id, 1)
    await call.hangup()
    return call, (await d.seen.ended.get()).start


@pytest.mark.parametrize("dial", DIALS)
def test_a_document_that_is_given(dial: Dial) -> None:
    async def test() -> None:
        async with doors() as d:
            custom = {"to": "${call.to}", "from": "%{call.from}", "id": "${call.call_id}"}
            swml = document(d.endpoint.url, track="both_tracks", custom_parameters=custom)
            answer = await dial(d, swml=swml)
            call, start = await streamed(d)
            assert call.id in (answer.get("sid"), answer.get("id"))
            assert answer["to"] == call.to_number == "+15550103"
            assert (call.direction, call.answered_s is not None) == ("outbound", True)
            assert start.tracks == ("inbound", "outbound")
            assert start.custom_parameters == {"to": "+15550103", "from": "+15550102", "id": call.id}

    run(test())


def test_a_document_that_is_an_object() -> None:
    async def test() -> None:
        async with doors() as d:
            for dial in (dial_calling, dial_compat_json):
                await dial(d, swml={"sections": {"main": [{"hangup": {"reason": "busy"}}]}})
            for call in list(d.switch.calls.values()):
                await call.wait_for_ended()
                assert call.end_reason == "busy"
                assert call.answered_s is not None  # also without the verb

    run(test())


@asynccontextmanager
async def document_server(reply: Callable[[], web.Response]) -> AsyncIterator[tuple[str, list[Any]]]:
    """Serve documents; gives the host, and the method and body of each request as it comes."""
    asked: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append((request.method, await request.text(), dict(request.headers)))
        return reply()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with serving(app) as host:
        yield host, asked


@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize("method", ["POST", "GET", None])
def test_a_document_that_is_fetched(dial: Dial, method: str | None) -> None:
    async def test() -> None:
        async with doors() as d:
            swml = document(d.endpoint.url, name="fetched")
            async with document_server(lambda: web.Response(text=swml)) as (host, asked):
                options = {} if method is None else {"url_method": method}
                await dial(d, url=f"http://{host}/swml?secret=1", **options)
                call, start = await streamed(d)
            [(sent, body, headers)] = asked
            assert sent == (method or "POST")
            if sent == "POST":
                told = json.loads(body)["call"]
                assert (told["call_id"], told["direction"], told["to"]) == (call.id, "outbound", "+15550103")
            else:
                assert body == ""
            assert "Authorization" not in headers
            assert start.tracks == ("inbound",)

    run(test())


@pytest.mark.parametrize("trusted", [True, False])
def test_a_document_that_is_fetched_over_tls(trusted: bool) -> None:
    async def swml(request: web.Request) -> web.Response:
        return web.json_response({"sections": {"main": [{"hangup": {"reason": "decline"}}]}})

    async def test() -> None:
        server_tls, client_tls = loopback_tls()
        app = web.Application()
        app.router.add_post("/", swml)
        async with doors(ssl=client_tls if trusted else None) as d, serving(app, server_tls) as host:
            answer = await dial_compat(d, url=f"https://{host}/")
            call = d.switch.calls[answer["sid"]]
            await call.wait_for_ended()
            assert call.end_reason == ("decline" if trusted else "error")

    run(test())


def test_dialled_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_dial, "DIALLED_MAX", 3)

    async def test() -> None:
        async with doors() as d:
            swml = json.dumps({"sections": {"main": [{"sleep": -1}]}})
            first, *_ = [await dial_compat(d, swml=swml) for _ in range(3)]
            error = (await dial_compat(d, 422, swml=swml))["errors"][0]
            assert error["code"] == "too_many_calls"
            assert len(d.switch.calls) == 3
            await d.ask("POST", f"{ACCOUNT}/Calls/{first['sid']}", 200, form={"Status": "completed"})
            while (await dial_calling(d, (200, 422), swml=swml)).get("errors"):
                pass

    run(test())


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda: web.Response(status=404), "HTTP 404"),
        (lambda: web.Response(status=302, headers={"Location": "/other"}), "redirects"),
        (lambda: web.Response(text="{}"), "sections is missing"),
        (lambda: web.Response(text=""), "empty document"),
        (lambda: web.Response(body=b"\xff\xfe"), "UTF-8"),
        (lambda: web.Response(body=b" " * 70_000), "65536 bytes"),
        (lambda: web.Response(text='{"sections":{"main":[{"play":"file:///etc/passwd"}]}}'), "play"),
        (
            lambda: web.Response(text='{"sections":{"main":[{"play":{"url":"file:///etc/x"}}]}}'),
            "no directory of sounds",
        ),
    ],
)
def test_a_document_that_fails_ends_its_call_only(
    reply: Callable[[], web.Response], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with doors() as d, document_server(reply) as (host, _):
            other = d.call()
            answer = await dial_compat(d, url=f"http://{host}/swml?key=very-secret")
            call = d.switch.calls[answer["sid"]]
            await call.wait_for_ended()
            one = await d.ask("GET", f"{ACCOUNT}/Calls/{call.id}", 200)
            assert one["status"] in ("failed", "completed")
            assert other.state == "ringing"
        assert said in caplog.text
        assert "very-secret" not in caplog.text

    run(test())


def test_a_document_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with doors() as d:
            answer = await dial_compat(d, url="http://127.0.0.1:9/?key=very-secret")
            call = d.switch.calls[answer["sid"]]
            await call.wait_for_ended()
            assert (await d.ask("GET", f"{ACCOUNT}/Calls/{call.id}", 200))["status"] == "failed"
        assert "a document of '127.0.0.1' cannot be fetched: Connection refused" in caplog.text
        assert "very-secret" not in caplog.text

    run(test())


def test_a_document_without_end(caplog: pytest.LogCaptureFixture) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 4096)
            sent += 4096

    async def test() -> None:
        app = web.Application()
        app.router.add_post("/", endless)
        async with doors() as d, serving(app) as host:
            answer = await dial_compat(d, url=f"http://{host}/")
            await d.switch.calls[answer["sid"]].wait_for_ended()
        assert "a document takes 65536 bytes" in caplog.text
        assert sent < 50_000_000  # what the sockets' buffers hold

    run(test())


@pytest.mark.parametrize("dial", DIALS)
def test_a_document_and_a_url_are_one_too_many(dial: Dial) -> None:
    async def test() -> None:
        async with doors() as d:
            swml = document(d.endpoint.url)
            answer = await dial(d, 422, swml=swml, url="https://example.com/")
            assert answer["errors"][0]["attribute"].lower() == "url"
            assert not d.switch.calls

    run(test())


def test_verbs_that_fail_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with doors() as d:
            main = ["answer", *[{"stream": {"url": "${nothing}"}}] * 3]
            await dial_calling(d, swml={"sections": {"main": main}})
            await the_call(d).wait_for_ended()
            assert the_call(d).end_reason == "hangup"
        assert caplog.text.count("main[1] failed: url: is empty: takes a wss:// URL") == 1
        assert caplog.text.count("failed") == 1

    run(test())


def test_a_document_server_that_speaks_no_http(caplog: pytest.LogCaptureFixture) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
        writer.close()

    async def test() -> None:
        async with doors() as d, await asyncio.start_server(babble, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            answer = await dial_compat(d, url=f"http://127.0.0.1:{port}/?key=very-secret")
            await d.switch.calls[answer["sid"]].wait_for_ended()
        assert "cannot be fetched: the server does not speak HTTP" in caplog.text
        assert "very-secret" not in caplog.text

    run(test())


def test_play_of_silence_takes_its_time() -> None:
    async def test() -> None:
        async with doors() as d:
            main = [{"play": {"url": "silence:0.2"}}, {"hangup": {"reason": "decline"}}]
            await dial_calling(d, swml={"sections": {"main": main}})
            call = the_call(d)
            await call.wait_for_ended()
            assert call.end_reason == "decline"
            assert call.ended_s is not None
            assert call.answered_s is not None
            assert 0.15 <= call.ended_s - call.answered_s <= 2

    run(test())


async def heard(d: Doors, sound: str) -> bytes:
    """Dial with a document that streams what it plays; give what the endpoint heard."""
    stream = {"stream": {"url": d.endpoint.url, "codec": "L16@8000h", "track": "outbound"}}
    main = [stream, {"play": {"url": sound}}, {"hangup": {"reason": "decline"}}]
    answer = await dial_calling(d, swml={"sections": {"main": main}})
    call = d.switch.calls[answer["id"]]
    await call.wait_for_ended()
    await d.seen.ended.get()
    assert call.end_reason in ("decline", "hangup")
    return pcm_of(d.seen.events[call.id]) if call.end_reason == "decline" else b""


def test_sounds_are_fetched_from_where_documents_are() -> None:
    beep = speech_like(0.2, seed=5)

    async def test() -> None:
        async with sound_server({"/beep.wav": wav_of(beep)}) as url:
            async with doors() as d:
                assert beep in await heard(d, f"{url}beep.wav")
            async with doors(targets=Targets()) as d:  # for which loopback is no target
                assert await heard(d, f"{url}beep.wav") == b""

    run(test())


def test_files_are_played_from_the_directory_that_the_operator_names(tmp_path: Path) -> None:
    beep = speech_like(0.2, seed=5)
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for path in (tmp_path / "private.wav", sounds / "beep.wav"):
        path.write_bytes(wav_of(beep))

    async def test() -> None:
        async with doors(open_sound=Sounds(sounds).open) as d:
            assert beep in await heard(d, "file:///beep.wav")
            for name in ("../private.wav", f"{tmp_path}/private.wav", "%2e%2e/private.wav"):
                assert await heard(d, f"file:///{name}") == b""
        async with doors() as d:
            assert await heard(d, f"file://{sounds}/beep.wav") == b""

    run(test())


@pytest.mark.parametrize("allowed", [True, False])
def test_a_document_streams_in_the_clear_where_the_switch_lets_it(allowed: bool) -> None:
    async def test() -> None:
        async with serve(Seen()) as plain, doors(insecure_loopback=allowed) as d:
            swml = document(plain.url)
            answer = await dial_calling(d, 201 if allowed else 422, swml=swml)
            if allowed:
                call = d.switch.calls[answer["id"]]
                while not call.streams:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await call.hangup()
            else:
                assert "in the clear" in answer["errors"][0]["message"]

    run(test())


def test_a_connected_stream_is_two_way() -> None:
    async def test() -> None:
        async with doors() as d:
            main = [{"connect": {"to": f"stream:{d.endpoint.url}"}}]
            await dial_compat(d, 201, swml=json.dumps({"sections": {"main": main}}))
            call = the_call(d)
            await d.seen.until(call.id, 1)
            [stream] = call.streams.values()
            assert stream.bidirectional
            await stream.stop()
            await call.wait_for_ended()  # it was the document's last verb

    run(test())


@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://user:pass@127.0.0.1/"}, "url"),
        ({"url": "http://127.0.0.1/\r\nX: y"}, "url"),
        ({"url": "http://127.0.0.1/" + "x" * 65_536}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "http://127.0.0.1:9/", "url_method": "PUT"}, "url_method"),
        ({"swml": "{}"}, "swml"),
        ({"swml": "answer"}, "swml"),
        ({"swml": '{"sections":{"main":[{"ai":{}}]}}'}, "swml"),
        ({"swml": "[" * 60_000}, "swml"),
        ({"swml": "x" * 70_000}, "swml"),
    ],
)
def test_what_a_dial_is_refused_for(dial: Dial, fields: Body, blamed: str) -> None:
    async def test() -> None:
        async with doors() as d:
            error = (await dial(d, 422, **fields))["errors"][0]
            compat = {"url": "Url", "swml": "Swml", "url_method": "Method"}
            assert error["attribute"] == (blamed if dial is dial_calling else compat[blamed])
            assert not d.switch.calls

    run(test())


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("", "missing_required_parameter"),
        (None, "missing_required_parameter"),
        (5, "invalid_parameter"),
        ("+1\r\n555", "invalid_parameter"),
        ("1" * 257, "invalid_parameter"),
    ],
)
def test_numbers_that_are_refused(number: Any, code: str) -> None:
    async def test() -> None:
        async with doors() as d:
            for name in ("from", "to"):
                params = {"from": "+1", "to": "+2", "swml": "x", name: number}
                body = {"command": "dial", "params": params}
                error = await d.refused("POST", CALLING, 422, json_body=body)
                assert (error["code"], error["attribute"]) == (code, name)

    run(test())


@pytest.mark.parametrize("dial", DIALS)
def test_a_dial_that_cannot_be_carried_out(dial: Dial) -> None:
    def no_source() -> ToneSource:
        raise FileNotFoundError("there is no speech.wav")

    async def test() -> None:
        async with doors(dial_source=no_source) as d:
            error = (await dial(d, 503, swml=document(d.endpoint.url)))["errors"][0]
            assert (error["code"], error["message"]) == ("unavailable", "there is no speech.wav")
        async with doors() as d:
            await d.switch.close()
            error = (await dial(d, 503, swml=document(d.endpoint.url)))["errors"][0]
            assert (error["type"], error["code"]) == ("availability_error", "unavailable")
            assert "closed" in error["message"]
            assert not d.switch.calls

    run(test())


def test_targets_and_the_source_of_a_dialled_call() -> None:
    made: list[ToneSource] = []

    def source() -> ToneSource:
        made.append(ToneSource(440))
        return made[-1]

    async def test() -> None:
        async with doors(targets=Targets(), dial_source=source) as d:
            error = (await dial_compat(d, 422, url="http://127.0.0.1:9/"))["errors"][0]
            assert "loopback" in error["message"]
            assert not made
            await dial_compat(d, 201, swml=document(d.endpoint.url))
            await streamed(d)
            assert len(made) == 1
        async with doors(targets=Targets(LOOPBACK)) as d:
            await dial_compat(d, 201, url="http://127.0.0.1:9/")

    run(test())
