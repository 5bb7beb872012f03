"""The compatibility door: every path, with both kinds of body, against a switch that streams."""

import json
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.net.endpoints import run
from tests.switch.rest_doors import ACCOUNT, CALLING, PROJECT, STREAM_TOKEN, doors
from trunkline.switch import Call

PREFIXES = ["", "/api/laml", "/2010-04-01", "/api/laml/2010-04-01"]


def streams_of(call: Call) -> str:
    return f"{ACCOUNT}/Calls/{call.id}/Streams"


@pytest.mark.parametrize("kind", ["form", "json_body"])
@pytest.mark.parametrize("suffix", ["", ".json"])
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("by", ["sid", "name"])
def test_a_stream_from_start_to_stop(prefix: str, suffix: str, kind: str, by: str) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            await call.answer()
            path = f"{prefix}/Accounts/{PROJECT}/Calls/{call.id}/Streams"
            body = {"Url": d.endpoint.url, "Name": "a/b ü", "Parameter1.Name": "k", "Parameter1.Value": "v"}
            stream = await d.ask("POST", path + suffix, 201, **{kind: body})
            assert set(stream) == {"sid", "account_sid", "call_sid", "name", "status", "date_updated", "uri"}
            sid = stream["sid"]
            assert (stream["account_sid"], stream["call_sid"], stream["name"]) == (PROJECT, call.id, "a/b ü")
            assert stream["status"] == "in-progress"
            assert parsedate_to_datetime(stream["date_updated"]).timestamp() == pytest.approx(
                call.streams[sid].started_s, abs=1.01
            )
            assert stream["uri"] == f"{path}/{sid}.json"
            assert call.streams[sid].callback_form == "compat"
            await d.seen.until(call.id, 1)
            stop = f"{path}/{quote(stream[by], safe='')}{suffix}"
            stopped = await d.ask("POST", stop, 200, **{kind: {"Status": "stopped"}})
            assert stopped["status"] == "stopped"
            assert {**stopped, "status": 0, "date_updated": 0} == {**stream, "status": 0, "date_updated": 0}
            ended = await d.seen.ended.get()
            assert ended.start.stream_id == sid
            assert ended.start.tracks == ("inbound", "outbound")  # both_tracks is this door's default
            assert ended.start.custom_parameters == {"k": "v"}
            assert (await d.ask("POST", stop, 200, **{kind: {"Status": "stopped"}}))["status"] == "stopped"

    run(test())


@pytest.mark.parametrize(
    ("track", "tracks"),
    [
        ("inbound", ("inbound",)),
        ("inbound_track", ("inbound",)),
        ("outbound", ("outbound",)),
        ("outbound_track", ("outbound",)),
        ("both", ("inbound", "outbound")),
        ("both_tracks", ("inbound", "outbound")),
    ],
)
def test_track_in_both_spellings(track: str, tracks: tuple[str, ...]) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            form = {"Url": d.endpoint.url, "Track": track}
            stream = await d.ask("POST", streams_of(call), 201, form=form)
            assert call.streams[stream["sid"]].request.tracks == tracks

    run(test())


def test_every_field_reaches_the_stream() -> None:
    async def test() -> None:
        async with doors(bearer_token=STREAM_TOKEN) as d:
            call = d.call()
            form = {
                "Url": d.endpoint.url,
                "Name": "n",
                "Codec": "L16@16000h",
                "Track": "outbound_track",
                "StatusCallback": "http://127.0.0.1:9/status",
                "StatusCallbackMethod": "GET",
                "AuthorizationBearerToken": STREAM_TOKEN,
                **{f"Parameter{n}.Name": f"k{n}" for n in range(1, 100)},
                **{f"Parameter{n}.Value": "ü" * n for n in range(1, 100)},
            }
            sid = (await d.ask("POST", streams_of(call), 201, form=form))["sid"]
            request = call.streams[sid].request
            assert (request.name, str(request.codec), request.track) == ("n", "L16@16000h@20i", "outbound")
            assert (request.status_url, request.status_url_method) == ("http://127.0.0.1:9/status", "GET")
            assert request.custom_parameters == {f"k{n}": "ü" * n for n in range(1, 100)}
            await d.seen.until(call.id, 1)  # the token opened the endpoint

    run(test())


