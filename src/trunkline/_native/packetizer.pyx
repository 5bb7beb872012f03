"""Packetizer: acquire, check, call one C function, release."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free

from trunkline._native._buffer cimport acquire_s16
from trunkline._native.cpu cimport selected_isa
from trunkline._native.frame cimport Frame, exact_int
from trunkline._native.opus_encoder cimport Encoder
from trunkline._native.resample cimport Resampler
from trunkline._native.track cimport (
    allocate,
    enter,
    find_codec,
    tl_packetizer_config,
    tl_packetizer_drop,
    tl_packetizer_finish,
    tl_packetizer_init,
    tl_packetizer_payload_bytes,
    tl_packetizer_pending,
    tl_packetizer_put,
    tl_packetizer_size,
    tl_packetizer_take,
)

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec, MediaFormat

cdef enum:
    SAMPLE_BYTES = 2


@cython.final
cdef class Packetizer:
    """Turn PCM of any length into payloads of exactly one packet each: the mirror of Track.

    `codec`: PCMU, PCMA, L16 (little-endian) or OPUS, whose `ptime_ms` is the audio in one packet; `channels`
    1 to 8 (OPUS: 2), interleaved; `sample_rate` of the PCM, 4,000 to 192,000 Hz, None for the codec's own:
    another goes through a Resampler in quality "voice". `encoder`: an opus.Encoder of the codec's rate and
    channels whose settings are to be taken; it is copied. FormatError when the codec is not encoded here.
    """

    def __cinit__(self, codec, *, channels=1, sample_rate=None, encoder=None):
        if not isinstance(codec, CodecSpec):
            raise TypeError(f"codec: takes a CodecSpec, got {type(codec).__name__}")
        codec = CodecSpec(codec.name, exact_int(codec.sample_rate), exact_int(codec.ptime_ms))
        channels = MediaFormat(codec.name, codec.sample_rate, exact_int(channels)).channels
        self.codec = codec
        self.channels = channels
        sample_rate = codec.sample_rate if sample_rate is None else exact_int(sample_rate)
        if sample_rate != codec.sample_rate:
            self.resampler = Resampler(sample_rate, codec.sample_rate, channels=channels)
        self.sample_rate = sample_rate

        cdef tl_packetizer_config config
        config.codec = find_codec(codec.name)
        config.isa = selected_isa()
        config.n_channels = channels
        config.packet_samples = codec.samples_per_packet
        config.rate_hz = codec.sample_rate
        config.library = config.encoder = NULL
        if config.codec.packets is not NULL:
            self.encoder = own_encoder(encoder, codec, channels)
            config.library = &self.encoder.library.table
            config.encoder = self.encoder.state
        elif encoder is not None:
            raise FormatError(f"{codec.name} takes no encoder")
        self.packetizer = tl_packetizer_init(allocate(tl_packetizer_size(&config)), &config)

    def __dealloc__(self):
        PyMem_Free(self.packetizer)

    @property
    def payload_bytes(self):
        """Bytes of every payload but the one that `flush` returns; of OPUS the most of any."""
        return tl_packetizer_payload_bytes(self.packetizer)

    def push(self, pcm):
        """Take PCM; return the payloads that became whole, in order.

        `pcm`: native-endian s16, as bytes or as items of format h, interleaved; it is consumed whole,
        and what makes no packet yet is kept. ValueError when it is not a whole number of samples of
        every channel, FormatError for a Frame of another rate or channels, TypeError for other buffers,
        ConcurrentUseError inside another push.
        """
        return self.push_in(pcm)

    cdef list push_in(self, object pcm):
        if type(pcm) is Frame:
            check_frame(pcm, self.sample_rate, self.channels)
        enter(&self.busy)
        try:
            if self.resampler is not None:
                pcm = self.resampler.process_in(pcm)
                self.resampler_holds = self.resampler_holds or len(pcm) > 0
            return self.packetize(pcm)
        finally:
            self.busy = False

    @property
    def delay_ms(self):
        """How much later the audio lies in the payloads, by the resampler and the encoder."""
        samples = 0 if self.resampler is None else self.resampler.delay_samples
        if self.encoder is not None:
            samples += self.encoder.lookahead
        return samples * 1000.0 / self.codec.sample_rate

    def reset(self):
        """Forget the audio that is in no payload yet, for one that was interrupted."""
        enter(&self.busy)
        try:
            tl_packetizer_drop(self.packetizer)
            if self.resampler is not None:
                self.resampler.reset()
            if self.encoder is not None:
                self.encoder.reset()
            self.resampler_holds = self.encoder_holds = False
        finally:
            self.busy = False

    def flush(self):
        """Return the rest: the last payload is shorter, and there is none when there is no rest.

        Of OPUS it is a whole packet, filled up with silence, and brings what the encoder still held.
        """
        return self.flush_in()

    cdef list flush_in(self):
        cdef list payloads = []
        enter(&self.busy)
        try:
            if self.resampler_holds:
                self.resampler_holds = False
                payloads = self.packetize(self.resampler.flush())
            if self.encoder_holds:
                payloads += self.packetize(bytes(SAMPLE_BYTES * self.channels * self.encoder.lookahead))
                self.encoder_holds = False
            rest = PyBytes_FromStringAndSize(NULL, self.payload_bytes)
            n_bytes = tl_packetizer_finish(self.packetizer, PyBytes_AsString(rest))
            if n_bytes:
                payloads.append(rest[:n_bytes])
            return payloads
        finally:
            self.busy = False

    cdef list packetize(self, object pcm):
        cdef Py_buffer view
        cdef list payloads = []
        cdef Py_ssize_t n_samples = acquire_s16(pcm, &view, "pcm")
        try:
            if n_samples % self.channels:
                raise ValueError(f"pcm: {n_samples} samples are not whole for {self.channels} channels")
            tl_packetizer_put(self.packetizer, view.buf, <size_t> (n_samples // self.channels))
            self.encoder_holds = self.encoder is not None and (self.encoder_holds or n_samples > 0)
            while tl_packetizer_pending(self.packetizer):
                payload = PyBytes_FromStringAndSize(NULL, self.payload_bytes)
                if self.encoder is None:
                    tl_packetizer_take(self.packetizer, PyBytes_AsString(payload))
                else:
                    payload = self.encode_packet(payload)
                payloads.append(payload)
            return payloads
        except MemoryError:
            tl_packetizer_drop(self.packetizer)  # what is pending points into PCM that will be gone
            raise
        finally:
            PyBuffer_Release(&view)

    cdef bytes encode_packet(self, bytes room):
        cdef size_t n_bytes
        cdef char *packet = PyBytes_AsString(room)
        with nogil:
            n_bytes = tl_packetizer_take(self.packetizer, packet)
        return room[:n_bytes]


cdef int check_frame(Frame frame, int sample_rate, int channels) except -1:
    if frame.sample_rate != sample_rate or frame.channels != channels:
        raise FormatError(
            f"frame of {frame.sample_rate} Hz and {frame.channels} channels: takes {sample_rate} Hz and "
            f"{channels}")
    return 0


cdef Encoder own_encoder(object encoder, object codec, int channels):
    if encoder is None:
        return Encoder(codec.sample_rate, channels)
    if not isinstance(encoder, Encoder):
        raise TypeError(f"encoder: takes an opus.Encoder, got {type(encoder).__name__}")
    if (encoder.sample_rate, encoder.channels) != (codec.sample_rate, channels):
        raise FormatError(
            f"encoder of {encoder.sample_rate} Hz and {encoder.channels} channels: the codec has "
            f"{codec.sample_rate} Hz and {channels}")
    return encoder.clone()
