"""What an endpoint says on a two-way stream, heard on the call; against a model that keeps every sample."""

import base64
import random

import pytest

from trunkline import g711
from trunkline.errors import FormatError
from trunkline.formats import CodecSpec
from trunkline.switch import reply as reply_module
from trunkline.switch.reply import Reply

PCMU = CodecSpec.parse("PCMU")


def media(payload: bytes) -> str:
    return (
        f'{{"event":"media","streamSid":"S1","media":{{"payload":"{base64.b64encode(payload).decode()}"}}}}'
    )


class Model:
    """A queue of samples and marks; a mark before which all audio has been played goes back."""

    def __init__(self) -> None:
        self.queue: list[bytes | str] = []  # a sample, or a mark
        self.frame: list[bytes] = []  # less than 20 ms is not played before more comes, or a mark
        self.playing = False
        self.echoed: list[str] = []

    def media(self, payload: bytes) -> None:
        for code in payload:
            self.frame.append(g711.ulaw_decode(bytes([code])))
            if len(self.frame) == 160:
                self.complete()

    def complete(self) -> None:
        self.queue += self.frame
        self.frame = []

    def mark(self, name: str) -> None:
        self.complete()
        if self.queue or self.playing:
            self.queue.append(name)
        else:
            self.echoed.append(name)

    def clear(self) -> None:
        self.frame = []
        self.echoed += [item for item in self.queue if isinstance(item, str)]
        self.queue = []

    def read(self, n_samples: int) -> bytes:
        self.echo()
        pcm: list[bytes] = []
        kept: list[bytes | str] = []
        for item in self.queue:
            if isinstance(item, bytes) and len(pcm) < n_samples:
                pcm.append(item)
            else:
                kept.append(item)
        self.queue = kept
        self.playing = bool(pcm)
        return b"".join(pcm).ljust(2 * n_samples, b"\0")

    def echo(self) -> None:
        while self.queue and isinstance(self.queue[0], str):
            self.echoed.append(self.queue.pop(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_audio_marks_and_clears_in_any_order(seed: int) -> None:
    rng = random.Random(seed)
    echoed: list[str] = []
    reply = Reply(PCMU, "S1", 8000, echo=echoed.append, press=lambda digit, duration_ms: None)
    model = Model()
    for step in range(400):
        what = rng.choices(("media", "mark", "clear", "read"), (5, 3, 0.3, 6))[0]
        if what == "media":
            payload = rng.randbytes(rng.choice((1, 80, 159, 160, 161, 400, 1000)))
            reply.receive(media(payload))
            model.media(payload)
        elif what == "mark":
            reply.receive(f'{{"event":"mark","streamSid":"S1","mark":{{"name":"M{step}"}}}}')
            model.mark(f"M{step}")
        elif what == "clear":
            reply.receive('{"event":"clear","streamSid":"S1"}')
            model.clear()
        else:
            assert reply.read(160) == model.read(160)
        assert echoed == model.echoed
    assert reply.left_out == 0
    assert len(echoed) > 20


def test_keys_are_pressed_and_nonsense_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    pressed: list[tuple[str, int | None]] = []
    reply = Reply(
        PCMU, "S1", 8000, echo=lambda name: None, press=lambda digit, ms: pressed.append((digit, ms))
    )
    reply.receive('{"event":"dtmf","streamSid":"S1","dtmf":{"digit":"7","duration":90}}')
    newline = '{"event":"dtmf","dtmf":{"digit":"5\\n"}}'
    bad_payload = '{"event":"media","media":{"payload":"*"}}'
    for nonsense in ("", "[]", media(b"").replace("S1", "S2"), bad_payload, newline):
        reply.receive(nonsense)
    reply.receive('{"event":"dtmf","streamSid":"S1","dtmf":{"digit":"*"}}')
    assert pressed == [("7", 90), ("*", None)]
    assert reply.left_out == 5
    assert caplog.text.count("left out") == 1


def test_keys_faster_than_anybody_presses_them_are_left_out() -> None:
    pressed: list[str] = []
    reply = Reply(PCMU, "S1", 8000, echo=lambda name: None, press=lambda digit, ms: pressed.append(digit))
    for _ in range(100):
        reply.receive('{"event":"dtmf","dtmf":{"digit":"7"}}')
    assert (len(pressed), reply.left_out) == (32, 68)
    for k in range(100):
        reply.read(160)
        reply.receive('{"event":"dtmf","dtmf":{"digit":"7"}}')
        assert (len(pressed), reply.left_out) == (33 + k, 68)


def test_audio_and_marks_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_module, "QUEUED_MAX_S", 1)
    echoed: list[str] = []
    reply = Reply(PCMU, "S1", 8000, echo=echoed.append, press=lambda digit, ms: None)
    for _ in range(60):
        reply.receive(media(bytes(160)))
    for k in range(reply_module.MARKS_MAX + 5):
        reply.receive(f'{{"event":"mark","mark":{{"name":"M{k}"}}}}')
    assert reply.left_out == 10 + 5
    heard = b"".join(reply.read(160) for _ in range(51))
    assert heard == g711.ulaw_decode(bytes(8000)) + bytes(320)
    assert len(echoed) == reply_module.MARKS_MAX


def test_another_rate_is_resampled_and_what_is_not_decoded_is_refused() -> None:
    reply = Reply(
        CodecSpec.parse("L16@16000h"), "S1", 8000, echo=lambda name: None, press=lambda digit, ms: None
    )
    reply.receive(media(bytes(2 * 1600)))
    assert reply.read(800) == bytes(1600)
    with pytest.raises(FormatError):
        Reply(CodecSpec.parse("G722"), "S1", 8000, echo=lambda name: None, press=lambda digit, ms: None)