GOOD = "wss://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("form", "code", "attribute"),
    [
        ({}, "missing_required_parameter", "Url"),
        ({"Url": ""}, "invalid_parameter", "Url"),
        ({"Url": "https://example.com/"}, "invalid_parameter", "Url"),
        ({"Url": "ws://example.com/"}, "invalid_parameter", "Url"),
        ({"Url": "ws://127.0.0.1:9/"}, "invalid_parameter", "Url"),
        ({"Url": "wss://user:secret@example.com/"}, "invalid_parameter", "Url"),
        ({"Url": "wss://example.com/\r\nX: y"}, "invalid_parameter", "Url"),
        ({"Url": GOOD, "Track": "left"}, "invalid_parameter", "Track"),
        ({"Url": GOOD, "Codec": "MP3"}, "invalid_parameter", "Codec"),
        ({"Url": GOOD, "Name": "a\r\nb"}, "invalid_parameter", "Name"),
        ({"Url": GOOD, "Name": "a\0b"}, "invalid_parameter", "Name"),
        ({"Url": GOOD, "Name": "x" * 65_536}, "invalid_parameter", "Name"),
        ({"Url": GOOD, "Name": ["a", "b"]}, "invalid_parameter", "Name"),
        ({"Url": GOOD, "StatusCallback": "ftp://example.com/"}, "invalid_parameter", "StatusCallback"),
        ({"Url": GOOD, "StatusCallbackMethod": "PUT"}, "invalid_parameter", "StatusCallbackMethod"),
        (
            {"Url": GOOD, "AuthorizationBearerToken": f"{STREAM_TOKEN}\r\nX: y"},
            "invalid_parameter",
            "AuthorizationBearerToken",
        ),
        (
            {"Url": GOOD, "AuthorizationBearerToken": f"{STREAM_TOKEN} ü"},
            "invalid_parameter",
            "AuthorizationBearerToken",
        ),
        (
            {"Url": GOOD, "Parameter100.Name": "k", "Parameter100.Value": "v"},
            "invalid_parameter",
            "Parameter100.Name",
        ),
        (
            {"Url": GOOD, "Parameter0.Name": "k", "Parameter0.Value": "v"},
            "invalid_parameter",
            "Parameter0.Name",
        ),
        ({"Url": GOOD, "Parameter01.Name": "k"}, "invalid_parameter", "Parameter01.Name"),
        ({"Url": GOOD, "Parameter7.Name": "k"}, "missing_required_parameter", "Parameter7.Value"),
        ({"Url": GOOD, "Parameter7.Value": "v"}, "missing_required_parameter", "Parameter7.Name"),
        (
            {"Url": GOOD, "Parameter7.Name": "", "Parameter7.Value": "v"},
            "missing_required_parameter",
            "Parameter7.Name",
        ),
        (
            {"Url": GOOD, "Parameter2.Name": "k", "Parameter2.Value": "a\nb"},
            "invalid_parameter",
            "Parameter2.Value",
        ),
        (
            {"Url": GOOD, "Parameter2.Name": "k", "Parameter2.Value": "v" * 65_536},
            "invalid_parameter",
            "Parameter2.Value",
        ),
        (
            {
                "Url": GOOD,
                "Parameter2.Name": "k",
                "Parameter2.Value": "v",
                "Parameter3.Name": "k",
                "Parameter3.Value": "w",
            },
            "invalid_parameter",
            "Parameter3.Name",
        ),
        ({"Url": GOOD, "Codec": "G722"}, None, "Codec"),
        ({"Url": GOOD}, None, "Url"),  # nobody listens at port 9
    ],
)
@pytest.mark.parametrize("kind", ["form", "json_body"])
def test_what_a_stream_is_refused_for(
    kind: str, form: dict[str, Any], code: str | None, attribute: str
) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            body = {"data": json.dumps(form)} if kind == "json_body" else {"data": _form(form)}
            types = {"json_body": "application/json", "form": "application/x-www-form-urlencoded"}
            streams = list(call.streams)
            answer = await d.ask("POST", streams_of(call), 422, headers={"Content-Type": types[kind]}, **body)
            error = answer["errors"][0]
            assert error["attribute"] == attribute
            assert error["message"].startswith(f"{attribute}: ")
            assert len(error["message"]) < 500
            if code is not None:
                assert (error["type"], error["code"]) == ("validation_error", code)
                assert list(call.streams) == streams
            assert not d.seen.events

    run(test())


def _form(fields: dict[str, Any]) -> str:
    return "&".join(
        f"{quote(name)}={quote(value)}"
        for name, values in fields.items()
        for value in (values if isinstance(values, list) else [values])
    )


