from typing import final

from trunkline._native.frame import Frame, FramePool
from trunkline.buffers import Buffer
from trunkline.formats import MediaFormat
from trunkline.timeline import Discontinuity, Payload, TrackStats

@final
class Track:
    def __new__(
        cls,
        format: MediaFormat,
        *,
        name: str = "inbound",
        frame_ms: int = 20,
        sample_rate: int | None = None,
        wait_ms: float = 0.0,
        rtp_clock_rate: int | None = None,
        output: str = "pcm",
    ) -> Track: ...
    @property
    def format(self) -> MediaFormat: ...
    @property
    def name(self) -> str: ...
    @property
    def frame_ms(self) -> int: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def pool(self) -> FramePool: ...
    @property
    def stats(self) -> TrackStats: ...
    @property
    def next_deadline_ms(self) -> float | None: ...
    def push(
        self,
        payload: Buffer,
        *,
        timestamp_ms: int | None,
        sequence: int | None = None,
        arrival_ms: float | None = None,
    ) -> list[Frame | Discontinuity | Payload]: ...
    def push_rtp(
        self,
        payload: Buffer,
        *,
        sequence: int,
        timestamp: int,
        arrival_ms: float | None = None,
        comfort_noise: bool = False,
    ) -> list[Frame | Discontinuity | Payload]: ...
    def restart(self) -> None: ...
    def poll(self, now_ms: float) -> list[Frame | Discontinuity | Payload]: ...
    def flush(self) -> list[Frame | Discontinuity | Payload]: ...
