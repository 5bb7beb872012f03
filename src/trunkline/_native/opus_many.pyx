"""Many packets at once: acquire all, let other threads run, call libopus for each, release."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free

from trunkline._native._buffer cimport acquire_bytes
from trunkline._native.opus cimport *
from trunkline._native.opus_decoder cimport Decoder, check_sample_format
from trunkline._native.opus_encoder cimport Encoder

from collections.abc import Sequence

from trunkline.errors import PayloadError


cdef struct Work:
    void *state  # an encoder's, or a tl_opus_decoder; NULL: nothing to do
    const tl_opus_library *library
    uint32_t channels
    const void *src
    size_t n_src  # samples, or bytes
    bint is_float
    void *out
    size_t room  # bytes, or samples
    int32_t got


@cython.final
cdef class _Batch:
    # What many calls need: their buffers held, their objects busy, their work side by side in memory.
    cdef Work *work
    cdef Py_buffer *views
    cdef Py_ssize_t n_views
    cdef list results
    cdef list busy

    def __cinit__(self, Py_ssize_t n):
        self.work = <Work *> allocate(n * sizeof(Work) + 1)
        self.views = <Py_buffer *> allocate(n * sizeof(Py_buffer) + 1)
        self.results = []
        self.busy = []

    def __dealloc__(self):
        PyMem_Free(self.work)
        PyMem_Free(self.views)

    cdef void release(self):
        for i in range(self.n_views):
            PyBuffer_Release(&self.views[i])
        self.n_views = 0


def decode_many(items, /, *, sample_format="s16"):
    """Decode many packets of one stream or of many, and let other threads run meanwhile, once.

    `items`: pairs of a Decoder and a packet, each decoder's in their order. Returns for each what
    `Decoder.decode` would, as bytes, or the PayloadError that it would raise. Other errors are raised, and
    then no packet has been decoded; a note says which item is meant.
    """
    # What they hold must stay while others run.
    cdef list pairs = [tuple(pair) if isinstance(pair, Sequence) else (pair,) for pair in items]
    cdef _Batch batch = _Batch(len(pairs))
    cdef bint is_float = check_sample_format(sample_format)
    cdef Decoder decoder
    cdef Work *work
    cdef Py_ssize_t i = 0, n = len(pairs)
    cdef dict durations = {}
    try:
        try:
            for i in range(n):
                if len(<tuple> pairs[i]) != 2 or not isinstance((<tuple> pairs[i])[0], Decoder):
                    raise TypeError("takes pairs of a Decoder and a packet")
                decoder, packet = pairs[i]
                acquire_bytes(packet, &batch.views[i], "packet")
                batch.n_views = i + 1
                work = &batch.work[i]
                work.state = NULL
                try:
                    work.room = decoder.duration(&batch.views[i])
                except PayloadError as error:
                    batch.results.append(error)
                    continue
                if batch.views[i].len == 0:  # as long as the one before it, which may be in this batch
                    work.room = durations.get(decoder, work.room)
                durations[decoder] = work.room
                work.state = decoder.decoder
                work.src = batch.views[i].buf
                work.n_src = batch.views[i].len
                out = PyBytes_FromStringAndSize(NULL, work.room * decoder.step(is_float))
                work.out = PyBytes_AsString(out)
                batch.results.append(out)
        except Exception as error:
            error.add_note(f"item {i} of {n}")
            raise
        for decoder in durations:
            enter(&decoder.busy)
            batch.busy.append(decoder)
        with nogil:
            for i in range(n):
                work = &batch.work[i]
                if work.state and work.n_src:
                    work.got = tl_opus_decode(
                        <tl_opus_decoder *> work.state, work.src, work.n_src, work.out, is_float, work.room)
                elif work.state:
                    work.got = tl_opus_conceal(<tl_opus_decoder *> work.state, work.out, is_float, work.room)
    finally:
        for decoder in batch.busy:
            decoder.busy = False
        batch.release()
    for i in range(n):
        if batch.work[i].state and batch.work[i].got < 0:
            try:
                check((<Decoder> pairs[i][0]).library, batch.work[i].got)
            except PayloadError as error:
                batch.results[i] = error
    return batch.results


def encode_many(items, /):
    """Encode many packets of one stream or of many, and let other threads run meanwhile, once.

    `items`: pairs of an Encoder and the PCM of one packet, each encoder's in their order. Returns the
    packets. Errors are those of `Encoder.encode`; after one for a length, a buffer or a concurrent use,
    nothing has been encoded, and a note says which item is meant.
    """
    # What they hold must stay while others run.
    cdef list pairs = [tuple(pair) if isinstance(pair, Sequence) else (pair,) for pair in items]
    cdef _Batch batch = _Batch(len(pairs))
    cdef Encoder encoder
    cdef Work *work
    cdef Py_ssize_t i = 0, n = len(pairs)
    cdef dict encoders = {}
    try:
        try:
            for i in range(n):
                if len(<tuple> pairs[i]) != 2 or not isinstance((<tuple> pairs[i])[0], Encoder):
                    raise TypeError("takes pairs of an Encoder and PCM")
                encoder, pcm = pairs[i]
                work = &batch.work[i]
                work.n_src = encoder.acquire(pcm, &batch.views[i], &work.is_float)
                batch.n_views = i + 1
                encoders[encoder] = True
                work.library = &encoder.library.table
                work.channels = encoder.channels
                work.src = batch.views[i].buf
                work.room = tl_opus_packet_bytes_max(encoder.sample_rate, work.n_src) + 12
                packet = PyBytes_FromStringAndSize(NULL, work.room)
                work.out = PyBytes_AsString(packet)
                work.state = encoder.state
                batch.results.append(packet)
        except Exception as error:
            error.add_note(f"item {i} of {n}")
            raise
        for encoder in encoders:
            enter(&encoder.busy)
            batch.busy.append(encoder)
        with nogil:
            for i in range(n):
                work = &batch.work[i]
                work.got = tl_opus_encode(
                    work.library, work.state, work.channels, work.src, work.is_float, work.n_src, work.out,
                    work.room)
    finally:
        for encoder in batch.busy:
            encoder.busy = False
        batch.release()
    for i in range(n):
        check((<Encoder> pairs[i][0]).library, batch.work[i].got)
        batch.results[i] = batch.results[i][:batch.work[i].got]
    return batch.results
