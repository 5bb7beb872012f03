"""Sounds that documents name: from their directory, from the web, and from nowhere else."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.switch.sound_server import Answer, sound_server, wav_of
from trunkline.errors import FormatError, RemoteProtocolError, TargetRefusedError
from trunkline.net.targets import LOOPBACK, Targets
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.switch import Sounds, Source, sounds
from trunkline.testing import speech_like

pytestmark = pytest.mark.virtual_time

SOUND = speech_like(0.6, seed=3)


def read(source: Source) -> bytes:
    pcm = source.read(1 << 20)
    source.close()
    return pcm


async def test_files_come_from_the_directory_and_from_nowhere_else(tmp_path: Path) -> None:
    directory = tmp_path / "sounds"
    (directory / "deep").mkdir(parents=True)
    (directory / "deep" / "hold on.wav").write_bytes(wav_of(SOUND))
    (tmp_path / "secret.wav").write_bytes(wav_of(SOUND))
    (tmp_path / "sounds-of-others").mkdir()
    (tmp_path / "sounds-of-others" / "a.wav").write_bytes(wav_of(SOUND))
    (directory / "inside.wav").symlink_to("deep/hold on.wav")
    (directory / "link.wav").symlink_to(tmp_path / "secret.wav")
    (directory / "circle.wav").symlink_to("circle.wav")
    for path in ("deep/hold%20on.wav", "inside.wav", "deep/../inside.wav"):
        assert read(await Sounds(directory).open(f"file:///{path}")) == SOUND
    for path in (
        "../secret.wav",
        "%2e%2e/secret.wav",
        "deep/../../secret.wav",
        "../sounds-of-others/a.wav",
        "link.wav",
        "a%00.wav",
    ):
        with pytest.raises(TargetRefusedError, match=r"leads out of|leads to no file"):
            await Sounds(directory).open(f"file:///{path}")
    for url in ((tmp_path / "secret.wav").as_uri(), "file:////" + str(tmp_path / "secret.wav")):
        with pytest.raises(FileNotFoundError):  # it is looked for in the directory
            await Sounds(directory).open(url)
    with pytest.raises((TargetRefusedError, OSError)):  # which of the two, the Python version decides
        await Sounds(directory).open("file:///circle.wav")
    with pytest.raises(TargetRefusedError, match="there is no directory of sounds"):
        await Sounds(targets=Targets(LOOPBACK)).open("file:///a.wav")


async def test_sounds_are_fetched_from_targets_only(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    answers = {"/a.wav": wav_of(SOUND), "/short.wav": wav_of(SOUND[-500:])}
    async with sound_server(answers, server_context(certificate, key)) as url:
        trusted = Sounds(targets=Targets(LOOPBACK), ssl=client_context(certificate))
        assert read(await trusted.open(f"{url}a.wav?key=s3cret")) == SOUND
        assert read(await trusted.open(f"{url}short.wav")) == SOUND[-500:]
        with pytest.raises(OSError, match="the server's certificate is not trusted"):
            await Sounds(targets=Targets(LOOPBACK)).open(f"{url}a.wav")
        with pytest.raises(TargetRefusedError, match="loopback"):
            await Sounds(targets=Targets()).open(f"{url}a.wav")
        with pytest.raises(TargetRefusedError, match="not fetched here"):
            await Sounds(tmp_path).open(f"{url}a.wav")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 16))


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    assert request.transport is not None
    request.transport.close()
    return response


async def moved(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/text.wav")


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("nothing.wav", RemoteProtocolError, "HTTP status 404"),
        ("endless.wav", FormatError, "more than 1000000 bytes"),
        ("silent.wav", TimeoutError, "has not come within 10 s"),
        ("text.wav", FormatError, "a WAV file has at least"),
        ("cut.wav", OSError, "cannot be fetched: ClientPayloadError"),
        ("moved.wav", RemoteProtocolError, "the server redirects"),
    ],
)
async def test_a_sound_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, path: str, error: type[Exception], says: str
) -> None:
    monkeypatch.setattr(sounds, "SOUND_BYTES_MAX", 1_000_000)
    answers: dict[str, bytes | Answer] = {
        "/endless.wav": endless,
        "/silent.wav": silent,
        "/text.wav": b"no sound",
        "/cut.wav": cut,
        "/moved.wav": moved,
    }
    async with sound_server(answers) as url:
        with pytest.raises(error, match=says) as raised:
            await Sounds(targets=Targets(LOOPBACK)).open(f"{url}{path}?key=s3cret")
    assert "s3cret" not in str(raised.value)


async def test_nobody_serves_sounds() -> None:
    with pytest.raises(OSError, match=r"'127\.0\.0\.1' cannot be fetched: Connection refused"):
        await Sounds(targets=Targets(LOOPBACK)).open("http://127.0.0.1:1/a.wav")
