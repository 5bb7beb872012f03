"""Files that are no journal, that are damaged, or that somebody else has open."""

import os
import random
import sqlite3
from pathlib import Path

import pytest

from tests.switch.journals import written
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.switch import Journal


def test_one_switch_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path):
        for _ in range(2):  # the attempt takes no lock away
            with pytest.raises(LocalProtocolError, match=r"journal .*j: another switch or program has it"):
                Journal(path)
    Journal(path).close()


def test_a_reader_that_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "j"
    written(path, 1)
    reader = sqlite3.connect(path)
    try:
        reader.execute("BEGIN IMMEDIATE")
        with pytest.raises(LocalProtocolError, match="another switch or program"):
            Journal(path)
    finally:
        reader.close()
    with Journal(path) as journal:
        assert journal.former


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def assert_refused(path: Path, message: str) -> None:
    """It is refused with the message, again and again, and not a byte of it changes."""
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(FormatError) as refused:
            Journal(path)
        assert str(refused.value).startswith(f"journal {path}: {message}")
        assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"x", b"x" * 99, b"x" * 100, b"no journal at all\n" * 100, bytes(4096)])
def test_a_file_of_another_kind(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(data)
    assert_refused(path, "is no journal of a switch: name another file")


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE t (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"]
)
def test_a_database_of_another_kind(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "j"
    change(path, statement)
    assert_refused(path, "is no journal of a switch: name another file")


def test_a_newer_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    written(path)
    change(path, "PRAGMA user_version = 2")
    assert_refused(path, "is of schema 2, read here is 1: install a newer trunkline, or name another file")


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("PRAGMA user_version = -1", "schema -1"),
        ("DROP TABLE streams", "no such table: streams"),
        ("ALTER TABLE calls DROP COLUMN live", "no such column: live"),
        ("UPDATE calls SET record = '{x'", "a record is no JSON"),
        ("UPDATE calls SET record = CAST(x'7b22ff' AS TEXT)", "Could not decode to UTF-8"),
        (
            "UPDATE calls SET record = replace(printf('%.*c', 100000, 'x'), 'x', '{\"x\":')",
            "a record is no JSON",
        ),
        ("UPDATE calls SET record = json_remove(record, '$.id')", "Object missing required field `id`"),
        ("UPDATE calls SET record = json_set(record, '$.created_s', 1e300)", "Expected `float`"),
        ("UPDATE streams SET record = json_set(record, '$.request.codec.name', 'X')", "unknown codec 'X'"),
        ("UPDATE calls SET record = zeroblob(5000000)", "string or blob too big"),
    ],
)
def test_damage(tmp_path: Path, statement: str, problem: str) -> None:
    path = tmp_path / "j"
    written(path)
    change(path, statement)
    assert_refused(path, f"is damaged: {problem}")


@pytest.mark.parametrize("n_bytes", [100, 4096, 5000, 12_000])
def test_a_journal_that_was_cut_off(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "j"
    written(path)
    os.truncate(path, n_bytes)
    assert_refused(path, "is ")


def test_bytes_that_changed_are_noticed_or_do_no_harm(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    written(whole)
    n_bytes = whole.stat().st_size
    random_ = random.Random(7)
    n_refused = 0
    for number in range(150):
        data = bytearray(whole.read_bytes())
        at = random_.randrange(n_bytes)
        data[at : at + random_.choice((1, 100, 5000))] = random_.randbytes(random_.choice((1, 100)))
        path = tmp_path / f"damaged{number}"
        path.write_bytes(data)
        try:
            Journal(path).close()
        except FormatError:
            n_refused += 1
            assert path.read_bytes() == data
    assert n_refused > 90


def test_no_place_for_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(tmp_path / "no" / "j")
    with pytest.raises(OSError, match="cannot be opened"):
        Journal(tmp_path)


def test_it_is_its_owners_alone_and_needs_no_other_file_once_closed(tmp_path: Path) -> None:
    path = tmp_path / "j"
    written(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    empty = tmp_path / "empty"
    empty.touch()
    written(empty)
    with Journal(empty) as journal:
        assert len(journal.former) == 3
