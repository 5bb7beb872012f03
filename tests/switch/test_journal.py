"""The journal: what is known of calls after a restart, a crash and a full disk."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.full_disk import file_size_limit
from tests.net.endpoints import run
from tests.switch.journals import listens, written
from tests.switch.parties import NUMBERS, answered, endpoint, switch
from tests.switch.rest_doors import ACCOUNT, CALLING, STREAM_TOKEN, doors
from trunkline.errors import LocalProtocolError
from trunkline.formats import CodecSpec
from trunkline.stream import StreamRequest
from trunkline.switch import Journal
from trunkline.switch import journal as journal_module
from trunkline.switch.records import CallRecord, StreamRecord
from trunkline.testing.virtual_time import run_in_virtual_time


def command(name: str, call_id: str, /, **params: Any) -> dict[str, Any]:
    return {"command": name, "id": call_id, "params": params}


def test_rest_answers_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "calls.journal"
    answers: dict[tuple[str, str, str], Any] = {}

    async def first_run(journal: Journal) -> list[str]:
        async with doors(bearer_token=STREAM_TOKEN, journal=journal) as d:
            await d.call().hangup("busy")  # never answered
            call = d.call()
            await call.answer()
            params = {"url": d.endpoint.url, "authorization_bearer_token": STREAM_TOKEN}
            body = command("calling.stream", call.id, control_id="s/1", **params)
            await d.ask("POST", CALLING, 200, json_body=body)
            form = {"Url": d.endpoint.url, "Name": "n", "AuthorizationBearerToken": STREAM_TOKEN}
            await d.ask("POST", f"{ACCOUNT}/Calls/{call.id}/Streams", 201, form=form)
            await call.hangup("decline")
            for ended in d.switch.calls:
                answers["GET", f"{ACCOUNT}/Calls/{ended}.json", ""] = None
            answers["GET", f"{ACCOUNT}/Calls?PageSize=1", ""] = None
            answers["GET", f"{ACCOUNT}/Calls?PageSize=1&PageToken={call.id}", ""] = None
            answers["GET", f"{ACCOUNT}/Calls?Status=busy", ""] = None
            answers["POST", f"{ACCOUNT}/Calls/{call.id}/Streams/s%2F1", "stopped"] = None
            answers["POST", f"{ACCOUNT}/Calls/{call.id}/Streams/n", "stopped"] = None
            answers["POST", f"{ACCOUNT}/Calls/{call.id}", "completed"] = None
            for method, target, status in answers:
                form = {"Status": status} if status else None
                answers[method, target, status] = await d.ask(method, target, 200, form=form)
            return list(d.switch.calls)

    async def second_run(journal: Journal, ids: list[str]) -> None:
        async with doors(journal=journal) as d:
            assert not d.switch.calls
            for (method, target, status), answer in answers.items():
                form = {"Status": status} if status else None
                assert await d.ask(method, target, 200, form=form) == answer
            end = await d.ask("POST", CALLING, 200, json_body=command("calling.end", ids[1], reason="busy"))
            assert end["status"] == "ended"
            stop = command("calling.stream.stop", ids[1], control_id="s/1")
            assert (await d.ask("POST", CALLING, 200, json_body=stop))["control_id"] == "s/1"
            for body in (command("calling.stream", ids[1], url=d.endpoint.url),):
                assert (await d.refused("POST", CALLING, 422, json_body=body))["code"] == "call_ended"
            form = {"Url": d.endpoint.url}
            refused = await d.refused("POST", f"{ACCOUNT}/Calls/{ids[1]}/Streams", 422, form=form)
            assert refused["code"] == "call_ended"
            call = d.call()  # a live one is listed before the former ones, the newest first
            page = await d.ask("GET", f"{ACCOUNT}/Calls", 200)
            assert [shown["sid"] for shown in page["calls"]] == [call.id, *ids[::-1]]

    with Journal(path) as journal:
        assert not journal.former
        ids = run(first_run(journal))
    with Journal(path) as journal:
        assert list(journal.former) == ids
        assert {name: stream.state for name, stream in journal.former[ids[1]].streams.items()}.keys() >= {
            "s/1"
        }
        run(second_run(journal, ids))


def test_another_project_does_not_see_them(tmp_path: Path) -> None:
    path = tmp_path / "j"
    [call_id] = written(path, 1)

    async def test(journal: Journal) -> None:
        async with doors(journal=journal) as d:
            await d.refused("GET", f"{ACCOUNT}/Calls/{call_id}", 404)
            assert (await d.ask("GET", f"{ACCOUNT}/Calls", 200))["calls"] == []

    with Journal(path) as journal:
        assert list(journal.former) == [call_id]
        run_in_virtual_time(test(journal))


_RUNS_CALLS = """
import asyncio, sys
import trunkline
from trunkline.switch import Journal, Switch

