"""Admission: who is let in before the upgrade, and how many at once."""

import math
from collections import Counter
from types import TracebackType
from typing import NamedTuple, Self

from trunkline.errors import FormatError
from trunkline.net.bearer import authorization, is_authorized

__all__ = ["Admission", "Place", "Refusal"]


class Refusal(NamedTuple):
    """The HTTP answer to who is not let in."""

    status: int
    text: str
    headers: dict[str, str]


class Admission:
    """Let the bearer of the token in while there is room; `refused` counts the others by HTTP status.

    Ask `refusal`, and `enter` without a pause between the two.
    """

    def __init__(
        self, bearer_token: str | None, max_pending: int, max_per_address: int | None, n_calls: int | None
    ) -> None:
        for name, limit in (
            ("max_pending", max_pending),
            ("max_per_address", max_per_address),
            ("n_calls", n_calls),
        ):
            if limit is not None and limit < 1:
                nothing = "" if name == "max_pending" else ", or None"
                raise FormatError(f"{name} of {limit}: takes 1 or more{nothing}")
        self._authorization = None if bearer_token is None else authorization(bearer_token)
        self._max_pending = max_pending
        self._max_per_address = math.inf if max_per_address is None else max_per_address
        self._places = math.inf if n_calls is None else n_calls  # calls that may still come
        self._pending = 0
        self._by_address: Counter[str] = Counter()
        self.is_closed = False
        self.refused: Counter[int] = Counter()

    def close(self) -> None:
        """Let nobody in any more."""
        self.is_closed = True

    def refusal(self, given: str, address: str | None) -> Refusal | None:
        """Say why somebody is not let in who gave this Authorization header; None for who is.

        `address` is the peer's, None where the library does not tell.
        """
        refusal = self._why_not(given, address)
        if refusal is not None:
            self.refused[refusal.status] += 1
        return refusal

    def _why_not(self, given: str, address: str | None) -> Refusal | None:
        if self._authorization is not None and not is_authorized(given, self._authorization):
            return Refusal(401, "bearer token is missing or wrong\n", {"WWW-Authenticate": "Bearer"})
        if self.is_closed:
            return Refusal(503, "this server is shutting down\n", {})
        if not self._places:
            return Refusal(503, "no more calls are taken here\n", {})
        if self._pending >= self._max_pending:
            text = f"{self._pending} connections have not begun their streams\n"
            return Refusal(503, text, {"Retry-After": "1"})
        if address is not None and not self.has_room(address):
            return Refusal(429, f"{self._by_address[address]} connections of this address\n", {})
        return None

    def has_room(self, address: str) -> bool:
        """Whether one more connection of an address may come."""
        return self._by_address[address] < self._max_per_address

    def enter(self, address: str) -> "Place":
        """Take the place of a connection."""
        return Place(self, address)


class Place:
    """The place of one connection: pending until `begin`, until it is left. A context manager."""

    def __init__(self, admission: Admission, address: str) -> None:
        self._admission = admission
        self._address = address
        self._is_pending = True
        self._is_left = False
        admission._places -= 1
        admission._pending += 1
        admission._by_address[address] += 1

    def begin(self) -> None:
        """Make room for another one to begin: this one's stream has."""
        self._is_pending = False
        self._admission._pending -= 1

    def leave(self) -> None:
        """Give the place back; what never began is none of `n_calls`. Idempotent."""
        if self._is_left:
            return
        self._is_left = True
        admission, address = self._admission, self._address
        if self._is_pending:
            admission._pending -= 1
            admission._places += 1
        admission._by_address[address] -= 1
        if not admission._by_address[address]:
            del admission._by_address[address]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
