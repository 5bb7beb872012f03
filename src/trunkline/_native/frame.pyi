from typing import final

from trunkline.buffers import Buffer

@final
class Frame:
    def __init__(
        self,
        pcm: Buffer,
        *,
        sample_rate: int,
        channels: int = 1,
        timestamp_ms: float = 0.0,
        track: str = "inbound",
        sequence: int = 0,
        concealed: bool = False,
    ) -> None: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def timestamp_ms(self) -> float: ...
    @property
    def duration_ms(self) -> float: ...
    @property
    def track(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def concealed(self) -> bool: ...
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class FramePool:
    def __new__(cls, block_bytes: int, capacity: int = 64) -> FramePool: ...
    @property
    def block_bytes(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def free(self) -> int: ...

def rebuild_frame(
    pcm: bytes,
    sample_rate: int,
    channels: int,
    timestamp_ms: float,
    track: str,
    sequence: int,
    concealed: bool,
) -> Frame: ...
