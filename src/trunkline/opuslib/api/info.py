"""What libopus says of itself."""

from trunkline._native import opus as native

__all__ = ["get_version_string", "strerror"]


def strerror(code: int) -> bytes:
    """Give libopus's words for one of its errors."""
    return native.in_use().strerror(code).encode()


def get_version_string() -> bytes:
    """Give libopus's name and version."""
    return native.in_use().version.encode()
