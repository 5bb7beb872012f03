"""The calling door: every command, as JSON and as a form."""

import random
from typing import Any

import pytest

from tests.net.endpoints import run
from tests.switch.rest_doors import CALLING, STREAM_TOKEN, doors


def command(name: str, call_id: str | None = None, /, **params: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"command": name, "params": params}
    return body if call_id is None else {**body, "id": call_id}


def as_form(body: dict[str, Any]) -> dict[str, Any]:
    """Write a command as a form, params[a][b] for what is nested."""
    form = {name: value for name, value in body.items() if name != "params"}
    for name, value in body["params"].items():
        if isinstance(value, dict):
            form |= {f"params[{name}][{member}]": item for member, item in value.items()}
        else:
            form[f"params[{name}]"] = value
    return form


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.parametrize("suffix", ["", ".json"])
@pytest.mark.parametrize("stop_by_id", [True, False])
def test_a_stream_from_start_to_stop(suffix: str, kind: str, stop_by_id: bool) -> None:
    async def test() -> None:
        async with doors(bearer_token=STREAM_TOKEN) as d:

            async def tell(body: dict[str, Any]) -> dict[str, Any]:
                sent = {"json_body": body} if kind == "json" else {"form": as_form(body)}
                return await d.ask("POST", CALLING + suffix, 200, **sent)

            call = d.call()
            await call.answer()
            answer = await tell(
                command(
                    "calling.stream",
                    call.id,
                    url=d.endpoint.url,
                    name="n",
                    codec="L16@16000h",
                    status_url="http://127.0.0.1:9/",
                    status_url_method="GET",
                    authorization_bearer_token=STREAM_TOKEN,
                    custom_parameters={"k": "v", "ü/&=x": "a=b&c"},
                    control_id="stream/1",
                )
            )
            assert answer["id"] == call.id
            assert (answer["status"], answer["control_id"]) == ("answered", "stream/1")
            assert (answer["from"], answer["to"]) == ("+15550100", "+15550101")
            stream = call.streams["stream/1"]
            assert stream.callback_form == "json"
            assert (stream.request.name, str(stream.request.codec)) == ("n", "L16@16000h@20i")
            assert stream.request.status_url_method == "GET"
            await d.seen.until(call.id, 1)
            params = {"control_id": "stream/1"} if stop_by_id else {}
            stopped = await tell(command("calling.stream.stop", call.id, **params))
            assert stopped["control_id"] == "stream/1"
            assert stream.state == "finished"
            ended = await d.seen.ended.get()
            assert ended.start.tracks == ("inbound",)  # this door's default
            assert ended.start.custom_parameters == {"k": "v", "ü/&=x": "a=b&c"}

    run(test())


def test_stop_without_an_id_stops_the_newest() -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            for name in ("one", "two"):
                body = command("calling.stream", call.id, url=d.endpoint.url, control_id=name)
                await d.ask("POST", CALLING, 200, json_body=body)
            stop = command("calling.stream.stop", call.id)
            assert (await d.ask("POST", CALLING, 200, json_body=stop))["control_id"] == "two"
            assert (await d.ask("POST", CALLING, 200, json_body=stop))["control_id"] == "one"
            error = await d.refused("POST", CALLING, 404, json_body=stop)
            assert (error["code"], error["attribute"]) == ("stream_not_found", "control_id")

    run(test())


@pytest.mark.parametrize("reason", [None, "hangup", "cancel", "busy", "noAnswer", "decline", "error"])
def test_end(reason: str | None) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            await call.answer()
            body = command("calling.end", call.id, **({"reason": reason} if reason else {}))
            answer = await d.ask("POST", CALLING, 200, json_body=body)
            assert (answer["status"], answer["duration"]) == ("ended", 0)
            assert call.end_reason == (reason or "hangup")

    run(test())


@pytest.mark.parametrize("status", ["completed", "canceled"])
def test_update_hangs_up(status: str) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            body = command("update", id=call.id, status=status)
            assert (await d.ask("POST", CALLING, 200, json_body=body))["status"] == "ended"

    run(test())


