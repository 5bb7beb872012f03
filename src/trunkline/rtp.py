"""RTP packets (RFC 3550): parse and build, every length checked.

>>> from trunkline import g711, rtp
>>> packet = rtp.build(g711.ULAW_SILENCE * 160, payload_type=0, sequence=65535, timestamp=160, ssrc=7)
>>> len(packet)
172
>>> parsed = rtp.parse(packet)
>>> parsed.sequence, parsed.timestamp, len(parsed.payload)
(65535, 160, 160)
>>> rtp.build(**parsed._asdict()) == packet
True
"""

from trunkline._native.rtp import RtpPacket, build, parse

__all__ = ["RtpPacket", "build", "parse"]
