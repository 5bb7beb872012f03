from typing import final

from trunkline._native.opus_encoder import Encoder
from trunkline.buffers import Buffer
from trunkline.formats import CodecSpec

@final
class Packetizer:
    def __new__(
        cls,
        codec: CodecSpec,
        *,
        channels: int = 1,
        sample_rate: int | None = None,
        encoder: Encoder | None = None,
    ) -> Packetizer: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def codec(self) -> CodecSpec: ...
    @property
    def payload_bytes(self) -> int: ...
    @property
    def delay_ms(self) -> float: ...
    def reset(self) -> None: ...
    def push(self, pcm: Buffer) -> list[bytes]: ...
    def flush(self) -> list[bytes]: ...