async def listens(call):
    async for _ in call:
        pass

async def main():
    with Journal(sys.argv[1]) as journal:
        async with trunkline.serve(listens) as endpoint, Switch(
            project_id="P", token="T", insecure_loopback=True, journal=journal
        ) as switch:
            while True:
                live, ended = [switch.place_call(from_number="+1", to_number="+2") for _ in range(2)]
                await live.answer()
                for call in (live, ended):
                    await call.stream(endpoint.url, control_id="one")
                    await (await call.stream(endpoint.url, control_id="two")).stop()
                await ended.hangup("busy")
                assert journal.flush()
                print(live.id, ended.id, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("n_lines", [1, 3, 8])
def test_calls_of_a_process_that_was_killed(tmp_path: Path, n_lines: int) -> None:
    path = tmp_path / "j"
    with subprocess.Popen(
        [sys.executable, "-c", _RUNS_CALLS, path], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            told = [child.stdout.readline().split() for _ in range(n_lines)]
            with pytest.raises(LocalProtocolError, match="another switch or program has it open"):
                Journal(path)
        finally:
            child.kill()
    with Journal(path) as journal:
        for live_id, ended_id in told:
            live, ended = journal.former[live_id], journal.former[ended_id]
            assert (live.state, live.end_reason) == ("ended", "error")
            assert (ended.state, ended.end_reason) == ("ended", "busy")
            assert live.answered_s is not None
            assert live.ended_s is not None
            assert live.ended_s >= live.answered_s
            assert {name: (s.state, s.error) for name, s in live.streams.items()} == {
                "one": ("finished", "interrupted"),
                "two": ("finished", None),
            }
            assert live.streams["one"].ended_s == live.ended_s
            assert [(name, s.error) for name, s in ended.streams.items()] == [("two", None), ("one", None)]
        former = dict(journal.former)
    with Journal(path) as journal:  # what was given once is given again
        assert dict(journal.former) == former


def test_a_full_disk_is_told_once_and_the_calls_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_S", 0.01)
    path = tmp_path / "j"

    async def call_once(journal: Journal, url: str, made: Any) -> str:
        call = await answered(made)
        stream = await call.stream(url, control_id="s")
        await stream.stop()
        await call.hangup()
        assert call.streams["s"].error is None
        return str(call.id)

    async def test(journal: Journal) -> list[str]:
        async with switch(journal=journal) as made, endpoint(listens) as url:
            ids = [await call_once(journal, url, made)]
            assert journal.flush()
            n_bytes = os.path.getsize(f"{path}-wal")  # noqa: ASYNC240
            with file_size_limit(n_bytes):
                ids += [await call_once(journal, url, made) for _ in range(3)]
                assert not journal.flush(0.1)
            assert journal.flush()
            return ids

    with Journal(path) as journal:
        ids = run_in_virtual_time(test(journal))
    told = [record.levelname for record in caplog.records if record.name == "trunkline.switch.journal"]
    assert told == ["ERROR", "WARNING"]
    assert "cannot be written, the calls go on" in caplog.text
    with Journal(path) as journal:
        assert list(journal.former) == ids


def test_a_disk_that_stays_full_costs_what_was_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j"

    async def test(journal: Journal) -> None:
        async with switch(journal=journal) as made:
            await (await answered(made)).hangup()

    ids = written(path)
    with file_size_limit(0), pytest.raises(OSError, match="cannot be opened or written"):
        Journal(tmp_path / "new")
    journal = Journal(path)
    with file_size_limit(0):
        run_in_virtual_time(test(journal))
        journal.close()
    assert "1 records are lost" in caplog.text
    with Journal(path) as journal:
        assert list(journal.former) == ids


def test_what_waits_for_the_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "WAITING_MAX", 2)
    monkeypatch.setattr(journal_module, "RETRY_S", 60.0)

    async def test(journal: Journal) -> list[str]:
        async with switch() as made:
            unsubscribe = made.subscribe(journal.listen)
            calls = [made.place_call(**NUMBERS) for _ in range(5)]
            unsubscribe()
            assert not journal.flush(0.1)
            return [call.id for call in calls]

    with Journal(tmp_path / "j") as journal, file_size_limit(0):
        ids = run_in_virtual_time(test(journal))
        # There is room again when it is closed.
    with Journal(tmp_path / "j") as journal:
        assert list(journal.former) == ids[-2:]


def rows_of_an_image(path: Path) -> list[tuple[int]]:
    """How many calls and streams are in a journal that is open."""
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{path}.image{suffix}")
    with closing(sqlite3.connect(f"{path}.image")) as connection:
        tables = ("calls", "streams")
        return [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables]  # noqa: S608


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CALLS_MAX", 3)
    monkeypatch.setattr(journal_module, "STREAMS_MAX", 2)
    path = tmp_path / "j"
    ids = written(path, 5)[-3:]

    async def test(journal: Journal) -> None:
        async with switch(journal=journal) as made, endpoint(listens) as url:
            call = await answered(made)
            for control_id in "abcd":
                await (await call.stream(url, control_id=control_id)).stop()
            assert list(journal.former) == ids
            await call.hangup()
            assert list(journal.former) == ids[1:]
            ids.append(call.id)
        assert journal.flush()
        assert rows_of_an_image(path) == [(3,), (2 + 2,)]

    with Journal(path) as journal:
        assert list(journal.former) == ids
        run_in_virtual_time(test(journal))
    with Journal(path) as journal:
        assert list(journal.former) == ids[1:]
        assert list(journal.former[ids[-1]].streams) == ["c", "d"]


def test_hostile_ids(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "j"
    ids = [
        "'); DROP TABLE calls; --",
        'a"b\\',
        "%s%n",
        "\x7f\x1b[2J",
        "\u202e\U0001f4a5",
        "x" * 1000,
    ]
    names = {id_: None if id_ == "%s%n" else id_[::-1] for id_ in ids[:-1]} | {ids[-1]: "x" * 65_535}

    async def test(journal: Journal) -> str:
        async with switch(journal=journal) as made, endpoint(listens) as url:
            call = await answered(made)
            for id_ in ids:
                custom = {"k" * 100: id_}
                await call.start_stream(
                    StreamRequest(url=url, control_id=id_, name=names[id_], custom_parameters=custom)
                )
            bad = made.place_call(from_number="\ud800", to_number="+2")  # what JSON cannot carry
            await bad.hangup()
            big = made.place_call(from_number="1" * (5 << 20), to_number="+2")
            await big.hangup()
            await call.hangup()
            return call.id

    with Journal(path) as journal:
        call_id = run_in_virtual_time(test(journal))
    assert "holds what is no Unicode text: it is not kept" in caplog.text
    assert "bytes: it is not kept" in caplog.text
    assert all(len(record.getMessage()) < 300 for record in caplog.records)
    with Journal(path) as journal:
        [call] = journal.former.values()
        assert call.id == call_id
        assert {id_: stream.request.name for id_, stream in call.streams.items()} == names
        for id_, stream in call.streams.items():
            # A record of 64 kB or more does without them.
            assert stream.request.custom_parameters == ({} if len(id_) > 999 else {"k" * 100: id_})


def test_no_token_and_no_query_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "j"

    async def test(journal: Journal) -> None:
        async with switch(journal=journal) as made, endpoint(listens) as url:
            call = await answered(made)
            action = await call.stream(
                f"{url}?key=canary-1",
                authorization_bearer_token="canary-2",  # noqa: S106
                status_url="https://example.com:8443/a/b?key=canary-3#canary-4",
                custom_parameters={"k": "v"},
            )
            assert action.control_id in call.streams

    with Journal(path) as journal:
        run_in_virtual_time(test(journal))
        assert b"canary" not in path.read_bytes() + Path(f"{path}-wal").read_bytes()
    with Journal(path) as journal:
        [call] = journal.former.values()
        [stream] = call.streams.values()
        assert stream.request.url.startswith("ws://127.0.0.1:")
        assert stream.request.status_url == "https://example.com:8443/a/b"
        assert stream.request.authorization_bearer_token is None
        assert stream.request.custom_parameters == {"k": "v"}
        assert stream.request.codec == CodecSpec("PCMU", 8000)
    assert b"canary" not in path.read_bytes()


def test_records_have_the_attributes_of_what_they_stand_for() -> None:
    async def test() -> None:
        async with switch() as made, endpoint(listens) as url:
            call = made.place_call(**NUMBERS)
            action = await call.stream(url)
            for name in CallRecord.__struct_fields__:
                assert hasattr(call, name)
            for name in StreamRecord.__struct_fields__:
                assert hasattr(call.streams[action.control_id], name)

    run(test())
