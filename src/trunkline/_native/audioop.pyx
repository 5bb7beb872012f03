"""The functions of Python's audioop on buffers: acquire, check, call one C function, release."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString, PyBytes_CheckExact, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.limits cimport INT_MAX
from libc.stdint cimport int32_t, int64_t, uint32_t

from trunkline._native._buffer cimport borrow
from trunkline._native.cpu cimport selected_isa, tl_isa

from trunkline.errors import TrunklineError

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState *state)
    const Py_ssize_t PY_SSIZE_T_MAX
    long PyLong_AsLong(object number) except? -1

cdef extern from "trunkline/audioop.h" nogil:
    ctypedef struct tl_g711_kernels:
        pass
    const tl_g711_kernels *tl_g711_kernels_for(tl_isa isa)

    uint32_t tl_audioop_rms(const void *pcm, int width, size_t n)
    int32_t tl_audioop_avg(const void *pcm, int width, size_t n)
    uint32_t tl_audioop_max(const void *pcm, int width, size_t n)
    void tl_audioop_minmax(const void *pcm, int width, size_t n, int32_t *low, int32_t *high)
    void tl_audioop_mul(const void *pcm, int width, size_t n, double factor, void *out)
    void tl_audioop_tomono(const void *pcm, int width, size_t n, double left, double right, void *out)
    void tl_audioop_tostereo(const void *pcm, int width, size_t n, double left, double right, void *out)
    void tl_audioop_add(const void *a, const void *b, int width, size_t n, void *out)
    void tl_audioop_bias(const void *pcm, int width, size_t n, int32_t bias, void *out)
    void tl_audioop_byteswap(const void *pcm, int width, size_t n, void *out)
    void tl_audioop_reverse(const void *pcm, int width, size_t n, void *out)
    void tl_audioop_lin2lin(const void *pcm, int width, size_t n, int out_width, void *out)
    void tl_audioop_ulaw2lin(const tl_g711_kernels *kernels, const void *codes, size_t n, int width,
                             void *out)
    void tl_audioop_alaw2lin(const tl_g711_kernels *kernels, const void *codes, size_t n, int width,
                             void *out)
    void tl_audioop_lin2ulaw(const tl_g711_kernels *kernels, const void *pcm, int width, size_t n,
                             void *out)
    void tl_audioop_lin2alaw(const tl_g711_kernels *kernels, const void *pcm, int width, size_t n,
                             void *out)

    ctypedef struct tl_ratecv_channel:
        int32_t previous
        int32_t current
    ctypedef struct tl_ratecv:
        int32_t in_rate
        int32_t out_rate
        int32_t weight_a
        int32_t weight_b
        int32_t phase
        int n_channels
        tl_ratecv_channel *channels
    void tl_ratecv_start(tl_ratecv *cv)
    int64_t tl_ratecv_frames(const tl_ratecv *cv, size_t n_frames)
    void tl_ratecv_run(tl_ratecv *cv, const void *pcm, int width, size_t n_frames, void *out)

cdef const tl_g711_kernels *g711 = tl_g711_kernels_for(selected_isa())

# About 10 us of work: below it, letting other threads run costs more than it gives.
cdef enum:
    RELEASE_GIL_BYTES = 16384


class error(TrunklineError):
    """Refuse a width, a length or a number that audioop's functions cannot work with."""


error.__module__ = "trunkline.audioop"


def ulaw2lin(fragment, width, /):
    """Decode mu-law (ITU-T G.711): one byte in, one sample of `width` bytes out, s16 scaled to it."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, 1, 1, n_bytes)
    let_others_run(&call)
    tl_audioop_ulaw2lin(g711, call.src, call.n_frames, n_bytes, call.dst)
    end(&call)
    return out


def alaw2lin(fragment, width, /):
    """Decode A-law (ITU-T G.711): as `ulaw2lin`."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, 1, 1, n_bytes)
    let_others_run(&call)
    tl_audioop_alaw2lin(g711, call.src, call.n_frames, n_bytes, call.dst)
    end(&call)
    return out


