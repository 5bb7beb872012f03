"""Switch: places calls, keeps them, and tells its listeners what becomes of them."""

import asyncio
import logging
import ssl as tls
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self
from uuid import uuid4

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import STREAM_RATE_MAX
from trunkline.net.targets import Targets
from trunkline.switch.call import Call, Exchange
from trunkline.switch.callbacks import CallbackSender
from trunkline.switch.clock import TICK_MS
from trunkline.switch.events import CallChanged, SwitchEvent
from trunkline.switch.records import CallRecord
from trunkline.switch.sources import Source

if TYPE_CHECKING:
    from trunkline.switch.journal import Journal  # SQLite is not in every Python

__all__ = ["Switch"]

ENDED_MAX: Final = 1000  # calls that are remembered
SAMPLE_RATE_MIN: Final = 4_000
COMPLETION_TIMEOUT_S: Final = 5.0  # how long the users' functions may take when the switch closes
_GOLDEN: Final = 0.6180339887498949

_log = logging.getLogger(__name__)

Listener = Callable[[SwitchEvent], None]


class Switch:
    """A telephone exchange on one event loop; an async context manager, which hangs up all calls at its end.

    Parameters: `project_id` and `token`, what the APIs' clients authenticate with, and `space_id`; `ssl`,
    what is trusted at the other end of a stream, None for the system's authorities; `targets`, which says
    where streams may go, None for anywhere; `callbacks`, which delivers status callbacks, None for nowhere.
    `journal` keeps what becomes of calls, and has those of former runs; it is closed after the switch.
    `insecure_loopback` lets streams of `Call.stream` go to ws:// on loopback hosts, in the clear; all others
    are wss://.

        async with Switch(project_id="p", token="t") as switch:
            call = switch.place_call(FileSource("hello.wav"), from_number="+1555", to_number="+1666")
            await call.answer()
            await call.stream("wss://example.com/media", codec="PCMU")
            await call.wait_for_ended()
    """

    def __init__(
        self,
        *,
        project_id: str,
        token: str,
        space_id: str = "",
        targets: Targets | None = None,
        ssl: tls.SSLContext | None = None,
        callbacks: CallbackSender | None = None,
        journal: "Journal | None" = None,
        insecure_loopback: bool = False,
    ) -> None:
        self.project_id = project_id
        self.token = token
        self.space_id = space_id
        self.node_id = str(uuid4())
        self.insecure_loopback = insecure_loopback
        self._exchange = Exchange(
            project_id, space_id, self.node_id, self._emit, targets, ssl, callbacks, insecure_loopback
        )
        self._calls: dict[str, Call] = {}
        self._listeners: dict[object, Listener] = {}
        self._events: deque[SwitchEvent] = deque()
        self._is_telling = False
        self._n_placed = 0
        self._closed = False
        self._former: Mapping[str, CallRecord] = {}
        if journal is not None:
            self._former = journal.former
            self.subscribe(journal.listen)

    @property
    def calls(self) -> Mapping[str, Call]:
        """The calls by id, as they began or ended; the last 1,000 that ended are kept."""
        return MappingProxyType(self._calls)

    def known_call(self, call_id: str) -> Call | CallRecord | None:
        """Find a call of this run, or of a former run of the same project; None when there is none."""
        former = self._former.get(call_id)
        if former is not None and former.project_id == self.project_id:
            return former
        return self._calls.get(call_id)

    def known_calls(self) -> list[Call | CallRecord]:
        """Give all calls that `known_call` finds, those of former runs first."""
        former = [call for call in self._former.values() if call.project_id == self.project_id]
        return [*former, *self._calls.values()]

    def place_call(
        self,
        source: Source | None = None,
        *,
        outbound: Source | None = None,
        from_number: str,
        to_number: str,
        context: str = "default",
        tag: str = "",
        direction: Literal["inbound", "outbound"] = "inbound",
        sample_rate: int = 8000,
        hang_up_at_end: bool = True,
    ) -> Call:
        """Place a call, which rings. `source` is what is heard on its inbound track, None for silence.

        `outbound` is the other side; `sample_rate` that of the call's audio, 4,000 to 48,000 Hz with a whole
        number of samples in 20 ms. `hang_up_at_end`: the call ends when `source` does. Raises FormatError for
        a sample rate that it cannot have, LocalProtocolError on a closed switch. Both sources are closed, by
        the call or at once when there is none.
        """
        try:
            self._check_placed(sample_rate)
            self._n_placed += 1
            call = Call(
                self._exchange,
                source,
                outbound,
                from_number=from_number,
                to_number=to_number,
                context=context,
                tag=tag,
                direction=direction,
                sample_rate=sample_rate,
                hang_up_at_end=hang_up_at_end,
                # However many there are, their ticks lie evenly in the 20 ms: no call waits for all others.
                phase_s=self._n_placed * _GOLDEN % 1 * TICK_MS / 1000,
            )
        except BaseException:
            for side in (source, outbound):
                if side is not None:
                    side.close()
            raise
        self._calls[call.id] = call
        call.ring()
        return call

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, in order, on the loop; returns what unsubscribes it.

        What it raises is logged. It may change a call: the events of that come after those that are there.
        """
        key = object()
        self._listeners[key] = listener

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    async def close(self) -> None:
        """Hang up all calls, and wait until they have ended. Idempotent."""
        self._closed = True
        await asyncio.gather(*(call.hangup() for call in self._calls.values()))
        if self._exchange.tasks:
            await asyncio.wait(self._exchange.tasks, timeout=COMPLETION_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _check_placed(self, sample_rate: int) -> None:
        if self._closed:
            raise LocalProtocolError("place_call on a switch that is closed")
        if not SAMPLE_RATE_MIN <= sample_rate <= STREAM_RATE_MAX:
            raise FormatError(f"call at {sample_rate} Hz: takes {SAMPLE_RATE_MIN} to {STREAM_RATE_MAX}")

    def _emit(self, event: SwitchEvent) -> None:
        """Tell the listeners; an event that one of them brings about waits until all know of this one."""
        if isinstance(event, CallChanged) and event.state == "ended":
            self._remember_ended(event.call)
        self._events.append(event)
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._events:
                event = self._events.popleft()
                for listener in list(self._listeners.values()):
                    self._tell(listener, event)
        finally:
            self._is_telling = False

    def _tell(self, listener: Listener, event: SwitchEvent) -> None:
        try:
            listener(event)
        except Exception:
            _log.exception("a listener of the switch raised")

    def _remember_ended(self, ended_call: Call) -> None:
        self._calls[ended_call.id] = self._calls.pop(ended_call.id)
        ended = [call.id for call in self._calls.values() if call.state == "ended"]
        for call_id in ended[:-ENDED_MAX]:
            del self._calls[call_id]
