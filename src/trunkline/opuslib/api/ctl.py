"""Requests for `encoder_ctl` and `decoder_ctl`: `set_x` takes a value, `get_x` and `reset_state` none."""

from typing import NamedTuple

from trunkline.opuslib import constants


class Request(NamedTuple):
    """One of libopus's requests."""

    number: int
    takes_value: bool


reset_state = Request(constants.RESET_STATE, takes_value=False)


def __getattr__(name: str) -> Request:
    number = getattr(constants, f"{name.upper()}_REQUEST", None)
    if number is None or not name.startswith(("get_", "set_")):
        raise AttributeError(f"libopus has no request {name!r}")
    return Request(number, name.startswith("set_"))
