"""A decoder's state, and what packets say of themselves."""

from typing import TYPE_CHECKING

from trunkline.opus import packet_info
from trunkline.opuslib.api.ctl import Request, reset_state
from trunkline.opuslib.classes import Decoder, Encoder
from trunkline.opuslib.constants import BANDWIDTH_NARROWBAND
from trunkline.opuslib.exceptions import opus_errors

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = [
    "create_state",
    "decode",
    "decode_float",
    "decoder_ctl",
    "destroy",
    "get_nb_samples",
    "packet_get_bandwidth",
    "packet_get_nb_channels",
    "packet_get_nb_frames",
    "packet_get_samples_per_frame",
]

_BANDWIDTHS = ("narrowband", "mediumband", "wideband", "superwideband", "fullband")

create_state = Decoder


def destroy(decoder_state: Decoder) -> None:
    """Do nothing: the state goes with its last reference."""


def decode(
    decoder_state: Decoder,
    opus_data: "Buffer | None",
    length: int,
    frame_size: int,
    decode_fec: bool,
    channels: int = 2,
) -> bytes:
    """Decode the first `length` bytes to s16; the channels are the state's."""
    return decoder_state.decode(_cut(opus_data, length), frame_size, decode_fec)


def decode_float(
    decoder_state: Decoder,
    opus_data: "Buffer | None",
    length: int,
    frame_size: int,
    decode_fec: bool,
    channels: int = 2,
) -> bytes:
    """Decode the first `length` bytes to float32; the channels are the state's."""
    return decoder_state.decode_float(_cut(opus_data, length), frame_size, decode_fec)


def decoder_ctl(decoder_state: Decoder, request: Request, value: int | None = None) -> int | None:
    """Read or change a setting."""
    return control(decoder_state, request, value)


@opus_errors
def get_nb_samples(decoder_state: Decoder, packet: "Buffer", length: int) -> int:
    """Count a packet's samples per channel at the decoder's rate."""
    return packet_info(_cut(packet, length) or b"").samples(decoder_state._state.sample_rate)


@opus_errors
def packet_get_bandwidth(data: "Buffer") -> int:
    """Give a packet's bandwidth, BANDWIDTH_NARROWBAND to BANDWIDTH_FULLBAND."""
    return BANDWIDTH_NARROWBAND + _BANDWIDTHS.index(packet_info(data).bandwidth)


@opus_errors
def packet_get_nb_channels(data: "Buffer") -> int:
    """Count a packet's channels."""
    return packet_info(data).channels


@opus_errors
def packet_get_nb_frames(data: "Buffer", length: int | None = None) -> int:
    """Count a packet's frames."""
    return packet_info(data if length is None else _cut(data, length) or b"").frames


@opus_errors
def packet_get_samples_per_frame(data: "Buffer", fs: int) -> int:
    """Count the samples of one frame at `fs` Hz."""
    info = packet_info(data)
    return info.samples(fs) // info.frames


@opus_errors
def control(state: Decoder | Encoder, request: Request, value: int | None) -> int | None:
    """Do what a request asks of an encoder's or a decoder's state."""
    if request == reset_state:
        state.reset_state()
    elif not request.takes_value:
        return state._state.get(request.number)
    elif value is None:
        raise ValueError(f"request {request.number} takes a value")
    else:
        state._state.set(request.number, value)
    return None


@opus_errors
def _cut(data: "Buffer | None", length: int) -> "bytes | None":
    if data is None:
        return None
    if not 0 <= length <= len(whole := bytes(data)):
        raise ValueError(f"length of {length} for a packet of {len(whole)} bytes")
    return whole[:length]
