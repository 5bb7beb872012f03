from typing import Literal, NamedTuple, final, overload

from trunkline._native.frame import Frame
from trunkline.buffers import Buffer
from trunkline.timeline import JitterStats

class Segment(NamedTuple):
    kind: Literal["wait", "media", "conceal", "noise"]
    timestamp: int | None
    media_ms: float
    out_ms: float

@final
class JitterBuffer:
    def __new__(
        cls,
        codec: str = "PCMU",
        *,
        sample_rate: int = 8000,
        clock_rate: int | None = None,
        channels: int = 1,
        frame_ms: int = 20,
        profile: Literal["conversation", "transcribe"] = "conversation",
        loss_cost_ms: float | None = None,
        min_delay_ms: float | None = None,
        max_delay_ms: float | None = None,
        wait_ms: float | None = None,
        name: str = "inbound",
    ) -> JitterBuffer: ...
    @property
    def codec(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def clock_rate(self) -> int: ...
    @property
    def frame_ms(self) -> int: ...
    @property
    def profile(self) -> str: ...
    @property
    def name(self) -> str: ...
    def put(
        self,
        payload: Buffer,
        *,
        sequence: int,
        timestamp: int,
        arrival_ms: float | None = None,
        comfort_noise: bool = False,
    ) -> str: ...
    def restart(self) -> None: ...
    # In profile transcribe there may be none.
    @overload
    def get(self, now_ms: float) -> Frame: ...
    @overload
    def get(self, now_ms: None = None) -> Frame | None: ...
    def poll(self, now_ms: float) -> None: ...
    @property
    def next_deadline_ms(self) -> float | None: ...
    def flush(self) -> None: ...
    def schedule(self, now_ms: float) -> list[Segment]: ...
    @property
    def segments(self) -> list[Segment]: ...
    @property
    def stats(self) -> JitterStats: ...
    def reset(self) -> None: ...
