"""trunkline.frame: the buffer that a Frame exports, and the pool its memory comes from."""

import copy
import ctypes
import gc
import pickle
import threading
import tracemalloc
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trunkline._native.frame import FramePool
from trunkline.errors import FormatError
from trunkline.formats import MediaFormat
from trunkline.frame import Frame
from trunkline.track import Track

PCM = array("h", [1, -2, 3, -4, 32767, -32768])


def test_mono_is_one_dimension_of_writable_s16() -> None:
    view = memoryview(Frame(PCM, sample_rate=8000))
    assert (view.format, view.itemsize, view.shape, view.readonly) == ("h", 2, (6,), False)
    assert view.tolist() == PCM.tolist()


def test_more_channels_are_two_dimensions() -> None:
    frame = Frame(PCM, sample_rate=8000, channels=2)
    view = memoryview(frame)
    assert (view.shape, view.strides, view.c_contiguous) == ((3, 2), (4, 2), True)
    assert [view[i, k] for i in range(3) for k in range(2)] == PCM.tolist()
    assert len(frame) == 3
    assert bytes(frame) == PCM.tobytes()


@pytest.mark.parametrize("channels", [1, 2])
def test_numpy_reads_and_writes_the_frame_itself(channels: int) -> None:
    frame = Frame(PCM, sample_rate=8000, channels=channels)
    one, two = np.asarray(frame), np.asarray(frame)
    assert one.dtype == np.int16
    assert np.shares_memory(one, two)
    one[-1] = 7
    assert bytes(frame)[-2 * channels :] == array("h", [7] * channels).tobytes()


