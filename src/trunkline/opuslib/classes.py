"""Encoder and Decoder with opuslib's methods and properties."""

from typing import TYPE_CHECKING, Any, cast

from trunkline import opus
from trunkline.opuslib import constants
from trunkline.opuslib.exceptions import OpusError, opus_errors

if TYPE_CHECKING:
    from trunkline.buffers import AnyBuffer, Buffer

__all__ = ["Decoder", "Encoder"]

_APPLICATIONS = {
    constants.APPLICATION_VOIP: "voip",
    constants.APPLICATION_AUDIO: "audio",
    constants.APPLICATION_RESTRICTED_LOWDELAY: "lowdelay",
}


def _setting(name: str) -> Any:
    """Make a property of what libopus has requests to get, and maybe to set."""
    getter = getattr(constants, f"GET_{name}_REQUEST")
    setter = getattr(constants, f"SET_{name}_REQUEST", 0)

    @opus_errors
    def read(self: "Encoder | Decoder") -> int:
        value = self._state.get(getter)
        # An unsigned number comes as a signed one.
        return value & 0xFFFFFFFF if getter == constants.GET_FINAL_RANGE_REQUEST else value

    @opus_errors
    def write(self: "Encoder | Decoder", value: int) -> None:
        self._state.set(setter, int(value))

    return property(read, write if setter else None)


class Decoder:
    """Decode packets to PCM of `fs` Hz and `channels`."""

    def __init__(self, fs: int, channels: int) -> None:
        self._state = opus_errors(opus.Decoder)(fs, channels)
        self._channels = channels

    def reset_state(self) -> None:
        """Forget the packets so far."""
        self._state.reset()

    def decode(self, opus_data: "Buffer | None", frame_size: int, decode_fec: bool = False) -> bytes:
        """Decode a packet to s16, at most `frame_size` samples per channel; None conceals so many.

        `decode_fec` decodes what it says of the audio before it instead.
        """
        return self._decode(opus_data, frame_size, decode_fec, 2)

    def decode_float(self, opus_data: "Buffer | None", frame_size: int, decode_fec: bool = False) -> bytes:
        """Decode as `decode` does, to float32."""
        return self._decode(opus_data, frame_size, decode_fec, 4)

    final_range = _setting("FINAL_RANGE")
    bandwidth = _setting("BANDWIDTH")
    pitch = _setting("PITCH")
    sample_rate = _setting("SAMPLE_RATE")
    last_packet_duration = _setting("LAST_PACKET_DURATION")
    lsb_depth = _setting("LSB_DEPTH")
    gain = _setting("GAIN")

    @opus_errors
    def _decode(self, packet: "Buffer | None", n_samples: int, fec: bool, sample_bytes: int) -> bytes:
        if n_samples <= 0:
            raise OpusError(constants.BAD_ARG, f"frame_size: takes 1 or more, got {n_samples}")
        room = min(n_samples, self._state.sample_rate * 120 // 1000)
        out = bytearray(room * self._channels * sample_bytes)
        view = memoryview(out) if sample_bytes == 2 else memoryview(out).cast("f")
        got = self._state.decode_as_told(packet, view, room, fec)
        return bytes(out[: got * self._channels * sample_bytes])


class Encoder:
    """Encode PCM of `fs` Hz and `channels`; `application` is a name or a number of APPLICATION_TYPES_MAP."""

    def __init__(self, fs: int, channels: int, application: str | int) -> None:
        code = constants.APPLICATION_TYPES_MAP.get(cast("str", application), application)
        if code not in _APPLICATIONS:
            raise ValueError("`application` value must be in 'voip', 'audio' or 'restricted_lowdelay'")
        self._state = opus_errors(opus.Encoder)(fs, channels, _APPLICATIONS[code])
        self._channels = channels

    def reset_state(self) -> None:
        """Forget the audio so far; the settings stay."""
        self._state.reset()

    def encode(self, pcm_data: "Buffer", frame_size: int) -> bytes:
        """Encode the first `frame_size` samples per channel of s16; OpusError when there are fewer."""
        return self._encode(pcm_data, frame_size, 2)

    def encode_float(self, pcm_data: "Buffer", frame_size: int) -> bytes:
        """Encode as `encode` does, from float32."""
        return self._encode(pcm_data, frame_size, 4)

    final_range = _setting("FINAL_RANGE")
    bandwidth = _setting("BANDWIDTH")
    pitch = _setting("PITCH")
    lsb_depth = _setting("LSB_DEPTH")
    complexity = _setting("COMPLEXITY")
    bitrate = _setting("BITRATE")
    vbr = _setting("VBR")
    vbr_constraint = _setting("VBR_CONSTRAINT")
    force_channels = _setting("FORCE_CHANNELS")
    max_bandwidth = _setting("MAX_BANDWIDTH")
    signal = _setting("SIGNAL")
    application = _setting("APPLICATION")
    sample_rate = _setting("SAMPLE_RATE")
    lookahead = _setting("LOOKAHEAD")
    inband_fec = _setting("INBAND_FEC")
    packet_loss_perc = _setting("PACKET_LOSS_PERC")
    dtx = _setting("DTX")

    @opus_errors
    def _encode(
        self, pcm: "Buffer", n_samples: int, sample_bytes: int, max_bytes: int | None = None
    ) -> bytes:
        data = memoryview(cast("AnyBuffer", pcm)).cast("B")
        needed = n_samples * self._channels * sample_bytes
        if n_samples <= 0 or len(data) < needed:
            raise OpusError(
                constants.BAD_ARG, f"pcm_data: {len(data)} bytes, {n_samples} samples take {needed}"
            )
        samples = data[:needed] if sample_bytes == 2 else data[:needed].cast("f")
        return self._state.encode(samples, max_bytes=max_bytes)
