"""The jitter buffer: acquire, check, call one C function, release."""

from collections import deque
from operator import index
from typing import NamedTuple

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.mem cimport PyMem_Free, PyMem_Malloc

from trunkline._native._buffer cimport acquire_bytes
from trunkline._native.cpu cimport selected_isa
from trunkline._native.frame cimport Frame, FramePool, exact_int, new_frame
from trunkline._native.opus cimport Library, loaded
from trunkline._native.opus_packet cimport parse, tl_opus_packet
from trunkline._native.track cimport Track, as_ms, tl_codec_find, tl_track_stats, tl_track_stats_of

from trunkline.errors import ConcurrentUseError, FormatError, LocalProtocolError
from trunkline.formats import MediaFormat, whole_samples
from trunkline.timeline import JitterStats

cdef enum:
    FRAME_MS_MAX = 120
    RATE_MAX = 48000
    CLOCK_RATE_MAX = 192000
    OPUS_CLOCK_RATE = 48000  # RFC 7587 4.1
    SAMPLE_BYTES = 2
    POOL_BLOCKS = 16
cdef double TIME_MS_MAX = <double> (<long long> 1 << 53)
cdef double DELAY_MS_MAX = 10000.0
cdef double MIN_DELAY_MS_MAX = 2000.0  # TL_JITTER_MIN_DELAY_MS_MAX
cdef tuple STATUSES = ("stored", "late", "duplicate", "discarded", "suspended")
cdef tuple TRACK_STATUSES = ("stored", "stored", "late", "duplicate", "discarded", "suspended")
cdef tuple KINDS = ("wait", "media", "conceal", "noise")


class Segment(NamedTuple):
    """A part of a frame: `media_ms` of one packet, from `timestamp` on, which take `out_ms` of the frame.

    `kind`: "media"; "conceal", made up in place of what is missing; "noise" of a gap in which nothing was
    sent; "wait" before the first packet. Only media has a timestamp, of 32 bits, and media_ms.
    """

    kind: str
    timestamp: object
    media_ms: float
    out_ms: float


