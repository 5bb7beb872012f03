"""CallbackSender: delivered in order and in time, tried again, never a harm, never a secret told."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.net.hosts import Answers, Fails, Listener
from tests.switch.callback_server import Receiver, Trickles, after, hangs_up, never, receiving, status
from tests.switch.test_status import KEY, form_signature, json_signatures, stream_status
from trunkline.net.targets import Targets
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.switch.callbacks import CONNECTIONS_MAX, WAITING_MAX, CallbackSender
from trunkline.switch.status import StatusCallback
from trunkline.testing.virtual_time import run_in_virtual_time

LOOPBACK = Targets.for_bind("127.0.0.1")


def now_s() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def sending(targets: Targets = LOOPBACK, **options: Any) -> AsyncIterator[CallbackSender]:
    """Open a sender; leaving waits for what it has, however long that takes."""
    async with CallbackSender(targets, signing_key=KEY, **options) as callbacks:
        yield callbacks
        while tasks := callbacks._tasks:
            await asyncio.wait(tasks)


async def deliver(url: str, targets: Targets = LOOPBACK, **options: Any) -> float:
    """Send one callback; how long its sender worked on it."""
    began = now_s()
    async with sending(targets) as callbacks:
        callbacks.notify(StatusCallback(url=url, **options), stream_status())
    return now_s() - began


async def attempts(*answers: Any) -> tuple[list[float], float]:
    """When a receiver that answers so is asked, from the start, and when the sender is done."""
    async with receiving(Receiver(*answers)) as receiver:
        began = now_s()
        took_s = await deliver(receiver.url)
        return [request.at_s - began for request in receiver.requests], took_s


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("trunkline")]


# --- what arrives ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/status", "/a%2Fb?x=%2B+y&z", "/?q=%zz", "/ü?ü"])
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("form", ["json", "compat"])
def test_the_receiver_finds_the_signature_right_for_what_it_got(path: str, method: Any, form: Any) -> None:
    async def main() -> None:
        async with receiving(Receiver()) as receiver:
            url = f"http://127.0.0.1:{receiver.port}{path}"
            await deliver(url, method=method, form=form)
        (got,) = receiver.requests
        assert got.method == method
        expected: dict[str, str]
        if form == "json":
            expected = json_signatures(KEY, got.url, got.body)
            if method == "POST":
                assert json.loads(got.body)["params"]["control_id"] == "s-1"
        else:
            fields = dict(parse_qsl(got.body.decode()))
            expected = {"X-SignalWire-Signature": form_signature(KEY, got.url, fields)}
            if method == "POST":
                assert fields["StreamSid"] == "s-1"
        assert got.headers.items() >= expected.items()
        if path == "/status" and method == "POST":
            assert got.url == receiver.url

    run_in_virtual_time(main())


def test_https_is_verified(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = self_signed(tmp_path)

    async def main() -> None:
        async with Listener().listening(server_context(certificate, key)) as listener:
            callback = StatusCallback(url=f"https://localhost:{listener.port}/")
            async with sending(ssl=client_context(certificate)) as callbacks:
                callbacks.notify(callback, stream_status())
            assert len(listener.heads) == 1
            assert not failures(caplog)
            async with sending() as callbacks:
                callbacks.notify(callback, stream_status())
            assert len(listener.heads) == 1
            assert [text.partition(": ")[2] for text in failures(caplog)] == [
                "the server's certificate is not trusted, 3 times"
            ]

    run_in_virtual_time(main())


# --- order and independence ------------------------------------------------------------------------------


def test_a_stream_has_finished_after_it_was_streaming_and_delays_no_other() -> None:
    async def main() -> None:
        async with (
            receiving(Receiver(status(500), after(4.0), status(200))) as slow,
            receiving(Receiver()) as quick,
            sending() as callbacks,
        ):
            began = now_s()
            for state in ("streaming", "finished"):
                for control_id, receiver in (("s-1", slow), ("s-2", quick)):
                    told = stream_status(control_id=control_id, state=state)
                    callbacks.notify(StatusCallback(url=receiver.url), told)
            assert now_s() == began
            while callbacks._tasks:
                await asyncio.wait(callbacks._tasks)
            states = [json.loads(got.body)["params"]["state"] for got in slow.requests]
            assert states == ["streaming", "streaming", "finished"]
            at_s = [got.at_s - began for got in slow.requests]
            assert at_s == pytest.approx([0, 0.5, 4.5])
            assert [got.at_s - began for got in quick.requests] == pytest.approx([0, 0])

    run_in_virtual_time(main())


def test_what_comes_later_goes_out_too_and_nothing_is_kept() -> None:
    async def main() -> None:
        async with receiving(Receiver()) as receiver, sending() as callbacks:
            for state in ("streaming", "finished"):
                callbacks.notify(StatusCallback(url=receiver.url), stream_status(state=state))
                await asyncio.sleep(60.0)
            assert not callbacks._queues
        states = [json.loads(got.body)["params"]["state"] for got in receiver.requests]
        assert states == ["streaming", "finished"]

    run_in_virtual_time(main())


def test_many_streams_at_silent_receivers_take_so_many_connections() -> None:
    async def main() -> None:
        async with receiving(Receiver(never)) as silent, CallbackSender(LOOPBACK) as callbacks:
            for k in range(WAITING_MAX):
                callbacks.notify(StatusCallback(url=silent.url), stream_status(control_id=f"s-{k}"))
            await asyncio.sleep(1.0)
            assert len(silent.requests) == CONNECTIONS_MAX

    run_in_virtual_time(main())


def test_past_the_bound_callbacks_are_dropped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with receiving(Receiver()) as receiver, sending() as callbacks:
            for k in range(WAITING_MAX + 2):
                callbacks.notify(StatusCallback(url=receiver.url), stream_status(control_id=f"s-{k}"))
            texts = failures(caplog)
            assert len(texts) == 2
            assert "of stream 's-1001' to '127.0.0.1' was not delivered: 1000 callbacks are" in texts[1]
            while callbacks._tasks:
                await asyncio.wait(callbacks._tasks)
            callbacks.notify(StatusCallback(url=receiver.url), stream_status(control_id="later"))
        assert len(receiver.requests) == WAITING_MAX + 1
        assert len(failures(caplog)) == 2

    run_in_virtual_time(main())


# --- receivers that fail ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "at_s", "took_s", "failure"),
    [
        ([status(204)], [0], 0, None),
        ([status(500), status(200)], [0, 0.5], 0.5, None),
        ([status(503), hangs_up, status(200)], [0, 0.5, 1.5], 1.5, None),
        ([status(500)], [0, 0.5, 1.5], 1.5, "HTTP 500, 3 times"),
        ([status(429)], [0, 0.5, 1.5], 1.5, "HTTP 429, 3 times"),
        ([status(404)], [0], 0, "HTTP 404"),
        ([hangs_up], [0, 0.5, 1.5], 1.5, "ServerDisconnectedError, 3 times"),
        ([after(4.9)], [0], 4.9, None),
        (
            [never],
            [0, 5.5, 11.5],
            16.5,
            "no answer within 2 s to connect, 5 s to read, 3 times",
        ),
        ([never, status(400)], [0, 5.5], 5.5, "HTTP 400"),
    ],
)
def test_what_is_tried_again_and_when(
    answers: list[Any],
    at_s: list[float],
    took_s: float,
    failure: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert run_in_virtual_time(attempts(*answers)) == (pytest.approx(at_s), pytest.approx(took_s))
    told = failures(caplog)
    if failure is None:
        assert not told
    else:
        start = "status callback 'streaming' of stream 's-1' to '127.0.0.1' was not delivered: "
        assert told == [start + failure]


def test_a_redirect_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with receiving(Receiver()) as other:
            async with receiving(Receiver(status(307, Location=other.url))) as receiver:
                await deliver(receiver.url)
            assert (len(receiver.requests), len(other.requests)) == (1, 0)

    run_in_virtual_time(main())
    assert failures(caplog)[0].endswith("HTTP 307")


def test_of_a_huge_answer_the_first_64_kb_are_read(caplog: pytest.LogCaptureFixture) -> None:
    huge = Trickles(100_000_000, 65_536, 0)
    at_s, took_s = run_in_virtual_time(attempts(huge))
    assert len(at_s) == 1
    assert took_s < 7
    assert 65_536 <= huge.sent < 20_000_000  # what sockets buffer
    assert not failures(caplog)


def test_an_answer_that_trickles_has_been_delivered_and_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    slow = Trickles(1000, 1, 3.0)
    at_s, took_s = run_in_virtual_time(attempts(slow))
    assert (at_s, took_s) == ([0], pytest.approx(7.0))
    assert not failures(caplog)


def test_head_that_trickles_is_given_up_too(caplog: pytest.LogCaptureFixture) -> None:
    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + bytes(b"x" * 100):
            writer.write(bytes([byte]))
            await asyncio.sleep(1.0)
        writer.close()

    async def main() -> float:
        async with await asyncio.start_server(drips, "127.0.0.1", 0) as server:
            return await deliver(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert run_in_virtual_time(main()) == pytest.approx(3 * 7 + 1.5)
    assert failures(caplog)[0].endswith("5 s to read, 3 times")


def test_https_of_a_plain_server(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with receiving(Receiver()) as receiver:
            await deliver(receiver.url.replace("http://", "https://"))

    run_in_virtual_time(main())
    assert failures(caplog)[0].endswith("delivered: the server does not speak TLS as it should, 3 times")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_nobody_there(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:  # bound and not listening
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert run_in_virtual_time(deliver(f"http://{host}:{port}/")) == pytest.approx(1.5)
    assert failures(caplog)[0].endswith("Connection refused, 3 times")


def test_a_connection_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as full:  # its backlog is: what comes then is dropped
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first = [socket.socket() for _ in range(2)]
        for waiting in first:
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        assert run_in_virtual_time(deliver(f"http://127.0.0.1:{port}/")) == pytest.approx(3 * 2 + 1.5)
        for waiting in first:
            waiting.close()
    assert failures(caplog)[0].endswith("3 times")


def test_look_ups_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    hangs, unknown = Fails(None), Fails(socket.gaierror(-2, "Name or service not known"))
    for resolver, took_s, text in (
        (hangs, 3 * 2 + 1.5, "no answer within 2 s to connect, 5 s to read, 3 times"),
        (unknown, 1.5, "cannot look 'a.example' up: Name or service not known, 3 times"),
    ):
        caplog.clear()
        targets = Targets(resolver=resolver)
        assert run_in_virtual_time(deliver("http://a.example/", targets)) == pytest.approx(took_s)
        assert [message.partition("delivered: ")[2] for message in failures(caplog)] == [text]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.1:{port}/", "'127.1' leads to a loopback address: list the host"),
        ("http://localhost:{port}/", "'localhost' leads to a loopback address"),
        ("http://rebind.example:{port}/", "'rebind.example' leads to a loopback address"),
        ("ftp://127.0.0.1:{port}/", "not a URL that is connected to"),
        ("", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://a:b@127.0.0.1:{port}/", "user name or password"),
    ],
)
def test_refused_targets_are_told_once_and_not_connected_to(
    url: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Listener().listening() as listener:
            targets = Targets(resolver=Answers(["127.0.0.1"]))
            await deliver(url.format(port=listener.port), targets)
            assert listener.n_connections == 0

    run_in_virtual_time(main())
    (message,) = failures(caplog)
    assert text in message


def test_what_cannot_be_said_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with receiving(Receiver()) as receiver, sending() as callbacks:
            callback = StatusCallback(url=receiver.url)
            callbacks.notify(callback, stream_status(name="\ud800"))
            callbacks.notify(callback, stream_status(state="finished"))
        assert [json.loads(got.body)["params"]["state"] for got in receiver.requests] == ["finished"]

    run_in_virtual_time(main())
    assert failures(caplog)[0].endswith("was not delivered: UnicodeEncodeError")


# --- opening and closing ---------------------------------------------------------------------------------


def test_outside_of_the_block_callbacks_are_dropped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    callbacks = CallbackSender(LOOPBACK)
    callbacks.notify(StatusCallback(url="http://127.0.0.1:9/"), stream_status())

    async def main() -> None:
        async with receiving(Receiver()) as receiver:
            async with callbacks:
                callbacks.notify(StatusCallback(url=receiver.url), stream_status())
            callbacks.notify(StatusCallback(url=receiver.url), stream_status())
        assert len(receiver.requests) == 1  # closing waits for what is on its way

    run_in_virtual_time(main())
    assert [message.partition("delivered: ")[2] for message in failures(caplog)] == [
        "the sender is not open"
    ] * 2


def test_closing_waits_5_s_and_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with receiving(Receiver(status(500), never)) as receiver:
            callbacks = CallbackSender(LOOPBACK)
            async with callbacks:
                for state in ("streaming", "finished"):
                    callbacks.notify(StatusCallback(url=receiver.url), stream_status(state=state))
                began = now_s()
            assert now_s() - began == pytest.approx(5.0)
            assert not callbacks._tasks
            receiver.answers = [status(200)]
            async with callbacks:  # and it can be opened again
                callbacks.notify(StatusCallback(url=receiver.url), stream_status(state="finished"))
            assert json.loads(receiver.requests[-1].body)["params"]["state"] == "finished"

    run_in_virtual_time(main())
    assert failures(caplog) == ["closing drops 2 status callbacks"]


# --- secrets ---------------------------------------------------------------------------------------------


def test_no_secret_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Key, token, paths and queries: whatever fails, and whichever library logs it."""
    answers = [status(500), hangs_up, never, status(302, Location="http://127.0.0.1/canary"), status(404)]

    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)
        async with (
            receiving(Receiver(*answers)) as receiver,
            Listener(b"canary\r\n\r\n").listening() as odd,
            sending() as callbacks,
        ):
            bases = [
                *[receiver.url] * len(answers),
                *(f"http://127.0.0.1:{odd.port}/", f"https://127.0.0.1:{odd.port}/", "http://127.0.0.1:9/"),
                *(
                    "http://[::1/",
                    "ftp://a/",
                    "http://u:canary@127.0.0.1/",
                    "http://10.0.0.1/",
                    "http://a:canary/",
                ),
            ]
            for k, base in enumerate(bases):
                told = stream_status(control_id=f"s-{k}", state="finished", error="general_error")
                callbacks.notify(StatusCallback(url=f"{base}?token=canary", method="GET"), told)
            shown = repr([callbacks, *callbacks._tasks])
            assert "canary" not in shown

    with caplog.at_level(logging.DEBUG):
        run_in_virtual_time(main())
    assert len(failures(caplog)) == 13
    assert len(caplog.records) > 30  # asyncio's are among them
    formatter = logging.Formatter()
    assert not [record for record in caplog.records if "canary" in formatter.format(record)]