def test_what_is_not_a_string_is_refused() -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            for value in (1, 1.5, True, [], {}, ["a"], {"a": "b"}):
                for field in ("Url", "Name", "Track", "Codec", "Parameter1.Name", "Parameter1.Value"):
                    error = await d.refused(
                        "POST", streams_of(call), 422, json_body={"Url": GOOD, field: value}
                    )
                    assert error["attribute"] == field
            for value in (1, [], {}, None, ""):
                error = await d.refused(
                    "POST", f"{ACCOUNT}/Calls/{call.id}", 422, json_body={"Status": value}
                )
                assert error["attribute"] == "Status"

    run(test())


def test_a_loopback_endpoint_without_tls_when_the_switch_allows_it() -> None:
    async def test() -> None:
        async with doors(insecure_loopback=True) as d:
            assert d.endpoint.url.startswith("ws://")
            call = d.call()
            await d.ask("POST", streams_of(call), 201, form={"Url": d.endpoint.url})
            command = {"command": "calling.stream", "id": call.id, "params": {"url": d.endpoint.url}}
            await d.ask("POST", CALLING, 200, json_body=command)
            assert [stream.state for stream in call.streams.values()] == ["streaming"] * 2
            await d.refused("POST", streams_of(call), 422, form={"Url": "ws://example.com/"})

    run(test())


def test_names_are_unique_among_the_live_streams() -> None:
    async def test() -> None:
        async with doors() as d:
            call, path = d.call(), ""
            path = streams_of(call)
            form = {"Url": d.endpoint.url, "Name": "one"}
            first = await d.ask("POST", path, 201, form=form)
            answer = await d.ask("POST", path, 422, form=form)
            assert answer["errors"][0]["code"] == "duplicated_stream_name"
            assert answer["errors"][0]["attribute"] == "Name"
            assert call.streams[first["sid"]].state == "streaming"
            await d.ask("POST", f"{path}/one", 200, form={"Status": "stopped"})
            second = await d.ask("POST", path, 201, form=form)
            assert second["sid"] != first["sid"]
            stopped = await d.ask("POST", f"{path}/one.json", 200, form={"Status": "stopped"})
            assert stopped["sid"] == second["sid"]
            again = await d.ask("POST", f"{path}/one", 200, form={"Status": "stopped"})
            assert again == stopped  # of those that have finished, the last

    run(test())


def test_a_stream_of_the_calling_door_with_an_id_that_needs_encoding() -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            params = {"url": d.endpoint.url, "control_id": "a/b?ü.json", "name": "n"}
            command = {"command": "calling.stream", "id": call.id, "params": params}
            await d.ask("POST", CALLING, 200, json_body=command)
            named = await d.ask("POST", f"{streams_of(call)}/n", 200, form={"Status": "stopped"})
            assert named["sid"] == "a/b?ü.json"
            assert await d.ask("POST", named["uri"], 200, form={"Status": "stopped"}) == named

    run(test())


def test_hang_up() -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            await call.answer()
            stream = await d.ask("POST", streams_of(call), 201, form={"Url": d.endpoint.url})
            one = await d.ask("GET", f"{ACCOUNT}/Calls/{call.id}.json", 200)
            assert (one["status"], one["end_time"], one["duration"]) == ("in-progress", None, None)
            await d.refused("POST", f"{ACCOUNT}/Calls/{call.id}", 422, form={"Status": "canceled"})
            await d.refused("POST", f"{ACCOUNT}/Calls/{call.id}", 422, form={"Status": "busy"})
            ended = await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}", 200, form={"Status": "completed"})
            assert (ended["status"], ended["duration"]) == ("completed", "0")
            assert ended["start_time"] == one["start_time"]
            assert parsedate_to_datetime(ended["end_time"]) >= parsedate_to_datetime(ended["start_time"])
            assert call.streams[stream["sid"]].state == "finished"
            assert call.state == "ended"
            error = await d.refused("POST", streams_of(call), 422, form={"Url": d.endpoint.url})
            assert error["code"] == "call_ended"
            again = await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}", 200, form={"Status": "completed"})
            assert again == ended

    run(test())


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("hangup", "canceled"),
        ("busy", "busy"),
        ("noAnswer", "no-answer"),
        ("decline", "canceled"),
        ("error", "failed"),
    ],
)
def test_how_a_call_ended_that_was_never_answered(reason: str, status: str) -> None:
    async def test() -> None:
        async with doors() as d:
            call = d.call()
            assert (await d.ask("GET", f"{ACCOUNT}/Calls/{call.id}", 200))["status"] == "ringing"
            await call.hangup(reason)
            one = await d.ask("GET", f"{ACCOUNT}/Calls/{call.id}", 200)
            assert (one["status"], one["start_time"], one["duration"]) == (status, None, None)

    run(test())
