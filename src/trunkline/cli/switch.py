"""trunkline switch: a telephone exchange on this machine."""

import asyncio
import errno
import secrets
import shlex
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli.calling import Calling
from trunkline.cli.options import NumberRange, read_address
from trunkline.cli.sending import cacert_option
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from trunkline.cli.switch_view import SwitchView
    from trunkline.switch import Client, Switch

__all__ = ["switch"]

APP_DIR = Path(click.get_app_dir("trunkline"))
ANSWER_AFTER_S = 1.0  # of what is dialled


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
    "--allow",
    multiple=True,
    metavar="HOST",
    help="Let streams go to this host or network, which is not public; repeatable.",
)
@click.option(
    "--insecure-loopback", is_flag=True, help="Let streams go to ws:// on this machine, in the clear."
)
@cacert_option
@click.option(
    "--cert-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=APP_DIR,
    show_default=True,
    help="Where the certificate, its key and the token are kept.",
)
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
def switch(
    listen: tuple[str, int],
    caller: str | None,
    outbound: str | None,
    context: str,
    from_number: str,
    to_number: str,
    at_once: bool,
    once: bool,
    dialled: str | None,
    answer_after: float | None,
    project: str,
    token: str | None,
    allow: tuple[str, ...],
    insecure_loopback: bool,
    cacert: Path | None,
    cert_dir: Path,
    journal: Path | None,
    sounds: Path | None,
    no_tls: bool,
) -> None:
    """Be the platform: calls to try an application with, over RELAY and REST, on this machine.

    A SOURCE is an audio file, a capture (.jsonl) of `trunkline receive`, speech, silence, tone:HZ or
    rtp:HOST:PORT[/CODEC]. Set the variables that are printed where the application runs. It takes the call,
    and streams it to where it likes: `trunkline receive`, say. Ctrl-C or SIGTERM hangs all calls up.
    """
    from trunkline.net.tls import is_loopback

    if no_tls and not is_loopback(listen[0]):
        raise click.UsageError(f"--no-tls is for this machine only: --listen 127.0.0.1:{listen[1]}")
    if caller is None and (outbound is not None or once or at_once):
        raise click.UsageError("--outbound, --once and --at-once are about a call: give --call, too")
    if dialled is not None and dialled.startswith("rtp:"):
        raise click.BadParameter("one RTP port is no source of many calls", param_hint="'--dialled'")
    calling = Calling(
        caller,
        outbound,
        context,
        from_number,
        to_number,
        at_once,
        once,
        answer_after,
    )
    host, port = listen
    try:
        cert_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        code = asyncio.run(
            _serve(
                calling,
                host,
                port,
                project=project,
                token=token,
                dialled=dialled,
                allow=allow,
                insecure_loopback=insecure_loopback,
                cacert=cacert,
                cert_dir=cert_dir,
                journal=journal,
                sounds=sounds,
                tls=not no_tls,
            )
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"{host}:{port} is in use: choose another port with --listen") from error
    sys.exit(code)


async def _serve(
    calling: Calling,
    host: str,
    port: int,
    *,
    project: str,
    token: str | None,
    dialled: str | None,
    allow: tuple[str, ...],
    insecure_loopback: bool,
    cacert: Path | None,
    cert_dir: Path,
    journal: Path | None,
    sounds: Path | None,
    tls: bool,
) -> int:
    from trunkline.cli.switch_view import SwitchView
    from trunkline.cli.view import stop_on_signals, warnings_in
    from trunkline.net.targets import Targets
    from trunkline.net.tls import client_context, kept_certificate, server_context
    from trunkline.switch import CallbackSender, Journal, Sounds, Switch, serve_switch
    from trunkline.switch.source_names import make_source

    stop, view = stop_on_signals(), SwitchView()
    targets = Targets.for_bind(host, allow)
    trusted, context, ca_file = client_context(cacert), None, None
    if tls:
        ca_file, key = kept_certificate(cert_dir, host)
        context = server_context(ca_file, key)
        trusted.load_verify_locations(ca_file)  # `trunkline receive` may have it, too
    with warnings_in(view), nullcontext() if journal is None else Journal(journal) as kept:
        async with (
            CallbackSender(targets, ssl=trusted) as callbacks,
            Switch(
                project_id=project,
                token=token or _kept_token(cert_dir),
                targets=targets,
                ssl=trusted,
                callbacks=callbacks,
                insecure_loopback=insecure_loopback,
                journal=kept,
            ) as switch,
        ):
            place = partial(calling.place, switch, view, stop)

            def on_client(client: "Client", change: str) -> None:
                view.on_client(client, change)
                calling.on_client(place, client, change)

            switch.subscribe(view.on_event)
            async with serve_switch(
                switch,
                host,
                port,
                ssl=context,
                dialled_source=None if dialled is None else partial(make_source, dialled),
                answer_after_s=ANSWER_AFTER_S if calling.answer_after is None else calling.answer_after,
                on_client=on_client,
                targets=targets,
                document_ssl=trusted,
                open_sound=Sounds(sounds, targets=targets, ssl=trusted).open,
            ) as server:
                _tell_how_to_connect(view, server.host, ca_file, switch, show_token=token is None)
                async with view:
                    if calling.at_once:
                        place()
                    elif calling.caller is not None:
                        view.note(f"waiting for a client of context {calling.context!r}, to call it")
                    await stop.wait()
                    await switch.close()
    return 1 if calling.once and view.n_failed else 0


def _tell_how_to_connect(
    view: "SwitchView", host: str, ca_file: Path | None, switch: "Switch", *, show_token: bool
) -> None:
    """Print what an application is to be told, as a shell takes it."""
    relay, rest = ("ws", "http") if ca_file is None else ("wss", "https")
    view.note(f"listening on {relay}://{host}/ for RELAY, {rest}://{host}/api/ for REST")
    variables = {"SIGNALWIRE_SPACE": host}
    if ca_file is not None:
        variables["SIGNALWIRE_RELAY_CA_FILE"] = str(ca_file.absolute())
    variables["SIGNALWIRE_PROJECT_ID"] = switch.project_id
    if show_token:  # who gave it knows it
        variables["SIGNALWIRE_API_TOKEN"] = switch.token
    for name, value in variables.items():
        view.note(f"  export {name}={shlex.quote(value)}")


def _kept_token(directory: Path) -> str:
    """Give the token that is kept in the directory; made when there is none."""
    from trunkline.net.tls import write_private

    path = directory / "token"
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_urlsafe(24)
        write_private(path, f"{token}\n".encode())
    return token
