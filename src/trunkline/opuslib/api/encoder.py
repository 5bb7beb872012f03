"""An encoder's state."""

from typing import TYPE_CHECKING

from trunkline.opuslib.api.ctl import Request
from trunkline.opuslib.api.decoder import control
from trunkline.opuslib.classes import Encoder
from trunkline.opuslib.exceptions import opus_errors

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["create_state", "destroy", "encode", "encode_float", "encoder_ctl"]


@opus_errors
def create_state(fs: int, channels: int, application: int) -> Encoder:
    """Make an encoder; `application` is one of APPLICATION_VOIP, _AUDIO and _RESTRICTED_LOWDELAY."""
    return Encoder(fs, channels, application)


def destroy(encoder_state: Encoder) -> None:
    """Do nothing: the state goes with its last reference."""


def encode(encoder_state: Encoder, pcm_data: "Buffer", frame_size: int, max_data_bytes: int) -> bytes:
    """Encode s16 to a packet of at most `max_data_bytes`."""
    return encoder_state._encode(pcm_data, frame_size, 2, max_data_bytes)


def encode_float(encoder_state: Encoder, pcm_data: "Buffer", frame_size: int, max_data_bytes: int) -> bytes:
    """Encode float32 to a packet of at most `max_data_bytes`."""
    return encoder_state._encode(pcm_data, frame_size, 4, max_data_bytes)


def encoder_ctl(encoder_state: Encoder, request: Request, value: int | None = None) -> int | None:
    """Read or change a setting."""
    return control(encoder_state, request, value)
