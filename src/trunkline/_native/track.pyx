"""Track: acquire, check, call one C function, release."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport INFINITY, NAN, log10
from libc.stdint cimport INT64_MAX

from trunkline._native._buffer cimport acquire_bytes
from trunkline._native.cpu cimport selected_isa
from trunkline._native.frame cimport Frame, FramePool, exact_int, new_frame
from trunkline._native.opus cimport loaded
from trunkline._native.opus_packet cimport parse, tl_opus_packet
from trunkline._native.resample cimport find_bank

from trunkline.errors import ConcurrentUseError, FormatError, LocalProtocolError
from trunkline.formats import MediaFormat, whole_samples
from trunkline.timeline import Discontinuity, Payload, TrackStats

cdef enum:
    FRAME_MS_MAX = 1000
    SAMPLE_BYTES = 2
    POOL_BLOCKS_MAX = 64
    POOL_BYTES_MAX = 1 << 20
    CLOCK_RATE_MAX = 192000
cdef int64_t TIMESTAMP_MS_MAX = <int64_t> 1 << 53
cdef double FULL_SCALE = 32768.0
cdef double TIME_MS_MAX = <double> TIMESTAMP_MS_MAX


@cython.final
cdef class Track:
    """Turn the payloads of one direction of one call into frames of a fixed duration.

    `format`: PCMU, PCMA, L16 (little-endian) or OPUS (a packet a payload) at its own rate; `name` goes into
    every frame; `frame_ms` 1 to 1,000 ms; `sample_rate` of the frames, 4,000 to 192,000 Hz, None for the
    format's own. A frame has a whole number of samples at either rate. FormatError when the codec is not
    decoded here or the rate or the duration is impossible, LibraryMissingError for OPUS without libopus.

    To another rate the audio goes through a Resampler in quality "voice" and comes no later for it: its
    delay is taken off the timestamps, so the first frame's is up to 5 ms below the packet's. `flush` returns
    what the filter still held, and so do the frames before a Discontinuity, filled up with concealed audio.

    A packet whose timestamp is within 10 ms of the audio's end is appended; behind skipped sequence numbers,
    what is missing counts as so many packets like it, if that is within 10 ms. After it lies a gap: filled
    with concealed audio, or, above 10 s, reported as a Discontinuity between frames; so is every gap once
    more than ten times the audio that came, and 60 s, would have been concealed. Before it the
    packet is late and dropped, unless its sequence number is the next one: then the carrier's clock
    stepped back and nothing is lost. Each of these is counted in `stats`.

    Concealed audio goes on from the last pitch period, in the manner of G.711 Appendix I, and fades within
    80 ms to the background's noise; the first 5 ms behind a gap are cross-faded with it, all else is as it
    came. (Above 48 kHz gaps are zeros.)

    Opus: the end of a gap comes from the next packet where that has a copy of it (in-band FEC), the rest is
    concealed by the decoder. There and in RTP, a gap that no missing packet explains is silence that was
    not sent (DTX): it becomes comfort noise and counts as nothing lost.

    `wait_ms`: packets behind missing sequence numbers are held for so long, from the arrival of the first
    of them, or where `arrival_ms` is not given until three of them are there; 16 at most. Whoever gives it
    calls `poll` at `next_deadline_ms`. 0: packets are laid as they come.

    `rtp_clock_rate`: of the timestamps of RTP, in Hz; then packets are pushed by `push_rtp`, and the first
    one's time is 0. `output="both"`: a Payload, as it came and in order, lies before its frames.
    `output="encoded"`: there are Payloads and no frames, of any codec, not decoded and not looked into; a
    sample_rate or an rtp_clock_rate is refused, what is missing is counted and leaves no trace but a step of
    the timestamps.
    """

    def __cinit__(self, format, *, str name not None="inbound", frame_ms=20, sample_rate=None, wait_ms=0.0,
                  rtp_clock_rate=None, output="pcm"):
        if not isinstance(format, MediaFormat):
            raise TypeError(f"format: takes a MediaFormat, got {type(format).__name__}")
        # Made anew: a subclass, or integers of one, may be anything but what was checked.
        format = MediaFormat(format.codec, exact_int(format.sample_rate), exact_int(format.channels))
        frame_ms = exact_int(frame_ms)
        if not 1 <= frame_ms <= FRAME_MS_MAX:
            raise FormatError(f"frames of {frame_ms} ms: takes 1 to {FRAME_MS_MAX} ms")
        self.format = format
        self.format_rate = format.sample_rate
        self.channels = format.channels
        self.name = name
        self.frame_ms = frame_ms
        if sample_rate is not None and exact_int(sample_rate) != format.sample_rate:
            self.bank = find_bank(format.sample_rate, exact_int(sample_rate), "voice")

        cdef tl_track_config config
        if output not in ("pcm", "both", "encoded"):
            raise FormatError(f"output {output!r}: takes pcm, both or encoded")
        config.announces = output != "pcm"
        config.codec = NULL
        if output != "encoded":
            config.codec = find_codec(format.codec)
        elif sample_rate is not None or rtp_clock_rate is not None:
            raise FormatError("output encoded: takes no sample_rate and no rtp_clock_rate")
        config.isa = selected_isa()
        config.rate_hz = <uint32_t> self.format_rate
        config.n_channels = <uint32_t> self.channels
        config.frame_samples = whole_samples(frame_ms, format.sample_rate, "frame")
        self.sample_rate = self.format_rate
        config.bank = NULL
        if self.bank is not None:
            self.sample_rate = exact_int(sample_rate)
            whole_samples(frame_ms, self.sample_rate, "frame")
            config.bank = self.bank.bank
        config.frame_rate_hz = <uint32_t> self.sample_rate
        config.library = NULL
        if config.codec is not NULL and config.codec.packets is not NULL:
            self.library = loaded()
            config.library = &self.library.table
        config.wait_ms = as_ms(wait_ms, "wait_ms")
        if not 0.0 <= config.wait_ms <= TIME_MS_MAX:
            raise FormatError(f"wait_ms: takes 0 to 2**53 ms, got {wait_ms}")
        config.rtp_clock_hz = 0
        if rtp_clock_rate is not None:
            rtp_clock_rate = exact_int(rtp_clock_rate)
            if not 1 <= rtp_clock_rate <= CLOCK_RATE_MAX:
                raise FormatError(f"rtp_clock_rate: takes 1 to {CLOCK_RATE_MAX} Hz, got {rtp_clock_rate}")
            config.rtp_clock_hz = rtp_clock_rate
        self.is_rtp = config.rtp_clock_hz > 0
        self.is_encoded = config.codec is NULL
        self.track = tl_track_init(allocate(tl_track_size(&config)), &config)
        cdef int block_bytes = tl_track_frame_samples(&config) * config.n_channels * SAMPLE_BYTES
        self.pool = FramePool(block_bytes, max(1, min(POOL_BLOCKS_MAX, POOL_BYTES_MAX // block_bytes)))

    def __dealloc__(self):
        PyMem_Free(self.track)

    @property
    def stats(self):
        """The track's counters, as they are now."""
        cdef const tl_track_stats *stats = tl_track_stats_of(self.track)
        return TrackStats(
            packets=stats.packets,
            bytes=stats.bytes,
            late=stats.late,
            duplicates=stats.duplicates,
            reordered=stats.reordered,
            discarded=stats.discarded,
            lost=stats.lost,
            concealed_ms=stats.concealed_samples * 1000.0 / self.format_rate,
            fec_ms=stats.fec_samples * 1000.0 / self.format_rate,
            discontinuities=stats.discontinuities,
            resyncs=stats.resyncs,
            media_ms=stats.media_samples * 1000.0 / self.format_rate,
            jitter_ms=stats.jitter_ms,
            drift_ppm=stats.drift_ppm,
            level_dbfs=decibels(stats.energy, stats.media_samples * self.channels),
            clipped_samples=stats.clipped_samples,
        )

    @property
    def next_deadline_ms(self):
        """When `poll` has something to give, in the time of `arrival_ms`; None: not without a packet."""
        cdef double deadline_ms = tl_track_deadline_ms(self.track)
        return None if deadline_ms == INFINITY else deadline_ms

    def push(self, payload, *, timestamp_ms, sequence=None, arrival_ms=None):
        """Take one packet and return what it brings: Frames, and between them Discontinuities.

        `payload`: a C-contiguous buffer of bytes, which is consumed whole: what makes no frame yet is
        kept, and an odd byte of L16 is carried over to the packet that continues the audio. An empty one
        is counted and no more. `timestamp_ms` of its first sample, 0 to 2**53, or None where the stream has
        no such times and all audio is gapless (not with output="encoded"); `sequence` 0 to 2**63 - 1, or
        None when the stream has no such numbers; `arrival_ms` 0 to 2**53, of any clock that does not
        step, None when it is not known. ValueError for numbers out of range, TypeError for other buffers,
        PayloadError for what is no Opus packet, ConcurrentUseError inside another push; the track is then
        as it was before.
        """
        cdef int64_t at_ms = TL_TRACK_NO_TIMESTAMP
        cdef int64_t number = TL_TRACK_NO_SEQUENCE
        if timestamp_ms is not None or self.is_encoded:
            at_ms = whole_number(timestamp_ms, TIMESTAMP_MS_MAX, "timestamp_ms")
        if sequence is not None:
            number = whole_number(sequence, INT64_MAX, "sequence")
        if self.is_rtp:
            raise LocalProtocolError("push into a track that has an rtp_clock_rate: use push_rtp")
        return self.take_buffer(payload, number, at_ms, arrival_ms, False)

    def push_rtp(self, payload, *, sequence, timestamp, arrival_ms=None, comfort_noise=False):
        """Take the payload of one RTP packet; as `push`.

        Of `sequence` the low 16 bits count, of `timestamp` the low 32. Numbers that jump are followed when
        the next packet confirms them (RFC 3550 A.1), and the audio goes on. `comfort_noise`: the payload is
        RFC 3389's, and says what the silence behind it is like. LocalProtocolError without rtp_clock_rate.
        """
        cdef int64_t number = whole_number(sequence, INT64_MAX, "sequence")
        cdef int64_t stamp = whole_number(timestamp, INT64_MAX, "timestamp")
        if not self.is_rtp:
            raise LocalProtocolError("push_rtp into a track without rtp_clock_rate: use push")
        return self.take_buffer(payload, number, stamp, arrival_ms, comfort_noise)

    def restart(self):
        """Say that the next RTP packet begins another stream, as one with another SSRC does.

        It goes on behind the one before, as much later as it comes later.
        """
        enter(&self.busy)
        tl_track_restart(self.track)
        self.busy = False

    def poll(self, now_ms):
        """Give up what has been waited for until `now_ms`; return what lay behind it."""
        cdef double at_ms = milliseconds(now_ms, "now_ms")
        enter(&self.busy)
        tl_track_poll(self.track, at_ms)
        return self.take_pending(None, NULL)

    def flush(self):
        """Return the rest: the last frame is shorter, and there is none when there is no rest."""
        enter(&self.busy)
        tl_track_finish(self.track)
        return self.take_pending(None, NULL)

    cdef list take_buffer(self, object payload, int64_t sequence, int64_t timestamp, object arrival_ms,
                          bint comfort_noise):
        cdef Py_buffer view
        acquire_bytes(payload, &view, "payload")
        try:
            return self.take_in(view.buf, <size_t> view.len, sequence, timestamp, arrival_ms, comfort_noise,
                                payload)
        finally:
            PyBuffer_Release(&view)

    # `payload` is the object that the bytes are of, or None: a Payload may share it.
    cdef list take_in(self, const void *data, size_t n_bytes, int64_t sequence, int64_t timestamp,
                      object arrival_ms, bint comfort_noise, object payload):
        cdef tl_opus_packet parsed
        cdef tl_track_packet packet
        packet.payload = data
        packet.n_bytes = n_bytes
        packet.sequence = sequence
        packet.timestamp = timestamp
        packet.arrival_ms = NAN if arrival_ms is None else milliseconds(arrival_ms, "arrival_ms")
        packet.comfort_noise = comfort_noise
        enter(&self.busy)
        self.status = tl_track_put(self.track, &packet)
        if self.status == TL_TRACK_INVALID:
            self.busy = False
            parse(data, n_bytes, &parsed)  # it raises
        return self.take_pending(payload, data)

    cdef list take_pending(self, object payload, const void *buffer):
        cdef list items
        cdef tl_track_kind kind = tl_track_pending(self.track)
        try:
            if kind == TL_TRACK_NOTHING:
                return []
            items = []
            if kind == TL_TRACK_FRAME:  # as a rule there is one
                frame = self.take_frame()
                kind = tl_track_pending(self.track)
                if kind == TL_TRACK_NOTHING:
                    return [frame]
                items.append(frame)
            while kind != TL_TRACK_NOTHING:
                if kind == TL_TRACK_FRAME:
                    items.append(self.take_frame())
                elif kind == TL_TRACK_PACKET:
                    self.take_packet(payload, buffer, items)
                else:
                    items.append(self.take_discontinuity())
                kind = tl_track_pending(self.track)
            return items
        except BaseException:
            tl_track_drop(self.track)  # what is pending points into a payload that will be gone
            raise
        finally:
            self.busy = False

    cdef Frame take_frame(self):
        cdef tl_track_info info
        cdef Frame frame = new_frame(self.pool, self.sample_rate, self.channels, self.name)
        if self.library is None:
            tl_track_take(self.track, <int16_t *> frame.block, &info)
        else:
            with nogil:
                tl_track_take(self.track, <int16_t *> frame.block, &info)
        frame.shape[0] = info.n_samples
        frame.timestamp_ms = info.timestamp_ms
        frame.sequence = <long long> info.index
        frame.concealed = info.concealed
        return frame

    cdef int take_packet(self, object payload, const void *buffer, list items) except -1:
        cdef tl_track_info info
        tl_track_take(self.track, NULL, &info)
        if info.packet.comfort_noise:
            return 0
        if info.packet.payload != buffer or type(payload) is not bytes:
            payload = PyBytes_FromStringAndSize(<const char *> info.packet.payload, info.packet.n_bytes)
        sequence = None if info.packet.sequence == TL_TRACK_NO_SEQUENCE else info.packet.sequence
        items.append(Payload(self.name, payload, info.packet.timestamp, sequence))
        return 0

    cdef object take_discontinuity(self):
        cdef tl_track_info info
        tl_track_take(self.track, NULL, &info)
        return Discontinuity(self.name, info.timestamp_ms, info.resumes_ms)


