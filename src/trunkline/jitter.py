"""The jitter buffer of RTP and of media streams: packets in as they come, a frame at every tick."""

from trunkline._native.jitter import JitterBuffer, Segment
from trunkline.timeline import JitterStats

__all__ = ["JitterBuffer", "JitterStats", "Segment"]
