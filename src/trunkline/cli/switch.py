"""trunkline switch: a telephone exchange on this machine."""

import asyncio
import errno
import sys
from pathlib import Path
from typing import Any

import click

from trunkline.cli.calling import CALLING, Calling
from trunkline.cli.options import (
    NumberRange,
    cert_dir_option,
    insecure_loopback_option,
    read_address,
    read_source,
)
from trunkline.cli.sending import cacert_option
from trunkline.cli.serving import Serving

__all__ = ["switch"]


def read_key(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty key, with which anybody could sign."""
    if value == "":
        raise click.BadParameter("is empty: leave it out for callbacks that are not signed")
    return value


@click.command()
@click.option(
    "--listen",
    callback=read_address,
    default="127.0.0.1:8443",
    show_default=True,
    metavar="HOST:PORT",
    help="Port 0 takes a free one.",
)
@click.option(
    "--call",
    "caller",
    callback=read_source,
    metavar="SOURCE",
    help="Call every client that connects to the context; SOURCE is what the caller says.",
)
@click.option("--outbound", callback=read_source, metavar="SOURCE", help="The call's other side.")
@click.option("--context", default="default", show_default=True, help="Where --call calls.")
@click.option("--from", "from_number", default="+15550100", show_default=True, metavar="NUMBER")
@click.option("--to", "to_number", default="+15550101", show_default=True, metavar="NUMBER")
@click.option("--at-once", is_flag=True, help="Place --call once, now, whoever is there.")
@click.option(
    "--once",
    is_flag=True,
    help="End with the first call of --call; exit code 1 when a stream failed.",
)
@click.option(
    "--dialled",
    callback=read_source,
    metavar="SOURCE",
    help="Who answers calls that a client dials.  [default: silence]",
)
@click.option(
    "--answer-after",
    type=NumberRange(0, 3600),
    metavar="S",
    help="Answer by itself what has rung for S seconds.  [default: 1 for what is dialled, never for --call]",
)
@click.option(
    "--project",
    envvar="SIGNALWIRE_PROJECT_ID",
    show_envvar=True,
    default="trunkline",
    show_default=True,
    help="What clients authenticate with.",
)
@click.option(
    "--token",
    envvar="SIGNALWIRE_API_TOKEN",
    show_envvar=True,
    help="The project's token; one is made and kept if not given.",
)
@click.option(
    "--signing-key",
    envvar="SIGNALWIRE_SIGNING_KEY",
    show_envvar=True,
    callback=read_key,
    metavar="KEY",
    help="What status callbacks are signed with.  [default: they are not]",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="HOST",
    help="Let streams go to this host or network, which is not public; repeatable.",
)
@insecure_loopback_option
@cacert_option
@cert_dir_option
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep calls and streams there, so that REST finds them after a restart.",
)
@click.option(
    "--sounds",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Where file:/// URLs of documents over REST lead; without it they are refused.",
)
@click.option("--no-tls", is_flag=True, help="Serve ws:// and http:// only; on loopback.")
def switch(**options: Any) -> None:
    """Be the platform: calls to try an application with, over RELAY and REST, on this machine.

    A SOURCE is an audio file, a capture (.jsonl) of `trunkline receive`, speech, silence, tone:HZ or
    rtp:HOST:PORT[/CODEC]. Set the variables that are printed where the application runs. It takes the call,
    and streams it to where it likes: `trunkline receive`, say. Ctrl-C or SIGTERM hangs all calls up.
    """
    from trunkline.net.tls import is_loopback

    calling = Calling(**{name: options.pop(name) for name in CALLING})
    serving = Serving(calling, **options)
    host, port = serving.listen
    if serving.no_tls and not is_loopback(host):
        raise click.UsageError(f"--no-tls is for this machine only: --listen 127.0.0.1:{port}")
    if calling.caller is None and (calling.outbound is not None or calling.once or calling.at_once):
        raise click.UsageError("--outbound, --once and --at-once are about a call: give --call, too")
    if serving.dialled is not None and serving.dialled.startswith("rtp:"):
        raise click.BadParameter("one RTP port is no source of many calls", param_hint="'--dialled'")
    try:
        serving.cert_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        code = asyncio.run(serving.run())
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"{host}:{port} is in use: choose another port with --listen") from error
    sys.exit(code)
