"""Documents run against a call that writes down what it is told, under a clock that does not wait."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from tests.switch.swml_documents import documents
from trunkline.errors import FormatError, LocalProtocolError, TrunklineError
from trunkline.switch.swml import Connect, Scopes, Silence, Stream, parse, run
from trunkline.testing.virtual_time import run_in_virtual_time

MINUTE = 60.0


class RecordedCall:
    """Writes down what it is told and when; a URL that holds `refused` fails, a sound or stream takes 1 s."""

    def __init__(self, ends_at_s: float | None = None) -> None:
        self.said: list[tuple[float, str, Any]] = []
        self.live: list[str] = []
        self._ended = asyncio.Event()
        if ends_at_s is not None:
            asyncio.get_running_loop().call_at(ends_at_s, self._ended.set)

    def _say(self, verb: str, what: Any = None) -> None:
        self.said.append((asyncio.get_running_loop().time(), verb, what))
        if self._ended.is_set():
            raise LocalProtocolError("the call has ended")

    async def answer(self) -> None:
        self._say("answer")

    async def stream(self, request: Stream) -> str:
        self._say("stream", request)
        if "refused" in request.url:
            raise ConnectionRefusedError("nobody listens")
        control_id = request.control_id or f"generated-{len(self.said)}"
        if control_id in self.live:
            raise LocalProtocolError("Duplicated control_id")
        self.live.append(control_id)
        return control_id

    async def stop_stream(self, control_id: str | None) -> None:
        self._say("stop_stream", control_id)
        if not self.live or (control_id or self.live[-1]) not in self.live:
            raise LocalProtocolError("no such stream")
        self.live.remove(control_id or self.live[-1])

    async def connect(self, request: Connect) -> None:
        self._say("connect", request)
        if "refused" in request.url:
            raise ConnectionRefusedError("nobody listens")
        await asyncio.sleep(1)

    async def play(self, source: str | Silence) -> None:
        self._say("play", source)
        if isinstance(source, str) and "refused" in source:
            raise FileNotFoundError(source)
        if isinstance(source, str) and "slow" in source:
            raise TimeoutError(source)
        await asyncio.sleep(source.seconds if isinstance(source, Silence) else 1)

    async def hangup(self, reason: str) -> None:
        self._say("hangup", reason)
        await asyncio.sleep(0.25)  # the streams are finished first
        self._ended.set()
        self.live.clear()
        self._say_after()

    def _say_after(self) -> None:
        self.said.append((asyncio.get_running_loop().time(), "ended", None))

    async def wait_for_ended(self) -> None:
        await self._ended.wait()


def told(
    main: str, *, ends_at_s: float | None = None, scopes: Scopes | None = None
) -> tuple[RecordedCall, Mapping[str, Any]]:
    """Run the verbs of a section; give the call and the variables."""

    async def ring() -> tuple[RecordedCall, Mapping[str, Any]]:
        call = RecordedCall(ends_at_s)
        return call, await run(parse(f"sections:\n  main:\n{main}"), call, scopes=scopes)

    return run_in_virtual_time(ring())


def times(call: RecordedCall) -> list[tuple[float, str]]:
    return [(round(at, 6), verb) for at, verb, _ in call.said]


def test_verbs_run_in_order_and_at_the_end_the_call_is_hung_up() -> None:
    call, variables = told("""
  - answer
  - stream: {url: 'wss://example.com/a', control_id: one}
  - play: {urls: [https://example.com/a.wav, 'silence:2.5']}
  - sleep: 500
  - stop_stream
""")
    assert times(call) == [
        (0, "answer"),
        (0, "stream"),  # which does not block
        (0, "play"),
        (1, "play"),
        (4, "stop_stream"),
        (4, "hangup"),
        (4.25, "ended"),
    ]
    assert call.said[3][2] == Silence(2.5)
    assert call.said[4][2] is None
    assert call.said[5][2] == "hangup"
    assert variables == {
        "stream_result": "success",
        "stream_control_id": "one",
        "stop_stream_result": "success",
    }


def test_hangup_ends_the_document_with_its_reason() -> None:
    call, _ = told("  - hangup: {reason: busy}\n  - answer")
    assert [(verb, what) for _, verb, what in call.said] == [("hangup", "busy"), ("ended", None)]


def test_a_stream_that_fails_says_so_and_the_document_goes_on() -> None:
    call, variables = told("""
  - stream: {url: 'wss://refused/'}
  - set: {first: '${stream_result}', id: '[${stream_control_id}]'}
  - stop_stream
  - stream: {url: 'wss://example.com/', control_id: '${nothing}'}
  - set: {second: '${stream_result}'}
  - stream: {url: 'wss://example.com/'}
  - set: {third: '%{stream_result}'}
  - stop_stream: {control_id: '${vars.stream_control_id}'}
""")
    assert [verb for _, verb in times(call)] == [
        "stream",
        "stop_stream",
        "stream",  # the second was not even tried: its control id is empty
        "stop_stream",
        "hangup",
        "ended",
    ]
    assert [variables[name] for name in ("first", "id", "second", "third")] == [
        "failed",
        "[]",
        "failed",
        "success",
    ]
    assert variables["stop_stream_result"] == "success"
    assert call.said[3][2] == variables["stream_control_id"] == "generated-3"


def test_stop_stream_that_finds_none_says_so() -> None:
    _, variables = told("  - stop_stream: {control_id: other}")
    assert variables == {"stop_stream_result": "failed"}


def test_connect_answers_and_blocks_until_the_stream_ends() -> None:
    call, variables = told(
        """
  - connect: {to: 'stream:wss://example.com/', realtime: true, custom_parameters: {from: '${call.from}'}}
  - sleep: 1
""",
        scopes={"call": {"from": "+15550100"}},
    )
    assert times(call) == [(0, "answer"), (0, "connect"), (1.001, "hangup"), (1.251, "ended")]
    assert call.said[1][2].custom_parameters == {"from": "+15550100"}
    assert call.said[1][2].url == "wss://example.com/"
    assert variables == {"connect_result": "connected", "return_value": "connected"}


def test_connect_that_fails_says_why_and_the_document_goes_on() -> None:
    call, variables = told("  - connect: {to: 'stream:wss://refused/'}\n  - sleep: 1000")
    assert times(call)[-2:] == [(1, "hangup"), (1.25, "ended")]
    assert variables == {
        "connect_failed_reason": "nobody listens",
        "connect_result": "failed",
        "return_value": "failed",
    }


@pytest.mark.parametrize(
    ("play", "answers"), [("", 1), (", auto_answer: false", 0), (", auto_answer: '${params.a}'", 0)]
)
def test_play_answers_unless_told_not_to(play: str, answers: int) -> None:
    main = f"  - play: {{url: 'silence:1'{play}}}\n" * 2
    call, _ = told(main, scopes={"params": {"a": False}})
    assert [verb for _, verb in times(call)].count("answer") == answers


def test_sleep_is_in_milliseconds_and_minus_one_is_until_the_call_ends() -> None:
    call, _ = told("  - set: {pause: 1500}\n  - sleep: '${pause}'\n  - sleep: {duration: 250}")
    assert times(call)[0] == (1.75, "hangup")
    call, _ = told("  - sleep: -1\n  - answer", ends_at_s=100 * MINUTE)
    assert call.said == []


@pytest.mark.parametrize("main", ["  - play: {url: 'silence:100'}", "  - connect: {to: 'stream:wss://h/'}"])
def test_a_call_that_ends_ends_the_document(main: str) -> None:
    call, variables = told(f"  - set: {{a: 1}}\n{main}\n  - set: {{a: 2}}\n  - sleep: -1", ends_at_s=0.5)
    assert times(call)[-1][0] == 0
    assert "hangup" not in [verb for _, verb in times(call)]
    assert variables == {"a": 1}


class HungUpWithin(RecordedCall):
    """The caller hangs up while a sound is played, which then raises; the end is known some turns later."""

    async def play(self, source: str | Silence) -> None:
        self._ended.set()
        raise LocalProtocolError("the call has ended")

    async def wait_for_ended(self) -> None:
        await asyncio.ensure_future(asyncio.ensure_future(asyncio.ensure_future(super().wait_for_ended())))


def test_a_verb_that_fails_because_the_call_ended_is_no_failure() -> None:
    call, _ = told("  - sleep: 500\n  - answer\n  - sleep: -1", ends_at_s=0.5)
    assert "hangup" not in [verb for _, verb in times(call)]

    async def ring() -> RecordedCall:
        call = HungUpWithin()
        await run(parse("sections: {main: [{play: {url: 'silence:1'}}]}"), call)
        return call

    assert times(run_in_virtual_time(ring())) == [(0, "answer")]


def test_max_duration_counts_from_the_answer() -> None:
    call, _ = told(
        "  - sleep: 5000\n  - answer: {max_duration: 90}\n  - answer: {max_duration: 1}\n  - sleep: -1"
    )
    assert times(call) == [(5, "answer"), (95, "hangup"), (95.25, "ended")]
    call, _ = told("  - play: {url: 'silence:1'}\n  - sleep: -1")
    assert times(call)[-2] == (4 * 60 * MINUTE, "hangup")


def test_set_fills_in_one_variable_after_another() -> None:
    _, variables = told(
        """
  - set: {a: 5, b: '${a}', c: '${b} and ${vars.a}', d: {e: ['${c}']}}
  - set: {a: '${d.e[0]}', call: 1, f: '${call}', g: '${vars.call}'}
""",
        scopes={"call": {"from": "+15550100"}},
    )
    assert variables == {
        "a": "5 and 5",
        "b": 5,
        "c": "5 and 5",
        "d": {"e": ["5 and 5"]},
        "call": 1,
        "f": '{"from":"+15550100"}',  # a scope's name is the scope
        "g": 1,
    }


@pytest.mark.parametrize(
    ("main", "error", "problem"),
    [
        ("  - play: {url: 'https://refused/a.wav'}", FileNotFoundError, "https://refused/a.wav"),
        ("  - play: {url: 'https://slow/a.wav'}", TimeoutError, "https://slow/a.wav"),
        (
            "  - answer\n  - sleep: '${never}'",
            FormatError,
            r"\Asections.main\[1\]: duration: takes an integer",
        ),
        ("  - play: {url: '${never}'}", FormatError, r"\Asections.main\[0\]: url: takes an http"),
        (
            "  - set: {a: aaaaaaaa}\n" + "  - set: {a: '${a}${a}'}\n" * 11,
            FormatError,
            r"\Asections.main\[11\]: 16384 characters",
        ),
    ],
)
def test_a_verb_that_raises_hangs_up_first(main: str, error: type[Exception], problem: str) -> None:
    async def ring() -> RecordedCall:
        call = RecordedCall()
        with pytest.raises(error, match=problem):
            await run(parse(f"sections:\n  main:\n{main}"), call)
        return call

    call = run_in_virtual_time(ring())
    assert [verb for _, verb in times(call)][-2:] == ["hangup", "ended"]


def test_a_run_that_is_cancelled_leaves_no_task_behind() -> None:
    async def ring() -> RecordedCall:
        call = RecordedCall()
        document = parse("sections: {main: [answer, {sleep: -1}]}")
        task = asyncio.ensure_future(run(document, call))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return call

    assert times(run_in_virtual_time(ring())) == [(0, "answer")]


@given(raw=documents)
def test_any_document_ends_in_a_hang_up_or_is_hung_up(raw: dict[str, Any]) -> None:
    async def ring() -> RecordedCall:
        call = RecordedCall(ends_at_s=365 * 24 * 60 * MINUTE)
        try:
            await run(parse(json.dumps(raw)), call, scopes={"call": {"from": "+15550100"}})
        except TrunklineError:
            assert call.said[-1][1] == "ended"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return call

    call = run_in_virtual_time(ring())
    verbs = [verb for _, verb in times(call)]
    assert verbs.count("hangup") == verbs.count("ended") <= 1
    assert verbs.count("answer") <= 1
