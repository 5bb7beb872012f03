"""Opus (RFC 6716): packets made, decoded, recovered and looked into, by libopus or without it.

Nothing here loads libopus before an Encoder or a Decoder is made. Times are samples per channel unless a name
says ms.
"""

from trunkline._native.opus_decoder import Decoder, Recovery
from trunkline._native.opus_encoder import Encoder
from trunkline._native.opus_many import decode_many, encode_many
from trunkline.opus.file_reader import OpusReader
from trunkline.opus.file_writer import OpusWriter
from trunkline.opus.library import LibraryInfo, library
from trunkline.opus.ogg_reader import OggPacket, OggReader
from trunkline.opus.ogg_writer import OggWriter
from trunkline.opus.packet import PacketInfo, Repacketizer, join, packet_info, pad, split, unpad

__all__ = [
    "Decoder",
    "Encoder",
    "LibraryInfo",
    "OggPacket",
    "OggReader",
    "OggWriter",
    "OpusReader",
    "OpusWriter",
    "PacketInfo",
    "Recovery",
    "Repacketizer",
    "decode_many",
    "encode_many",
    "join",
    "library",
    "packet_info",
    "pad",
    "split",
    "unpad",
]
