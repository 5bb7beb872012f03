"""Pages of the compatibility door's list of calls."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from trunkline.switch.rest_http import RestError

__all__ = ["page_of"]

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 1000
_STATUSES: Final = (
    "queued",
    "ringing",
    "in-progress",
    "completed",
    "busy",
    "no-answer",
    "canceled",
    "failed",
)
_FILTERS: Final = {"Status": "status", "From": "from", "To": "to"}


def page_of(calls: Sequence[Mapping[str, Any]], query: Mapping[str, str], uri: str) -> dict[str, Any]:
    """Give the page of `calls`, the newest first, that a query asks for.

    A next page begins after the last call of this one (`PageToken`), however many calls have come since.
    Filters are Status, From and To.

    >>> page_of([{"sid": "c2"}, {"sid": "c1"}], {"PageSize": "1"}, "/Calls.json")["next_page_uri"]
    '/Calls.json?PageSize=1&Page=1&PageToken=c2'
    """
    for name in query:
        if name not in (*_FILTERS, "Page", "PageSize", "PageToken"):
            shown = name[:64].encode(errors="replace").decode()  # aiohttp's own parser lets any byte through
            message = f"{shown}: takes {', '.join(_FILTERS)}, Page, PageSize and PageToken"
            raise RestError(422, "invalid_parameter", message, shown)
    size = _number(query, "PageSize", PAGE_SIZE, 1, PAGE_SIZE_MAX)
    page = _number(query, "Page", 0, 0, 10**9)
    wanted = {name: query[name] for name in _FILTERS if query.get(name)}
    if wanted.get("Status", _STATUSES[0]) not in _STATUSES:
        raise RestError(422, "invalid_parameter", f"Status: takes {', '.join(_STATUSES)}", "Status")
    start = page * size
    if "PageToken" in query:
        at = next((i for i, call in enumerate(calls) if call["sid"] == query["PageToken"]), None)
        if at is None:
            raise RestError(422, "invalid_parameter", "PageToken: its call is forgotten", "PageToken")
        calls, start = calls[at + 1 :], 0
    calls = [call for call in calls if all(call[_FILTERS[name]] == wanted[name] for name in wanted)]
    on_page = calls[start : start + size]

    def uri_of(number: int, **token: str) -> str:
        return f"{uri}?{urlencode({**wanted, 'PageSize': size, 'Page': number, **token})}"

    following = uri_of(page + 1, PageToken=on_page[-1]["sid"]) if len(calls) > start + size else None
    return {
        "calls": on_page,
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(len(on_page) - 1, 0),
        "uri": uri_of(page),
        "first_page_uri": uri_of(0),
        "next_page_uri": following,
        "previous_page_uri": uri_of(page - 1) if page else None,
    }


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = query.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and least <= int(value) <= most):
        raise RestError(422, "invalid_parameter", f"{name}: takes {least} to {most}", name)
    return int(value)
