"""Opus on buffers: acquire, check, call libopus, release."""

import os
from typing import NamedTuple

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy

from trunkline._native._buffer cimport (
    acquire_bytes, acquire_out, acquire_pcm, get_buffer, holds, holds_bytes, overlap, refuse, refuse_items,
    refuse_small,
)
from trunkline._native.opus_packet cimport parse, tl_opus_packet

from trunkline.errors import ConcurrentUseError, FormatError, LibraryMissingError, PayloadError

cdef enum:  # libopus's requests and values, of its public interface
    SET_APPLICATION = 4000
    GET_APPLICATION = 4001
    SET_BITRATE = 4002
    GET_BITRATE = 4003
    SET_MAX_BANDWIDTH = 4004
    GET_MAX_BANDWIDTH = 4005
    SET_VBR = 4006
    GET_VBR = 4007
    SET_BANDWIDTH = 4008
    GET_BANDWIDTH = 4009
    SET_COMPLEXITY = 4010
    GET_COMPLEXITY = 4011
    SET_INBAND_FEC = 4012
    GET_INBAND_FEC = 4013
    SET_PACKET_LOSS_PERC = 4014
    GET_PACKET_LOSS_PERC = 4015
    SET_DTX = 4016
    GET_DTX = 4017
    SET_VBR_CONSTRAINT = 4020
    GET_VBR_CONSTRAINT = 4021
    SET_FORCE_CHANNELS = 4022
    GET_FORCE_CHANNELS = 4023
    SET_SIGNAL = 4024
    GET_SIGNAL = 4025
    GET_LOOKAHEAD = 4027
    RESET_STATE = 4028
    GET_FINAL_RANGE = 4031
    GET_PITCH = 4033
    SET_GAIN = 4034
    SET_LSB_DEPTH = 4036
    GET_LSB_DEPTH = 4037
    GET_LAST_PACKET_DURATION = 4039
    GET_GAIN = 4045
    GET_IN_DTX = 4049
    SET_DRED_DURATION = 4050
    AUTO = -1000
    BITRATE_MAX = -1
    INVALID_PACKET = -4
    UNIMPLEMENTED = -5

RATES = (8000, 12000, 16000, 24000, 48000)
APPLICATIONS = {"voip": 2048, "audio": 2049, "lowdelay": 2051}
BITRATES = {"auto": AUTO, "max": BITRATE_MAX}
SIGNALS = {"auto": AUTO, "voice": 3001, "music": 3002}
BANDWIDTHS = {
    "auto": AUTO, "narrowband": 1101, "mediumband": 1102, "wideband": 1103, "superwideband": 1104,
    "fullband": 1105,
}
_NAMES = {
    code: name for names in (APPLICATIONS, SIGNALS, BANDWIDTHS) for name, code in names.items()
}

cdef Library _loaded = None
cdef object _finder = None


class Recovery(NamedTuple):
    """What filled a gap, in samples per channel: `concealed`, then `fec`; or all `comfort_noise`."""

    concealed: int
    fec: int
    comfort_noise: int


@cython.final
cdef class Library:
    """libopus, as a table of its functions. `place`: a path, a SONAME, or None for the built-in copy."""

    def __cinit__(self, place):
        cdef char reason[512]
        if place is None:
            if not tl_opus_built_in(&self.table):
                raise LibraryMissingError("this build has no copy of its own")
        else:
            reason[0] = 0
            if not tl_opus_open(&self.table, os.fsencode(place), reason, sizeof(reason)):
                raise LibraryMissingError((<bytes> reason).decode(errors="replace"))

    @property
    def version(self):
        return self.table.version().decode()

    @property
    def path(self):
        cdef char path[4096]
        return (<bytes> path).decode(errors="surrogateescape") if tl_opus_path(
            &self.table, path, sizeof(path)) else ""

    def strerror(self, code):
        return self.table.strerror(code).decode()

    @property
    def has_pcm24(self):
        return self.table.has_pcm24

    @property
    def has_dred(self):
        return Encoder(48000, 1, "voip", library=self).has(SET_DRED_DURATION, 0)


def in_use():
    """Give the libopus of the process, which is loaded now if it was not."""
    return loaded()


def use(Library library not None):
    """Make this libopus the one of the process."""
    global _loaded
    _loaded = library


def find_with(finder):
    """Say what looks for libopus, and calls `use`, when it is first needed."""
    global _finder
    _finder = finder