@cython.final
cdef class JitterBuffer:
    """Put packets in as they come; get frames, in order and with what is missing concealed.

    `codec`: PCMU, PCMA, L16 (little-endian) or OPUS, at `sample_rate`, up to 48,000 Hz, in `channels`;
    `clock_rate` of the timestamps, 1 to 192,000 Hz: None for the codec's in RTP (OPUS: 48,000, others:
    `sample_rate`), 1000 for milliseconds; `frame_ms`, 1 to 120, of every frame. `profile`: "conversation",
    for what is played in real time, with `get` called every `frame_ms`; "transcribe", for what is pushed on
    as soon as it is there, with `get` called until it returns None. The options of the other are refused.

    Packets are played in the order of their sequence numbers. What is missing is concealed; where the
    timestamps step ahead and the sequence numbers do not, nothing was sent (DTX), and that is noise.
    FormatError for what cannot be played, LibraryMissingError for OPUS without libopus.

    "conversation": the delay is the one that costs least, a per cent of packets that would be late counting
    as `loss_cost_ms` of delay; it lies `min_delay_ms` (at most 2000) to `max_delay_ms` (10,000) above the
    least that was seen. The first packet waits for `min_delay_ms`; then time is stretched towards the best
    delay by whole pitch periods, and only where that is not heard.

    "transcribe": a missing packet is waited for `wait_ms`, from the arrival of the first one behind it, or
    where arrivals are unknown until three are there. Nothing is paced and nothing stretched. A gap over 10 s
    is not filled: the next frame's time says so.

    All times are milliseconds of one clock of the caller's, 0 to 2**53; it may have begun at any time. After
    the first packet nothing is allocated but the frames' own blocks, which are used again.

    >>> from trunkline import JitterBuffer
    >>> buffer = JitterBuffer("PCMU")
    >>> for i in range(50):
    ...     if i != 30:  # lost
    ...         status = buffer.put(bytes([255]) * 160, sequence=i, timestamp=160 * i, arrival_ms=20 * i)
    ...     frame = buffer.get(20 * i + 5)
    >>> frame
    Frame(track='inbound', timestamp_ms=980.0, 160 samples, 8000 Hz)
    >>> buffer.segments
    [Segment(kind='media', timestamp=7840, media_ms=20.0, out_ms=20.0)]
    >>> buffer.stats.packets_lost, buffer.stats.concealment_events
    (1, 1)
    """

    cdef tl_jitter *state  # NULL: the profile is transcribe, and a track does the work
    cdef Track track
    cdef object ready  # its frames
    cdef object wait_ms
    cdef uint64_t n_out
    cdef tl_jitter_config config
    cdef bint busy
    cdef Library library
    cdef FramePool pool
    cdef uint64_t n_frames
    cdef readonly str codec
    cdef readonly int sample_rate
    cdef readonly int channels
    cdef readonly int clock_rate
    cdef readonly int frame_ms
    cdef readonly str profile
    cdef readonly str name

    def __cinit__(self, codec="PCMU", *, sample_rate=8000, clock_rate=None, channels=1, frame_ms=20,
                  profile="conversation", loss_cost_ms=None, min_delay_ms=None, max_delay_ms=None,
                  wait_ms=None, str name not None="inbound"):
        if not isinstance(codec, str):
            raise TypeError(f"codec: takes a str, got {type(codec).__name__}")
        format = MediaFormat(codec.upper(), exact_int(sample_rate), exact_int(channels))
        if profile not in ("conversation", "transcribe"):
            raise FormatError(f"profile {profile!r}: takes conversation or transcribe")
        delays = {"loss_cost_ms": loss_cost_ms, "min_delay_ms": min_delay_ms, "max_delay_ms": max_delay_ms}
        for option, value in (delays if profile == "transcribe" else {"wait_ms": wait_ms}).items():
            if value is not None:
                raise FormatError(f"{option}: profile {profile} has none")
        self.codec = format.codec
        self.sample_rate = within(format.sample_rate, 1, RATE_MAX, "sample_rate")
        self.channels = format.channels
        if clock_rate is None:
            clock_rate = OPUS_CLOCK_RATE if self.codec == "OPUS" else self.sample_rate
        self.clock_rate = within(clock_rate, 1, CLOCK_RATE_MAX, "clock_rate")
        self.frame_ms = within(frame_ms, 1, FRAME_MS_MAX, "frame_ms")
        self.profile = profile
        self.name = name
        self.config.codec = tl_codec_find(self.codec.encode())
        if self.config.codec is NULL:
            raise FormatError(f"{self.codec} cannot be decoded: takes PCMU, PCMA, L16, OPUS")
        self.config.isa = selected_isa()
        self.config.rate_hz = self.sample_rate
        self.config.n_channels = self.channels
        self.config.clock_hz = self.clock_rate
        self.config.frame_samples = whole_samples(self.frame_ms, self.sample_rate, "frame")
        self.config.cost_ms = option_ms(loss_cost_ms, 30.0, DELAY_MS_MAX, "loss_cost_ms")
        self.config.min_delay_ms = option_ms(min_delay_ms, 0.0, MIN_DELAY_MS_MAX, "min_delay_ms")
        self.config.max_delay_ms = option_ms(max_delay_ms, 2000.0, DELAY_MS_MAX, "max_delay_ms")
        self.wait_ms = option_ms(wait_ms, 60.0, TIME_MS_MAX, "wait_ms")
        if self.config.min_delay_ms > self.config.max_delay_ms:
            raise FormatError(f"min_delay_ms {self.config.min_delay_ms:g}: above max_delay_ms "
                              f"{self.config.max_delay_ms:g}")
        if profile == "transcribe":
            self.state = NULL
            self.reset()
            return
        self.config.library = NULL
        if self.config.codec.packets is not NULL:
            self.library = loaded()
            self.config.library = &self.library.table
        self.state = <tl_jitter *> PyMem_Malloc(tl_jitter_size(&self.config))
        if self.state is NULL:
            raise MemoryError
        tl_jitter_init(self.state, &self.config)
        self.pool = FramePool(self.config.frame_samples * self.channels * SAMPLE_BYTES, POOL_BLOCKS)

    def __dealloc__(self):
        PyMem_Free(self.state)

    def __repr__(self):
        return (f"JitterBuffer({self.codec!r}, sample_rate={self.sample_rate}, clock_rate={self.clock_rate}, "
                f"frame_ms={self.frame_ms}, profile={self.profile!r})")

    def put(self, payload, *, sequence, timestamp, arrival_ms=None, comfort_noise=False):
        """Take a packet in; return what became of it.

        `payload`: a buffer of bytes. `sequence` and `timestamp`: whole numbers from 0 on; of the first the
        low 16 bits count, of the second the low 32, so both may wrap or not. `arrival_ms`: when it came; it
        may be unknown in profile transcribe. `comfort_noise`: the payload is RFC 3389's (RTP's type 13), not
        the codec's; it lasts nothing, and says what the silence is like from there on.

        "stored"; "late": its time has passed; "duplicate"; "discarded": longer than a second, in profile
        conversation; "suspended": its numbers jumped, and the next packet decides whether the stream goes on
        from there. What is stored may still prove late, as in `stats`, when the sender's numbers begin anew.
        PacketError for what is no packet of Opus, ValueError for numbers out of range, TypeError for other
        buffers.
        """
        cdef Py_buffer view
        cdef tl_opus_packet parsed
        cdef uint32_t number = low_bits(sequence, "sequence")
        cdef uint32_t stamp = low_bits(timestamp, "timestamp")
        if comfort_noise and self.config.codec.packets is not NULL:
            raise FormatError(f"comfort_noise: {self.codec} has its own")
        if self.track is not None:
            self.enter()
            try:
                self.give(self.track.take_buffer(payload, number, stamp, arrival_ms, comfort_noise))
            finally:
                self.busy = False
            return TRACK_STATUSES[self.track.status]
        if arrival_ms is None:
            raise TypeError("arrival_ms: profile conversation needs it")
        cdef double at_ms = milliseconds(arrival_ms, TIME_MS_MAX, "arrival_ms")
        acquire_bytes(payload, &view, "payload")
        try:
            self.enter()
            if comfort_noise:
                status = tl_jitter_put_noise(self.state, view.buf, <size_t> view.len, number, stamp, at_ms)
            else:
                status = tl_jitter_put(self.state, view.buf, <size_t> view.len, number, stamp, at_ms)
            self.busy = False
            if status == TL_JITTER_INVALID:
                parse(view.buf, <size_t> view.len, &parsed)  # it raises
            return STATUSES[status]
        finally:
            PyBuffer_Release(&view)

    def restart(self):
        """Say that the next packet begins another stream, as one with another SSRC does.

        What is held is played.
        """
        if self.track is not None:
            self.track.restart()
            return
        self.enter()
        tl_jitter_restart(self.state)
        self.busy = False

    def get(self, now_ms=None):
        """Return the next frame, for the time `now_ms`.

        Its `timestamp_ms` is that of the audio, from the first packet's on; `concealed` whether any of it was
        made up. Call it every `frame_ms` in profile conversation, where it is silence before the first
        packet; in profile transcribe until it returns None, without `now_ms` or, to poll first, with it.
        """
        if self.track is None:
            return self.tick(now_ms)
        self.enter()
        try:
            if now_ms is not None:
                self.give(self.track.poll(now_ms))
            if not self.ready:
                return None
            frame = self.ready.popleft()
            self.n_out += len(frame)
            return frame
        finally:
            self.busy = False

    def poll(self, now_ms):
        """Give up the packets that have been waited for until `now_ms`, in profile transcribe."""
        if self.track is None:
            raise LocalProtocolError("poll: of profile transcribe only")
        self.enter()
        try:
            self.give(self.track.poll(now_ms))
        finally:
            self.busy = False

    @property
    def next_deadline_ms(self):
        """When `poll` has something to give; None: not without a packet, or in profile conversation."""
        return None if self.track is None else self.track.next_deadline_ms

    def flush(self):
        """Give up what is missing, in profile transcribe: `get` gives the rest, the last frame being shorter.

        What is put after it goes on behind.

        LocalProtocolError in profile conversation, which goes on for as long as it is asked.
        """
        if self.track is None:
            raise LocalProtocolError("flush: of profile transcribe only")
        self.enter()
        try:
            self.give(self.track.flush())
        finally:
            self.busy = False

    def schedule(self, now_ms):
        """Play the next frame as `get` does, and return what it is made of: Segments, `frame_ms` in all.

        LocalProtocolError in profile transcribe, which has no schedule.
        """
        if self.track is not None:
            raise LocalProtocolError("schedule: of profile conversation only")
        self.tick(now_ms)
        return self.segments

    @property
    def segments(self):
        """What the last frame was made of; [] in profile transcribe."""
        if self.track is not None:
            return []
        cdef const tl_jitter_segment *segments
        cdef size_t n = tl_jitter_segments(self.state, &segments)
        cdef double ms = 1000.0 / self.sample_rate
        return [
            Segment(KINDS[<int> segments[i].kind],
                    segments[i].timestamp if segments[i].kind == TL_JITTER_MEDIA else None,
                    segments[i].media_samples * ms, segments[i].out_samples * ms)
            for i in range(n)
        ]

    @property
    def stats(self):
        """The counters, as they are now."""
        if self.track is not None:
            return stats_of_track(tl_track_stats_of(self.track.track), self.n_out)
        cdef const tl_jitter_stats *stats = tl_jitter_stats_of(self.state)
        return JitterStats(
            packets_received=stats.packets,
            packets_played=stats.played,
            packets_late=stats.late,
            packets_duplicate=stats.duplicate,
            packets_discarded=stats.late + stats.discarded,
            packets_reordered=stats.reordered,
            packets_lost=stats.lost,
            resyncs=stats.resyncs,
            total_samples_received=stats.out_samples,
            concealed_samples=stats.concealed_samples,
            silent_concealed_samples=stats.silent_concealed_samples,
            concealment_events=stats.concealment_events,
            inserted_samples_for_deceleration=stats.inserted_samples,
            removed_samples_for_acceleration=stats.removed_samples,
            jitter_buffer_delay=stats.delay_samples_ms / 1000.0,
            jitter_buffer_target_delay=stats.target_samples_ms / 1000.0,
            jitter_buffer_emitted_count=stats.emitted_samples,
            comfort_noise_samples=stats.noise_samples,
            undecided_samples=stats.undecided_samples,
            media_samples=stats.media_samples,
            fec_samples=stats.fec_samples,
            drift_ppm=tl_jitter_drift_ppm(self.state),
        )

    def reset(self):
        """Forget everything, also the counters."""
        if self.profile == "transcribe":
            format = MediaFormat(self.codec, self.sample_rate, self.channels)
            self.track = Track(format, name=self.name, frame_ms=self.frame_ms, wait_ms=self.wait_ms,
                               rtp_clock_rate=self.clock_rate)
            self.ready = deque()
            self.n_out = 0
            return
        self.enter()
        tl_jitter_init(self.state, &self.config)
        self.n_frames = 0
        self.busy = False

    cdef int give(self, list items) except -1:
        for item in items:
            if isinstance(item, Frame):  # the time of the next one tells of a Discontinuity
                self.ready.append(item)
        return 0

    cdef Frame tick(self, object now_ms):
        cdef double at_ms = milliseconds(now_ms, TIME_MS_MAX, "now_ms")
        cdef const tl_jitter_segment *segments
        cdef Frame frame = new_frame(self.pool, self.sample_rate, self.channels, self.name)
        self.enter()
        if self.library is None:
            tl_jitter_get(self.state, at_ms, <int16_t *> frame.block)
        else:
            with nogil:
                tl_jitter_get(self.state, at_ms, <int16_t *> frame.block)
        frame.timestamp_ms = tl_jitter_frame_ms(self.state)
        frame.shape[0] = self.config.frame_samples
        frame.sequence = <long long> self.n_frames
        self.n_frames += 1
        for i in range(tl_jitter_segments(self.state, &segments)):
            if segments[i].kind == TL_JITTER_CONCEALED:
                frame.concealed = True
        self.busy = False
        return frame

    cdef inline int enter(self) except -1:
        if self.busy:
            raise ConcurrentUseError("this jitter buffer serves one call at a time")
        self.busy = True
        return 0


