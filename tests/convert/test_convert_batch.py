"""Batches: what becomes of each file, in any number of threads, in one run or in several."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.convert.recordings import PEAK_KIB, noise, read_s16, wav_bytes
from trunkline.convert import Plan
from trunkline.convert.batch import Outcome, run_batch, survey
from trunkline.convert.items import Item, items_of
from trunkline.convert.plan import parse_raw
from trunkline.errors import FormatError


def recordings(directory: Path, n_files: int = 12) -> list[str]:
    """Write recordings of different lengths, every fourth of them no audio."""
    directory.mkdir(exist_ok=True)
    for k in range(n_files):
        data = b"not audio" if k % 4 == 3 else wav_bytes(noise(1000 * k + 1, seed=k))
        (directory / f"{k:03}.wav").write_bytes(data)
    return sorted(map(str, directory.iterdir()))


def files_in(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def batch(items: list[Item], **options: object) -> list[Outcome]:
    return list(run_batch(items, sources=survey(items)[1], **options))  # type: ignore[arg-type]


def test_one_thread_or_four_give_the_same(tmp_path: Path) -> None:
    recordings(tmp_path / "in", 40)
    before = files_in(tmp_path / "in")
    results = []
    for jobs in (1, 4):
        out = tmp_path / f"out{jobs}"
        outcomes = batch(items_of([str(tmp_path / "in")], f"{out}/", Plan(sample_rate=16_000)), jobs=jobs)
        assert sorted(o.status for o in outcomes) == ["converted"] * 30 + ["failed"] * 10
        results.append(files_in(out))
    assert results[0] == results[1]
    assert len(results[0]) == 30
    assert files_in(tmp_path / "in") == before


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_bad_file_stops_nothing_unless_strict(tmp_path: Path, jobs: int) -> None:
    names = recordings(tmp_path / "in", 40)
    items = items_of(names, str(tmp_path / "out"), Plan())
    outcomes = {o.source: o for o in batch(items, jobs=jobs)}
    assert outcomes.keys() == set(names)
    for k, name in enumerate(names):
        expected = "failed" if k % 4 == 3 else "converted"
        assert outcomes[name].status == expected
    assert (outcomes[names[3]].error or "").startswith("9 bytes: a WAV file has at least 44")
    assert outcomes[names[1]].duration_s == 1001 / 8000
    shutil.rmtree(tmp_path / "out")
    strict = batch(items, jobs=jobs, strict=True)
    assert any(o.status == "failed" for o in strict)  # others may end at the same moment
    assert len(strict) < len(names)
    if jobs == 1:
        assert [o.status for o in strict] == ["converted"] * 3 + ["failed"]
    # of each file that is there, somebody was told
    assert set(files_in(tmp_path / "out")) >= {os.path.basename(o.target) for o in strict if o.outputs}
    assert not any(name.endswith(".part") for name in files_in(tmp_path / "out"))


def test_damage_is_a_failure_when_strict(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(1000))[:-10])
    items = [Item(source=str(tmp_path / "a.wav"), target=str(tmp_path / "b.wav"), plan=Plan())]
    (outcome,) = batch(items, strict=True)
    assert (outcome.status, outcome.outputs) == ("failed", ())
    assert outcome.error == "truncated: 1990 bytes of audio are there, the header claims 2000"
    (outcome,) = batch(items)
    assert (outcome.status, outcome.damage) == ("converted", (outcome.damage[0],))
    assert outcome.damage[0].startswith("truncated: 1990 bytes")


def test_resume_does_what_is_not_done(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 8)
    out = tmp_path / "out"
    items = items_of(names, str(out), Plan())
    batch(items)
    expected = files_in(out)
    os.unlink(out / "000.wav")
    os.utime(names[1], (2e9, 2e9))  # changed since
    (out / ".002.wav.0badcafe.part").write_bytes(b"half")  # of a run that was killed
    outcomes = {o.source: o.status for o in batch(items, resume=True)}
    assert [outcomes[name] for name in names] == [
        *("converted", "converted", "skipped", "failed"),
        *("skipped", "skipped", "skipped", "failed"),
    ]
    os.unlink(out / ".002.wav.0badcafe.part")
    assert files_in(out) == expected


def test_resume_looks_at_all_that_a_result_is_made_of(tmp_path: Path) -> None:
    left, right = recordings(tmp_path / "in", 2)
    both = [Item(source=left, right=right, target=str(tmp_path / "both.wav"), plan=Plan())]
    split = [Item(source=str(tmp_path / "both.wav"), target=str(tmp_path / "s.wav"), plan=Plan(split=True))]
    for items in (both, split):
        assert [o.status for o in batch(items, resume=True)] == ["converted"]
        assert [o.status for o in batch(items, resume=True)] == ["skipped"]
    os.utime(right, (2e9, 2e9))
    assert [o.status for o in batch(both, resume=True)] == ["converted"]
    os.unlink(tmp_path / "s.1.wav")
    assert [o.status for o in batch(split, resume=True)] == ["converted"]


def test_a_result_replaces_no_other(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 3)
    out = str(tmp_path / "out.wav")
    (tmp_path / "link").symlink_to(tmp_path)
    items = [
        Item(source=names[0], target=out, plan=Plan()),
        Item(source=names[1], target=str(tmp_path / "link" / "out.wav"), plan=Plan()),
        Item(source=names[2], target="/dev/null", plan=Plan(format="wav")),
        Item(source=names[2], target="/dev/null", plan=Plan(format="wav")),
        Item(source=names[1], target=str(tmp_path / "s.wav"), plan=Plan(split=True)),
        Item(source=names[1], target=str(tmp_path / "s.1.wav"), plan=Plan()),
    ]
    outcomes = batch(items)
    assert [o.status for o in outcomes] == ["converted", "failed", *["converted"] * 3, "failed"]
    assert (outcomes[1].error or "").endswith("link/out.wav is the output of another file already")
    assert (tmp_path / "out.wav").read_bytes() == Path(names[0]).read_bytes()


def test_a_result_replaces_no_input(tmp_path: Path) -> None:
    """Not even one that is read later."""
    first, second = tmp_path / "a.aiff", tmp_path / "a.wav"
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(first, noise(100), 8000)
    second.write_bytes(wav_bytes(noise(200, seed=2)))
    before = files_in(tmp_path)
    outcomes = batch(items_of([str(tmp_path)], str(tmp_path), Plan()))
    assert [o.status for o in outcomes] == ["failed", "failed"]
    assert (outcomes[0].error or "").endswith(
        "a.wav is an input, which is never written to: choose another directory or format"
    )
    assert "is its own source" in (outcomes[1].error or "")
    items = [
        Item(source=str(first), target=str(tmp_path / "b.wav"), plan=Plan()),
        Item(source=str(first), right=str(second), target=str(tmp_path / "c.wav"), plan=Plan()),
        Item(source=str(first), target=str(second), plan=Plan()),
        Item(source=str(first), target=str(tmp_path / "a.wav"), plan=Plan(split=True)),
    ]
    assert [o.status for o in batch(items)] == ["converted", "converted", "failed", "converted"]
    assert {**files_in(tmp_path), **before} == files_in(tmp_path)


def test_an_input_that_vanishes(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 3)
    outcomes = []
    items = items_of(names, str(tmp_path / "out"), Plan())
    for outcome in run_batch(items):
        outcomes.append((outcome.status, outcome.error))
        if len(outcomes) == 1:
            os.unlink(names[1])
    assert outcomes == [("converted", None), ("failed", "No such file or directory"), ("converted", None)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_stops_looking_stops_the_batch(tmp_path: Path, jobs: int) -> None:
    names = recordings(tmp_path / "in", 20)
    before = set(threading.enumerate())
    running = run_batch(items_of(names, str(tmp_path / "out"), Plan()), jobs=jobs)
    next(running)
    running.close()
    made = files_in(tmp_path / "out")
    assert 1 <= len(made) <= 5
    assert not any(name.endswith(".part") for name in made)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_watches_the_progress_can_end_it(tmp_path: Path, jobs: int) -> None:
    recordings(tmp_path / "in", 9)

    def on_progress(duration_s: float) -> None:
        raise KeyboardInterrupt

    items = items_of([str(tmp_path / "in")], f"{tmp_path}/out/", Plan(normalize_db=-1.0))
    with pytest.raises(KeyboardInterrupt):
        list(run_batch(items, jobs=jobs, on_progress=on_progress))
    assert files_in(tmp_path / "out") == {}


def test_progress_adds_up(tmp_path: Path) -> None:
    recordings(tmp_path / "in", 9)
    for plan in (Plan(), Plan(sample_rate=16_000), Plan(normalize_db=-1.0), Plan(split=True)):
        told: list[float] = []
        items = items_of([str(tmp_path / "in")], f"{tmp_path}/out/", plan)
        outcomes = list(run_batch(items, jobs=2, on_progress=told.append))
        assert sum(told) == pytest.approx(sum(o.duration_s for o in outcomes))
        shutil.rmtree(tmp_path / "out")


def test_few_items_are_asked_for_ahead(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 20)
    asked = 0

    def items() -> Iterator[Item]:
        nonlocal asked
        for item in items_of(names, str(tmp_path / "out"), Plan()):
            asked += 1
            yield item

    for n_ended, _ in enumerate(run_batch(items(), jobs=3), 1):
        assert asked <= n_ended + 6
    assert asked == 20


# What inputs stand for


def pairs(inputs: list[str], out: str, plan: Plan | None = None) -> list[tuple[str, str]]:
    return [(item.source, item.target) for item in items_of(inputs, out, plan or Plan())]


def test_inputs_and_where_results_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("d/a.wav", "d/deep/b.FLAC", "d/.hidden/c.opus", "d/text.txt", "d/e/x.wav/y.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    everything = [
        ("d/.hidden/c.opus", "o/.hidden/c.wav"),
        ("d/a.wav", "o/a.wav"),
        ("d/deep/b.FLAC", "o/deep/b.wav"),
        ("d/e/x.wav/y.wav", "o/e/x.wav/y.wav"),
    ]
    assert pairs(["d"], "o") == everything
    assert pairs(["d/"], "o/") == everything
    assert pairs(["d/deep"], "o", Plan(format="opus")) == [("d/deep/b.FLAC", "o/b.opus")]
    assert pairs(["d/*.wav"], "o") == [("d/a.wav", "o/a.wav")]
    assert pairs(["d/**/*.FLAC"], "o") == [("d/deep/b.FLAC", "o/deep/b.wav")]
    assert pairs(["d/a.wav"], "o") == [("d/a.wav", "o")]
    assert pairs(["d/a.wav"], "o/") == [("d/a.wav", "o/a.wav")]
    assert pairs(["d/a.wav"], "d") == [("d/a.wav", "d/a.wav")]
    assert pairs(["d/a.wav", "d/text.txt"], "o") == [("d/a.wav", "o/a.wav"), ("d/text.txt", "o/text.wav")]
    assert pairs(["-"], "-") == [("-", "-")]
    assert pairs(["-"], "o/") == [("-", "o/stdin.wav")]
    Path("[x].wav").touch()
    assert pairs(["[x].wav"], "o.wav") == [("[x].wav", "o.wav")]


def test_raw_takes_what_has_no_header_out_of_a_directory(tmp_path: Path) -> None:
    names = ["a.wav", "b.ul", "c.ULAW", "d.al", "e.alaw", "f.raw", "g.pcm", "h.flac", "i.txt"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    plan = Plan(raw=parse_raw("ulaw"))
    found = items_of([str(tmp_path)], "out/", plan)
    assert [os.path.basename(item.source) for item in found] == names[1:7]
    assert len(items_of([str(tmp_path)], "out/", Plan())) == 2
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.wav").write_bytes(b"")
    with pytest.raises(FormatError, match=r"no audio below it: takes \.raw, \.pcm, .*\.al; others by name"):
        items_of([str(tmp_path / "only")], "out/", plan)


def test_no_name_in_a_store_leads_out_of_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [("s3://b/x/../../y.wav", "x/../../../y.wav"), ("s3://b//z.wav", "/z.wav")]
    monkeypatch.setattr("trunkline.convert.items.expand_remote", lambda url, endings: found)
    assert [target for _, target in pairs(["s3://b/"], "o")] == ["o/x/y.wav", "o/z.wav"]


def test_results_are_no_inputs_of_the_next_run(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 3)
    for _ in range(2):
        outcomes = batch(items_of([str(tmp_path / "in")], str(tmp_path / "in" / "out"), Plan()))
        assert [o.source for o in outcomes] == names
        assert {o.status for o in outcomes} == {"converted"}


@pytest.mark.parametrize(
    ("inputs", "out", "said"),
    [
        (["d"], "-", "standard output takes one file"),
        (["a.wav", "b.wav"], "a.wav", "a.wav: is no directory, which several results need"),
        (["a.wav", "b.wav"], "new.wav", "new.wav: has the name of one file: .* such as new/"),
        (["a.wav", "b.wav"], "", "the output has no name"),
        (["d"], "new.flac", "new.flac: has the name of one file"),
        (["no*.wav"], "o", "no\\*.wav: no file has such a name"),
        (["empty"], "o", "empty: no audio below it: takes .aif, "),
    ],
)
def test_outputs_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], out: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav", "d/c.wav", "empty/text.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    with pytest.raises(FormatError, match=said):
        items_of(inputs, out, Plan())


def test_bytes_of_a_result_are_those_of_its_source(tmp_path: Path) -> None:
    """Names are not mixed up between threads."""
    directory = tmp_path / "in"
    directory.mkdir()
    for k in range(60):
        (directory / f"{k}.wav").write_bytes(wav_bytes(noise(50 + k, seed=k)))
    batch(items_of([str(directory)], str(tmp_path / "out"), Plan(format="wav")), jobs=4)
    for k in range(60):
        assert read_s16(tmp_path / "out" / f"{k}.wav")[0].tobytes() == noise(50 + k, seed=k).tobytes()


MANY = f"""
from trunkline.convert import Plan
from trunkline.convert.batch import run_batch, survey
from trunkline.convert.items import items_of
items = items_of(["in"], "out", Plan(sample_rate=16_000))
n_items, sources = survey(items)
assert n_items == 10_000
assert all(o.status == "converted" for o in run_batch(items, sources=sources, jobs=2))
print({PEAK_KIB})
"""


@pytest.mark.slow
def test_ten_thousand_files_in_bounded_memory(tmp_path: Path) -> None:
    recordings(tmp_path / "in", 1)
    for k in range(1, 10_000):
        os.link(tmp_path / "in" / "000.wav", tmp_path / "in" / f"{k:05}.wav")
    done = subprocess.run(
        [sys.executable, "-c", MANY], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 64 * 1024  # KiB