class PyBuffer(ctypes.Structure):
    """Py_buffer, as the stable ABI lays it out since 3.11."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


PYBUF_SIMPLE, PYBUF_ND, PYBUF_F_CONTIGUOUS = 0, 0x08, 0x58


def requested(frame: Frame, flags: int) -> tuple[int, bytes | None, bool, bool]:
    """Give ndim, format, and whether there are a shape and strides, as a consumer in C sees them."""
    view = PyBuffer()
    get = ctypes.pythonapi.PyObject_GetBuffer
    get.argtypes = [ctypes.py_object, ctypes.POINTER(PyBuffer), ctypes.c_int]
    get(frame, view, flags)
    seen = (view.ndim, view.format, bool(view.shape), bool(view.strides))
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return seen


def test_consumer_gets_what_it_asked_for_and_no_more() -> None:
    frame = Frame(PCM, sample_rate=8000, channels=2)
    assert requested(frame, PYBUF_SIMPLE) == (1, None, False, False)
    assert requested(frame, PYBUF_ND) == (2, None, True, False)
    with pytest.raises(BufferError, match="C-contiguous"):
        requested(frame, PYBUF_F_CONTIGUOUS)
    assert requested(Frame(PCM, sample_rate=8000), PYBUF_F_CONTIGUOUS) == (1, None, True, True)


@pytest.mark.parametrize("pcm", [PCM.tobytes(), PCM[:], memoryview(PCM[:]), bytearray(PCM), np.array(PCM)])
def test_frame_is_a_copy_of_its_pcm(pcm: Any) -> None:
    frame = Frame(pcm, sample_rate=8000)
    if not isinstance(pcm, bytes):
        pcm[0] = 5
    assert bytes(frame) == PCM.tobytes()


def test_attributes() -> None:
    frame = Frame(
        PCM,
        sample_rate=16000,
        channels=3,
        timestamp_ms=-1.5,
        track="outbound",
        sequence=2**63 - 1,
        concealed=True,
    )
    assert (frame.sample_rate, frame.channels, frame.timestamp_ms) == (16000, 3, -1.5)
    assert (frame.track, frame.sequence, frame.concealed) == ("outbound", 2**63 - 1, True)
    assert frame.duration_ms == 0.125
    text = "Frame(track='outbound', timestamp_ms=-1.5, 2 samples, 16000 Hz, 3 channels, concealed)"
    assert repr(frame) == text
    with pytest.raises(AttributeError):
        frame.timestamp_ms = 0.0  # type: ignore[misc]
    assert (
        repr(Frame(b"", sample_rate=8000)) == "Frame(track='inbound', timestamp_ms=0.0, 0 samples, 8000 Hz)"
    )


@pytest.mark.parametrize(
    ("pcm", "options", "error", "words"),
    [
        (bytes(3), {}, ValueError, "3 bytes"),
        (bytes(6), {"channels": 2}, ValueError, "3 samples are not whole for 2 channels"),
        (bytes(2), {"channels": 0}, FormatError, "takes 1 to 8"),
        (bytes(2), {"channels": 9}, FormatError, "takes 1 to 8"),
        (bytes(2), {"sample_rate": 3999}, FormatError, "takes 4000 to 192000"),
        (bytes(2), {"sample_rate": 10**30}, FormatError, "takes 4000 to 192000"),
        (bytes(2), {"timestamp_ms": float("nan")}, ValueError, "finite"),
        (bytes(2), {"sequence": -1}, ValueError, "takes 0 or more"),
        (bytes(2), {"track": None}, TypeError, "track"),
        (array("f", [0.5]), {}, TypeError, "'f'"),
        (array("H", [1]), {}, TypeError, "'H'"),
        ("ab", {}, TypeError, "str"),
        (np.zeros(8, np.int16)[::2], {}, TypeError, "C-contiguous"),
    ],
)
def test_bad_input_is_refused(pcm: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Frame(pcm, **{"sample_rate": 8000, **options})


def test_frame_is_initialised_once() -> None:
    frame = Frame(PCM, sample_rate=8000)
    with pytest.raises(TypeError, match="initialised once"):
        frame.__init__(bytes(9000), sample_rate=8000)
    assert bytes(frame) == PCM.tobytes()
    assert bytes(Frame.__new__(Frame)) == b""


# The pool


def push(track: Track, index: int) -> Frame:
    """Push packet `index` of a call, whose bytes tell it from its neighbours; return its frame."""
    (frame,) = track.push(index.to_bytes(2, "little") * 160, timestamp_ms=20 * index)
    assert isinstance(frame, Frame)
    return frame


def sample_of(index: int) -> int:
    return int.from_bytes(index.to_bytes(2, "little"), "little", signed=True)


def l16_track() -> Track:
    return Track(MediaFormat("L16", 8000))


def test_kept_frames_stay_right_while_others_come_and_go() -> None:
    track = l16_track()
    kept: list[tuple[int, Frame | memoryview]] = []
    for index in range(10_000):
        frame = push(track, index)
        if index % 7 == 0:
            kept.append((index, frame if index % 2 else memoryview(frame)))
    for index, audio in kept:
        assert bytes(audio) == array("h", [sample_of(index)] * 160).tobytes()


def test_block_goes_back_when_the_frame_and_all_its_views_are_gone() -> None:
    track = l16_track()
    frame = push(track, 1)
    view, samples = memoryview(frame), np.asarray(frame)
    part = view[10:20]
    assert track.pool.free == 0
    del frame
    view.release()
    assert track.pool.free == 0
    assert samples[-1] == part[0] == 1
    del samples
    assert track.pool.free == 0
    part.release()
    del view, part
    assert track.pool.free == 1
    kept = push(track, 2)
    assert (track.pool.free, memoryview(kept)[0]) == (0, 2)


def test_pool_is_bounded_and_outlives_its_track() -> None:
    track = l16_track()
    pool = track.pool
    assert (pool.block_bytes, pool.capacity, pool.free) == (320, 64, 0)
    frames = [push(track, index) for index in range(100)]
    del track
    assert memoryview(frames[99])[0] == 99
    del frames
    assert pool.free == 64


def test_pool_of_long_frames_keeps_one_mebibyte_at_most() -> None:
    pool = Track(MediaFormat("L16", 192_000, 8), frame_ms=1000).pool
    assert pool.block_bytes == 192_000 * 8 * 2
    assert pool.capacity == 1


@pytest.mark.parametrize("arguments", [(0,), (-1,), (320, -1)])
def test_impossible_pool_is_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="takes 0 or more of 1 or more"):
        FramePool(*arguments)


def test_blocks_come_back_from_any_thread() -> None:
    track = l16_track()
    frames = [[push(track, 50 * part + index) for index in range(50)] for part in range(4)]
    threads = [threading.Thread(target=part.clear) for part in frames]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert track.pool.free == track.pool.capacity == 64


def test_a_hundred_thousand_frames_that_nobody_keeps_cost_no_memory() -> None:
    track = l16_track()
    payload = bytes(320)
    for index in range(100):
        track.push(payload, timestamp_ms=20 * index, sequence=index)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for index in range(100, 100_100):
            track.push(payload, timestamp_ms=20 * index, sequence=index)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert track.stats.packets == 100_100
    assert after - before < 4096
    assert peak - before < 16_384


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda frame: pickle.loads(pickle.dumps(frame))]
)
def test_a_copy_is_equal_and_independent(copied: Callable[[Frame], Frame]) -> None:
    frame = Frame(
        bytes(range(80)),
        sample_rate=16000,
        channels=2,
        timestamp_ms=12.5,
        track="outbound",
        sequence=7,
        concealed=True,
    )
    other = copied(frame)
    assert repr(other) == repr(frame)
    assert (other.sequence, bytes(other)) == (7, bytes(range(80)))
    memoryview(other).cast("B")[0] = 99
    assert bytes(frame) == bytes(range(80))
