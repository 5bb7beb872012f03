"""trunkline swml: check SWML documents, and run one on a call."""

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from trunkline.cli.options import insecure_loopback_option, read_pairs, read_source
from trunkline.cli.output import describe, open_console, printable
from trunkline.cli.sending import cacert_option
from trunkline.errors import FormatError, RemoteProtocolError
from trunkline.switch.events import CallChanged, StreamChanged, SwitchEvent
from trunkline.switch.swml import (
    Connect,
    Document,
    Hangup,
    Play,
    Set,
    Sleep,
    Step,
    StopStream,
    Stream,
    Verb,
    parse,
    run,
    schema,
)
from trunkline.switch.swml.node import BYTES_MAX
from trunkline.switch.swml.verbs import VERBS

__all__ = ["swml"]

_NAMES = {verb: name for name, verb in VERBS.items()}

document_type = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)


@click.group()
def swml() -> None:
    """Check SWML documents, and run one on a call."""


@swml.command("check")
@click.argument("documents", nargs=-1, required=True, type=document_type)
def check_documents(documents: tuple[Path, ...]) -> None:
    """Say of each of the DOCUMENTS, YAML or JSON, what is wrong in which line; - is standard input."""
    n_wrong = 0
    for path in documents:
        try:
            n_verbs = len(_read(path).main)
        except FormatError as error:
            n_wrong += 1
            click.echo(f"error: {printable(str(error))}", err=True)
        else:
            click.echo(f"{printable(str(path))}: {n_verbs} verb{'' if n_verbs == 1 else 's'}")
    if n_wrong:
        raise SystemExit(1)


@swml.command("schema")
def print_schema() -> None:
    """Print the JSON Schema (2020-12) of the documents, for an editor."""
    click.echo(json.dumps(schema(), indent=2))


@swml.command("run")
@click.argument("document", type=document_type)
@click.option(
    "--call",
    "caller",
    required=True,
    callback=read_source,
    metavar="SOURCE",
    help="What the caller says; then they hang up.",
)
@click.option("--outbound", callback=read_source, metavar="SOURCE", help="What the other side says.")
@click.option(
    "--var",
    "variables",
    callback=read_pairs,
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable of the scope envs, ${NAME}; repeatable.",
)
@click.option(
    "--from", "from_number", default="+15550100", show_default=True, help="Who calls: ${call.from}."
)
@click.option("--to", "to_number", default="+15550101", show_default=True, help="Who is called: ${call.to}.")
@click.option(
    "--sounds",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where file:/// URLs of the document lead; without it they are refused.",
)
@insecure_loopback_option
@cacert_option
def run_document(document: Path, insecure_loopback: bool, **options: Any) -> None:
    """Run the DOCUMENT, YAML or JSON, on a call, and show what happens, verb by verb.

    A SOURCE is an audio file, of which the first channel is heard, a capture (.jsonl) of `trunkline receive`,
    speech, silence, tone:HZ or rtp:HOST:PORT[/CODEC]. Streams, sounds and status callbacks go where the
    document says. The exit code is 1 when a verb or a stream has failed. Ctrl-C or SIGTERM hangs up.
    """
    parsed = _read(document, insecure_loopback=insecure_loopback)
    try:
        asyncio.run(_run(parsed, insecure_loopback=insecure_loopback, **options))
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None


def _read(path: Path, *, insecure_loopback: bool = False) -> Document:
    with click.open_file(str(path), "rb") as file:
        return parse(file.read(BYTES_MAX + 1), str(path), insecure_loopback=insecure_loopback)


async def _run(
    document: Document,
    *,
    caller: str,
    outbound: str | None,
    insecure_loopback: bool,
    variables: dict[str, str],
    from_number: str,
    to_number: str,
    sounds: Path | None,
    cacert: Path | None,
) -> None:
    from trunkline.net.targets import ANYWHERE, Targets  # here, so that --help needs no aiohttp
    from trunkline.net.tls import client_context
    from trunkline.switch import CallbackSender, ScriptedCall, Sounds, Switch, call_scope
    from trunkline.switch.source_names import open_source

    running = asyncio.current_task()
    if running is not None and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    ssl, targets = client_context(cacert), Targets(ANYWHERE)
    shown = _Shown()
    async with (
        CallbackSender(targets, ssl=ssl) as callbacks,
        Switch(
            project_id="swml-run",
            token="",
            ssl=ssl,
            callbacks=callbacks,
            insecure_loopback=insecure_loopback,
        ) as switch,
    ):
        switch.subscribe(shown.event)
        call = switch.place_call(
            await open_source(caller),
            outbound=None if outbound is None else await open_source(outbound),
            from_number=from_number,
            to_number=to_number,
        )
        left = await run(
            document,
            ScriptedCall(call, open_sound=Sounds(sounds, targets=targets, ssl=ssl).open),
            scopes={"call": call_scope(call), "envs": variables},
            on_step=shown.step,
        )
    shown.variables(left)
    if shown.n_failed:
        raise RemoteProtocolError(f"{shown.n_failed} of the document's verbs or streams failed")


class _Shown:
    """Shows what happens, each in a line with the seconds since the call."""

    def __init__(self) -> None:
        self.n_failed = 0
        self._began_s = time.monotonic()
        self._console = open_console()

    def step(self, step: Step) -> None:
        if step.error is None:
            self._line(f"main[{step.index}] {_NAMES[type(step.verb)]} {_summary(step.verb)}".rstrip())
        else:
            self.n_failed += 1
            self._line(f"main[{step.index}] failed: {describe(step.error)}")

    def event(self, event: SwitchEvent) -> None:
        match event:  # of a stream that is not started its step tells
            case CallChanged(call, state):
                reason = f": {call.end_reason}" if state == "ended" else ""
                self._line(f"call {state}{reason}")
            case StreamChanged(_, stream, state):
                self.n_failed += stream.error is not None
                how = stream.request.url if state == "streaming" else f"{stream.messages_sent} messages"
                why = "" if stream.error is None else f": {describe(stream.error)}"
                self._line(f"stream {stream.control_id} {state}, {how}{why}")

    def variables(self, left: Mapping[str, Any]) -> None:
        for name, value in left.items():
            self._print(f"{name} = {json.dumps(value)}")

    def _line(self, text: str) -> None:
        self._print(f"{time.monotonic() - self._began_s:7.2f} s  {text}")

    def _print(self, text: str) -> None:
        self._console.print(printable(text), markup=False, soft_wrap=True)


def _summary(verb: Verb) -> str:
    """Say what a verb does, in the words of the document."""
    match verb:
        case Stream(url=url):
            return url
        case Connect(to=to):
            return to
        case Play():
            return ", ".join(verb.sources)
        case Sleep(duration=duration):
            return f"{duration} ms" if duration != -1 else "until the call ends"
        case StopStream(control_id=control_id):
            return control_id or ""
        case Hangup(reason=reason):
            return reason
        case Set(variables=variables):
            return ", ".join(variables)
    return ""
