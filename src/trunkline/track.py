"""Track: one direction of one call, payloads to frames of a fixed duration; and its mirror, Packetizer.

The audio may come in packets of any size; the frames are all of the size asked for:

>>> from trunkline.formats import CodecSpec, MediaFormat
>>> track = Track(MediaFormat("PCMU", 8000), name="inbound", frame_ms=20)
>>> track.push(bytes(100), timestamp_ms=0, sequence=1)
[]
>>> track.push(bytes(100), timestamp_ms=12, sequence=2)
[Frame(track='inbound', timestamp_ms=0.0, 160 samples, 8000 Hz)]

A lost packet leaves a gap in the timestamps, which is filled:

>>> track.push(bytes(160), timestamp_ms=45, sequence=4)
[Frame(track='inbound', timestamp_ms=20.0, 160 samples, 8000 Hz, concealed),
 Frame(track='inbound', timestamp_ms=40.0, 160 samples, 8000 Hz, concealed)]
>>> track.flush()
[Frame(track='inbound', timestamp_ms=60.0, 40 samples, 8000 Hz)]
>>> track.stats.lost, track.stats.concealed_ms
(1, 20.0)

PCM of any length becomes payloads of one packet each:

>>> packetizer = Packetizer(CodecSpec.parse("PCMU"))
>>> [len(payload) for payload in packetizer.push(bytes(2 * 400))]
[160, 160]
>>> [len(payload) for payload in packetizer.flush()]
[80]
"""

import trunkline.opus.library  # noqa: F401  # which looks for libopus when a Packetizer or a Track needs it
from trunkline._native.packetizer import Packetizer
from trunkline._native.track import Track
from trunkline.timeline import Discontinuity, TrackStats

__all__ = ["Discontinuity", "Packetizer", "Track", "TrackStats"]
