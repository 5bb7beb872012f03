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

from trunkline import g711, wav
from trunkline.stream import StreamReceiver, StreamSender
from trunkline.testing import speech_like

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_run_here() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {"receive_calls", "send_file", "decode_packets", "echo"}


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
            sent = subprocess.run(send, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=30)
            assert sent.stdout == "28 messages, closed with 1000 \n"
            name, seconds = process.stdout.readline().split(": ")
            assert seconds == "0.50 s\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("", "")
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
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            for message in sender.start() + sender.media(pcm):
                await socket.send_str(message.decode())
            back = b""
            while len(back) < len(pcm):
                back += b"".join(bytes(frame) for frame in heard.receive((await socket.receive()).data))  # type: ignore[arg-type]
            await socket.send_str(sender.dtmf("5")[0].decode())
            assert json.loads((await socket.receive()).data)["event"] == "clear"
            return back

    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
            assert found
            assert asyncio.run(say_and_listen(found[1])) == g711.ulaw_decode(g711.ulaw_encode(pcm))
            assert re.fullmatch(r"interrupted, 0\.\d\d s were heard\n", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("", "")
        finally:
            process.kill()


def test_send_file_says_how_it_is_used() -> None:
    shown = subprocess.run([sys.executable, str(EXAMPLES / "send_file.py")], capture_output=True, text=True)
    assert shown.returncode == 1
    assert re.fullmatch(r"[^\n]+: python send_file\.py FILE\.wav ws://\S+\n", shown.stderr)
