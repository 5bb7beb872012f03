"""Switch: places calls, keeps them, and tells its listeners what becomes of them."""

import ssl as tls
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal, Self

from trunkline.switch.call import Call
from trunkline.switch.events import CallbackSender, SwitchEvent, Targets
from trunkline.switch.sources import Source

__all__ = ["Switch"]


class Switch:
    """A telephone exchange on one event loop; an async context manager, which hangs up all calls at its end.

    Parameters: `project_id` and `token`, what the APIs' clients authenticate with; `ssl`, what is trusted at
    the other end of a stream, None for the system's authorities; `targets`, which says where streams may go,
    None for anywhere; `callbacks`, which delivers status callbacks. `insecure_loopback` lets streams of
    `Call.stream` go to ws:// on loopback hosts, in the clear; everything else is wss://.
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
        insecure_loopback: bool = False,
    ) -> None:
        raise NotImplementedError

    @property
    def calls(self) -> Mapping[str, Call]:
        """The calls by id; of those that ended the oldest are forgotten."""
        raise NotImplementedError

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
        number of samples in 20 ms. `hang_up_at_end`: the call ends when `source` does. The call closes both.
        """
        raise NotImplementedError

    def subscribe(self, listener: Callable[[SwitchEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event, in order, on the loop; returns what unsubscribes it."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError
