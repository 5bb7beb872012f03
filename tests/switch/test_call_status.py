"""Status callbacks of a call's streams, as a real receiver gets them from a real sender."""

from urllib.parse import parse_qsl

import msgspec
import pytest

from tests.net.endpoints import Seen, run
from tests.switch.callback_server import Receiver, receiving
from tests.switch.parties import answered, switch
from trunkline.errors import StreamStartError
from trunkline.net import serve
from trunkline.net.targets import Targets
from trunkline.stream import StreamRequest
from trunkline.switch import CallbackSender


def test_callbacks_say_what_becomes_of_streams() -> None:
    receiver = Receiver()

    async def main() -> str:
        async with (
            receiving(receiver),
            serve(Seen()) as server,
            CallbackSender(Targets.for_bind("127.0.0.1")) as callbacks,
            switch(callbacks=callbacks, space_id="space") as made,
        ):
            call = await answered(made)
            params = {"url": server.url, "status_url": receiver.url}
            action = await call.stream(**params, control_id="S1", name="n")
            await action.stop()
            await call.stream(server.url, control_id="without")
            failing = StreamRequest.parse(
                params | {"url": server.url + "nowhere", "control_id": "S2", "track": "both"},
                insecure_loopback=True,
            )
            with pytest.raises(StreamStartError):
                await call.start_stream(failing, callback_form="compat")
        return call.id

    call_id = run(main())
    texts = sorted((request.body for request in receiver.requests), key=lambda body: b"CallSid" in body)
    streaming, finished = (msgspec.json.decode(body) for body in texts[:2])
    assert (streaming["params"]["state"], finished["params"]["state"]) == ("streaming", "finished")
    for event in (streaming, finished):
        assert event["params"]["call_id"] == call_id
        assert (event["params"]["control_id"], event["params"]["name"]) == ("S1", "n")
        assert (event["project_id"], event["space_id"]) == ("P", "space")
        assert event["event_channel"] == streaming["event_channel"]
    form = dict(parse_qsl(texts[2].decode()))
    assert (form["StreamSid"], form["StreamEvent"]) == ("S2", "stream-error")
    assert (form["StreamError"], form["StreamTrack"]) == ("general_error", "both_tracks")
    assert len(texts) == 3
