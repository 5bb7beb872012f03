from typing import NamedTuple

from trunkline.buffers import Buffer

class PacketInfo(NamedTuple):
    mode: str
    bandwidth: str
    channels: int
    frame_ms: float
    frames: int
    has_lbrr: bool
    padding: int
    @property
    def duration_ms(self) -> float: ...
    def samples(self, sample_rate: int) -> int: ...

def packet_info(packet: Buffer, /) -> PacketInfo: ...
def frames_of(packet: Buffer, /) -> tuple[int, list[bytes]]: ...
def build(toc: int, frames: list[bytes], n_bytes: int = 0) -> bytes: ...
