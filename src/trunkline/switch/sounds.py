"""Sounds: what the documents of a switch may play, from a directory of files and from the web."""

import asyncio
import os
import ssl as tls
import tempfile
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from trunkline.errors import FormatError, RemoteProtocolError, TargetRefusedError
from trunkline.extras import needs_extra
from trunkline.net.targets import Targets
from trunkline.switch.callbacks import reason_of
from trunkline.switch.file_sources import FileSource
from trunkline.switch.sources import Source

with needs_extra("server"):
    import aiohttp

__all__ = ["Sounds"]

SOUND_BYTES_MAX: Final = 32 * 1024 * 1024  # half an hour of 8 kHz
FETCH_TIMEOUT_S: Final = 10.0


class Sounds:
    """Open the sounds that a document names, for `ScriptedCall(call, open_sound=sounds.open)`.

    `file:///greeting.wav` is greeting.wav in `directory`, and no path or link leads out of it; None refuses
    files. Sounds of http(s):// URLs are fetched from hosts of `targets`, in 10 s and up to 32 MiB; None
    refuses them. `ssl` is trusted for https://, by default the system's authorities.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        targets: Targets | None = None,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        self._directory = None if directory is None else Path(directory).resolve()
        self._targets = targets
        self._ssl = ssl

    async def open(self, url: str) -> Source:
        """Make a source of a sound, of whatever format `FileSource` reads.

        Raises TargetRefusedError for what is not allowed, FormatError for what is no audio or too much of it,
        RemoteProtocolError and OSError when it cannot be had. No message holds more of a URL than its host.
        """
        if url[:5].lower() == "file:":
            return await asyncio.to_thread(FileSource, self._path_of(url))
        if self._targets is None:
            raise TargetRefusedError("sounds are not fetched here: name a file:/// URL")
        with tempfile.NamedTemporaryFile() as file:
            host = await self._fetch(url, self._targets, file)
            try:
                return await asyncio.to_thread(FileSource, file.name)  # it goes on when the name has gone
            except FormatError as error:
                raise FormatError(f"a sound of {host!a}: {error}") from error

    def _path_of(self, url: str) -> Path:
        if self._directory is None:
            raise TargetRefusedError("file:/// URLs are refused: there is no directory of sounds")
        name = unquote(urlsplit(url).path).lstrip("/")
        try:
            path = (self._directory / name).resolve()
        except (ValueError, RuntimeError) as error:  # a NUL in it, links in a circle
            raise TargetRefusedError(f"{url[:64]!a} leads to no file: {error}") from None
        if not path.is_relative_to(self._directory):
            raise TargetRefusedError(f"{url[:64]!a} leads out of the directory of sounds")
        return path

    async def _fetch(self, url: str, targets: Targets, file: IO[bytes]) -> str:
        """Write what is at a URL to `file`; give its host, to name it by."""
        target = await targets.resolve(url)
        host = (target.url.raw_host or "")[:64]
        try:
            async with (
                asyncio.timeout(FETCH_TIMEOUT_S),
                target.session(auto_decompress=False) as http,
                http.get(
                    target.url, headers={"Accept-Encoding": "identity"}, ssl=self._ssl or True
                ) as response,
            ):
                if response.status != 200:
                    raise RemoteProtocolError(f"a sound of {host!a}: HTTP status {response.status}")
                n_bytes = 0
                async for chunk in response.content.iter_any():
                    n_bytes += len(chunk)
                    if n_bytes > SOUND_BYTES_MAX:
                        raise FormatError(
                            f"a sound of {host!a}: more than {SOUND_BYTES_MAX} bytes, which is what is taken"
                        )
                    file.write(chunk)
        except TimeoutError:
            raise TimeoutError(f"a sound of {host!a} has not come within {FETCH_TIMEOUT_S:g} s") from None
        except aiohttp.ClientError as error:  # whose own words may hold the URL
            raise OSError(f"a sound of {host!a} cannot be fetched: {reason_of(error)}") from error
        file.flush()
        return host
