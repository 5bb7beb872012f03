from collections.abc import Iterable
from typing import NamedTuple

from trunkline.buffers import Buffer

class RtpPacket(NamedTuple):
    payload: bytes
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding: int = 0

def parse(packet: Buffer, /) -> RtpPacket: ...
def build(
    payload: Buffer,
    *,
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    marker: bool = False,
    csrcs: Iterable[int] = (),
    extension: tuple[int, bytes] | None = None,
    padding: int = 0,
) -> bytes: ...
