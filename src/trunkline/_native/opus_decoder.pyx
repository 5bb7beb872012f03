"""The Opus decoder: acquire, check, call libopus, release."""

from operator import index
from typing import NamedTuple

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free
from libc.stdint cimport INT32_MAX, INT32_MIN
from libc.string cimport memcpy

from trunkline._native._buffer cimport (
    acquire_bytes, get_buffer, holds, holds_bytes, overlap, refuse, refuse_items, refuse_small,
)
from trunkline._native.opus cimport *
from trunkline._native.opus_packet cimport parse, tl_opus_packet

from trunkline._native.opus import NAMES as _NAMES
from trunkline.errors import FormatError


class Recovery(NamedTuple):
    """What filled a gap, in samples per channel: `concealed`, then `fec`; or all `comfort_noise`."""

    concealed: int
    fec: int
    comfort_noise: int


@cython.final
cdef class Decoder:
    """Decode Opus packets (RFC 6716), and fill the gaps between them.

    `sample_rate` of the PCM: 8,000, 12,000, 16,000, 24,000 or 48,000 Hz, whatever the packets were made from;
    `channels` of the PCM, 1 or 2, interleaved. FormatError for others, LibraryMissingError without libopus.

    >>> from trunkline import opus
    >>> from trunkline.testing import speech_like
    >>> encoder, decoder = opus.Encoder(16000), opus.Decoder(16000)
    >>> out = bytearray(2 * 320)
    >>> decoder.decode_into(encoder.encode(speech_like(0.02, 16000)), out)
    320
    """

    def __cinit__(self, sample_rate, channels=1, *, Library library=None):
        check_layout(sample_rate, channels)
        self.library = loaded() if library is None else library
        self.sample_rate = sample_rate
        self.channels = channels
        self.decoder = tl_opus_decoder_init(
            allocate(tl_opus_decoder_size(&self.library.table, self.channels)),
            &self.library.table, self.sample_rate, self.channels)

    def __dealloc__(self):
        PyMem_Free(self.decoder)

    def __repr__(self):
        return f"Decoder({self.sample_rate}, {self.channels})"

    def __reduce__(self):
        raise TypeError("a Decoder is not pickled: clone() copies it")

    def decode(self, packet, /, *, sample_format="s16"):
        """Decode one packet; return its PCM as bytes of "s16" or "f32".

        An empty packet stands for one that was not sent: it gives as much as the last one, concealed.
        PayloadError when the packet breaks RFC 6716 3.4; the decoder goes on with the next.
        """
        cdef Py_buffer view
        cdef bint is_float = check_sample_format(sample_format)
        cdef size_t n_samples
        cdef int32_t got
        acquire_bytes(packet, &view, "packet")
        try:
            n_samples = self.duration(&view)
            out = PyBytes_FromStringAndSize(NULL, n_samples * self.step(is_float))
            got = self.run(&view, PyBytes_AsString(out), is_float, n_samples)
            return out if <size_t> got == n_samples else out[:got * self.step(is_float)]
        finally:
            PyBuffer_Release(&view)

    def decode_into(self, packet, out):
        """Decode one packet, as `decode`, into `out`; return its samples per channel.

        `out`: a writable buffer of bytes or of items of format h (s16), or of format f (float32), with room
        for the duration that the packet's first byte says, in the decoder's channels; BufferTooSmallError for
        less, and then nothing is decoded.
        """
        cdef Py_buffer view
        cdef Py_buffer target
        cdef bint is_float
        cdef size_t n_samples
        acquire_bytes(packet, &view, "packet")
        try:
            n_samples = self.duration(&view)
            self.acquire_target(out, &target, n_samples, &is_float)
            try:
                refuse_overlap(&view, &target)
                return self.run(&view, target.buf, is_float, n_samples)
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&view)

    def decode_as_told(self, packet, out, n_samples, fec):
        """Call libopus's own opus_decode or opus_decode_float, with room for `n_samples`, to 120 ms.

        `packet` None conceals so many; `fec` decodes the packet's LBRR data into the end of them. Only the
        buffers are checked; an error has libopus's `code`.
        """
        cdef Py_buffer view
        cdef Py_buffer target
        cdef bint is_float
        cdef bint with_fec = fec
        cdef size_t room = n_samples
        cdef int32_t got
        acquire_bytes(b"" if packet is None else packet, &view, "packet")
        try:
            self.acquire_target(out, &target, room, &is_float)
            try:
                refuse_overlap(&view, &target)
                enter(&self.busy)
                with nogil:
                    got = tl_opus_decode_as_told(
                        self.decoder, view.buf if view.len else NULL, view.len, target.buf, is_float, room,
                        with_fec)
                self.busy = False
                check(self.library, got)
                return got
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&view)

    def conceal_into(self, out, n_samples):
        """Write what should be heard instead of `n_samples` per channel that are missing; return `n_samples`.

        `out` as for `decode_into`; `n_samples` a multiple of 2.5 ms, to 10 s. After a packet that said
        silence (DTX), it is comfort noise.
        """
        cdef Py_buffer target
        cdef bint is_float
        cdef size_t gap = self.check_gap(n_samples)
        cdef int32_t code
        self.acquire_target(out, &target, gap, &is_float)
        try:
            enter(&self.busy)
            with nogil:
                code = tl_opus_conceal(self.decoder, target.buf, is_float, gap)
            self.busy = False
            check(self.library, code)
            return gap
        finally:
            PyBuffer_Release(&target)

    def recover_into(self, next_packet, out, gap_samples, *, dtx=False):
        """Fill the gap before `next_packet`, which is to be decoded after this; say what came from what.

        The gap is concealed but for its last frame, which comes from the copy of it in `next_packet` when
        there is one (in-band FEC). `gap_samples` per channel, a multiple of 2.5 ms, to 10 s; `out` as for
        `decode_into`. `dtx`: the sequence numbers show that nothing was lost, so the gap is silence that was
        not sent: it becomes comfort noise. Returns a Recovery, whose samples add up to the gap.
        """
        cdef Py_buffer view
        cdef Py_buffer target
        cdef bint is_float
        cdef size_t gap = self.check_gap(gap_samples), fec = 0
        cdef bint comfort = flag(dtx, "dtx")
        cdef int32_t code = 0
        acquire_bytes(next_packet, &view, "next_packet")
        try:
            self.duration(&view)
            self.acquire_target(out, &target, gap, &is_float)
            try:
                refuse_overlap(&view, &target)
                if not comfort:
                    fec = tl_opus_fec_samples(self.decoder, view.buf, view.len)
                    fec = fec if fec <= gap else 0
                enter(&self.busy)
                with nogil:
                    if gap > fec:
                        code = tl_opus_conceal(self.decoder, target.buf, is_float, gap - fec)
                    if fec and code >= 0:
                        code = tl_opus_decode_fec(
                            self.decoder, view.buf, view.len,
                            <char *> target.buf + (gap - fec) * self.step(is_float), is_float)
                self.busy = False
                check(self.library, code)
                return Recovery(0 if comfort else gap - fec, fec, gap if comfort else 0)
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&view)

    def reset(self):
        """Forget the packets so far."""
        enter(&self.busy)
        code = tl_opus_decoder_reset(self.decoder)
        self.busy = False
        check(self.library, code)

    def clone(self):
        """Return another decoder in the same state, which goes its own way from here."""
        cdef Decoder other = Decoder(self.sample_rate, self.channels, library=self.library)
        enter(&self.busy)
        memcpy(other.decoder, self.decoder, tl_opus_decoder_size(&self.library.table, self.channels))
        self.busy = False
        return other

    @property
    def gain_db(self):
        """Applied to all that is decoded: -128 to 128 dB, in steps of 1/256."""
        return self.get(GET_GAIN) / 256.0

    @gain_db.setter
    def gain_db(self, value):
        if not -128 <= value < 128:
            raise FormatError(f"gain_db: takes -128 to 128, got {value}")
        self.set(SET_GAIN, <int> round(value * 256))

    @property
    def complexity(self):
        """0 to 10; from 5 on lost packets are concealed by a neural network.

        FormatError before libopus 1.5, which has none.
        """
        return self.get(GET_COMPLEXITY)

    @complexity.setter
    def complexity(self, value):
        self.set(SET_COMPLEXITY, in_range(value, 0, 10, "complexity"))

    @property
    def pitch(self):
        """The last frame's pitch period in samples at 48 kHz, 0 when there was none."""
        return self.get(GET_PITCH)

    @property
    def bandwidth(self):
        """The last packet's audio bandwidth, None before the first."""
        return _NAMES.get(self.get(GET_BANDWIDTH))

    @property
    def last_packet_duration(self):
        """Samples per channel of the last packet or concealment."""
        return self.get(GET_LAST_PACKET_DURATION)

    @property
    def final_range(self):
        """The range coder's state after the last packet: equal to the encoder's when they agree."""
        return <uint32_t> self.get(GET_FINAL_RANGE)

    cpdef int get(self, request) except? -1:
        """Read a setting by the number of libopus's request; FormatError for others and when it refuses."""
        cdef int32_t value = 0
        check_getter(request)
        enter(&self.busy)
        code = self.library.table.decoder_ctl(tl_opus_decoder_state(self.decoder), <int> request, &value)
        self.busy = False
        return value if code >= 0 else refuse_code(self.library, code, f"request {request}")

    cpdef int set(self, request, value) except -1:
        """Change a setting by the number of libopus's request; FormatError as for `get`."""
        cdef int32_t number = in_range(value, INT32_MIN, INT32_MAX, "value")
        check_setter(request)
        enter(&self.busy)
        code = self.library.table.decoder_ctl(tl_opus_decoder_state(self.decoder), <int> request, number)
        self.busy = False
        return 0 if code >= 0 else refuse_code(self.library, code, f"request {request}, value {number}")

    cdef size_t step(self, bint is_float) noexcept nogil:
        return self.channels * (4 if is_float else 2)

    cdef size_t duration(self, const Py_buffer *packet) except? 0:
        cdef tl_opus_packet parsed
        if packet.len == 0:
            last = self.last_packet_duration
            return last if last else self.sample_rate // 50
        parse(packet.buf, packet.len, &parsed)
        return parsed.n_frames * parsed.frame_samples // (48000 // self.sample_rate)

    cdef size_t check_gap(self, object n_samples) except? 0:
        n_samples, unit = index(n_samples), self.sample_rate // 400
        if not 0 <= n_samples <= 10 * self.sample_rate or n_samples % unit:
            raise ValueError(
                f"a gap of {n_samples} samples: takes multiples of 2.5 ms, {unit} samples, up to 10 s")
        return n_samples

    cdef int acquire_target(self, object out, Py_buffer *target, size_t n_samples, bint *is_float) except -1:
        cdef Py_ssize_t needed
        if get_buffer(out, target, PyBUF_WRITABLE | PyBUF_ND | PyBUF_FORMAT) < 0:
            return refuse(out, "out", "writable s16 or float32 PCM")
        is_float[0] = holds(target, b"f")
        if not (is_float[0] or holds_bytes(target) or holds(target, b"h")):
            return refuse_items(target, "out", "writable s16 or float32 PCM")
        needed = n_samples * self.step(is_float[0])
        if target.len < needed:
            return refuse_small(target, needed)
        return 0

    cdef int32_t run(self, const Py_buffer *packet, void *out, bint is_float, size_t n_samples) except -1:
        cdef int32_t got
        enter(&self.busy)
        with nogil:
            if packet.len:
                got = tl_opus_decode(self.decoder, packet.buf, packet.len, out, is_float, n_samples)
            else:
                got = tl_opus_conceal(self.decoder, out, is_float, n_samples)
        self.busy = False
        check(self.library, got)
        return got


cdef inline int refuse_overlap(const Py_buffer *src, const Py_buffer *target) except -1:
    if overlap(src.buf, src.len, target.buf, target.len):
        raise ValueError(f"out overlaps the packet of {src.len} bytes")
    return 0


cdef bint check_sample_format(object sample_format) except -1:
    if sample_format not in ("s16", "f32"):
        raise FormatError(f"sample_format {sample_format!r}: takes s16, f32")
    return sample_format == "f32"
