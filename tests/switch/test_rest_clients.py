"""The doors driven by the REST clients that people have: Twilio's and SignalWire's."""

import asyncio
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.net.endpoints import run
from tests.switch.rest_doors import ACCOUNT, PROJECT, STREAM_TOKEN, TOKEN, Doors, doors


def twilio_client(host: str) -> Any:
    """Twilio's client, whose every request goes to `host` over plain HTTP through one pool of connections."""
    twilio_http = pytest.importorskip("twilio.http.http_client", reason="twilio is not installed")
    from twilio.rest import Client

    class ToSwitch(twilio_http.TwilioHttpClient):  # type: ignore[misc, name-defined]
        def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
            parts = urlsplit(url)
            assert parts.netloc == "api.twilio.com"
            url = urlunsplit(("http", host, *parts[2:]))
            return super().request(method, url, *args, **options)

    return Client(PROJECT, TOKEN, http_client=ToSwitch(timeout=10))


def signalwire_client(host: str) -> Any:
    """SignalWire's client; for loopback it takes plain HTTP by itself."""
    rest = pytest.importorskip("signalwire.rest", reason="signalwire-sdk is not installed")
    return rest.RestClient(project=PROJECT, token=TOKEN, host=host)


async def start_and_end(d: Doors) -> Any:
    """Wait for the endpoint's handler to end; gives the start of its stream."""
    return (await d.seen.ended.get()).start


def test_twilio_streams_a_call() -> None:
    async def test() -> None:
        async with doors(bearer_token=STREAM_TOKEN) as d:
            client = twilio_client(d.host)
            call = d.call()
            await call.answer()
            streams = client.calls(call.id).streams
            # Twilio's client has no parameter for the token: the endpoint refuses.
            with pytest.raises(Exception, match="HTTP 422 error"):
                await asyncio.to_thread(streams.create, url=d.endpoint.url)
        async with doors() as d:
            client = twilio_client(d.host)
            call = d.call()
            await call.answer()
            parameters = {f"parameter{n}_name": f"k{n}" for n in range(1, 100)}
            parameters |= {f"parameter{n}_value": f"v{n}" for n in range(1, 100)}
            stream = await asyncio.to_thread(
                client.calls(call.id).streams.create,
                url=d.endpoint.url,
                name="twilio's",
                track="inbound_track",
                status_callback="http://127.0.0.1:9/",
                status_callback_method="GET",
                **parameters,
            )
            assert (stream.account_sid, stream.call_sid) == (PROJECT, call.id)
            assert (stream.name, stream.status) == ("twilio's", "in-progress")
            assert stream.date_updated.tzinfo is not None
            assert stream.uri == f"/2010-04-01/Accounts/{PROJECT}/Calls/{call.id}/Streams/{stream.sid}.json"
            assert call.streams[stream.sid].request.status_url_method == "GET"
            stopped = await asyncio.to_thread(stream.update, status="stopped")
            assert (stopped.sid, stopped.status) == (stream.sid, "stopped")
            start = await start_and_end(d)
            assert start.tracks == ("inbound",)
            assert start.custom_parameters == {f"k{n}": f"v{n}" for n in range(1, 100)}
            by_name = client.calls(call.id).streams("twilio's")
            assert (await asyncio.to_thread(by_name.update, status="stopped")).sid == stream.sid

    run(test())


def test_twilio_lists_fetches_and_hangs_up() -> None:
    async def test() -> None:
        async with doors() as d:
            client = twilio_client(d.host)
            calls = [d.call() for _ in range(7)]
            await calls[3].answer()
            listed = await asyncio.to_thread(client.calls.list, page_size=3)
            assert [one.sid for one in listed] == [call.id for call in calls[::-1]]
            assert len(await asyncio.to_thread(client.calls.list, limit=5, page_size=2)) == 5
            answered = await asyncio.to_thread(client.calls.list, status="in-progress")
            assert [one.sid for one in answered] == [calls[3].id]
            one = await asyncio.to_thread(client.calls(calls[3].id).fetch)
            assert (one.status, one._from, one.to) == ("in-progress", "+15550100", "+15550101")
            assert one.date_created <= one.start_time
            assert one.end_time is None
            ended = await asyncio.to_thread(one.update, status="completed")
            assert (ended.status, ended.duration) == ("completed", "0")
            assert calls[3].state == "ended"

    run(test())


