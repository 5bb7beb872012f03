"""Journal: keeps what becomes of calls and streams in a SQLite file, so that it is known after a restart."""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import msgspec

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.switch.events import CallChanged, StreamChanged, SwitchEvent
from trunkline.switch.records import CallRecord, StreamRecord

__all__ = ["Journal"]

CALLS_MAX: Final = 1000  # that have ended; a switch remembers as many
STREAMS_MAX: Final = 256  # of a call, that have finished; a call remembers as many
WAITING_MAX: Final = 10_000  # records that could not be written yet
RETRY_S: Final = 5.0  # after which writing is tried again
CLOSE_TIMEOUT_S: Final = 5.0
RECORD_BYTES_MAX: Final = 65_536  # a longer one is without its custom parameters
TEXT_BYTES_MAX: Final = 4 << 20  # of anything in the file

HEADER_BYTES: Final = 100  # of any SQLite file
APPLICATION_ID: Final = 0x74726B6C  # "trkl"
SCHEMA: Final = 1
_CREATE: Final = (
    """CREATE TABLE calls (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, live INTEGER NOT NULL, record TEXT NOT NULL
    )""",
    """CREATE TABLE streams (
        n INTEGER PRIMARY KEY, call_id TEXT NOT NULL, control_id TEXT NOT NULL, live INTEGER NOT NULL,
        record TEXT NOT NULL, UNIQUE (call_id, control_id)
    )""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA}",
)
# What is written again gets a new n: rows are in the order in which they last changed.
_PUT_CALL: Final = "INSERT OR REPLACE INTO calls (id, live, record) VALUES (?, ?, ?)"
_PUT_STREAM: Final = "INSERT OR REPLACE INTO streams (call_id, control_id, live, record) VALUES (?, ?, ?, ?)"
_OLDEST_CALLS: Final = "SELECT id FROM calls WHERE NOT live ORDER BY n DESC LIMIT -1 OFFSET ?"
_FORGET_STREAMS: Final = (
    "DELETE FROM streams WHERE n IN "
    "(SELECT n FROM streams WHERE call_id = ? AND NOT live ORDER BY n DESC LIMIT -1 OFFSET ?)"
)

_log = logging.getLogger(__name__)

#: The call's id, and of a stream its control id.
Key = tuple[str, str | None]
Record = CallRecord | StreamRecord


class Journal:
    """A file of the calls and streams of a switch: give it to `Switch(journal=)`, and close it after that.

    `former` has the calls of former runs by id, the one that changed last at the end. Of those that were live
    when the process died, the end reason is "error". The last 1,000 calls that ended are kept, of each the
    last 256 streams that finished. Bearer tokens, and queries of URLs, are not written.

    A thread writes. What it cannot write, since the disk is full, is logged once and tried again every 5 s;
    the calls never wait. After `kill -9` all is there that was written; a power failure may cost the last
    moments. One switch at a time has the file.

    Raises FormatError for a file that is damaged, no journal, or a newer one, and leaves it as it is;
    LocalProtocolError when another has it open; OSError when it cannot be opened or written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory, Journal(f"{directory}/calls.journal") as journal:
    ...     dict(journal.former)
    {}
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with suppress(FileExistsError):  # numbers and names of people are nobody else's to read
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with _told_plainly(self._path):
            if 0 < self._path.stat().st_size < HEADER_BYTES:  # SQLite takes it for empty
                raise FormatError(_NO_JOURNAL)
            self._connection = sqlite3.connect(
                os.path.abspath(self._path), timeout=0, isolation_level=None, check_same_thread=False
            )
        try:
            with _told_plainly(self._path):
                _open(self._connection)
                self._former = _load(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._n_ended = 0
        self._changed = threading.Condition()
        self._waiting: dict[Key, Record] = {}
        self._is_writing = False
        self._failed = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="trunkline-journal", daemon=True)
        self._thread.start()

    @property
    def former(self) -> Mapping[str, CallRecord]:
        """The calls of former runs, as far as they are kept."""
        return MappingProxyType(self._former)

    def listen(self, event: SwitchEvent) -> None:
        """Take down what a switch tells; a listener for `Switch.subscribe`. It does not wait."""
        if isinstance(event, CallChanged):
            self._put((event.call.id, None), CallRecord.of(event.call))
            if event.state == "ended":
                self._n_ended += 1
                while self._former and len(self._former) + self._n_ended > CALLS_MAX:
                    del self._former[next(iter(self._former))]
        elif isinstance(event, StreamChanged):
            self._put((event.call.id, event.stream.control_id), StreamRecord.of(event.stream))

    def flush(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Wait until all is written; False when it was not within `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._is_writing, timeout_s)

    def close(self) -> None:
        """Write what is left, for 5 s at most, and give the file free. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            _log.error("journal %s: could not be closed within %g s", self._path, CLOSE_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Journal({str(self._path)!r})"

    def _put(self, key: Key, record: Record) -> None:
        with self._changed:
            self._waiting.pop(key, None)
            self._waiting[key] = record
            self._drop_oldest()
            self._changed.notify_all()

    def _drop_oldest(self) -> None:
        while len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]

    def _run(self) -> None:
        """Write what has changed, all at once, until the journal is closed; the thread's function."""
        try:
            while (records := self._take()) is not None:
                self._put_back(records if not self._write(records) else {})
        finally:
            self._connection.close()

    def _take(self) -> dict[Key, Record] | None:
        """Wait for records to write; None when it is closed and there are none, or none that can be."""
        with self._changed:
            if self._failed:
                self._changed.wait_for(lambda: self._closing, RETRY_S)
            self._changed.wait_for(lambda: self._closing or self._waiting)
            if not self._waiting:
                return None
            records, self._waiting = self._waiting, {}
            self._is_writing = True
            return records

    def _put_back(self, records: dict[Key, Record]) -> None:
        with self._changed:
            if self._closing and records:
                _log.error("journal %s: %d records are lost", self._path, len(records))
                records = {}
            unchanged = {key: record for key, record in records.items() if key not in self._waiting}
            self._waiting = unchanged | self._waiting
            self._drop_oldest()
            self._is_writing = False
            self._changed.notify_all()

    def _write(self, records: dict[Key, Record]) -> bool:
        try:
            with _transaction(self._connection):
                for key, record in records.items():
                    _write_record(self._connection, key, record)
        except Exception as error:  # whatever it is, later records have their turn
            if not self._failed:
                _log.error("journal %s: cannot be written, the calls go on: %s", self._path, error)
            self._failed = True
            return False
        if self._failed:
            _log.warning("journal %s: is written again", self._path)
        self._failed = False
        return True


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have rolled it back already
            connection.execute("ROLLBACK")
        raise


def _open(connection: sqlite3.Connection) -> None:
    """Check that it is a journal, or make it one, and end what a former run has left live."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, TEXT_BYTES_MAX)
    # The lock is held until it is closed, and shared memory beside the file is not needed.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    application_id, version, n_objects = (
        _number(connection, query)
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    is_new = (application_id, version, n_objects) == (0, 0, 0)
    if not is_new and application_id != APPLICATION_ID:
        raise FormatError(_NO_JOURNAL)
    if version > SCHEMA:
        raise FormatError(
            f"is of schema {version}, read here is {SCHEMA}: install a newer trunkline, or name another file"
        )
    if not is_new and version != SCHEMA:
        raise FormatError(f"damaged: schema {version}")
    if not is_new and (problem := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise FormatError(f"damaged: {problem}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    with _transaction(connection):
        for statement in _CREATE if is_new else ():
            connection.execute(statement)
        connection.execute("UPDATE calls SET live = 0 WHERE live")
        _forget_calls(connection)
        connection.execute("DELETE FROM streams WHERE call_id NOT IN (SELECT id FROM calls)")


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _load(connection: sqlite3.Connection) -> dict[str, CallRecord]:
    streams: dict[str, dict[str, StreamRecord]] = {}
    for call_id, text in connection.execute("SELECT call_id, record FROM streams ORDER BY n"):
        stream = msgspec.json.decode(text, type=StreamRecord)
        streams.setdefault(call_id, {})[stream.control_id] = stream
    calls = {}
    for (text,) in connection.execute("SELECT record FROM calls ORDER BY n"):
        call = msgspec.json.decode(text, type=CallRecord)
        calls[call.id] = call.after_restart(streams.get(call.id, {}))
    return calls


def _write_record(connection: sqlite3.Connection, key: Key, record: Record) -> None:
    call_id, control_id = key
    if (text := _text(key, record)) is None:
        return
    if control_id is None:
        is_live = record.state != "ended"
        connection.execute(_PUT_CALL, (call_id, is_live, text))
        if not is_live:
            _forget_calls(connection)
    else:
        is_live = record.state != "finished"
        connection.execute(_PUT_STREAM, (call_id, control_id, is_live, text))
        if not is_live:
            connection.execute(_FORGET_STREAMS, (call_id, STREAMS_MAX))


def _forget_calls(connection: sqlite3.Connection) -> None:
    oldest = connection.execute(_OLDEST_CALLS, (CALLS_MAX,)).fetchall()
    connection.executemany("DELETE FROM streams WHERE call_id = ?", oldest)
    connection.executemany("DELETE FROM calls WHERE id = ?", oldest)


def _text(key: Key, record: Record) -> str | None:
    """Write a record as JSON; None, and logged, when it cannot be."""
    try:
        data = msgspec.json.encode(record)
        if len(data) > RECORD_BYTES_MAX and isinstance(record, StreamRecord):
            request = msgspec.structs.replace(record.request, custom_parameters={})
            data = msgspec.json.encode(msgspec.structs.replace(record, request=request))
    except UnicodeEncodeError:
        problem = "holds what is no Unicode text"
    else:
        if len(data) < TEXT_BYTES_MAX // 2:  # SQLite counts the row
            return data.decode()
        problem = f"has {len(data)} bytes"
    _log.warning("the record of call %.64s, stream %.64a, %s: it is not kept", *key, problem)
    return None


@contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    """Say what is wrong with the file, and what to do about it."""
    try:
        yield
    except FormatError as error:
        problem = str(error)
    except msgspec.ValidationError as error:
        problem = f"damaged: {error}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = "damaged: a record is no JSON"
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LocalProtocolError(
                f"journal {path}: another switch or program has it open: end that, or name another file"
            ) from error
        if code in _OS_ERRORS:
            raise OSError(f"journal {path}: cannot be opened or written: {error}") from error
        problem = _NO_JOURNAL if code == sqlite3.SQLITE_NOTADB else f"damaged: {error}"
    else:
        return
    if problem.startswith("damaged: "):
        problem = f"is {problem}: move it away, and a new one is begun"
    raise FormatError(f"journal {path}: {problem}")


_NO_JOURNAL: Final = "is no journal of a switch: name another file"
_OS_ERRORS: Final = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
