"""trunkline.convert.ray, on a local cluster of two workers, one of which is killed."""

import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tests.cli.commands import TRUNKLINE
from trunkline import wav
from trunkline.convert import Plan
from trunkline.convert.batch import Outcome
from trunkline.convert.items import Item
from trunkline.convert.plan import parse_raw
from trunkline.testing import speech_like

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray warns of itself
N_FILES = 200
GUARD_S = 100


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[str]:
    """Start two workers; give the address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # by which the command gets in, too
        ray = pytest.importorskip("ray", reason="make ray installs it")  # which reads them when imported
        ray.init(address="local", num_cpus=2, log_to_driver=False, logging_level="ERROR")
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


class KillReader(threading.Thread):
    """Writes a recording into a FIFO, of which the first `n_killed` processes to read it are killed."""

    def __init__(self, fifo: Path, data: bytes, n_killed: int) -> None:
        super().__init__(daemon=True)  # which ends with the test also when nobody reads again
        os.mkfifo(fifo)
        self.fifo, self.data, self.n_killed = fifo, data, n_killed
        self.killed: list[int] = []

    def run(self) -> None:
        while len(self.killed) < self.n_killed:
            file = os.open(self.fifo, os.O_WRONLY)  # which waits for a reader
            while not (pid := worker_reading(self.fifo)):  # which is about to have it open
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            self.killed.append(pid)
            while Path(f"/proc/{pid}").exists():  # a dying thread may still have it open
                time.sleep(0.01)
            os.close(file)
        self.fifo.write_bytes(self.data)


def worker_reading(path: Path) -> int | None:
    """Find the process of Ray that has a file open."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(b"ray::") and any(
                link.readlink() == path for link in (process / "fd").iterdir()
            ):
                return int(process.name)
    return None


def test_a_lost_worker_and_a_corrupt_file_change_nothing_else(tmp_path: Path, cluster: str) -> None:
    data = bytes(range(256)) * 16
    (tmp_path / "raw").write_bytes(data)
    killer = KillReader(tmp_path / "fifo", data, n_killed=1)
    killer.start()
    rows: list[dict[str, object]] = [{"source": f"{tmp_path}/fifo", "raw": "ulaw:8000", "target": ""}]
    for k in range(N_FILES - 2):
        rows.append({"source": f"{tmp_path}/{k}.wav", "sample_rate": 8000 + 1000 * (k % 9)})
        wav.write(tmp_path / f"{k}.wav", speech_like(0.5, seed=k), 8000, encoding="ulaw")
    rows.insert(77, {"source": f"{tmp_path}/corrupt.wav"})
    (tmp_path / "corrupt.wav").write_bytes(b"RIFF of nothing")

    def converted(out: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        rows[0]["target"] = f"{out}/raw.wav"
        manifest, report = tmp_path / "manifest.jsonl", f"{out}.jsonl"
        manifest.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
        given = ("--manifest", manifest, "--rate", "16000", "--out", out, "--report", report, *options)
        command = [*TRUNKLINE, "convert", *given]
        return subprocess.run(command, capture_output=True, text=True, timeout=GUARD_S)

    by_ray = converted(tmp_path / "ray", "--ray", cluster)
    assert len(killer.killed) == 1, by_ray.stderr
    rows[0]["source"] = f"{tmp_path}/raw"
    here = converted(tmp_path / "here")

    for shown in (by_ray, here):
        assert shown.returncode == 1
        first, last = shown.stderr.splitlines()
        assert first.startswith(f"error: {tmp_path}/corrupt.wav: ")
        assert last.startswith("199 of 200 files converted, 1 failed; 1.7 min of audio")
    lines = (tmp_path / "ray.jsonl").read_bytes().splitlines()
    outcomes = [msgspec.json.decode(line, type=Outcome) for line in lines]
    assert {outcome.source for outcome in outcomes} == {
        f"{tmp_path}/fifo",
        *(row["source"] for row in rows[1:]),
    }
    assert sorted(outcome.status for outcome in outcomes) == ["converted"] * 199 + ["failed"]
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "ray").glob("*.wav"))
    for name in names:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_what_kills_its_worker_every_time_fails_alone(tmp_path: Path) -> None:
    from trunkline.convert import ray

    wav.write(tmp_path / "call.wav", bytes(1600), 8000)
    items = [
        Item(source=f"{tmp_path}/call.wav", target=f"{tmp_path}/out/{k}.wav", plan=Plan()) for k in range(40)
    ]
    raw = Plan(raw=parse_raw("ulaw:8000"))
    items[20] = Item(source=f"{tmp_path}/fifo", target=f"{tmp_path}/out/20.wav", plan=raw)
    KillReader(tmp_path / "fifo", b"", n_killed=1000).start()
    items[30] = Item(source="-", target=f"{tmp_path}/out/30.wav", plan=Plan())
    items[31] = msgspec.structs.replace(items[31], target=items[0].target)
    errors = {outcome.source: outcome.error for outcome in ray.run_batch(items) if outcome.error is not None}
    assert errors.keys() == {f"{tmp_path}/fifo", "-", f"{tmp_path}/call.wav"}
    assert "dies every time" in str(errors[f"{tmp_path}/fifo"])
    assert "a worker has no standard input" in str(errors["-"])
    assert "is the output of another file already" in str(errors[f"{tmp_path}/call.wav"])
    assert len(list((tmp_path / "out").glob("*.wav"))) == 40 - 3
