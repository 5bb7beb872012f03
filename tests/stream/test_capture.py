"""Captures: what was written is read back exactly, and nothing else passes for a capture."""

import base64
import errno
import json
import math
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.stream import CapturedMessage, CaptureWriter, read_capture
from trunkline.stream.capture import LINE_BYTES_MAX, MESSAGE_BYTES_MAX

HEADER = b'{"format":"trunkline-capture","version":1}\n'
MESSAGES = st.lists(
    st.tuples(
        st.one_of(st.text(), st.binary(), st.sampled_from(["", '{"event":"stop"}', "\ud800", "\0" * 300])),
        st.booleans(),
        st.one_of(st.just(0.0), st.floats(0, 1e6)),
    )
)


def reference(lines: bytes) -> list[CapturedMessage]:
    """Read a capture that is right, with the standard library."""
    header, *rest = [json.loads(line) for line in lines.decode().split("\n") if line]
    assert header == {"format": "trunkline-capture", "version": 1}
    read = []
    for fields in rest:
        (key,) = fields.keys() - {"ms"}
        data = fields[key].encode() if key == "text" else base64.b64decode(fields[key], validate=True)
        read.append(CapturedMessage(fields["ms"], data, key == "binary"))
    return read


@given(MESSAGES, st.floats(-1e9, 1e9))
def test_everything_comes_back(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str | bytes, bool, float]], now_ms: float
) -> None:
    path = tmp_path_factory.mktemp("capture") / "call.jsonl"
    begin_ms = now_ms
    expected = []
    with CaptureWriter(path) as capture:
        for k, (data, binary, passed_ms) in enumerate(messages):
            now_ms += passed_ms
            begin_ms = now_ms if k == 0 else begin_ms
            capture.write(data, now_ms, binary=binary)
            raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
            expected.append((pytest.approx(now_ms - begin_ms, abs=0.001), raw, binary))
    read = list(read_capture(path, on_torn=pytest.fail))
    assert read == expected
    assert read == reference(path.read_bytes())


def test_text_is_kept_as_text(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "call.jsonl") as capture:
        capture.write(bytearray(b'{"event":"connected"}'), 7)
        capture.write(b"\xff", 8.0004)
        capture.write(memoryview(b"\x00\x01\x02"), 8.25, binary=True)
    assert (tmp_path / "call.jsonl").read_bytes() == HEADER + (
        b'{"ms":0.0,"text":"{\\"event\\":\\"connected\\"}"}\n'
        b'{"ms":1.0,"text_base64":"/w=="}\n'
        b'{"ms":1.25,"binary":"AAEC"}\n'
    )


