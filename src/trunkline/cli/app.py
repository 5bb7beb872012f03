"""The command group: what all commands share, above all how an error is shown."""

import sys
from importlib.metadata import version
from typing import IO, Any

from trunkline.errors import TrunklineError
from trunkline.extras import needs_extra

with needs_extra("cli"):
    import click
    import rich  # noqa: F401  (looked for here once, for every command)

from trunkline.cli.demo import demo
from trunkline.cli.output import describe, printable
from trunkline.cli.receive import receive
from trunkline.cli.replay import replay
from trunkline.cli.send import send
from trunkline.cli.switch import switch
from trunkline.cli.swml import swml

__all__ = ["app"]


class _OneLineError(click.ClickException):
    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {printable(self.format_message())}", file=file, err=True)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(130)  # 128 + SIGINT, as a shell reports it
        except (TrunklineError, OSError) as error:
            if ctx.params["debug"]:
                raise
            raise _OneLineError(describe(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("trunkline"), message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def app(debug: bool) -> None:
    """Receive, send and make the media streams of phone calls.

    Exit codes: 0 done, 1 an error (one line says which), 2 wrong usage, 130 interrupted.
    """


for command in (receive, send, replay, switch, swml, demo):
    app.add_command(command)
