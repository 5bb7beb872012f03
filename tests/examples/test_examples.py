"""Every example runs as it stands."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path

import aiohttp
import pytest

from tests.ports import reserved_port
from trunkline import g711, wav
from trunkline.stream import StreamReceiver, StreamSender
from trunkline.testing import speech_like

GUARD_S = 100  # bounds a hang
EXAMPLES = Path(__file__).parents[2] / "examples"
SOCKETS = {"aiohttp": "media", "fastapi": "media", "websockets": "", "picows": ""}  # and their paths


def test_every_example_is_run_here() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    sockets = {f"{library}_socket" for library in SOCKETS}
    assert names == {"receive_calls", "send_file", "decode_packets", "echo", "pipecat_serializer"} | sockets


def test_decode_packets() -> None:
    command = [sys.executable, str(EXAMPLES / "decode_packets.py")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "call_id='example'" in shown
    assert shown.endswith("50 packets, loudest sample 0\n")


def test_receive_calls_and_send_file(tmp_path: Path) -> None:
    """On a free port: the example's own may be taken."""
    pcm = speech_like(0.5)
    wav.write(tmp_path / "speech.wav", pcm, 8000)
    receiver = (EXAMPLES / "receive_calls.py").read_text()
    assert receiver.count("8765") == 1
    command = [sys.executable, "-c", receiver.replace("8765", "0")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
            assert found
            send = [sys.executable, str(EXAMPLES / "send_file.py"), "speech.wav", found[1]]
            sent = subprocess.run(
                send, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=GUARD_S
            )
            assert sent.stdout == "28 messages, closed with 1000 \n"
            name, seconds = process.stdout.readline().split(": ")
            assert seconds == "0.50 s\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=GUARD_S) == ("", "")
        finally:
            process.kill()
    with wave.open(str(tmp_path / name)) as file:
        assert file.readframes(file.getnframes()) == g711.ulaw_decode(g711.ulaw_encode(pcm))


def test_echo() -> None:
    sender, heard = StreamSender("PCMU", stream_id="MZ1"), StreamReceiver(role="platform", format="PCMU")
    pcm = speech_like(0.5)
    example = (EXAMPLES / "echo.py").read_text()
    assert example.count("8765") == 1
    command = [sys.executable, "-c", example.replace("8765", "0")]
    pipe = subprocess.PIPE

    async def say_and_listen(url: str) -> bytes:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as peer:
            for message in sender.start() + sender.media(pcm):
                await peer.send_str(message.decode())
            back = b""
            while len(back) < len(pcm):
                back += b"".join(bytes(frame) for frame in heard.receive((await peer.receive()).data))  # type: ignore[arg-type]
            await peer.send_str(sender.dtmf("5")[0].decode())
            assert json.loads((await peer.receive()).data)["event"] == "clear"
            return back

    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
            assert found
            assert asyncio.run(say_and_listen(found[1])) == g711.ulaw_decode(g711.ulaw_encode(pcm))
            assert re.fullmatch(r"interrupted, 0\.\d\d s were heard\n", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=GUARD_S) == ("", "")
        finally:
            process.kill()


def test_send_file_says_how_it_is_used() -> None:
    shown = subprocess.run([sys.executable, str(EXAMPLES / "send_file.py")], capture_output=True, text=True)
    assert shown.returncode == 1
    assert re.fullmatch(r"[^\n]+: python send_file\.py FILE\.wav ws://\S+\n", shown.stderr)


@pytest.mark.parametrize(("dialect", "format"), [("signalwire", "PCMU"), ("vonage", "L16@16000h")])
@pytest.mark.parametrize("library", SOCKETS)
def test_a_socket_of_ones_own(library: str, dialect: str, format: str) -> None:
    """What a call lost leaves is seen as well, its rest a frame of its own; and Stop, where none is said."""
    sender = StreamSender(format, dialect=dialect, call_id="CA1")
    pcm = speech_like(0.1, sender.format.sample_rate)
    messages = [
        message.decode() if sender.is_text(message) else message
        for message in sender.start() + sender.media(pcm) + sender.dtmf("5")
    ]
    example = (EXAMPLES / f"{library}_socket.py").read_text()
    assert example.count("8765") == 1
    pipe = subprocess.PIPE
    with (
        reserved_port() as port,
        subprocess.Popen(
            [sys.executable, "-c", example.replace("8765", str(port))], stdout=pipe, stderr=pipe, text=True
        ) as process,
    ):
        try:
            asyncio.run(say(f"ws://127.0.0.1:{port}/{SOCKETS[library]}", messages))
            assert process.stdout is not None
            start, *frames, key = [process.stdout.readline() for _ in range(7)]
            assert "call_id='CA1'" in start
            assert frames == ["20 ms of audio\n"] * 5
            assert "digit='5'" in key
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=GUARD_S)
            assert set(out.splitlines()) <= {"20 ms of audio", "Stop()"}  # what the resampler held
            assert "Traceback" not in errors
        finally:
            process.kill()


def test_pipecat_serializer() -> None:
    pytest.importorskip("pipecat", reason="pipecat-ai is not installed, and too large for every test run")
    command = [sys.executable, str(EXAMPLES / "pipecat_serializer.py")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert shown[:2] == ["None", "None"]
    assert "frames: 320, sample_rate: 16000" in shown[2]
    assert "tone: 5" in shown[3]
    reply, clear = map(json.loads, shown[4:])
    assert len(reply["media"]["payload"]) == 4 * -(-320 // 3)  # 40 ms in base64
    assert clear == {"event": "clear", "streamSid": "MZ1"}


async def say(url: str, messages: list[str | bytes]) -> None:
    """Send messages, once somebody listens."""
    async with asyncio.timeout(GUARD_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.ws_connect(url) as connection:
                    for message in messages:
                        if isinstance(message, str):
                            await connection.send_str(message)
                        else:
                            await connection.send_bytes(message)
                return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