def test_the_writer_says_what_it_does_not_take(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    capture = CaptureWriter(path)
    with pytest.raises(FileExistsError):
        CaptureWriter(path)
    capture.write("a", 10)
    for wrong in (9.999, math.nan, math.inf, -math.inf):
        with pytest.raises(LocalProtocolError, match="ms after one at 10"):
            capture.write("b", wrong)
    with pytest.raises(LocalProtocolError, match="1048577 bytes: a capture takes at most 1048576"):
        capture.write(bytes(MESSAGE_BYTES_MAX + 1), 11)
    capture.write("c", 10)
    capture.close()
    capture.close()
    with pytest.raises(LocalProtocolError, match="is closed"):
        capture.write("d", 12)
    assert [message.data for message in read_capture(path)] == [b"a", b"c"]


@pytest.mark.parametrize("byte", [b"\0", b"\x7f", b'"', b"\xff", b"x"])
@pytest.mark.parametrize("binary", [False, True])
def test_the_longest_message_of_any_byte_fits_its_line(tmp_path: Path, byte: bytes, binary: bool) -> None:
    with CaptureWriter(tmp_path / "call.jsonl") as capture:
        capture.write("", 0)
        capture.write(byte * MESSAGE_BYTES_MAX, 2.0**53, binary=binary)
    _, longest = read_capture(tmp_path / "call.jsonl")
    assert longest == (2.0**53, byte * MESSAGE_BYTES_MAX, binary)


MALFORMED = {
    "empty": (b"", "no capture of trunkline: begins with b''"),
    "a WAV file": (b"RIFF\x24\0\0\0WAVE", "no capture of trunkline: begins with b'RIFF"),
    "messages alone": (b'{"ms":0,"text":""}\n', "no capture of trunkline"),
    "another format": (b'{"format":"pcap","version":1}\n', "no capture of trunkline"),
    "another version": (b'{"format":"trunkline-capture","version":2}\n', "version 2: reads version 1"),
    "a version that is text": (b'{"format":"trunkline-capture","version":"1"}\n', "no capture"),
    "an endless first line": (b"[" * 10_000_000, "no capture"),
    "an empty line": (HEADER + b"\n", ":2: "),
    "no JSON": (HEADER + b'{"ms":0,"text":""}\nx\n', ":3: "),
    "cut in the middle": (HEADER + b'{"ms":0,"te\n{"ms":0,"text":""}\n', ":2: "),
    "two on a line": (HEADER + b'{"ms":0,"text":""}{"ms":0,"text":""}\n', ":2: "),
    "a list": (HEADER + b"[0]\n", ":2: "),
    "no time": (HEADER + b'{"text":""}\n', ":2: .*`ms`"),
    "no message": (HEADER + b'{"ms":0}\n', ":2: 0 messages"),
    "two messages": (HEADER + b'{"ms":0,"text":"","binary":""}\n', ":2: 2 messages"),
    "an unknown field": (HEADER + b'{"ms":0,"text":"","more":1}\n', ":2: .*`more`"),
    "text that is a number": (HEADER + b'{"ms":0,"text":1}\n', ":2: "),
    "time that is text": (HEADER + b'{"ms":"0","text":""}\n', ":2: "),
    "negative time": (HEADER + b'{"ms":-0.001,"text":""}\n', ":2: .*>= 0"),
    "NaN": (HEADER + b'{"ms":NaN,"text":""}\n', ":2: "),
    "infinity": (HEADER + b'{"ms":Infinity,"text":""}\n', ":2: "),
    "1e999": (HEADER + b'{"ms":1e999,"text":""}\n', ":2: "),
    "beyond 2**53": (HEADER + b'{"ms":1e16,"text":""}\n', ":2: "),
    "a million digits": (HEADER + b'{"ms":' + b"9" * 1_000_000 + b',"text":""}\n', ":2: "),
    "time that goes back": (HEADER + b'{"ms":2,"text":""}\n{"ms":1.999,"text":""}\n', ":3: ms goes back"),
    "bad base64": (HEADER + b'{"ms":0,"binary":"AAE"}\n', ":2: "),
    "bad base64 of text": (HEADER + b'{"ms":0,"text_base64":"?A=="}\n', ":2: "),
    "not UTF-8": (HEADER + b'{"ms":0,"text":"\xff"}\n', ":2: "),
    "a lone surrogate": (HEADER + b'{"ms":0,"text":"\\ud800"}\n', ":2: "),
    "nested deeply": (HEADER + b'{"ms":' + b"[" * 1_000_000 + b"\n", ":2: "),
    "nested deeply in what is unknown": (HEADER + b'{"x":' + b'{"a":' * 1_000_000 + b"\n", ":2: "),
    "a message of more than 1 MiB": (
        HEADER + b'{"ms":0,"text":"' + b"x" * (MESSAGE_BYTES_MAX + 1) + b'"}\n',
        ":2: a message of 1048577 bytes: takes at most 1048576",
    ),
    "a line without end": (HEADER + b" " * (LINE_BYTES_MAX + 1), ":2: a line of more than 6291556 bytes"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(tmp_path: Path, name: str) -> None:
    content, message = MALFORMED[name]
    path = tmp_path / "call.jsonl"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as refused:
        list(read_capture(path, on_torn=pytest.fail))
    assert str(refused.value).startswith(f"{path}:")
    assert len(str(refused.value)) < len(str(path)) + 250


def test_a_long_line_is_refused_before_its_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    with open(path, "wb") as file:
        file.write(HEADER)
        file.truncate(1 << 30)  # sparse: a gibibyte of NULs
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=":2: a line of more than"):
            list(read_capture(path))
        assert tracemalloc.get_traced_memory()[1] < 4 * LINE_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    whole = HEADER + b'{"ms":0.0,"text":"a"}\n{"ms":20.0,"binary":"AAEC"}\n'
    expected = reference(whole)
    for end in range(len(HEADER), len(whole) + 1):
        path = tmp_path / "call.jsonl"
        path.write_bytes(whole[:end])
        torn: list[int] = []
        kept = whole[:end].rpartition(b"\n")[0] + b"\n"
        assert list(read_capture(path, on_torn=torn.append)) == expected[: kept.count(b"\n") - 1]
        assert torn == [end - len(kept)] * (end > len(kept))


def test_a_full_disk_is_one_error_and_leaves_what_fitted(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with CaptureWriter(path) as capture:
        capture.write("first", 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
        try:
            with pytest.raises(OSError) as full:  # noqa: PT011
                capture.write("second", 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert full.value.errno == errno.EFBIG
        with pytest.raises(LocalProtocolError, match="has failed"):
            capture.write("third", 2)
    torn: list[int] = []
    assert [message.data for message in read_capture(path, on_torn=torn.append)] == [b"first"]
    assert torn == [10]


# Captures as fast as it can and says after each message how many it has written.
WRITER = """
import sys
from trunkline.stream import CaptureWriter

capture = CaptureWriter(sys.argv[1])
for k in range(1_000_000):
    capture.write(b"%d " % k * 50, k)
    print(k + 1, flush=True)
"""


@pytest.mark.parametrize("kill_at", [1, 17, 2_003])
def test_kill(tmp_path: Path, kill_at: int) -> None:
    path = tmp_path / "call.jsonl"
    n_written = 0
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:  # goes on to the end of what the writer could still say
            n_written = int(line) if line.endswith("\n") else n_written
            if n_written >= kill_at:
                process.kill()
    assert process.returncode == -9
    read = list(read_capture(path))
    assert len(read) >= n_written >= kill_at  # nothing at all is lost
    assert read == [CapturedMessage(k, b"%d " % k * 50) for k in range(len(read))]