cdef object stats_of_track(const tl_track_stats *stats, uint64_t n_out):
    cdef uint64_t late = stats.late - stats.duplicates
    return JitterStats(
        packets_received=stats.packets,
        packets_played=stats.played,
        packets_late=late,
        packets_duplicate=stats.duplicates,
        packets_discarded=late + stats.discarded,
        packets_reordered=stats.reordered,
        packets_lost=stats.lost - min(stats.lost, late),
        resyncs=stats.resyncs,
        total_samples_received=n_out,
        concealed_samples=stats.concealed_samples,
        silent_concealed_samples=stats.silent_concealed_samples,
        concealment_events=stats.concealment_events,
        inserted_samples_for_deceleration=0,
        removed_samples_for_acceleration=0,
        jitter_buffer_delay=stats.wait_samples_ms / 1000.0,
        jitter_buffer_target_delay=0.0,
        jitter_buffer_emitted_count=stats.media_samples,
        comfort_noise_samples=stats.noise_samples,
        undecided_samples=0,
        media_samples=stats.media_samples,
        fec_samples=stats.fec_samples,
        drift_ppm=0.0,
    )


cdef int within(object value, int least, int most, str what) except -1:
    value = exact_int(value)
    if not least <= value <= most:
        raise FormatError(f"{what}: takes {least} to {most}, got {value}")
    return value


cdef double option_ms(object value, double default, double most, str what) except? -1.0:
    try:
        return default if value is None else milliseconds(value, most, what)
    except ValueError as error:
        raise FormatError(str(error)) from None


cdef inline double milliseconds(object value, double most, str what) except? -1.0:
    cdef double ms = as_ms(value, what)
    if not 0.0 <= ms <= most:
        raise ValueError(f"{what}: takes 0 to {most:.0f} ms, got {value}")
    return ms


cdef inline uint32_t low_bits(object value, str what) except? 1:
    value = index(value)
    if value < 0:
        raise ValueError(f"{what}: takes 0 or more, got {value}")
    return <uint32_t> (value & 0xFFFFFFFF)