cdef Library loaded():
    if _loaded is None:
        _finder()
    return _loaded


cdef int code_of(dict codes, object name, str what) except? 0:
    if name not in codes:
        raise FormatError(f"{what} {name!r}: takes {', '.join(codes)}")
    return codes[name]


cdef int in_range(object value, int least, int most, str what) except? -1:
    if not least <= value <= most:
        raise FormatError(f"{what}: takes {least} to {most}, got {value}")
    return value


cdef int check_layout(object sample_rate, object channels) except -1:
    if sample_rate not in RATES:
        raise FormatError(f"Opus at {sample_rate} Hz: takes {', '.join(map(str, RATES))} Hz")
    if channels not in (1, 2):
        raise FormatError(f"Opus of {channels} channels: takes 1 or 2")
    return 0


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
            self.state, self.sample_rate, self.channels, code_of(APPLICATIONS, application, "application")))

    def __init__(self, sample_rate, channels=1, application="voip", *, library=None, **settings):
        for name, value in settings.items():
            if name not in ENCODER_SETTINGS:
                raise TypeError(f"Encoder() has no setting {name!r}: takes {', '.join(ENCODER_SETTINGS)}")
            setattr(self, name, value)

    def __dealloc__(self):
        PyMem_Free(self.state)

    def __repr__(self):
        return f"Encoder({self.sample_rate}, {self.channels}, {self.application!r}, bitrate={self.bitrate})"

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
        self.set(SET_APPLICATION, code_of(APPLICATIONS, value, "application"))

    @property
    def bitrate(self):
        """In bit/s, 500 to 512,000; set "auto" or "max" for what suits the rate or fills the packet.

        libopus lowers it to the most that it makes, 300,000 for a channel in version 1.3.
        """
        return self.get(GET_BITRATE)

    @bitrate.setter
    def bitrate(self, value):
        self.set(SET_BITRATE, code_of(BITRATES, value, "bitrate") if isinstance(value, str) else in_range(
            value, 500, 512_000, "bitrate"))

    @property
    def vbr(self):
        """Whether packets may differ in size: True by default."""
        return bool(self.get(GET_VBR))

    @vbr.setter
    def vbr(self, value):
        self.set(SET_VBR, bool(value))

    @property
    def constrained_vbr(self):
        """Whether VBR keeps within a bit reservoir of one frame: True by default."""
        return bool(self.get(GET_VBR_CONSTRAINT))

    @constrained_vbr.setter
    def constrained_vbr(self, value):
        self.set(SET_VBR_CONSTRAINT, bool(value))

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
        self.set(SET_SIGNAL, code_of(SIGNALS, value, "signal"))

    @property
    def bandwidth(self):
        """The audio bandwidth in use, "narrowband" (4 kHz) to "fullband" (20 kHz); set it, or "auto"."""
        return _NAMES[self.get(GET_BANDWIDTH)]

    @bandwidth.setter
    def bandwidth(self, value):
        self.set(SET_BANDWIDTH, code_of(BANDWIDTHS, value, "bandwidth"))

    @property
    def max_bandwidth(self):
        """The widest bandwidth that "auto" may take."""
        return _NAMES[self.get(GET_MAX_BANDWIDTH)]

    @max_bandwidth.setter
    def max_bandwidth(self, value):
        code = code_of(BANDWIDTHS, value, "max_bandwidth")
        if code == AUTO:
            raise FormatError("max_bandwidth 'auto': takes narrowband to fullband")
        self.set(SET_MAX_BANDWIDTH, code)

    @property
    def inband_fec(self):
        """Whether packets carry a coarse copy of the audio before them (LBRR, RFC 6716 2.1.7).

        That takes a `packet_loss_percent` above 0 as well, and one of the modes for speech.
        """
        return bool(self.get(GET_INBAND_FEC))

    @inband_fec.setter
    def inband_fec(self, value):
        self.set(SET_INBAND_FEC, bool(value))

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
        self.set(SET_DTX, bool(value))

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

    cpdef int get(self, int request) except? -1:
        """Read one of libopus's settings by its request number."""
        cdef int32_t value = 0
        enter(&self.busy)
        code = self.library.table.encoder_ctl(self.state, request, &value)
        self.busy = False
        check(self.library, code)
        return value

    cpdef int set(self, int request, int value) except -1:
        """Change one of libopus's settings by its request number; FormatError when it refuses."""
        enter(&self.busy)
        code = self.library.table.encoder_ctl(self.state, request, <int32_t> value)
        self.busy = False
        check(self.library, code)
        return 0

    cdef bint has(self, int request, int value):
        return self.library.table.encoder_ctl(self.state, request, <int32_t> value) != UNIMPLEMENTED

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


