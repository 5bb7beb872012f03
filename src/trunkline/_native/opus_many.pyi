from collections.abc import Iterable

from trunkline._native.opus_decoder import Decoder
from trunkline._native.opus_encoder import Encoder
from trunkline.buffers import Buffer
from trunkline.errors import PayloadError

def decode_many(
    items: Iterable[tuple[Decoder, Buffer]], /, *, sample_format: str = "s16"
) -> list[bytes | PayloadError]: ...
def encode_many(items: Iterable[tuple[Encoder, Buffer]], /) -> list[bytes]: ...