URL = "wss://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("body", "status", "code", "attribute"),
    [
        ({}, 422, "missing_required_parameter", "command"),
        ({"command": "calling.play", "id": "ID"}, 422, "invalid_parameter", "command"),
        ({"command": ["dial"]}, 422, "invalid_parameter", "command"),
        ({"command": "dial" * 100}, 422, "invalid_parameter", "command"),
        ({"command": "calling.stream", "id": "ID", "params": []}, 422, "invalid_parameter", "params"),
        ({"command": "calling.stream", "id": "ID", "params": "x"}, 422, "invalid_parameter", "params"),
        (command("calling.stream", url=URL), 422, "missing_required_parameter", "id"),
        (command("calling.stream", "nobody", url=URL), 404, "call_not_found", "id"),
        (command("calling.stream", "\r\n\0", url=URL), 422, "invalid_parameter", "id"),
        (command("calling.stream", "x" * 257, url=URL), 422, "invalid_parameter", "id"),
        ({"command": "calling.stream", "id": "ID"}, 422, "missing_required_parameter", "url"),
        (command("calling.stream", "ID", url="ws://example.com/"), 422, "invalid_parameter", "url"),
        (command("calling.stream", "ID", url=URL, name="x\ny"), 422, "invalid_parameter", "name"),
        (command("calling.stream", "ID", url=URL, name=5), 422, "invalid_parameter", "name"),
        (command("calling.stream", "ID", url=URL, control_id="x" * 65_536), 422, None, "control_id"),
        (command("calling.stream", "ID", url=URL, track="all"), 422, "invalid_parameter", "track"),
        (command("calling.stream", "ID", url=URL, custom_parameters=[]), 422, None, "custom_parameters"),
        (
            command("calling.stream", "ID", url=URL, custom_parameters={str(n): "v" for n in range(100)}),
            422,
            "invalid_parameter",
            "custom_parameters",
        ),
        (
            command("calling.stream", "ID", url=URL, authorization_bearer_token=f"{STREAM_TOKEN}\n"),
            422,
            "invalid_parameter",
            "authorization_bearer_token",
        ),
        (command("calling.stream.stop", "ID", control_id="gone"), 404, "stream_not_found", "control_id"),
        (command("calling.stream.stop", "ID", control_id={"a": 1}), 422, None, "control_id"),
        (command("calling.end", "ID", reason="bored"), 422, "invalid_parameter", "reason"),
        (command("calling.end", "ID", reason=["busy"]), 422, "invalid_parameter", "reason"),
        (command("update", id="ID", status="ringing"), 422, "invalid_parameter", "status"),
        (command("update", id="ID"), 422, "invalid_parameter", "status"),
        (command("update", status="completed"), 422, "missing_required_parameter", "id"),
    ],
)
def test_what_is_refused(body: dict[str, Any], status: int, code: str | None, attribute: str) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            error = await d.refused("POST", CALLING, status, json_body=_with_id(body, call.id))
            assert error["attribute"] == attribute
            assert code in (None, error["code"])
            assert len(error["message"]) < 500

    run(test())


def _with_id(value: Any, call_id: str) -> Any:
    if isinstance(value, dict):
        return {name: _with_id(item, call_id) for name, item in value.items()}
    return call_id if value == "ID" else value


def test_a_stream_that_cannot_start_is_the_only_one_to_suffer() -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            body = command("calling.stream", call.id, url=d.endpoint.url, control_id="one")
            await d.ask("POST", CALLING, 200, json_body=body)
            for bad, code, attribute in (
                ({"control_id": "one"}, "duplicated_stream_id", "control_id"),
                ({"url": URL, "control_id": "two"}, None, "url"),
            ):
                params = {"url": d.endpoint.url, **bad}
                answer = await d.ask(
                    "POST", CALLING, 422, json_body=command("calling.stream", call.id, **params)
                )
                assert answer["errors"][0]["attribute"] == attribute
                assert code in (None, answer["errors"][0]["code"])
            assert call.streams["one"].state == "streaming"

    run(test())


def test_bodies_at_random_are_refused_and_change_nothing() -> None:
    rng = random.Random(4)
    atoms: list[Any] = [
        None,
        True,
        0,
        1e308,
        -5,
        "",
        "ID",
        "dial",
        "calling.stream",
        URL,
        "\0",
        "ü" * 9,
        "9" * 400,
    ]
    names = ["command", "params", "id", "url", "control_id", "custom_parameters", "swml", "from", "to", "x"]

    def value(depth: int) -> Any:
        kind = rng.random()
        if depth == 0 or kind < 0.5:
            return rng.choice(atoms)
        if kind < 0.6:
            return [value(depth - 1) for _ in range(rng.randrange(4))]
        return {rng.choice(names): value(depth - 1) for _ in range(rng.randrange(6))}

    async def test() -> None:
        async with doors() as d:
            call = d.call()
            for _ in range(300):
                body = {name: value(3) for name in rng.sample(names, 4)}
                body["command"] = rng.choice(["dial", "update", "calling.stream", "calling.end", value(2)])
                if _would_work(body):
                    continue
                await d.refused("POST", CALLING, (404, 422), json_body=_with_id(body, call.id))

    run(test())


def _would_work(body: dict[str, Any]) -> bool:
    """Ending a call needs its id only."""
    return body["command"] == "calling.end" and body.get("id") == "ID"
