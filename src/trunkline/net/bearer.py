"""The bearer token of a stream (RFC 6750): it never goes into a message, a repr or a log."""

import hmac

from trunkline.errors import LocalProtocolError

__all__ = ["authorization", "is_authorized"]


def authorization(token: str) -> str:
    """Build the Authorization header; LocalProtocolError for a token that no header can carry."""
    if not (token and token.isascii() and token.isprintable() and " " not in token):
        raise LocalProtocolError("the bearer token is empty, or has characters that no header can carry")
    return f"Bearer {token}"


def is_authorized(header: str, expected: str) -> bool:
    """Compare an Authorization header with what `authorization` built, in constant time."""
    scheme, _, token = header.partition(" ")
    given = f"{scheme.title()} {token.strip()}".encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, expected.encode())
