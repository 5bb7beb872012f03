"""Calls that are created over REST, and the SWML documents that they run."""

import asyncio
import logging
import ssl as tls
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from trunkline.errors import FormatError, LibraryMissingError, StreamStartError, TrunklineError
from trunkline.extras import needs_extra
from trunkline.net.targets import Target, Targets
from trunkline.switch.call import Call
from trunkline.switch.callbacks import reason_of
from trunkline.switch.records import CallRecord
from trunkline.switch.rest_http import RestError, text
from trunkline.switch.scripted_call import OpenSound, ScriptedCall, call_scope
from trunkline.switch.sources import Source
from trunkline.switch.switch import Switch
from trunkline.switch.swml import Document, Step, parse, run

with needs_extra("server"):
    import aiohttp

__all__ = ["Dialler"]

DOCUMENT_BYTES_MAX: Final = 65_536
FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=2, sock_read=5)
DIALLED_MAX: Final = 1000  # calls at a time
_FAILURES: Final = (TrunklineError, OSError, aiohttp.ClientError)

GetDocument = Callable[[Call | CallRecord], Awaitable[Document]]

_log = logging.getLogger(__name__)


class Dialler:
    """Create calls, which are answered at once, and run documents on calls; see `rest_routes`."""

    def __init__(
        self,
        switch: Switch,
        source: Callable[[], Source] | None,
        targets: Targets,
        ssl: tls.SSLContext | None,
        open_sound: OpenSound,
    ) -> None:
        self._switch = switch
        self._source = source
        self._targets = targets
        self._ssl = ssl
        self._open_sound = open_sound
        self._running: dict[str, asyncio.Task[None]] = {}  # by the id of the call

    async def dial(self, fields: Mapping[str, Any], names: Mapping[str, str]) -> Call:
        """Create the call that `fields` ask for; `names` are the door's for from, to, swml, url and method.

        RestError 422 for what is missing or wrong in them. A document at a URL is fetched when the call is
        answered; when that fails the call ends, and its end reason is "error".
        """
        from_number, to_number = text(fields, names["from"]), text(fields, names["to"])
        get_document = await self._document(fields, names)
        if len(self._running) >= DIALLED_MAX:
            message = f"{names['to']}: {len(self._running)} calls that were created here are not over"
            raise RestError(422, "too_many_calls", message, names["to"])
        try:
            call = self._switch.place_call(
                self._source() if self._source is not None else None,
                from_number=from_number,
                to_number=to_number,
                direction="outbound",
            )
        except (TrunklineError, OSError) as error:  # the switch closes, or who answers cannot be made
            raise RestError(503, "unavailable", str(error)) from error

        async def answer() -> Document:
            await call.answer()
            return await get_document(call)

        self._start(call, answer)
        return call

    async def update(
        self, call: Call | CallRecord, fields: Mapping[str, Any], names: Mapping[str, str]
    ) -> None:
        """Run another document on a call, in place of the one that runs, if any; `names` are those of `dial`.

        RestError 422 for what is missing or wrong, a document that cannot be had among it: the call then goes
        on as it was.
        """
        _check_live(call)
        get_document = await self._document(fields, names)
        try:
            document = await get_document(call)
        except (*_FAILURES, LibraryMissingError) as error:
            message = f"{names['url']}: {_reason(error)}"
            raise RestError(422, "document_failed", message, names["url"]) from error
        self._start(_check_live(call), partial(_ready, document))

    async def _document(self, fields: Mapping[str, Any], names: Mapping[str, str]) -> GetDocument:
        """Check where a document is to come from, and give the function that gets it for a call."""
        method = fields.get(names["method"], "POST")
        if method not in ("POST", "GET"):
            message = f"{names['method']}: takes POST or GET"
            raise RestError(422, "invalid_parameter", message, names["method"])
        if fields.get(names["swml"]) and fields.get(names["url"]):
            message = f"{names['url']}: is given beside {names['swml']}: takes one of both"
            raise RestError(422, "invalid_parameter", message, names["url"])
        if fields.get(names["swml"]) in (None, ""):
            target = await self._resolve(text(fields, names["url"], characters_max=65_535), names["url"])
            return partial(self._fetch, target, method)
        return partial(_ready, await self._inline(fields[names["swml"]], names["swml"]))

    async def _inline(self, swml: object, attribute: str) -> Document:
        """Parse the document that is a parameter: its text, or in a JSON body the object itself."""
        if isinstance(swml, dict):
            swml = msgspec.json.encode(swml)
        if not isinstance(swml, str | bytes):
            raise RestError(422, "invalid_parameter", f"{attribute}: takes a SWML document", attribute)
        try:
            return await self._parse(swml, attribute)
        except (FormatError, LibraryMissingError) as error:
            raise RestError(422, "invalid_parameter", str(error), attribute) from error

    async def _parse(self, swml: str | bytes, source: str) -> Document:
        """Parse a document, of which YAML may take half a second."""
        insecure_loopback = self._switch.insecure_loopback
        return await asyncio.to_thread(parse, swml, source, insecure_loopback=insecure_loopback)

    async def _resolve(self, url: str, attribute: str) -> Target:
        try:
            return await self._targets.resolve(url)
        except (TrunklineError, OSError) as error:
            raise RestError(422, "invalid_parameter", f"{attribute}: {error}", attribute) from error

    def _start(self, call: Call, get_document: Callable[[], Awaitable[Document]]) -> None:
        """Run a document on the call, once what is there to be replaced has let go of it."""
        former = self._running.get(call.id)
        if former is not None:
            former.cancel()
        task = self._running[call.id] = asyncio.create_task(self._run(call, get_document, former))
        task.add_done_callback(partial(self._on_done, call.id))

    def _on_done(self, call_id: str, task: asyncio.Task[None]) -> None:
        if self._running.get(call_id) is task:
            del self._running[call_id]

    async def _run(
        self,
        call: Call,
        get_document: Callable[[], Awaitable[Document]],
        former: asyncio.Task[None] | None,
    ) -> None:
        """Run a document on the call, which ends with it; what fails is logged, without the URL."""
        if former is not None:
            await asyncio.wait((former,))
        try:
            scripted = ScriptedCall(call, open_sound=self._open_sound)
            scope = {"call": call_scope(call)}
            await run(await get_document(), scripted, scopes=scope, on_step=_Failures(call).tell)
        except asyncio.CancelledError:  # another document takes its place
            raise
        except _FAILURES as error:
            _log.warning("call %.64r: its document failed: %s", call.id, _reason(error))
        except Exception:
            _log.exception("call %.64r: its document failed", call.id)
        await call.hangup("error")  # nothing when it has ended

    async def _fetch(self, target: Target, method: str, call: Call | CallRecord) -> Document:
        host = (target.url.raw_host or "")[:64]
        try:
            data = await self._read(target, method, call)
        except TimeoutError:
            raise TimeoutError(f"a document of {host!a} has not come in time") from None
        except (ConnectionError, aiohttp.ClientError) as error:
            raise OSError(f"a document of {host!a} cannot be fetched: {reason_of(error)}") from error
        return await self._parse(data, "document")

    async def _read(self, target: Target, method: str, call: Call | CallRecord) -> bytes:
        client = target.session(timeout=FETCH_TIMEOUT, auto_decompress=False)
        options: dict[str, Any] = {} if self._ssl is None else {"ssl": self._ssl}
        if method == "POST":
            options["data"] = msgspec.json.encode({"call": call_scope(call)})
            options["headers"] = {"Content-Type": "application/json"}
        async with (
            client,
            client.request(method, target.url, skip_auto_headers=("Accept-Encoding",), **options) as response,
        ):
            if response.status != 200:
                raise FormatError(f"document: HTTP {response.status}: takes 200")
            data = bytearray()
            while len(data) <= DOCUMENT_BYTES_MAX and (chunk := await response.content.readany()):
                data += chunk
        return bytes(data)


class _Failures:
    """Log the first verb of a document that fails: nobody else tells. Of streams the switch does."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._is_told = False

    def tell(self, step: Step) -> None:
        if step.error is None or self._is_told or isinstance(step.error, StreamStartError):
            return
        self._is_told = True
        _log.warning("call %.64r: main[%d] failed: %.200s", self._call.id, step.index, _reason(step.error))


async def _ready(document: Document, *of_call: Call | CallRecord) -> Document:
    return document


def _check_live(call: Call | CallRecord) -> Call:
    if isinstance(call, CallRecord) or not call.is_live:
        raise RestError(422, "call_ended", "the call has ended, or is about to: it runs no document")
    return call


def _reason(error: Exception) -> str:
    """Say what went wrong, without a URL, which may hold a secret."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or reason_of(error) or type(error).__name__
