"""The Opus encoder: acquire, check, call libopus, release."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free
from libc.stdint cimport INT32_MAX, INT32_MIN
from libc.string cimport memcpy

from trunkline._native._buffer cimport acquire_out, acquire_pcm, overlap
from trunkline._native.opus cimport *

from trunkline._native.opus import (
    APPLICATIONS as _APPLICATIONS, BANDWIDTHS as _BANDWIDTHS, BITRATES as _BITRATES, NAMES as _NAMES,
    SIGNALS as _SIGNALS,
)

cdef dict _MAX_BANDWIDTHS = {name: code for name, code in _BANDWIDTHS.items() if name != "auto"}


@cython.final
cdef class Encoder:
    """Encode PCM to Opus packets (RFC 6716).

    `sample_rate`: 8,000, 12,000, 16,000, 24,000 or 48,000 Hz; `channels` 1 or 2, interleaved; `application`
    "voip", "audio" or "lowdelay". Every property may also be given as a keyword, and be changed between
    packets. FormatError for values that Opus does not have, LibraryMissingError without libopus.

    >>> from trunkline import opus
    >>> encoder = opus.Encoder(16000, bitrate=24000, inband_fec=True, packet_loss_percent=10)
    >>> packet = encoder.encode(bytes(2 * 320))  # 20 ms
    >>> opus.packet_info(packet).duration_ms
    20.0
    """

    def __cinit__(self, sample_rate, channels=1, application="voip", *, Library library=None, **settings):
        check_layout(sample_rate, channels)
        self.library = loaded() if library is None else library
        self.sample_rate = sample_rate
        self.channels = channels
        self.state = allocate(tl_opus_encoder_size(&self.library.table, self.channels))
        check(self.library, self.library.table.encoder_init(
            self.state, self.sample_rate, self.channels, code_of(_APPLICATIONS, application, "application")))

    def __init__(self, sample_rate, channels=1, application="voip", *, library=None, **settings):
        for name, value in settings.items():
            if name not in ENCODER_SETTINGS:
                raise TypeError(f"Encoder() has no setting {name!r}: takes {', '.join(ENCODER_SETTINGS)}")
            setattr(self, name, value)

    def __dealloc__(self):
        PyMem_Free(self.state)

    def __repr__(self):
        return f"Encoder({self.sample_rate}, {self.channels}, {self.application!r}, bitrate={self.bitrate})"

    def __reduce__(self):
        raise TypeError("an Encoder is not pickled: clone() copies it")

    def encode(self, pcm, /, *, max_bytes=None):
        """Encode one packet and return it.

        `pcm`: 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms of interleaved PCM, native-endian s16 as bytes or
        items of format h, or float32 in +-1.0 as items of format f. `max_bytes` caps the packet, and so the
        rate. ValueError for another length, TypeError for other buffers, ConcurrentUseError inside another
        call.
        """
        cdef Py_buffer view
        cdef bint is_float
        cdef int32_t n_bytes
        cdef size_t n_samples = self.acquire(pcm, &view, &is_float)
        try:
            # Room for frames of any size and all their lengths: libopus shares out what it is given.
            room = tl_opus_packet_bytes_max(self.sample_rate, n_samples) + 12
            if max_bytes is not None:
                room = min(room, in_range(max_bytes, 1, 1 << 24, "max_bytes"))
            packet = PyBytes_FromStringAndSize(NULL, room)
            n_bytes = self.run(view.buf, is_float, n_samples, PyBytes_AsString(packet), room)
            return packet[:n_bytes]
        finally:
            PyBuffer_Release(&view)

    def encode_into(self, pcm, out, *, max_bytes=None):
        """Encode one packet, as `encode`, into `out`; return its bytes.

        `out`: a writable buffer of bytes with room for the largest packet of that duration: 1,276 bytes up to
        20 ms, 2,551 for 40, 3,827 for 60, 7,652 for 120. BufferTooSmallError for less, as libopus would lower
        the rate to fit: who wants that says `max_bytes`, and has as many. Nothing else is written to.
        """
        cdef Py_buffer view
        cdef Py_buffer target
        cdef bint is_float
        cdef Py_ssize_t needed
        cdef Py_ssize_t room
        cdef size_t n_samples = self.acquire(pcm, &view, &is_float)
        try:
            needed = tl_opus_packet_bytes_max(self.sample_rate, n_samples)
            if max_bytes is not None:
                needed = min(needed + 12, in_range(max_bytes, 1, 1 << 24, "max_bytes"))
            acquire_out(out, &target, needed, False)
            try:
                if overlap(view.buf, view.len, target.buf, target.len):
                    raise ValueError(f"out overlaps the input of {view.len} bytes")
                room = needed if max_bytes is not None else min(target.len, needed + 12)
                return self.run(view.buf, is_float, n_samples, target.buf, room)
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&view)

    def reset(self):
        """Forget the audio so far; the settings stay."""
        self.ctl(RESET_STATE)

    def clone(self):
        """Return another encoder in the same state, which goes its own way from here."""
        cdef Encoder other = Encoder(self.sample_rate, self.channels, library=self.library)
        enter(&self.busy)
        memcpy(other.state, self.state, tl_opus_encoder_size(&self.library.table, self.channels))
        self.busy = False
        return other

    @property
    def application(self):
        """ "voip" for speech, "audio" for music, "lowdelay" without the modes for speech."""
        return _NAMES[self.get(GET_APPLICATION)]

    @application.setter
    def application(self, value):
        self.set(SET_APPLICATION, code_of(_APPLICATIONS, value, "application"))

    @property
    def bitrate(self):
        """In bit/s, 500 to 512,000; set "auto" or "max" for what suits the rate or fills the packet.

        libopus lowers it to the most that it makes, 300,000 for a channel in version 1.3. "auto" and "max"
        read as the rate that they stand for, which for "max" is above 512,000.
        """
        return self.get(GET_BITRATE)

    @bitrate.setter
    def bitrate(self, value):
        self.set(SET_BITRATE, code_of(_BITRATES, value, "bitrate") if isinstance(value, str) else in_range(
            value, 500, 512_000, "bitrate"))

    @property
    def vbr(self):
        """Whether packets may differ in size: True by default."""
        return bool(self.get(GET_VBR))

    @vbr.setter
    def vbr(self, value):
        self.set(SET_VBR, flag(value, "vbr"))

    @property
    def constrained_vbr(self):
        """Whether VBR keeps within a bit reservoir of one frame: True by default."""
        return bool(self.get(GET_VBR_CONSTRAINT))

    @constrained_vbr.setter
    def constrained_vbr(self, value):
        self.set(SET_VBR_CONSTRAINT, flag(value, "constrained_vbr"))

    @property
    def complexity(self):
        """0 to 10: time spent for quality."""
        return self.get(GET_COMPLEXITY)

    @complexity.setter
    def complexity(self, value):
        self.set(SET_COMPLEXITY, in_range(value, 0, 10, "complexity"))

    @property
    def signal(self):
        """What is encoded: "auto", "voice" or "music"."""
        return _NAMES[self.get(GET_SIGNAL)]

    @signal.setter
    def signal(self, value):
        self.set(SET_SIGNAL, code_of(_SIGNALS, value, "signal"))

    @property
    def bandwidth(self):
        """The audio bandwidth in use, "narrowband" (4 kHz) to "fullband" (20 kHz); set it, or "auto"."""
        return _NAMES[self.get(GET_BANDWIDTH)]

    @bandwidth.setter
    def bandwidth(self, value):
        self.set(SET_BANDWIDTH, code_of(_BANDWIDTHS, value, "bandwidth"))

    @property
    def max_bandwidth(self):
        """The widest bandwidth that "auto" may take."""
        return _NAMES[self.get(GET_MAX_BANDWIDTH)]

    @max_bandwidth.setter
    def max_bandwidth(self, value):
        self.set(SET_MAX_BANDWIDTH, code_of(_MAX_BANDWIDTHS, value, "max_bandwidth"))

    @property
    def inband_fec(self):
        """Whether packets carry a coarse copy of the audio before them (LBRR, RFC 6716 2.1.7).

        That takes a `packet_loss_percent` above 0 as well, and one of the modes for speech.
        """
        return bool(self.get(GET_INBAND_FEC))

    @inband_fec.setter
    def inband_fec(self, value):
        self.set(SET_INBAND_FEC, flag(value, "inband_fec"))

    @property
    def packet_loss_percent(self):
        """Expected loss, 0 to 100: how much of the rate goes into robustness."""
        return self.get(GET_PACKET_LOSS_PERC)

    @packet_loss_percent.setter
    def packet_loss_percent(self, value):
        self.set(SET_PACKET_LOSS_PERC, in_range(value, 0, 100, "packet_loss_percent"))

    @property
    def dtx(self):
        """Whether silence becomes packets of 1 or 2 bytes, which need not be sent."""
        return bool(self.get(GET_DTX))

    @dtx.setter
    def dtx(self, value):
        self.set(SET_DTX, flag(value, "dtx"))

    @property
    def in_dtx(self):
        """Whether the last packet said no more than that silence goes on."""
        return bool(self.get(GET_IN_DTX))

    @property
    def force_channels(self):
        """1 or 2 to encode so many whatever comes in, None for what suits the rate."""
        forced = self.get(GET_FORCE_CHANNELS)
        return None if forced == AUTO else forced

    @force_channels.setter
    def force_channels(self, value):
        self.set(SET_FORCE_CHANNELS, AUTO if value is None else in_range(
            value, 1, self.channels, "force_channels"))

    @property
    def lsb_depth(self):
        """Bits of the input that are not noise, 8 to 24."""
        return self.get(GET_LSB_DEPTH)

    @lsb_depth.setter
    def lsb_depth(self, value):
        self.set(SET_LSB_DEPTH, in_range(value, 8, 24, "lsb_depth"))

    @property
    def lookahead(self):
        """Samples per channel, at sample_rate, that the decoded audio is late."""
        return self.get(GET_LOOKAHEAD)

    @property
    def final_range(self):
        """The range coder's state after the last packet: equal to the decoder's when they agree."""
        return <uint32_t> self.get(GET_FINAL_RANGE)

    cpdef int get(self, request) except? -1:
        """Read a setting by the number of libopus's request; FormatError for others and when it refuses."""
        cdef int32_t value = 0
        check_getter(request)
        enter(&self.busy)
        code = self.library.table.encoder_ctl(self.state, <int> request, &value)
        self.busy = False
        return value if code >= 0 else refuse_code(self.library, code, f"request {request}")

    cpdef int set(self, request, value) except -1:
        """Change a setting by the number of libopus's request; FormatError as for `get`."""
        cdef int32_t number = in_range(value, INT32_MIN, INT32_MAX, "value")
        check_setter(request)
        enter(&self.busy)
        code = self.library.table.encoder_ctl(self.state, <int> request, number)
        self.busy = False
        return 0 if code >= 0 else refuse_code(self.library, code, f"request {request}, value {number}")

    cdef int ctl(self, int request) except -1:
        enter(&self.busy)
        code = self.library.table.encoder_ctl(self.state, request)
        self.busy = False
        check(self.library, code)
        return 0

    cdef size_t acquire(self, object pcm, Py_buffer *view, bint *is_float) except? 0:
        cdef Py_ssize_t n = acquire_pcm(pcm, view, "pcm", is_float)
        if n % self.channels or not tl_opus_packet_bytes_max(self.sample_rate, n // self.channels):
            PyBuffer_Release(view)
            raise ValueError(
                f"pcm: {n} samples for {self.channels} channel{'s' if self.channels > 1 else ''} at "
                f"{self.sample_rate} Hz: a packet is 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms")
        return n // self.channels

    cdef int32_t run(
        self, const void *pcm, bint is_float, size_t n_samples, void *out, size_t room
    ) except -1:
        cdef int32_t n_bytes
        enter(&self.busy)
        with nogil:
            n_bytes = tl_opus_encode(
                &self.library.table, self.state, self.channels, pcm, is_float, n_samples, out, room)
        self.busy = False
        check(self.library, n_bytes)
        return n_bytes


ENCODER_SETTINGS = (
    "bitrate", "vbr", "constrained_vbr", "complexity", "signal", "bandwidth", "max_bandwidth", "inband_fec",
    "packet_loss_percent", "dtx", "force_channels", "lsb_depth",
)
