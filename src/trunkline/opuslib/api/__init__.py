"""opuslib's functions: `api.info`, `api.decoder` on packets, `api.encoder`, `api.ctl`."""
