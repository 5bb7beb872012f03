"""The compatibility door's list of calls, page by page."""

import pytest

from tests.net.endpoints import run
from tests.switch.rest_doors import ACCOUNT, Doors, doors


async def pages(d: Doors, query: str) -> list[list[str]]:
    """Follow next_page_uri from the first page; gives the sids of each."""
    uri: str | None = f"{ACCOUNT}/Calls.json?{query}"
    found = []
    while uri is not None:
        page = await d.ask("GET", uri, 200)
        found.append([call["sid"] for call in page["calls"]])
        uri = page["next_page_uri"]
        assert page["page"] == len(found) - 1
    return found


@pytest.mark.parametrize("n_calls", [0, 1, 4, 5, 6, 11])
def test_pages_hold_every_call_once(n_calls: int) -> None:
    async def test() -> None:
        async with doors() as d:
            newest_first = [d.call().id for _ in range(n_calls)][::-1]
            for size in (1, 5, 50):
                expected = [newest_first[at : at + size] for at in range(0, n_calls, size)] or [[]]
                assert await pages(d, f"PageSize={size}") == expected
                numbered = [
                    (await d.ask("GET", f"{ACCOUNT}/Calls?PageSize={size}&Page={page}", 200))["calls"]
                    for page in range(len(expected))
                ]
                assert [[call["sid"] for call in calls] for calls in numbered] == expected

    run(test())


def test_calls_that_come_between_two_pages_repeat_nothing() -> None:
    async def test() -> None:
        async with doors() as d:
            newest_first = [d.call().id for _ in range(6)][::-1]
            first = await d.ask("GET", f"{ACCOUNT}/Calls.json?PageSize=4", 200)
            for _ in range(3):
                d.call()
            second = await d.ask("GET", first["next_page_uri"], 200)
            assert [call["sid"] for call in first["calls"] + second["calls"]] == newest_first
            assert second["next_page_uri"] is None

    run(test())


def test_a_status_that_no_call_has() -> None:
    async def test() -> None:
        async with doors() as d:
            error = await d.refused("GET", f"{ACCOUNT}/Calls?Status=bogus", 422)
            assert (error["attribute"], error["message"][:21]) == ("Status", "Status: takes queued,")

    run(test())


def test_filters() -> None:
    async def test() -> None:
        async with doors() as d:
            calls = [d.call() for _ in range(6)]
            for call in calls[::2]:
                await call.answer()
            answered = [call.id for call in calls[::2]][::-1]
            assert await pages(d, "PageSize=2&Status=in-progress") == [answered[:2], answered[2:]]
            assert await pages(d, "To=%2B15550199") == [[]]
            assert len((await pages(d, "To=%2B15550101&From=%2B15550100"))[0]) == 6

    run(test())


@pytest.mark.parametrize(
    ("query", "attribute"),
    [
        ("PageSize=0", "PageSize"),
        ("PageSize=1001", "PageSize"),
        ("PageSize=-1", "PageSize"),
        ("PageSize=%D9%A3", "PageSize"),
        ("PageSize=" + "9" * 5000, "PageSize"),
        ("Page=x", "Page"),
        ("Page=-1", "Page"),
        ("PageToken=gone", "PageToken"),
        ("StartTime%3C=2026-01-01", "StartTime<"),
        ("ParentCallSid=1", "ParentCallSid"),
    ],
)
def test_queries_that_are_refused(query: str, attribute: str) -> None:
    async def test() -> None:
        async with doors() as d:
            d.call()
            error = await d.refused("GET", f"{ACCOUNT}/Calls.json?{query}", 422)
            assert error["attribute"] == attribute

    run(test())
