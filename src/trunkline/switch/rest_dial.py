"""Calls that are created over REST, and the SWML documents that they run."""

import asyncio
import logging
import ssl as tls
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from trunkline.errors import FormatError, LocalProtocolError, TrunklineError
from trunkline.extras import needs_extra
from trunkline.net.targets import Target, Targets
from trunkline.stream import StreamRequest
from trunkline.switch.call import Call
from trunkline.switch.rest_http import RestError, text
from trunkline.switch.sources import SilenceSource, Source
from trunkline.switch.switch import Switch
from trunkline.switch.swml import Connect, Document, Silence, Stream, parse, run

with needs_extra("server"):
    import aiohttp

__all__ = ["Dialler"]

DOCUMENT_BYTES_MAX: Final = 65_536
FETCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=2, sock_read=5)

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

        RestError 422 for what is missing or wrong in them; a document that has to be fetched first may still
        fail: then the call ends, and its end reason is "error".
        """
        from_number, to_number = text(fields, names["from"]), text(fields, names["to"])
        document = _inline(fields.get(names["swml"]), names["swml"])
        method = fields.get(names["method"], "POST")
        if method not in ("POST", "GET"):
            message = f"{names['method']}: takes POST or GET"
            raise RestError(422, "invalid_parameter", message, names["method"])
        target = await self._resolve(fields, names["url"]) if document is None else None
        call = self._switch.place_call(
            self._source() if self._source is not None else None,
            from_number=from_number,
            to_number=to_number,
            direction="outbound",
        )
        task = asyncio.create_task(self._run(call, document or _Remote(target, method)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return call

    async def _run(self, call: Call, document: Document | None, url: str, method: str) -> None:
        """Run the document on the call, which ends with it; what fails is logged, without the URL."""
        try:
            await call.answer()
            if document is None:
                document = await self._fetch(call, url, method)
            await run(document, _Line(call, self._insecure_loopback), scopes={"call": _scope(call)})
        except (TrunklineError, OSError, TimeoutError, aiohttp.ClientError) as error:
            _log.warning("call %.64r: its document failed: %s", call.id, _reason(error))
        finally:
            await call.hangup("error")  # nothing when it has ended

    async def _fetch(self, call: Call, url: str, method: str) -> Document:
        reach = {} if self._targets is None else await self._targets.resolve(url)
        if self._ssl is not None:
            reach = {"ssl": self._ssl, **reach}
        body = msgspec.json.encode({"call": _scope(call)}) if method == "POST" else None
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(**reach), timeout=FETCH_TIMEOUT, auto_decompress=False
            ) as client,
            client.request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"} if body is not None else None,
                skip_auto_headers=("Accept-Encoding",),
                allow_redirects=False,
            ) as response,
        ):
            if response.status != 200:
                raise FormatError(f"document: HTTP {response.status}: takes 200")
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > DOCUMENT_BYTES_MAX:
                    raise FormatError(f"document: takes at most {DOCUMENT_BYTES_MAX} bytes")
        return await asyncio.to_thread(parse, bytes(data))  # YAML may take half a second


class _Line:
    """A call as a document sees it. Documents that come over REST name no files, and play silence only."""

    def __init__(self, call: Call, insecure_loopback: bool) -> None:
        self._call = call
        self._insecure_loopback = insecure_loopback
        self.answer = call.answer
        self.hangup = call.hangup
        self.stop_stream = call.stop_stream
        self.wait_for_ended = call.wait_for_ended

    async def stream(self, request: Stream) -> str:
        return (await self._call.start_stream(self._request(request))).control_id

    async def connect(self, request: Connect) -> None:
        await self._call.connect(self._request(request))

    async def play(self, source: str | Silence) -> None:
        if not isinstance(source, Silence):
            raise LocalProtocolError("a document that comes over REST plays silence only")
        await self._call.play(SilenceSource(self._call.sample_rate, seconds=source.seconds))

    def _request(self, verb: Stream | Connect) -> StreamRequest:
        params = {name: getattr(verb, name, None) for name in StreamRequest.__struct_fields__}
        return StreamRequest.parse(params, insecure_loopback=self._insecure_loopback)


def _inline(swml: object, attribute: str) -> Document | None:
    """Parse the document that is a parameter: its text, or in a JSON body the object itself."""
    if swml is None or swml == "":
        return None
    if isinstance(swml, dict):
        swml = msgspec.json.encode(swml)
    if not isinstance(swml, str | bytes):
        raise RestError(422, "invalid_parameter", f"{attribute}: takes a SWML document", attribute)
    try:
        return parse(swml, attribute)
    except FormatError as error:
        raise RestError(422, "invalid_parameter", str(error), attribute) from error


def _check_url(url: str, attribute: str) -> None:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right or "@" in parts.netloc or any(c <= " " or c == "\x7f" for c in url):
        raise RestError(
            422,
            "invalid_parameter",
            f"{attribute}: takes an http:// or https:// URL without a password",
            attribute,
        )


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


def _reason(error: Exception) -> str:
    """Say what failed; what aiohttp says of a connection holds its URL, which may hold a secret."""
    return str(error) if isinstance(error, TrunklineError) else type(error).__name__
