"""Status callbacks of streams that were started over REST, by the switch's real sender."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.net.endpoints import run
from tests.switch.rest_doors import ACCOUNT, CALLING, PROJECT, STREAM_TOKEN, doors, serving
from trunkline.net.targets import LOOPBACK, Targets
from trunkline.switch.callbacks import CallbackSender


def test_each_door_has_its_form() -> None:
    told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        text = await request.text()
        assert STREAM_TOKEN not in text
        if request.content_type == "application/json":
            event = await request.json()
            told.put_nowait((event["event_type"], event["params"]["state"]))
        else:
            form = dict(parse_qsl(text))
            assert form["AccountSid"] == PROJECT
            told.put_nowait((form["StreamName"], form["StreamEvent"]))
        return web.Response()

    async def test() -> None:
        app = web.Application()
        app.router.add_post("/", take)
        async with (
            serving(app) as host,
            CallbackSender(Targets(LOOPBACK)) as callbacks,
            doors(bearer_token=STREAM_TOKEN, callbacks=callbacks) as d,
        ):
            call = d.call()
            params = {"url": d.endpoint.url, "status_url": f"http://{host}/"}
            params["authorization_bearer_token"] = STREAM_TOKEN
            command = {"command": "calling.stream", "id": call.id, "params": params}
            await d.ask("POST", CALLING, 200, json_body=command)
            assert await told.get() == ("calling.call.stream", "streaming")
            form = {"Url": d.endpoint.url, "Name": "n", "StatusCallback": f"http://{host}/"}
            form["AuthorizationBearerToken"] = STREAM_TOKEN
            await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}/Streams", 201, form=form)
            assert await told.get() == ("n", "stream-started")
            await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}/Streams/n", 200, form={"Status": "stopped"})
            assert await told.get() == ("n", "stream-stopped")
            await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}", 200, form={"Status": "completed"})
            assert await told.get() == ("calling.call.stream", "finished")

    run(test())