def lin2ulaw(fragment, width, /):
    """Encode the upper 16 bits of each sample to mu-law, as audioop does.

    That is not quite G.711: a negative sample on the edge of an interval, 508 of the 65,536 values, gets the
    code one further from zero than the reference of G.191 and `trunkline.g711.ulaw_encode` give it.
    """
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, n_bytes, 1, 1)
    let_others_run(&call)
    tl_audioop_lin2ulaw(g711, call.src, n_bytes, call.n_frames, call.dst)
    end(&call)
    return out


def lin2alaw(fragment, width, /):
    """Encode the upper 16 bits of each sample to A-law (ITU-T G.711)."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, n_bytes, 1, 1)
    let_others_run(&call)
    tl_audioop_lin2alaw(g711, call.src, n_bytes, call.n_frames, call.dst)
    end(&call)
    return out


def rms(fragment, width, /):
    """Give the root mean square of the samples, rounded down; 0 of none."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    hold(&call, fragment, n_bytes, 1)
    let_others_run(&call)
    cdef uint32_t level = tl_audioop_rms(call.src, n_bytes, call.n_frames)
    end(&call)
    return level


def avg(fragment, width, /):
    """Give the mean of the samples, rounded down; 0 of none."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    hold(&call, fragment, n_bytes, 1)
    let_others_run(&call)
    cdef int32_t mean = tl_audioop_avg(call.src, n_bytes, call.n_frames)
    end(&call)
    return mean


def max(fragment, width, /):
    """Give the largest magnitude of the samples; 0 of none."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    hold(&call, fragment, n_bytes, 1)
    let_others_run(&call)
    cdef uint32_t most = tl_audioop_max(call.src, n_bytes, call.n_frames)
    end(&call)
    return most


def minmax(fragment, width, /):
    """Give the lowest and the highest sample; of none, 2,147,483,647 and -2,147,483,648."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    cdef int32_t low, high
    hold(&call, fragment, n_bytes, 1)
    let_others_run(&call)
    tl_audioop_minmax(call.src, n_bytes, call.n_frames, &low, &high)
    end(&call)
    return low, high


def add(fragment1, fragment2, width, /):
    """Add two fragments of one length, sample by sample; sums saturate."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    cdef Py_buffer second
    out = begin(&call, fragment1, n_bytes, 1, n_bytes)
    try:
        acquire(fragment2, &second)
        if second.len != call.view.len:
            other_len = second.len
            PyBuffer_Release(&second)
            raise error(f"takes fragments of one length, got {call.view.len} and {other_len} bytes")
        let_others_run(&call)
        tl_audioop_add(call.src, second.buf, n_bytes, call.n_frames, call.dst)
        have_back(&call)
        PyBuffer_Release(&second)
    finally:
        end(&call)
    return out


def mul(fragment, width, double factor, /):
    """Multiply each sample by `factor`; products are rounded down and saturate.

    Where a product is not a number (of NaN, or of an infinity and 0) the sample is 0, in width 4 the lowest:
    what audioop gives on x86.
    """
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, n_bytes, 1, n_bytes)
    let_others_run(&call)
    tl_audioop_mul(call.src, n_bytes, call.n_frames, factor, call.dst)
    end(&call)
    return out


def tomono(fragment, width, double lfactor, double rfactor, /):
    """Mix stereo to mono: left times `lfactor` plus right times `rfactor`, rounded down and saturated."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, n_bytes, 2, n_bytes)
    let_others_run(&call)
    tl_audioop_tomono(call.src, n_bytes, call.n_frames, lfactor, rfactor, call.dst)
    end(&call)
    return out


def tostereo(fragment, width, double lfactor, double rfactor, /):
    """Make stereo of mono: left is each sample times `lfactor`, right times `rfactor`, as `mul`."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, n_bytes, 1, 2 * n_bytes)
    let_others_run(&call)
    tl_audioop_tostereo(call.src, n_bytes, call.n_frames, lfactor, rfactor, call.dst)
    end(&call)
    return out


