"""Calls that are created over REST, and the SWML documents that they run."""

import asyncio
import logging
import ssl as tls
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from trunkline.errors import FormatError, LibraryMissingError, TrunklineError
from trunkline.extras import needs_extra
from trunkline.net.targets import Target, Targets
from trunkline.switch.call import Call
from trunkline.switch.rest_http import RestError, text
from trunkline.switch.scripted_call import ScriptedCall
from trunkline.switch.sources import Source
from trunkline.switch.switch import Switch
from trunkline.switch.swml import Document, parse, run

with needs_extra("server"):
    import aiohttp

__all__ = ["Dialler"]

DOCUMENT_BYTES_MAX: Final = 65_536
FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=2, sock_read=5)
DIALLED_MAX: Final = 1000  # calls at a time

_log = logging.getLogger(__name__)


class Dialler:
    """Create calls, which are answered at once, and run their documents on them; see `rest_routes`."""

    def __init__(
        self,
        switch: Switch,
        source: Callable[[], Source] | None,
        targets: Targets,
        ssl: tls.SSLContext | None,
    ) -> None:
        self._switch = switch
        self._source = source
        self._targets = targets
        self._ssl = ssl
        self._running: set[asyncio.Task[None]] = set()

    async def dial(self, fields: Mapping[str, Any], names: Mapping[str, str]) -> Call:
        """Create the call that `fields` ask for; `names` are the door's for from, to, swml, url and method.

        RestError 422 for what is missing or wrong in them. A document at a URL is fetched when the call is
        answered; when that fails the call ends, and its end reason is "error".
        """
        from_number, to_number = text(fields, names["from"]), text(fields, names["to"])
        method = fields.get(names["method"], "POST")
        if method not in ("POST", "GET"):
            message = f"{names['method']}: takes POST or GET"
            raise RestError(422, "invalid_parameter", message, names["method"])
        if fields.get(names["swml"]) in (None, ""):
            target = await self._resolve(text(fields, names["url"], characters_max=65_535), names["url"])
            get_document = partial(self._fetch, target, method)
        else:
            document = await _inline(fields[names["swml"]], names["swml"])
            get_document = partial(_ready, document)
        if len(self._running) >= DIALLED_MAX:
            message = f"{names['to']}: {len(self._running)} calls that were created here are not over"
            raise RestError(422, "too_many_calls", message, names["to"])
        call = self._switch.place_call(
            self._source() if self._source is not None else None,
            from_number=from_number,
            to_number=to_number,
            direction="outbound",
        )
        task = asyncio.create_task(self._run(call, get_document))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return call

    async def _resolve(self, url: str, attribute: str) -> Target:
        try:
            return await self._targets.resolve(url)
        except (TrunklineError, OSError) as error:
            raise RestError(422, "invalid_parameter", f"{attribute}: {error}", attribute) from error

    async def _run(self, call: Call, get_document: Callable[[Call], Any]) -> None:
        """Run the document on the call, which ends with it; what fails is logged, without the URL."""
        try:
            await call.answer()
            document = await get_document(call)
            await run(document, ScriptedCall(call), scopes={"call": _scope(call)})
        except (TrunklineError, OSError, aiohttp.ClientError) as error:
            # What aiohttp says of a connection has its URL, which may hold a secret.
            reason = str(error) if isinstance(error, TrunklineError) else type(error).__name__
            _log.warning("call %.64r: its document failed: %s", call.id, reason)
        finally:
            await call.hangup("error")  # nothing when it has ended

    async def _fetch(self, target: Target, method: str, call: Call) -> Document:
        client = target.session(timeout=FETCH_TIMEOUT, auto_decompress=False)
        options: dict[str, Any] = {} if self._ssl is None else {"ssl": self._ssl}
        if method == "POST":
            options["data"] = msgspec.json.encode({"call": _scope(call)})
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
        return await asyncio.to_thread(parse, bytes(data))  # YAML may take half a second


async def _ready(document: Document, call: Call) -> Document:
    return document


async def _inline(swml: object, attribute: str) -> Document:
    """Parse the document that is a parameter: its text, or in a JSON body the object itself."""
    if isinstance(swml, dict):
        swml = msgspec.json.encode(swml)
    if not isinstance(swml, str | bytes):
        raise RestError(422, "invalid_parameter", f"{attribute}: takes a SWML document", attribute)
    try:
        return await asyncio.to_thread(parse, swml, attribute)
    except (FormatError, LibraryMissingError) as error:
        raise RestError(422, "invalid_parameter", str(error), attribute) from error


def _scope(call: Call) -> dict[str, Any]:
    """What a document, and the server that it is fetched from, are told of the call."""
    return {
        "call_id": call.id,
        "node_id": call.node_id,
        "segment_id": call.segment_id,
        "call_state": call.state,
        "direction": call.direction,
        "type": "phone",
        "from": call.from_number,
        "to": call.to_number,
        "project_id": call.project_id,
    }
