"""Manifests: JSON Lines and CSV, options of each line, lines that say nothing usable."""

import csv
import json
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.convert import Plan
from trunkline.convert.items import LINE_CHARS_MAX, Item, manifest_items
from trunkline.convert.plan import parse_raw
from trunkline.errors import FormatError

PLAN = Plan(sample_rate=16_000)


def items(path: Path, text: str | bytes, plan: Plan = PLAN) -> list[Item]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(manifest_items(path, "out", plan))


LINES = [
    ({"source": "a/b.wav"}, Item(source="a/b.wav", target="out/b.wav", plan=PLAN)),
    (
        {"source": "b.ul", "target": "x/y.opus", "raw": "ulaw:8000:2", "bitrate": 16_000, "pick": 2},
        Item(
            source="b.ul",
            target="x/y.opus",
            plan=Plan(sample_rate=16_000, raw=parse_raw("ulaw:8000:2"), bitrate=16_000, pick=2),
        ),
    ),
    (
        {"source": "l.wav", "right": "r.wav", "offset_s": -1.5, "sample_rate": 8000, "format": "flac"},
        Item(
            source="l.wav",
            right="r.wav",
            offset_s=-1.5,
            target="out/l.flac",
            plan=Plan(sample_rate=8000, format="flac"),
        ),
    ),
    (
        {"source": "m.wav", "mix": True, "dither": True, "begin_s": 0.5, "end_s": 2, "normalize_db": -3},
        Item(
            source="m.wav",
            target="out/m.wav",
            plan=Plan(sample_rate=16_000, mix=True, dither=True, begin_s=0.5, end_s=2.0, normalize_db=-3.0),
        ),
    ),
    (
        {"source": 'quo"te, comma.wav'},
        Item(source='quo"te, comma.wav', target='out/quo"te, comma.wav', plan=PLAN),
    ),
    ({"source": "new\nline.wav"}, Item(source="new\nline.wav", target="out/new\nline.wav", plan=PLAN)),
    ({"source": "ü.wav"}, Item(source="ü.wav", target="out/ü.wav", plan=PLAN)),
]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_options_of_each_line(tmp_path: Path, bom: bytes, end: str) -> None:
    expected = [item for _, item in LINES]
    lines = end.join(["", *(json.dumps(line) for line, _ in LINES), "  ", ""])
    assert items(tmp_path / "m.jsonl", bom + lines.encode()) == expected
    names = list(dict.fromkeys(name for line, _ in LINES for name in line))
    with open(tmp_path / "m.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator=end)
        writer.writeheader()
        writer.writerows(line for line, _ in LINES)
    assert items(tmp_path / "m.CSV", bom + (tmp_path / "m.csv").read_bytes()) == expected


BAD = [
    ("[]", "Expected `object`, got `array`"),
    ("nonsense", "JSON is malformed"),
    ('{"source": "a.wav"', "Input data was truncated"),
    ("{}", "no source"),
    ('{"source": 1}', "source of 1: takes a name"),
    ('{"source": ""}', "no source"),
    (
        '{"source": "a.wav", "rate": 8000}',
        "unknown field 'rate': takes source, target, right, offset_s, format, ",
    ),
    ('{"source": "a.wav", "sample_rate": 1}', "sample rate of 1 Hz: takes 4000 to 192000"),
    ('{"source": "a.wav", "sample_rate": "fast"}', "Expected `int | null`, got `str`"),
    ('{"source": "a.wav", "raw": "mp3:8000"}', "unknown encoding 'mp3'"),
    ('{"source": "a.wav", "mix": true, "pick": 1}', "mix and pick: only one of them"),
    ('{"source": "a.wav", "offset_s": 1e300}', "offset of 1e+300 s: takes up to 86,400 either way"),
    ('{"source": "a.wav", "error": "x"}', "unknown field 'error'"),
    ("[" * 20_000, ""),
    ("{" + " " * LINE_CHARS_MAX + "}", "a line of more than 65,536 characters"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=range(len(BAD)))
def test_a_line_that_says_nothing_usable_stands_alone(tmp_path: Path, line: str, said: str) -> None:
    good = '{"source": "a.wav"}'
    first, bad, last = items(tmp_path / "m.jsonl", f"{good}\n{line}\n{good}\n")
    assert first == last == Item(source="a.wav", target="out/a.wav", plan=PLAN)
    assert bad.source == f"{tmp_path}/m.jsonl:2"
    assert (bad.error or "").startswith(said)
    assert bad.error
    assert len(bad.error) <= 300


BAD_ROWS = [
    (b"a.wav,8000,more", "3 fields: the heading names 2"),
    (b",8000", "no source"),
    (b"a.wav,fast", "Expected `int | null`, got `str`"),
    (
        b'"' + b"x" * 50_000 + b"\n" + b"x" * 50_000 + b"\n" + b"x" * 50_000 + b'"',
        "field larger than field limit",
    ),
    (b"y" * 70_000 + b",8000", "a line of more than 65,536 characters"),
]


@pytest.mark.parametrize(("row", "said"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_a_bad_row_stands_alone(tmp_path: Path, row: bytes, said: str) -> None:
    read = items(tmp_path / "m.csv", b" source ,sample_rate\nz.wav,\n\n" + row + b"\nz.wav,16000\n")
    good = Item(source="z.wav", target="out/z.wav", plan=PLAN)
    assert read[0] == read[-1] == good
    bad = [item for item in read if item.error]
    assert bad
    assert (bad[0].error or "").startswith(said)


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    (csv_item,) = items(tmp_path / "m.csv", b"source\nn\xff.wav\n")
    assert (csv_item.source, csv_item.target) == ("n\udcff.wav", "out/n\udcff.wav")
    (json_item,) = items(tmp_path / "m.jsonl", b'{"source": "n\xff.wav"}\n')
    assert json_item.error == "is not UTF-8"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"source": "a.wav", "right": ["b.wav"]}', "right of ['b.wav']: takes a name"),
        ('{"source": "a\\u0000.wav"}', r"source of 'a\x00.wav': takes a name"),
    ],
)
def test_what_is_no_name(tmp_path: Path, line: str, said: str) -> None:
    (item,) = items(tmp_path / "m.jsonl", line)
    assert item.error == said


def test_no_name_leads_out_of_the_directory(tmp_path: Path) -> None:
    (item,) = items(tmp_path / "m.jsonl", '{"source": "../../x/.."}')
    assert item.target.startswith("out/")
    assert ".." not in item.target.split("/")


@given(
    text=st.one_of(
        st.text(st.sampled_from('{}[]":,\n\r\\ "source.wavtrue0-1eE\0\ufeff'), max_size=200),
        st.lists(st.dictionaries(st.sampled_from(["source", "target", "raw", "end_s", "x"]), st.text())).map(
            lambda rows: "\n".join(map(json.dumps, rows))
        ),
    ),
    ending=st.sampled_from(["jsonl", "csv"]),
)
@settings(max_examples=60)
def test_any_text_gives_items(tmp_path: Path, text: str, ending: str) -> None:
    read = items(tmp_path / f"m.{ending}", text.encode("utf-8", "surrogatepass"))
    assert len(read) <= text.count("\n") + text.count("\r") + 1
    for item in read:
        assert item.error is not None or item.source
        msgspec.structs.asdict(item)


def test_one_line_is_in_memory(tmp_path: Path) -> None:
    for ending, line, heading in (
        ("jsonl", '{"source": "a/b/c.wav"}\n', ""),
        ("csv", "a/b/c.wav\n", "source\n"),
    ):
        (tmp_path / f"m.{ending}").write_text(heading + line * 5000)
        (tmp_path / f"zeros.{ending}").write_bytes(bytes(2_000_000))
        tracemalloc.start()  # which makes it slow
        assert sum(1 for item in manifest_items(tmp_path / f"m.{ending}", "out", PLAN)) == 5000
        assert (
            sum(item.error is not None for item in manifest_items(tmp_path / f"zeros.{ending}", "out", PLAN))
            == 1
        )
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(manifest_items(tmp_path / "missing.jsonl", "out", PLAN))
    with pytest.raises(IsADirectoryError):
        list(manifest_items(tmp_path, "out", PLAN))
    with pytest.raises(FormatError, match="standard output"):
        list(manifest_items(tmp_path / "m.jsonl", "-", PLAN))
    assert items(tmp_path / "m.jsonl", "") == items(tmp_path / "m.csv", "") == []
