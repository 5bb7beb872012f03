"""Recordings in a store, through fsspec: an S3 in this process."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.commands import Shown, trunkline_here
from trunkline import wav
from trunkline.convert import Plan, convert_bytes
from trunkline.convert.items import items_of
from trunkline.convert.remote import open_remote
from trunkline.errors import FormatError
from trunkline.testing import speech_like

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of moto and botocore
PCM = speech_like(0.5, seed=8)


def recording() -> bytes:
    file = BytesIO()
    wav.write(file, PCM, 8000, encoding="ulaw")
    return file.getvalue()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start an S3; give its address."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    running = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = running.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield f"http://{host}:{port}"
    s3fs.S3FileSystem.clear_instance_cache()  # the next S3 of this process has another address
    running.stop()


@pytest.fixture
def bucket(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a bucket of the test's own, with three recordings and a text; give its name."""
    s3 = store()
    name = f"calls-{abs(hash(request.node.name))}"
    s3.mkdir(name)
    for key in ("in/a.wav", "in/b.wav", "in/deep/c.WAV", "in/notes.txt"):
        s3.pipe(f"{name}/{key}", recording())
    yield name
    s3.rm(name, recursive=True)


def store() -> Any:
    import fsspec

    return fsspec.filesystem("s3")


def keys(bucket: str, below: str = "") -> list[str]:
    s3 = store()
    s3.invalidate_cache()
    return [name.removeprefix(f"{bucket}/{below}") for name in s3.find(f"{bucket}/{below}")]


def convert(capsys: pytest.CaptureFixture[str], *options: object) -> Shown:
    return trunkline_here(capsys, "convert", *options)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("in/*.wav", ["a.wav", "b.wav"]),
        ("in/", ["a.wav", "b.wav", "deep/c.wav"]),
        ("in/**/*.WAV", ["deep/c.wav"]),
        ("i*/a.wav", ["in/a.wav"]),
    ],
)
def test_patterns_and_directories(
    bucket: str, capsys: pytest.CaptureFixture[str], given: str, expected: list[str]
) -> None:
    shown = convert(capsys, f"s3://{bucket}/{given}", "-o", f"s3://{bucket}/out/", "--rate", 16000, "-j", 4)
    assert (shown.returncode, keys(bucket, "out/")) == (0, expected)
    for name in expected:
        assert store().cat(f"{bucket}/out/{name}") == convert_bytes(recording(), Plan(sample_rate=16000))


@pytest.mark.parametrize(("given", "reason"), [("in/*.mp3", "nothing has"), ("out/", "no audio below it")])
def test_what_stands_for_nothing_is_refused(bucket: str, given: str, reason: str) -> None:
    with pytest.raises(FormatError, match=rf"^s3://{bucket}/{given.replace('*', '[*]')}: {reason}"):
        items_of([f"s3://{bucket}/{given}"], "out/", Plan())


def test_manifest_and_report(bucket: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [{"source": f"s3://{bucket}/in/{name}.wav"} for name in ("a", "none", "b")]
    rows[2]["target"] = str(tmp_path / "local.wav")
    (tmp_path / "calls.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    given = ("--manifest", tmp_path / "calls.jsonl", "--report", tmp_path / "report.jsonl")
    shown = convert(capsys, *given, "-o", f"s3://{bucket}/out")
    assert shown.returncode == 1
    error, _ = shown.stderr.splitlines()
    assert error == f"error: s3://{bucket}/in/none.wav: nothing is there"
    report = [msgspec.json.decode(line) for line in (tmp_path / "report.jsonl").read_bytes().splitlines()]
    assert [line["status"] for line in report] == ["converted", "failed", "converted"]
    assert keys(bucket, "out/") == ["a.wav"]
    assert wav.read(tmp_path / "local.wav").sample_rate == 8000


def test_resume_skips_what_is_there_and_not_older(
    bucket: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def statuses() -> list[str]:
        report = tmp_path / "report.jsonl"
        given = (f"s3://{bucket}/in/*.wav", "-o", f"s3://{bucket}/out/", "--report", report)
        convert(capsys, *given)
        convert(capsys, *given, "--resume")
        return [msgspec.json.decode(line)["status"] for line in report.read_bytes().splitlines()]

    assert statuses() == ["converted"] * 2 + ["skipped"] * 2
    local = tmp_path / "a.wav"
    local.write_bytes(recording())
    given = (local, "-o", f"s3://{bucket}/out/a.wav", "--resume")
    os.utime(local, (2**31, 2**31))  # written after what was made of it
    converted = convert(capsys, *given, "--rate", 16000)
    assert converted.returncode == 0
    assert store().cat(f"{bucket}/out/a.wav") == convert_bytes(recording(), Plan(sample_rate=16000))


def test_what_fails_leaves_nothing(
    bucket: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = keys(bucket)
    store().pipe(f"{bucket}/in/short.wav", recording()[:-100])
    for source, target, reason in (
        ("in/a.wav", "s3://nobody-has-this/a.wav", "The specified bucket does not exist"),
        ("in/short.wav", f"s3://{bucket}/out/short.wav", "truncated: 3900 bytes"),
        ("in/a.wav", f"s3://{bucket}/in/a.wav", "is its own source"),
    ):
        shown = convert(capsys, f"s3://{bucket}/{source}", "-o", target, "--strict")
        assert shown.returncode == 1
        assert reason in shown.stderr
        assert shown.stderr.count("\n") == 1
    assert [key for key in keys(bucket) if key != "in/short.wav"] == before
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_read_twice_and_in_blocks(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from trunkline.convert import remote

    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    with open_remote(f"s3://{bucket}/in/a.wav") as file:
        assert file.read(44) == recording()[:44]
        assert file.seek(-5, os.SEEK_END) == len(recording()) - 5
        assert file.read() == recording()[-5:]
        assert file.seek(0) == 0
        assert file.read() == recording()


def test_an_error_on_reading_has_the_name(bucket: str) -> None:
    with open_remote(f"s3://{bucket}/in/a.wav") as file:
        store().rm(f"{bucket}/in/a.wav")
        with pytest.raises(FileNotFoundError) as raised:
            file.read()
    assert raised.value.filename == f"s3://{bucket}/in/a.wav"


def test_no_credentials_is_a_line_with_the_cure(
    server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    store().clear_instance_cache()
    shown = convert(capsys, "s3://calls/*.wav", "-o", f"{tmp_path}/")
    store().clear_instance_cache()
    assert shown.returncode == 1
    assert shown.stderr.startswith(
        "error: s3://calls/*.wav: Unable to locate credentials: set AWS_ACCESS_KEY_ID"
    )
    assert shown.stderr.count("\n") == 1


def test_a_missing_library_is_named_with_the_cure() -> None:
    without = (
        "import sys; sys.modules['s3fs'] = None; from trunkline.cli import main; "
        "sys.argv = ['trunkline', 'convert', 's3://calls/*.wav', '-o', 'out/']; main()"
    )
    shown = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, timeout=100)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "error: s3://calls/*.wav: pip install s3fs\n"
