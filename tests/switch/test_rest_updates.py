"""Documents that take the place of the one that a call runs, over both REST doors."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from tests.net.endpoints import run
from tests.switch.rest_doors import ACCOUNT, CALLING, Doors, doors, serving
from trunkline.switch import Call

Update = Callable[..., Awaitable[dict[str, Any]]]
BUSY = json.dumps({"sections": {"main": [{"hangup": {"reason": "busy"}}]}})
WAITING = json.dumps({"sections": {"main": ["answer", {"sleep": -1}]}})


async def update_calling(d: Doors, call: Call, answer: int = 200, **fields: Any) -> dict[str, Any]:
    body = {"command": "update", "params": {"id": call.id, **fields}}
    return await d.ask("POST", CALLING, answer, json_body=body)


async def update_compat(d: Doors, call: Call, answer: int = 200, **fields: Any) -> dict[str, Any]:
    names = {"swml": "Swml", "url": "Url", "url_method": "Method", "status": "Status"}
    form = {names[name]: value for name, value in fields.items()}
    return await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}", answer, form=form)


UPDATES = [update_calling, update_compat]


async def dialled(d: Doors, *main: Any) -> Call:
    params = {"from": "+15550102", "to": "+15550103", "swml": {"sections": {"main": main}}}
    answer = await d.ask("POST", CALLING, 200, json_body={"command": "dial", "params": params})
    return d.switch.calls[answer["id"]]


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(
    "verb", [{"sleep": -1}, {"play": {"url": "silence:9000"}}, {"connect": {"to": "stream:URL"}}, "answer"]
)
def test_the_running_document_is_replaced(update: Update, verb: Any) -> None:
    """Whatever verb it was in: it neither goes on nor hangs up. The streams that it started stay."""

    async def test() -> None:
        async with doors() as d:
            stream = {"stream": {"url": d.endpoint.url, "control_id": "s1"}}
            verb_there = json.loads(json.dumps(verb).replace("URL", d.endpoint.url))
            call = await dialled(d, stream, verb_there, {"sleep": -1}, {"hangup": {"reason": "decline"}})
            await d.seen.until(call.id, 2)
            assert await update(d, call, swml=WAITING)
            await asyncio.sleep(0.1)
            assert (call.state, call.streams["s1"].state) == ("answered", "streaming")
            await update(d, call, swml=BUSY)
            await call.wait_for_ended()
            assert call.end_reason == "busy"
            assert all(stream.state == "finished" for stream in call.streams.values())

    run(test())


@pytest.mark.parametrize("update", UPDATES)
def test_a_call_that_runs_no_document(update: Update) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            await update(d, call, swml=BUSY)
            await call.wait_for_ended()
            assert (call.end_reason, call.answered_s) == ("busy", None)
            error = (await update(d, call, 422, swml=BUSY))["errors"][0]
            assert error["code"] == "call_ended"

    run(test())


@pytest.mark.parametrize("update", UPDATES)
def test_a_document_that_cannot_be_had_changes_nothing(update: Update) -> None:
    async def reply(request: web.Request) -> web.Response:
        if request.path == "/busy":
            assert (await request.json())["call"]["call_state"] == "answered"
            return web.Response(text=BUSY)
        return web.Response(status=404 if request.path == "/404" else 200, text="{}")

    async def test() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", reply)
        async with doors() as d, serving(app) as host:
            call = await dialled(d, {"sleep": -1})
            for url, said in (
                (f"http://{host}/404?key=very-secret", "HTTP 404"),
                (f"http://{host}/empty", "sections is missing"),
                ("http://127.0.0.1:9/?key=very-secret", "127.0.0.1' cannot be fetched: Connection refused"),
                ("http://169.254.169.254/", "metadata"),
            ):
                error = (await update(d, call, 422, url=url))["errors"][0]
                assert said in error["message"]
                assert "very-secret" not in error["message"]
                assert error["attribute"].lower() == "url"
            for fields, blamed in (
                ({"swml": "answer"}, "swml"),
                ({"url": f"http://{host}/busy", "url_method": "PUT"}, "method"),
                ({"swml": BUSY, "status": "paused"}, "status"),
                ({"swml": ""}, "status"),
            ):
                error = (await update(d, call, 422, **fields))["errors"][0]
                assert blamed in error["attribute"].lower()
            assert call.state == "answered"
            await update(d, call, url=f"http://{host}/busy")
            await call.wait_for_ended()
            assert call.end_reason == "busy"

    run(test())


def test_updates_at_once_leave_one_document() -> None:
    async def test() -> None:
        async with doors() as d:
            call = await dialled(d, {"sleep": -1})
            await asyncio.gather(*(update_calling(d, call, swml=WAITING) for _ in range(5)))
            assert call.state == "answered"
            await update_calling(d, call, swml=BUSY)
            await call.wait_for_ended()
            assert call.end_reason == "busy"

    run(test())
