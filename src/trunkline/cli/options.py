"""Options that more than one command takes, and how their values are read."""

import math
import os
from pathlib import Path
from typing import Any

import click

from trunkline.errors import TrunklineError
from trunkline.formats import CodecSpec
from trunkline.track import Packetizer

__all__ = [
    "TRACKS",
    "NumberRange",
    "bearer_token_option",
    "cert_dir_option",
    "insecure_loopback_option",
    "read_address",
    "read_codec",
    "read_pairs",
    "read_percent",
    "read_source",
]

#: Both spellings of the stream APIs, and the tracks that each names.
TRACKS = {
    "inbound": ("inbound",),
    "outbound": ("outbound",),
    "both": ("inbound", "outbound"),
    "inbound_track": ("inbound",),
    "outbound_track": ("outbound",),
    "both_tracks": ("inbound", "outbound"),
}

TOKEN_VARIABLE = "TRUNKLINE_BEARER_TOKEN"  # noqa: S105


def read_token(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse a variable that is empty, which click takes for none: a secret that is missing opens no door."""
    if value is None and TOKEN_VARIABLE in os.environ:
        raise click.UsageError(f"{TOKEN_VARIABLE} is empty: give the token, or unset it to take everybody")
    return value


bearer_token_option = click.option(
    "--bearer-token",
    callback=read_token,
    envvar=TOKEN_VARIABLE,
    show_envvar=True,
    metavar="TOKEN",
    help="Authorization of the stream. The variable keeps it out of the list of processes.",
)

cert_dir_option = click.option(
    "--cert-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(click.get_app_dir("trunkline")),
    show_default=True,
    help="Where the switch's certificate, its key and its token are kept.",
)
insecure_loopback_option = click.option(
    "--insecure-loopback", is_flag=True, help="Let streams go to ws:// on this machine, in the clear."
)


class NumberRange(click.FloatRange):
    """A range of numbers; NaN, which compares with no limit, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def read_address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """Read HOST:PORT."""
    host, colon, port = value.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or not host.strip("[]"):
        raise click.BadParameter(f"{value!r} is not HOST:PORT, such as 127.0.0.1:8765")
    return host.strip("[]"), int(port)


def read_codec(ctx: click.Context, param: click.Parameter, value: str) -> CodecSpec:
    """Read a codec as the stream APIs spell it."""
    try:
        codec = CodecSpec.parse(value)
        Packetizer(codec)  # for its refusal of what is not encoded
        return codec
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def read_pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read any number of K=V."""
    pairs: dict[str, str] = {}
    for pair in values:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair!r} is not K=V")
        if key in pairs:
            raise click.BadParameter(f"{key!r} is given twice")
        pairs[key] = value
    return pairs


def read_percent(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Read a percentage below 100 as a part of 1."""
    number, sign, rest = value.partition("%")
    try:
        part = float(number) / 100
    except ValueError:
        part = math.nan
    if not sign or rest or not 0 <= part < 1:
        raise click.BadParameter(f"{value!r} is not a percentage from 0% to below 100%, such as 2%")
    return part


def read_source(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check a source now, and not when somebody calls."""
    if value is None:
        return None
    from trunkline.switch.source_names import SOURCE_NAMES, check_source

    try:
        check_source(value)
    except FileNotFoundError as error:
        raise click.BadParameter(f"{value!r}: there is no such file; takes {SOURCE_NAMES}") from error
    except (TrunklineError, OSError) as error:
        raise click.BadParameter(str(error)) from error
    return value
