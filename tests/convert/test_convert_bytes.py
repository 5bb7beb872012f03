"""convert_bytes in the map of somebody else's scheduler: in threads, in processes, with plans that travel."""

import multiprocessing
import pickle
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from io import BytesIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import wav
from trunkline.convert import Plan, convert_bytes
from trunkline.convert.plan import FORMATS, parse_raw
from trunkline.testing import speech_like

PLANS = [
    Plan(),
    Plan(sample_rate=16000, quality="high"),
    Plan(encoding="ulaw", normalize_db=-3.0),
    Plan(channels=2, dither=True),
    Plan(format="raw", encoding="alaw", begin_s=0.1),
]


def recordings(n: int) -> list[bytes]:
    files = [BytesIO() for _ in range(n)]
    for seed, file in enumerate(files):
        wav.write(file, speech_like(0.3, seed=seed), 8000, encoding=("ulaw", "pcm16")[seed % 2])
    return [file.getvalue() for file in files]


def plans() -> st.SearchStrategy[Plan]:
    kinds = st.sampled_from([(kind, encoding) for kind, them in FORMATS.items() for encoding in them])
    return st.builds(
        lambda kind, rate, raw, begin_s: Plan(
            format=kind[0], encoding=kind[1], sample_rate=rate, raw=raw, begin_s=begin_s
        ),
        kinds,
        st.none() | st.integers(8000, 48000),
        st.none() | st.sampled_from([parse_raw("ulaw:8000"), parse_raw("pcm16:16000:2")]),
        st.floats(0, 1e6),
    )


@given(plan=plans())
def test_a_plan_travels(plan: Plan) -> None:
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_side_by_side_it_gives_what_it_gives_alone(kind: str) -> None:
    sources = recordings(12)
    pool: Executor = ThreadPoolExecutor(8)
    if kind == "processes":
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    with pool:
        for plan in PLANS if kind == "threads" else PLANS[:2]:
            alone = [convert_bytes(source, plan) for source in sources]
            assert len(set(alone)) == len(sources)
            assert list(pool.map(partial(convert_bytes, plan=plan), sources)) == alone


def test_the_source_is_left_alone() -> None:
    source = recordings(1)[0]
    before = bytes(bytearray(source))
    first, second = (convert_bytes(source, Plan(sample_rate=16000)) for _ in range(2))
    assert first == second
    assert source == before