def test_twilio_is_told_what_is_wrong() -> None:
    async def test() -> None:
        async with doors() as d:
            client = twilio_client(d.host)
            call = d.call()
            for asked, status in (
                (client.calls("nobody").fetch, 404),
                (client.calls("no/body\r\n").fetch, 404),
                (lambda: client.calls(call.id).streams.create(url="http://x/"), 422),
                (lambda: client.calls(call.id).streams("nobody").update(status="stopped"), 404),
                (client.calls(call.id).delete, 405),
                (lambda: client.calls.create(to="+1", from_="+2", twiml="<Response/>"), 422),
            ):
                with pytest.raises(Exception, match=f"HTTP {status} error"):
                    await asyncio.to_thread(asked)
            client.auth = (PROJECT, "wrong")
            client.password = "wrong"  # noqa: S105
            with pytest.raises(Exception, match="HTTP 401 error"):
                await asyncio.to_thread(client.calls(call.id).fetch)

    run(test())


def test_signalwire_streams_and_ends_a_call() -> None:
    async def test() -> None:
        async with doors(bearer_token=STREAM_TOKEN) as d:
            client = signalwire_client(d.host)
            call = d.call()
            await call.answer()
            answer = await asyncio.to_thread(
                client.calling.stream,
                call.id,
                url=d.endpoint.url,
                control_id="sw-1",
                codec="L16@16000h",
                track="both_tracks",
                authorization_bearer_token=STREAM_TOKEN,
                custom_parameters={"k": "v"},
                extras={"name": "n"},
            )
            assert (answer["id"], answer["status"], answer["control_id"]) == (call.id, "answered", "sw-1")
            assert call.streams["sw-1"].request.name == "n"
            stopped = await asyncio.to_thread(client.calling.stream_stop, call.id, control_id="sw-1")
            assert stopped["control_id"] == "sw-1"
            start = await start_and_end(d)
            assert (start.tracks, start.custom_parameters) == (("inbound", "outbound"), {"k": "v"})
            ended = await asyncio.to_thread(client.calling.end, call.id, reason="busy")
            assert (ended["status"], call.end_reason) == ("ended", "busy")

    run(test())


def test_signalwire_dials_with_a_document() -> None:
    async def test() -> None:
        async with doors() as d:
            client = signalwire_client(d.host)
            main = [{"stream": {"url": d.endpoint.url}}, {"sleep": -1}]
            swml = {"version": "1.0.0", "sections": {"main": main}}
            answer = await asyncio.to_thread(client.calling.dial, from_="+1", to="+2", swml=swml)
            call = d.switch.calls[answer["id"]]
            await d.seen.until(call.id, 1)
            await asyncio.to_thread(client.calling.update, id=call.id, status="completed")
            assert call.state == "ended"

    run(test())


def test_signalwire_is_told_what_is_wrong() -> None:
    async def test() -> None:
        async with doors() as d:
            client = signalwire_client(d.host)
            call = d.call()
            error = pytest.importorskip("signalwire.rest").SignalWireRestError
            with pytest.raises(error) as refused:
                await asyncio.to_thread(client.calling.stream, call.id, url="ws://example.com/")
            assert (refused.value.status_code, refused.value.body["errors"][0]["attribute"]) == (422, "url")
            with pytest.raises(error) as refused:
                await asyncio.to_thread(client.calling.end, "nobody")
            assert refused.value.status_code == 404
            client = pytest.importorskip("signalwire.rest").RestClient(PROJECT, "wrong", d.host)
            with pytest.raises(error) as refused:
                await asyncio.to_thread(client.calling.end, call.id)
            assert refused.value.status_code == 401

    run(test())


def test_a_pooled_client_reaches_the_compatibility_door_as_json() -> None:
    """SignalWire's client has no names for this door; its HTTP layer (a pool, JSON bodies) reaches it."""

    async def test() -> None:
        async with doors() as d:
            http = signalwire_client(d.host)._http
            call = d.call()
            path = f"{ACCOUNT}/Calls/{call.id}"
            for n in range(20):
                body = {"Url": d.endpoint.url, "Name": f"n{n}"}
                stream = await asyncio.to_thread(http.post, f"{path}/Streams", body)
                assert stream["name"] == f"n{n}"
            assert len((await asyncio.to_thread(http.get, f"{ACCOUNT}/Calls.json"))["calls"]) == 1
            ended = await asyncio.to_thread(http.post, path, {"Status": "completed"})
            assert ended["status"] == "canceled"
            assert {stream.state for stream in call.streams.values()} == {"finished"}

    run(test())
