"""The switch of `trunkline switch`: served, and shown, until it is told to stop."""

import secrets
import shlex
import ssl
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.calling import Calling

if TYPE_CHECKING:
    from trunkline.cli.switch_view import SwitchView
    from trunkline.switch import Client, Switch

__all__ = ["Serving"]

ANSWER_AFTER_S = 1.0  # of what is dialled


@dataclass(frozen=True)
class Serving:
    """The options of the switch; those of --call are `calling`'s."""

    calling: Calling
    listen: tuple[str, int]
    dialled: str | None
    project: str
    token: str | None = field(repr=False)
    signing_key: str | None = field(repr=False)
    allow: tuple[str, ...]
    insecure_loopback: bool
    cacert: Path | None
    cert_dir: Path
    journal: Path | None
    sounds: Path | None
    no_tls: bool

    async def run(self) -> int:
        """Serve until a signal, or until the call of --once has ended; give the exit code."""
        from trunkline.cli.switch_view import SwitchView
        from trunkline.cli.view import stop_on_signals, warnings_in
        from trunkline.net.targets import Targets
        from trunkline.switch import CallbackSender, Journal, Sounds, Switch, serve_switch
        from trunkline.switch.source_names import make_source

        (host, port), calling = self.listen, self.calling
        stop, view = stop_on_signals(), SwitchView()
        targets = Targets.for_bind(host, self.allow)
        ca_file, served, trusted = self._tls(host)
        with warnings_in(view), nullcontext() if self.journal is None else Journal(self.journal) as journal:
            async with (
                CallbackSender(targets, signing_key=self.signing_key, ssl=trusted) as callbacks,
                Switch(
                    project_id=self.project,
                    token=self.token or _kept_token(self.cert_dir),
                    targets=targets,
                    ssl=trusted,
                    callbacks=callbacks,
                    insecure_loopback=self.insecure_loopback,
                    journal=journal,
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
                    ssl=served,
                    dialled_source=None if self.dialled is None else partial(make_source, self.dialled),
                    answer_after_s=ANSWER_AFTER_S if calling.answer_after is None else calling.answer_after,
                    on_client=on_client,
                    targets=targets,
                    document_ssl=trusted,
                    open_sound=Sounds(self.sounds, targets=targets, ssl=trusted).open,
                ) as server:
                    _tell_how_to_connect(view, server.host, ca_file, switch, show_token=self.token is None)
                    async with view:
                        if calling.at_once:
                            place()
                        elif calling.caller is not None:
                            view.note(f"waiting for a client of context {calling.context!r}, to call it")
                        await stop.wait()
                        await switch.close()
        return 1 if calling.once and view.n_failed else 0

    def _tls(self, host: str) -> "tuple[Path | None, ssl.SSLContext | None, ssl.SSLContext]":
        """Give the certificate's file, the server's context, and what is trusted where streams go."""
        from trunkline.net.tls import client_context, kept_certificate, server_context

        trusted = client_context(self.cacert)
        if self.no_tls:
            return None, None, trusted
        ca_file, key = kept_certificate(self.cert_dir, host)
        trusted.load_verify_locations(ca_file)  # `trunkline receive` may have it, too
        return ca_file, server_context(ca_file, key), trusted


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
