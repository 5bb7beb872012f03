"""The media messages of a stream, from text to frames: scan, decode base64, push into the track."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize, PyBytes_Size
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from trunkline._native._buffer cimport acquire_out, acquire_s16
from trunkline._native.base64 cimport tl_base64_decode, tl_base64_decoded_max
from trunkline._native.cpu cimport selected_isa, tl_isa
from trunkline._native.exclusive cimport Exclusive
from trunkline._native.packetizer cimport Packetizer
from trunkline._native.track cimport (
    TL_TRACK_NO_SEQUENCE,
    TL_TRACK_NO_TIMESTAMP,
    Track,
    tl_track_deadline_ms,
)

from trunkline.errors import LocalProtocolError, PayloadError

cdef extern from "trunkline/media.h" nogil:
    ctypedef struct tl_media_text:
        const char *begin
        size_t n_chars

    ctypedef struct tl_media:
        tl_media_text stream_id
        tl_media_text track
        tl_media_text payload
        int64_t timestamp
        int64_t chunk

    bint tl_media_scan(const char *text, size_t n_chars, tl_media *media)

    bint tl_media_scan_next(tl_media_scanner *scanner, const char *text, size_t n_chars, tl_media *media)
    size_t tl_media_depth(const char *text, size_t n_chars)

    enum:
        TL_MEDIA_PARTS

    ctypedef enum tl_media_encoding:
        TL_MEDIA_BASE64
        TL_MEDIA_RAW
        TL_MEDIA_COUNTED

    ctypedef struct tl_media_template:
        tl_media_text parts[TL_MEDIA_PARTS]
        tl_media_encoding encoding

    size_t tl_media_size_max(const tl_media_template *template, size_t n_bytes)
    size_t tl_media_write(const tl_media_template *template, tl_isa isa, const uint64_t *numbers,
                          const void *payload, size_t n_bytes, char *text)

cdef enum:
    MESSAGE_BYTES = 1024  # written on the stack and copied; longer ones are written in place
    PAYLOAD_BYTES_MAX = 4096  # longer ones take the long way
    FRAME_HEADER_BYTES = 3


def scan(str text not None):
    """Read one media message, for tests: (streamSid, track, timestamp, chunk, payload's base64), or None."""
    cdef tl_media media
    cdef Py_ssize_t n_chars
    cdef const char *chars = PyUnicode_AsUTF8AndSize(text, &n_chars)
    return told(&media) if tl_media_scan(chars, <size_t> n_chars, &media) else None


cdef class Scanner:
    """Read the media messages of a stream one after the other, for tests."""

    cdef tl_media_scanner scanner

    def scan(self, str text not None):
        """Give what `scan` gives."""
        cdef tl_media media
        cdef Py_ssize_t n_chars
        cdef const char *chars = PyUnicode_AsUTF8AndSize(text, &n_chars)
        return told(&media) if tl_media_scan_next(&self.scanner, chars, <size_t> n_chars, &media) else None


cdef tuple told(tl_media *media):
    return (
        None if media.stream_id.begin is NULL else text_of(media.stream_id).decode(),
        None if media.track.begin is NULL else text_of(media.track).decode(),
        media.timestamp,
        None if media.chunk < 0 else media.chunk,
        text_of(media.payload),
    )


def depth(bytes text not None):
    """Say how deep objects and lists lie in each other in a message: 0 for none."""
    return tl_media_depth(PyBytes_AsString(text), <size_t> PyBytes_Size(text))


cdef class MediaReader(Exclusive):
    """What a StreamReceiver is made of: it takes plain media of tracks that it knows, a subclass the rest."""

    def __cinit__(self, *args, **options):
        self.isa = selected_isa()

    def open_media(self, str stream_id not None, Py_ssize_t max_bytes, *, bint default_track=False,
                   bint binary=False, bint from_first=False):
        """Begin: `stream_id` is what messages of at most `max_bytes` may name.

        `default_track`: media of no track is inbound's; `binary`: bytes are a payload of inbound's, and only
        they are media; `from_first`: timestamps count from the first to come.
        """
        self.stream_id = stream_id.encode()
        self.max_bytes = max_bytes
        self.has_default_track = default_track
        self.is_binary = binary
        self.origin_ms = -1 if from_first else 0
        self.kept = None

    def open_frames(self, bytearray kept not None, uint8_t kind):
        """Begin a stream of frames, whose payloads are inbound's when they are of this kind.

        A frame is a byte that says its kind, the payload's length in two bytes, the high one first, and the
        payload. `kept` holds what has come and was not whole: while there is such, all is the subclass's.
        """
        self.stream_id = b""
        self.kept = kept
        self.frame_kind = kind

    def close_media(self):
        """Leave everything to the subclass from here on."""
        self.stream_id = None

    def stream_time(self, int64_t timestamp_ms):
        """Give a timestamp as of the stream's beginning; one from before that is its beginning."""
        return self.since_origin(timestamp_ms)

    cdef int64_t since_origin(self, int64_t timestamp_ms):
        if self.origin_ms < 0:
            self.origin_ms = timestamp_ms
        return max(0, timestamp_ms - self.origin_ms)

    def add_track(self, Track track not None):
        """Push the media of the track of this name, inbound or outbound, into it."""
        if track.name == "inbound":
            self.inbound = track
        else:
            self.outbound = track

    @property
    def next_deadline_ms(self):
        """When `poll` has something to give, in the time of `arrival_ms`; None: not without a message."""
        cdef double deadline_ms = self.deadline_ms()
        return None if deadline_ms == INFINITY else deadline_ms

    cdef double deadline_ms(self):
        cdef double deadline_ms = INFINITY
        if self.inbound is not None:
            deadline_ms = tl_track_deadline_ms(self.inbound.track)
        if self.outbound is not None:
            deadline_ms = min(deadline_ms, tl_track_deadline_ms(self.outbound.track))
        return deadline_ms

    def receive(self, message, arrival_ms=None):
        """Take one text message, which came at `arrival_ms` of any clock that does not step.

        Return what it brings, in the order of the messages, and of the audio in the order of its chunks:
        "connected" brings nothing; "start" its Start; "media" Frames (and its Payload), and a Discontinuity
        for a gap over 10 s; "stop" the last Frames, which may be shorter, then Stop.

        Raises RemoteProtocolError (malformed, out of order, contradicting, too large), PayloadError (bad
        base64, no Opus packet), FormatError (a codec that we do not decode), LibraryMissingError (no
        libopus), LocalProtocolError after `close`, ConcurrentUseError when another thread is inside.
        """
        cdef list events = self.take_plain(message, arrival_ms)
        return self._receive(message, arrival_ms) if events is None else events

    # None, and nothing has been done: it is no plain media, or something is wrong.
    cdef list take_plain(self, object message, object arrival_ms):
        cdef const char *chars
        cdef Py_ssize_t n_chars
        if self.stream_id is None or self.busy:
            return None
        if type(message) is str:
            try:
                chars = PyUnicode_AsUTF8AndSize(message, &n_chars)  # no copy when it is ASCII
            except UnicodeEncodeError:
                return None
        elif type(message) is bytes:
            chars = PyBytes_AsString(message)
            n_chars = PyBytes_Size(message)
        else:
            return None
        if self.kept is not None:
            return self.take_frames(message, arrival_ms)
        if self.is_binary:
            return self.take_binary(message, arrival_ms)
        return self.take(chars, n_chars, arrival_ms)

    cdef list take_binary(self, object message, object arrival_ms):
        if type(message) is not bytes or self.inbound is None or PyBytes_Size(message) > self.max_bytes:
            return None
        return self.inbound.take_in(PyBytes_AsString(message), <size_t> PyBytes_Size(message),
                                    TL_TRACK_NO_SEQUENCE, TL_TRACK_NO_TIMESTAMP, arrival_ms, False, message)

    cdef list take_frames(self, object message, object arrival_ms):
        cdef const uint8_t *data
        cdef Py_ssize_t n_bytes, at, end
        cdef list events = []
        if type(message) is not bytes or self.inbound is None or len(self.kept) > 0:
            return None
        data = <const uint8_t *> PyBytes_AsString(message)
        n_bytes = PyBytes_Size(message)
        at = 0
        while at < n_bytes:
            end = frame_end(data, at, n_bytes)
            if end < 0 or data[at] != self.frame_kind:
                return None
            at = end
        at = 0
        while at < n_bytes:
            end = frame_end(data, at, n_bytes)
            at += FRAME_HEADER_BYTES
            events += self.inbound.take_in(data + at, <size_t> (end - at), TL_TRACK_NO_SEQUENCE,
                                           TL_TRACK_NO_TIMESTAMP, arrival_ms, False, None)
            at = end
        return events

    cdef list take(self, const char *chars, Py_ssize_t n_chars, object arrival_ms):
        cdef tl_media media
        cdef uint8_t payload[PAYLOAD_BYTES_MAX]
        cdef Track track
        cdef int64_t n_bytes
        if n_chars > self.max_bytes or not tl_media_scan_next(&self.scanner, chars, <size_t> n_chars, &media):
            return None
        if media.stream_id.begin is not NULL and not same(media.stream_id, self.stream_id):
            return None
        if media.track.begin is NULL:
            track = self.inbound if self.has_default_track else None
        elif same(media.track, b"inbound"):
            track = self.inbound
        else:
            track = self.outbound if same(media.track, b"outbound") else None
        if track is None:
            return None
        if tl_base64_decoded_max(media.payload.n_chars) > PAYLOAD_BYTES_MAX:
            return None
        n_bytes = tl_base64_decode(self.isa, media.payload.begin, media.payload.n_chars, payload)
        if n_bytes < 0:
            return None
        if media.chunk < 0:
            media.chunk = TL_TRACK_NO_SEQUENCE
        return track.take_in(payload, <size_t> n_bytes, media.chunk, self.since_origin(media.timestamp),
                             arrival_ms, False, None)


@cython.final
cdef class MediaWriter:
    """Write the media messages of one track: PCM into its packetizer, each payload into a message.

    `ptime_ms` of a payload that has `units` of what `count_bytes` says: bytes, or itself. `parts`: the text
    of a message before, between and behind its sequence number, chunk, timestamp and payload, in UTF-8; a
    part of None leaves out itself and the number before it. `encoding` of the payload: "base64", "raw", or
    "counted", which is raw behind its length in two bytes, the high one first.
    """

    cdef readonly Packetizer packetizer
    cdef object parts
    cdef tl_media_template template
    cdef tl_isa isa
    cdef uint64_t ptime_ms, units, n_sent
    cdef uint64_t numbers[3]  # of the last message: sequence, chunk, timestamp
    cdef bint count_bytes

    def __cinit__(self, Packetizer packetizer not None, int ptime_ms, Py_ssize_t units, bint count_bytes,
                  parts, str encoding not None="base64"):
        parts = tuple(parts)
        self.template.encoding = encoding_of(encoding)
        if len(parts) != TL_MEDIA_PARTS or units < 1:
            raise TypeError(f"takes {TL_MEDIA_PARTS} parts and units from 1 on, got {len(parts)} and {units}")
        self.packetizer = packetizer
        self.ptime_ms = ptime_ms
        self.units = units
        self.count_bytes = count_bytes
        self.parts = parts
        for i in range(TL_MEDIA_PARTS):
            self.template.parts[i].begin = NULL
            self.template.parts[i].n_chars = 0
            if parts[i] is not None or i in (0, TL_MEDIA_PARTS - 1):
                self.template.parts[i].begin = PyBytes_AsString(parts[i])
                self.template.parts[i].n_chars = <size_t> PyBytes_Size(parts[i])
        self.isa = selected_isa()

    # The first message has the sequence number after this.
    cdef list messages(self, list payloads, uint64_t sequence):
        cdef Py_ssize_t i
        self.numbers[0] = sequence
        for i in range(len(payloads)):
            payloads[i] = self.message(payloads[i])
        return payloads

    cdef bytes message(self, bytes payload):
        cdef Py_ssize_t most = self.bytes_max(PyBytes_Size(payload))
        cdef char[MESSAGE_BYTES] here
        if most <= MESSAGE_BYTES:
            return PyBytes_FromStringAndSize(here, self.write(payload, here))
        message = PyBytes_FromStringAndSize(NULL, most)
        return message[:self.write(payload, PyBytes_AsString(message))]

    # Of a message with n_bytes of payload.
    cdef Py_ssize_t bytes_max(self, Py_ssize_t n_bytes) except -1:
        cdef size_t most = tl_media_size_max(&self.template, <size_t> n_bytes)
        if most == 0:
            raise MemoryError
        return <Py_ssize_t> most

    cdef Py_ssize_t write(self, bytes payload, char *text):
        cdef size_t n_bytes = <size_t> PyBytes_Size(payload)
        self.numbers[0] += 1
        self.numbers[1] += 1
        self.numbers[2] = self.n_sent * self.ptime_ms // self.units
        self.n_sent += n_bytes if self.count_bytes else 1
        return <Py_ssize_t> tl_media_write(&self.template, self.isa, self.numbers, PyBytes_AsString(payload),
                                           n_bytes, text)


@cython.final
cdef class Sequence:
    """Counts the messages of a stream."""

    cdef uint64_t n  # of the last message

    def next(self):
        """Count one, and give its number."""
        self.n += 1
        return self.n


cdef class MediaSender(Exclusive):
    """What a StreamSender is made of: media of its tracks; a subclass says the rest, and when it may."""

    cdef dict writers
    cdef MediaWriter first
    cdef readonly Sequence sequence
    cdef bint is_live

    def __cinit__(self, *args, **options):
        self.writers = {}
        self.sequence = Sequence()

    def add_track(self, str name not None, MediaWriter writer not None):
        """Write the media of the track of this name; the first one is the default."""
        if self.first is None:
            self.first = writer
        self.writers[name] = writer

    def open_media(self):
        """Begin: media may be sent."""
        self.is_live = True

    def close_media(self):
        """Leave it to the subclass to refuse media."""
        self.is_live = False

    def packetizer(self, track=None):
        """Give a track's packetizer."""
        return self.writer_of(track).packetizer

    def media(self, pcm, track=None):
        """Send mono PCM (native-endian s16, any length) on a track: a message for each whole packet.

        What does not fill a packet is kept for the next call, `flush` or `stop`. At a `sample_rate` of its
        own 20 ms give 20 ms all the same, but `delay_ms` later: the end comes with `flush` or `stop`.
        """
        cdef MediaWriter writer
        self.enter()
        try:
            if not self.is_live:
                self._check_live("media")
            writer = self.writer_of(track)
            return self.count(writer.messages(writer.packetizer.push_in(pcm), self.sequence.n))
        finally:
            self.busy = False

    def payload(self, bytes payload not None, track=None):
        """Send one packet that is encoded already, as `media` sends PCM: of G.711 and L16 up to a ptime.

        It is the codec's, which nobody checks; PayloadError when it is empty, or longer than any of them.
        """
        cdef MediaWriter writer
        cdef Py_ssize_t n_bytes = PyBytes_Size(payload)
        self.enter()
        try:
            if not self.is_live:
                self._check_live("payload")
            writer = self.writer_of(track)
            if not 0 < n_bytes <= writer.packetizer.payload_bytes:
                raise PayloadError(
                    f"payload of {n_bytes} bytes: takes 1 to {writer.packetizer.payload_bytes}")
            return self.count(writer.messages([payload], self.sequence.n))
        finally:
            self.busy = False

    def media_into(self, pcm, out, track=None):
        """Send PCM, as `media`, of at most one packet, and write the message into `out`; return its bytes.

        0: no packet is whole yet. `out`: a writable buffer of `message_bytes_max`; BufferTooSmallError when
        it is shorter, ValueError for more than a packet of PCM; nothing is consumed then.
        """
        cdef MediaWriter writer
        cdef Py_buffer view
        cdef list payloads
        self.enter()
        try:
            if not self.is_live:
                self._check_live("media")
            writer = self.writer_of(track)
            check_one_packet(pcm, writer.packetizer)
            acquire_out(out, &view, writer.bytes_max(writer.packetizer.payload_bytes), False)
            try:
                payloads = writer.packetizer.push_in(pcm)
                if not payloads:
                    return 0
                writer.numbers[0] = self.sequence.n
                self.sequence.n += 1
                return writer.write(payloads[0], <char *> view.buf)
            finally:
                PyBuffer_Release(&view)
        finally:
            self.busy = False

    @property
    def message_bytes_max(self):
        """The most that a message of media may have, on any track."""
        return max([(<MediaWriter> writer).bytes_max((<MediaWriter> writer).packetizer.payload_bytes)
                    for writer in self.writers.values()])

    def flush_media(self, track=None):
        """Send what a track's last `media` left over."""
        cdef MediaWriter writer = self.writer_of(track)
        return self.count(writer.messages(writer.packetizer.flush_in(), self.sequence.n))

    cdef MediaWriter writer_of(self, object track):
        writer = self.first if track is None else self.writers.get(track)
        if writer is None:
            raise LocalProtocolError(f"track {track!r} is not declared: takes {', '.join(self.writers)}")
        return writer

    cdef list count(self, list messages):
        self.sequence.n += len(messages)
        return messages


cdef int check_one_packet(object pcm, Packetizer packetizer) except -1:
    cdef Py_buffer view
    cdef Py_ssize_t n_samples = acquire_s16(pcm, &view, "pcm")
    PyBuffer_Release(&view)
    most = packetizer.codec.ptime_ms * packetizer.sample_rate // 1000
    if n_samples > most:
        raise ValueError(f"pcm: takes a packet's {most} samples at most, got {n_samples}")
    return 0


cdef tl_media_encoding encoding_of(str name) except *:
    if name == "base64":
        return TL_MEDIA_BASE64
    if name == "raw":
        return TL_MEDIA_RAW
    if name == "counted":
        return TL_MEDIA_COUNTED
    raise TypeError(f"encoding {name!r}: takes base64, raw or counted")


# Where the frame at `at` ends; below 0: it does not.
cdef inline Py_ssize_t frame_end(const uint8_t *data, Py_ssize_t at, Py_ssize_t n_bytes):
    if n_bytes - at < FRAME_HEADER_BYTES:
        return -1
    cdef Py_ssize_t end = at + FRAME_HEADER_BYTES + (data[at + 1] << 8 | data[at + 2])
    return end if end <= n_bytes else -1


cdef bytes text_of(tl_media_text text):
    return text.begin[:text.n_chars]


cdef inline bint same(tl_media_text text, bytes name):
    return (text.n_chars == <size_t> PyBytes_Size(name)
            and memcmp(text.begin, PyBytes_AsString(name), text.n_chars) == 0)