def bias(fragment, width, bias, /):
    """Add `bias` to each sample; sums wrap around."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width), offset = whole(bias)
    out = begin(&call, fragment, n_bytes, 1, n_bytes)
    let_others_run(&call)
    tl_audioop_bias(call.src, n_bytes, call.n_frames, offset, call.dst)
    end(&call)
    return out


def byteswap(fragment, width, /):
    """Reverse the bytes of each sample."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, n_bytes, 1, n_bytes)
    let_others_run(&call)
    tl_audioop_byteswap(call.src, n_bytes, call.n_frames, call.dst)
    end(&call)
    return out


def reverse(fragment, width, /):
    """Reverse the order of the samples."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width)
    out = begin(&call, fragment, n_bytes, 1, n_bytes)
    let_others_run(&call)
    tl_audioop_reverse(call.src, n_bytes, call.n_frames, call.dst)
    end(&call)
    return out


def lin2lin(fragment, width, newwidth, /):
    """Change the width of the samples: the most significant bytes stay, zeros go below them."""
    cdef Call call
    cdef int n_bytes = sample_bytes(width), new_bytes = sample_bytes(newwidth)
    out = begin(&call, fragment, n_bytes, 1, new_bytes)
    let_others_run(&call)
    tl_audioop_lin2lin(call.src, n_bytes, call.n_frames, new_bytes, call.dst)
    end(&call)
    return out


def ratecv(fragment, width, nchannels, inrate, outrate, state, weightA=1, weightB=0, /):
    """Change the sample rate by drawing straight lines; return the fragment and the state to go on with.

    `nchannels` are interleaved; rates in Hz. There is no filter: what lies above the new Nyquist frequency
    folds back at full strength (`trunkline.Resampler` has one). `state` is None at first, then what the call
    before returned. Each input sample counts `weightA` times and the weighted one before it `weightB` times.
    A state that ratecv cannot have returned is refused: TypeError for its shape, OverflowError for numbers
    beyond 32 bits, else `error`.
    """
    cdef Call call
    cdef tl_ratecv cv
    cdef int c, n_bytes = sample_bytes(width)
    cv.n_channels = whole(nchannels)
    cv.in_rate, cv.out_rate = whole(inrate), whole(outrate)
    cv.weight_a, cv.weight_b = whole(weightA), whole(weightB)
    if cv.n_channels < 1:
        raise error(f"nchannels: takes 1 or more, got {nchannels}")
    if cv.n_channels > INT_MAX // n_bytes:
        raise OverflowError(f"a frame of {nchannels} channels of {width} bytes passes {INT_MAX} bytes")
    if cv.weight_a < 1 or cv.weight_b < 0:
        raise error(f"weights: take weightA >= 1 and weightB >= 0, got {weightA} and {weightB}")
    if cv.in_rate < 1 or cv.out_rate < 1:
        raise error(f"rates: take 1 Hz or more, got {inrate} and {outrate} Hz")
    hold(&call, fragment, n_bytes, cv.n_channels)
    cv.channels = NULL
    try:
        cv.channels = <tl_ratecv_channel *> PyMem_Malloc(<size_t> cv.n_channels * sizeof(tl_ratecv_channel))
        if cv.channels is NULL:
            raise MemoryError
        tl_ratecv_start(&cv)
        if state is not None:
            read_state(state, &cv)
        out = allocate(&call, tl_ratecv_frames(&cv, call.n_frames), n_bytes * cv.n_channels)
        let_others_run(&call)
        tl_ratecv_run(&cv, call.src, n_bytes, call.n_frames, call.dst)
        have_back(&call)
        pairs = [(cv.channels[c].previous, cv.channels[c].current) for c in range(cv.n_channels)]
        return out, (cv.phase, tuple(pairs))
    finally:
        PyMem_Free(cv.channels)
        end(&call)


cdef int read_state(object state, tl_ratecv *cv) except -1:
    if not isinstance(state, tuple):
        raise TypeError(f"state: takes None or a tuple, got {type(state).__name__}")
    if len(state) != 2 or not isinstance(state[1], tuple):
        raise TypeError("state: takes (position, ((previous, current), ...))")
    cdef int c
    phase, channels = state
    cv.phase = whole(phase)
    if cv.phase >= 0:
        raise error(f"state: takes a position below 0, got {phase}")
    if len(channels) != cv.n_channels:
        raise error(f"state: of {len(channels)} channels, for a fragment of {cv.n_channels}")
    for c in range(cv.n_channels):
        channel = channels[c]
        if not isinstance(channel, tuple) or len(channel) != 2:
            raise TypeError(f"state: channel {c} is not (previous, current)")
        cv.channels[c].previous, cv.channels[c].current = whole(channel[0]), whole(channel[1])
    return 0


# A call holds its fragment, makes room for what comes out, lets others run where the work is long, has it
# done in C, and ends. From let_others_run to have_back (or end) no Python object may be touched.

cdef struct Call:
    Py_buffer view
    const void *src
    size_t n_frames
    void *dst
    Py_ssize_t most_bytes
    PyThreadState *others


cdef inline int whole(object number) except? -1:
    cdef long value = PyLong_AsLong(number)  # Cython's own conversion takes a float, too
    if value != <int> value:
        raise OverflowError(f"{value} does not fit 32 bits")
    return <int> value


cdef inline int sample_bytes(object width) except -1:
    cdef int n_bytes = whole(width)
    if not 1 <= n_bytes <= 4:
        raise error(f"width: takes 1, 2, 3 or 4 bytes, got {width}")
    return n_bytes


cdef inline int acquire(object fragment, Py_buffer *view) except -1:
    if PyBytes_CheckExact(fragment):
        borrow(fragment, view)
    else:
        PyObject_GetBuffer(fragment, view, PyBUF_SIMPLE)  # of any items; the exporter's own errors
    return 0


cdef inline int hold(Call *call, object fragment, int sample_bytes, int n_channels) except -1:
    """Hold a fragment of whole frames, or raise with nothing held."""
    acquire(fragment, &call.view)
    cdef size_t n_bytes = <size_t> call.view.len, frame_bytes = <size_t> (sample_bytes * n_channels)
    if n_bytes % frame_bytes:
        PyBuffer_Release(&call.view)
        raise error(f"{n_bytes} bytes is not a whole number of {frame_bytes}-byte frames")
    call.src = call.view.buf
    call.n_frames = n_bytes // frame_bytes
    call.most_bytes = call.view.len
    call.others = NULL
    return 0


cdef inline bytes allocate(Call *call, int64_t n_frames, Py_ssize_t frame_bytes):
    """Make room for what comes out; -1 frames are beyond counting."""
    if not 0 <= n_frames <= PY_SSIZE_T_MAX // frame_bytes:
        raise MemoryError
    cdef Py_ssize_t n_bytes = n_frames * frame_bytes
    out = PyBytes_FromStringAndSize(NULL, n_bytes)
    call.dst = PyBytes_AsString(out)
    if n_bytes > call.most_bytes:
        call.most_bytes = n_bytes
    return out


cdef inline bytes begin(Call *call, object fragment, int n_bytes, int n_channels, int out_frame_bytes):
    """Hold a fragment and make room for as many frames, or raise with nothing held."""
    hold(call, fragment, n_bytes, n_channels)
    try:
        return allocate(call, <int64_t> call.n_frames, out_frame_bytes)
    except BaseException:
        PyBuffer_Release(&call.view)
        raise


cdef inline void let_others_run(Call *call) noexcept:
    if call.most_bytes >= RELEASE_GIL_BYTES:
        call.others = PyEval_SaveThread()


cdef inline void have_back(Call *call) noexcept:
    if call.others is not NULL:
        PyEval_RestoreThread(call.others)
        call.others = NULL


cdef inline void end(Call *call) noexcept:
    have_back(call)
    PyBuffer_Release(&call.view)
