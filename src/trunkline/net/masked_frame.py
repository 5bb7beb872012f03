"""masked_frame: a WebSocket client's frame around a whole message, masked at little cost."""

from functools import lru_cache
from typing import Final

__all__ = ["masked_frame"]

KEY_BYTE: Final = 0xA5
_KEY: Final = bytes([KEY_BYTE]) * 4
_MASKED: Final = bytes(byte ^ KEY_BYTE for byte in range(256))


def masked_frame(message: bytes, is_text: bool) -> bytes:
    """Frame a message of text (UTF-8), or of bytes, as RFC 6455 5.2 has it.

    The masking key is always the same, of four equal bytes: with that, `bytes.translate` is the masking. RFC
    6455 wants keys that nobody foresees, so that a script in a browser cannot choose what a proxy reads
    (10.3). Use this for messages that no stranger chooses.

    >>> masked_frame(b"hi", is_text=True).hex(" ")
    '81 82 a5 a5 a5 a5 cd cc'
    """
    return _head(len(message), is_text) + message.translate(_MASKED)


@lru_cache(maxsize=1024)
def _head(n_bytes: int, is_text: bool) -> bytes:
    kind = b"\x81" if is_text else b"\x82"
    if n_bytes < 126:
        return kind + bytes([0x80 | n_bytes]) + _KEY
    if n_bytes < 1 << 16:
        return kind + b"\xfe" + n_bytes.to_bytes(2) + _KEY
    return kind + b"\xff" + n_bytes.to_bytes(8) + _KEY
