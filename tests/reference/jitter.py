"""What a listener to a jitter buffer may expect, whatever it has been tuned for; checked frame by frame."""

from array import array
from bisect import insort
from collections import Counter
from dataclasses import dataclass

from tests.reference.stream import decode, sample_bytes
from trunkline.frame import Frame
from trunkline.jitter import JitterBuffer, JitterStats, Segment

JOINT_MS = 5  # after a gap audio is cross-faded
SLOTS = 256
COUNTERS = sorted(set(JitterStats.__struct_fields__) - {"drift_ppm", "undecided_samples", "packets_lost"})
MERGED = 32  # a frame of more segments has the rest in the last one


@dataclass(frozen=True)
class Packet:
    """A packet as it was sent: the index-th of its stream; numbers as on the wire."""

    stream: int
    index: int
    sequence: int
    timestamp: int
    payload: bytes
    n_samples: int

    @property
    def key(self) -> tuple[int, int]:
        return self.stream, self.index


class Listener:
    """Told of every put and of every frame, and not pleased when something is out of place."""

    def __init__(self, format: JitterBuffer) -> None:
        self.format = format
        self.sample_bytes = 2 * format.channels
        self.frame_samples = format.sample_rate * format.frame_ms // 1000
        self.statuses: Counter[str] = Counter()
        self.came: set[tuple[int, int]] = set()
        self.playable: list[Packet] = []
        self.pcm: dict[tuple[int, int], bytes] = {}
        self.heard = (0, -1)  # the last packet of which something was played
        self.empty = [(0, -1)]  # those of which nothing can be
        self.first_heard: int | None = None
        self.n_frames = 0
        self.out: Counter[str] = Counter()  # samples of each kind; "played": of media, as it was sent
        self.exempt = 0  # samples of media that are blended yet
        self.n_reordered = 0
        self.n_exact = 0
        self.counted: JitterStats | None = None

    # What goes in

    def put(self, packet: Packet, status: str, *, plain: bool) -> None:
        """Take note; `plain`: numbers did not jump here, so that the status can be foreseen."""
        self.statuses[status] += 1
        if plain and status != "discarded":
            assert (status == "duplicate") == (packet.key in self.came)
            if status == "late":
                assert packet.key < max(self.heard, *self.empty)
            elif status == "stored":
                assert packet.key > self.heard or not self.n_heard
                newest = max((k for k in self.came if k[0] == packet.stream), default=packet.key)
                self.n_reordered += packet.key < newest
            else:
                assert status == "duplicate"
        if status != "discarded":
            self.came.add(packet.key)
        if not packet.n_samples:
            self.empty.append(packet.key)
        elif status in ("stored", "suspended"):
            insort(self.playable, packet, key=lambda packet: packet.key)
            if self.format.codec != "OPUS":
                self.pcm[packet.key] = array("h", self._decoded(packet)).tobytes()

    def _decoded(self, packet: Packet) -> list[int]:
        n_bytes = packet.n_samples * self.format.channels * sample_bytes(self.format.codec)
        return decode(self.format.codec, packet.payload[:n_bytes])

    # What comes out

    @property
    def n_heard(self) -> int:
        return self.out["media"]

    def samples(self, ms: float) -> int:
        n = ms * self.format.sample_rate / 1000
        assert abs(n - round(n)) < 1e-6
        return round(n)

    def get(self, frame: Frame, segments: list[Segment]) -> None:
        assert len(frame) == self.frame_samples
        assert (frame.sample_rate, frame.channels) == (self.format.sample_rate, self.format.channels)
        assert frame.sequence == self.n_frames
        assert frame.concealed == any(segment.kind == "conceal" for segment in segments)
        assert sum(self.samples(segment.out_ms) for segment in segments) == self.frame_samples
        self.n_frames += 1
        pcm = bytes(frame)
        stretched = any(s.kind == "media" and s.media_ms != s.out_ms for s in segments)
        done = 0
        for i, segment in enumerate(segments):
            n_out, n_media = self.samples(segment.out_ms), self.samples(segment.media_ms)
            part = pcm[done * self.sample_bytes : (done + n_out) * self.sample_bytes]
            done += n_out
            self.out[segment.kind] += n_out
            self.out["played"] += n_media
            if segment.kind != "media":
                assert segment.timestamp is None
                assert n_media == 0 < n_out
                self.exempt = self.samples_of(JOINT_MS)
                if segment.kind == "wait":
                    assert not any(part)
                    self.exempt = 0
            elif i + 1 < MERGED:
                self._media(segment, n_media, part if not stretched else None)
                self.exempt = max(0, self.exempt - n_out)

    def samples_of(self, ms: int) -> int:
        return self.format.sample_rate * ms // 1000

    def _media(self, segment: Segment, n_media: int, part: bytes | None) -> None:
        """It belongs to a packet that was put, none that came before one already heard."""
        assert segment.timestamp is not None
        assert 0 <= segment.timestamp < 2**32
        for packet in self.playable:
            offset = self._offset(packet, segment.timestamp)
            if packet.key >= self.heard and offset is not None and offset + n_media <= packet.n_samples:
                break
        else:
            raise AssertionError(f"{segment}: of no packet since {self.heard}")
        self.heard = packet.key
        if self.first_heard is None:
            self.first_heard = packet.index
        while self.playable[0].key < packet.key:
            del self.playable[0]
        if part is None or packet.key not in self.pcm:
            return
        skipped = min(self.exempt, n_media) * self.sample_bytes
        sent = self.pcm[packet.key][skipped:]
        if self.format.clock_rate >= self.format.sample_rate:
            start = offset * self.sample_bytes
            assert part[skipped:] == sent[start : start + len(part) - skipped]
        else:  # the timestamp says it to a tick
            ticks = -(-self.format.sample_rate // self.format.clock_rate)
            starts = [(offset + i) * self.sample_bytes for i in range(ticks)]
            assert part[skipped:] in [sent[start : start + len(part) - skipped] for start in starts]
        self.n_exact += len(part) > skipped

    def _offset(self, packet: Packet, timestamp: int) -> int | None:
        """Where in the packet it is, in samples; None: it is not."""
        ticks = (timestamp - packet.timestamp) % 2**32
        offset = -(-ticks * self.format.sample_rate // self.format.clock_rate)
        return offset if offset < packet.n_samples else None

    # What is counted

    def stats(self, stats: JitterStats) -> None:
        discarded = stats.packets_discarded - stats.packets_late
        held = (
            stats.packets_received
            - stats.packets_played
            - stats.packets_late
            - stats.packets_duplicate
            - discarded
        )
        assert stats.packets_received == self.statuses.total()
        assert 0 <= held <= SLOTS + 1
        assert stats.packets_late >= self.statuses["late"]
        assert stats.packets_duplicate >= self.statuses["duplicate"]
        assert discarded >= self.statuses["discarded"]
        gained = stats.inserted_samples_for_deceleration - stats.removed_samples_for_acceleration
        made_up = stats.concealed_samples + stats.comfort_noise_samples + stats.undecided_samples
        assert stats.total_samples_received == stats.media_samples + made_up + gained
        assert stats.total_samples_received == self.n_frames * self.frame_samples - self.out["wait"]
        assert made_up == self.out["conceal"] + self.out["noise"]  # the one may turn out to be the other
        assert stats.comfort_noise_samples >= self.out["noise"]
        assert stats.media_samples == self.out["played"]
        assert stats.jitter_buffer_emitted_count == self.out["media"] == stats.media_samples + gained
        assert 0 <= stats.silent_concealed_samples <= stats.concealed_samples
        assert (stats.concealment_events > 0) == (stats.concealed_samples > 0)
        for name in COUNTERS:
            before = getattr(self.counted, name, 0)
            assert getattr(stats, name) >= before, name
        self.counted = stats

    def drained(self, stats: JitterStats) -> None:
        """Of one stream nothing waits any more: all is accounted for to the packet."""
        self.stats(stats)
        late = stats.packets_discarded + stats.packets_duplicate
        assert stats.packets_received == stats.packets_played + late
        assert stats.packets_reordered == self.n_reordered
        first = self.first_heard
        if first is None or any(index < first for _, index in self.empty[1:]):
            return  # nobody has heard which packet the call began with
        if stats.packets_discarded == stats.packets_late:
            indices = [index for _, index in self.came if index >= first]
            assert stats.packets_lost == max(indices) + 1 - first - len(indices)
