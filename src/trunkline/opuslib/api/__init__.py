"""opuslib's functions: `api.info`, `api.decoder` on packets, `api.encoder`, `api.ctl`."""

from trunkline.opuslib.api import ctl, decoder, encoder, info

__all__ = ["ctl", "decoder", "encoder", "info"]