cdef inline int enter(bint *busy) except -1:
    # The end of the work sets it back. Another thread may run while the GIL is released.
    if busy[0]:
        raise ConcurrentUseError("this object serves one call at a time")
    busy[0] = True
    return 0


cdef inline int check(Library library, int code) except -1:
    if code >= 0:
        return 0
    said = library.strerror(code)
    if code == INVALID_PACKET:
        error = PayloadError(f"Opus packet: {said}")
    elif code == UNIMPLEMENTED:
        error = FormatError(f"{library.version} does not have this: {said}")
    else:
        error = FormatError(f"libopus refuses: {said} ({code})")
    error.code = code
    raise error


cdef void *allocate(size_t n_bytes) except NULL:
    cdef void *mem = PyMem_Malloc(n_bytes)
    if mem is NULL:
        raise MemoryError
    return mem


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

    cdef Library library
    cdef tl_opus_decoder *decoder
    cdef bint busy
    cdef readonly int sample_rate
    cdef readonly int channels

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
        cdef int32_t code = 0
        acquire_bytes(next_packet, &view, "next_packet")
        try:
            self.duration(&view)
            self.acquire_target(out, &target, gap, &is_float)
            try:
                refuse_overlap(&view, &target)
                if not dtx:
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
                return Recovery(0 if dtx else gap - fec, fec, gap if dtx else 0)
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
        """0 to 10; from 5 on lost packets are concealed by a neural network, where libopus has one (1.5)."""
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

    cpdef int get(self, int request) except? -1:
        """Read one of libopus's settings by its request number."""
        cdef int32_t value = 0
        enter(&self.busy)
        code = self.library.table.decoder_ctl(tl_opus_decoder_state(self.decoder), request, &value)
        self.busy = False
        check(self.library, code)
        return value

    cpdef int set(self, int request, int value) except -1:
        """Change one of libopus's settings by its request number; FormatError when it refuses."""
        enter(&self.busy)
        code = self.library.table.decoder_ctl(tl_opus_decoder_state(self.decoder), request, <int32_t> value)
        self.busy = False
        check(self.library, code)
        return 0

    cdef inline size_t step(self, bint is_float) noexcept nogil:
        return self.channels * (4 if is_float else 2)

    cdef size_t duration(self, const Py_buffer *packet) except? 0:
        cdef tl_opus_packet parsed
        if packet.len == 0:
            last = self.last_packet_duration
            return last if last else self.sample_rate // 50
        parse(packet.buf, packet.len, &parsed)
        return parsed.n_frames * parsed.frame_samples // (48000 // self.sample_rate)

    cdef size_t check_gap(self, object n_samples) except? 0:
        unit = self.sample_rate // 400
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


cdef inline bint check_sample_format(object sample_format) except -1:
    if sample_format not in ("s16", "f32"):
        raise FormatError(f"sample_format {sample_format!r}: takes s16, f32")
    return sample_format == "f32"


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
    then no packet has been decoded.
    """
    cdef list pairs = [tuple(pair) for pair in items]  # what they hold must stay while others run
    cdef _Batch batch = _Batch(len(pairs))
    cdef bint is_float = check_sample_format(sample_format)
    cdef Decoder decoder
    cdef Work *work
    cdef Py_ssize_t i, n = len(pairs)
    cdef dict durations = {}
    try:
        for i in range(n):
            decoder, packet = pairs[i]
            if decoder is None:
                raise TypeError("takes pairs of a Decoder and a packet")
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
    nothing has been encoded.
    """
    cdef list pairs = [tuple(pair) for pair in items]  # what they hold must stay while others run
    cdef _Batch batch = _Batch(len(pairs))
    cdef Encoder encoder
    cdef Work *work
    cdef Py_ssize_t i, n = len(pairs)
    cdef dict encoders = {}
    try:
        for i in range(n):
            encoder, pcm = pairs[i]
            if encoder is None:
                raise TypeError("takes pairs of an Encoder and PCM")
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