cdef int enter(bint *busy) except -1:
    # The end of the work sets it back. Another thread or a finaliser may run while memory is allocated.
    if busy[0]:
        raise ConcurrentUseError("this object serves one call at a time")
    busy[0] = True
    return 0


cdef inline int64_t whole_number(object value, int64_t most, str what) except -1:
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or not 0 <= number <= most:
        given = number if not overflow else f"a number of {value.bit_length()} bits"
        raise ValueError(f"{what}: takes 0 to {most}, got {given}")
    return number


# Of the mean square, full scale being a sine of it: as the level meters of telephony have it.
cdef double decibels(double energy, uint64_t n_samples):
    return 10.0 * log10(energy / n_samples / (FULL_SCALE * FULL_SCALE / 2.0)) if energy > 0.0 else -INFINITY


# Of any number; what no double holds is infinite.
cdef double as_ms(object value, str what) except? -1.0:
    try:
        return value
    except OverflowError:
        return INFINITY
    except TypeError:
        raise TypeError(f"{what}: takes a number of milliseconds, not {type(value).__name__}") from None


cdef inline double milliseconds(object value, str what) except? -1.0:
    cdef double ms = as_ms(value, what)
    if not 0.0 <= ms <= TIME_MS_MAX:
        raise ValueError(f"{what}: takes 0 to 2**53 ms, got {value}")
    return ms


cdef const tl_codec *find_codec(str name) except NULL:
    cdef const tl_codec *codec = tl_codec_find(name.encode())
    if codec is NULL:
        raise FormatError(f"{name} cannot be decoded or encoded: takes PCMU, PCMA, L16, OPUS")
    return codec


cdef void *allocate(size_t n_bytes) except NULL:
    cdef void *mem = PyMem_Malloc(n_bytes)
    if mem is NULL:
        raise MemoryError
    return mem
