"""The command group: what all commands share, above all how an error is shown."""

import gc
import importlib
import sys
from typing import IO, Any

from trunkline.errors import TrunklineError
from trunkline.extras import needs_extra

with needs_extra("cli"):
    import click

from trunkline.cli.output import describe, printable

__all__ = ["app"]


class _OneLineError(click.ClickException):
    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {printable(self.format_message())}", file=file, err=True)


#: The commands, each in the module of its name, which is imported when it is called.
COMMANDS = (
    *("receive", "send", "replay", "load", "switch", "swml", "convert"),
    *(ABOUT_FILES := ("info", "verify", "repair", "plot", "diff")),
    "demo",
)


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with needs_extra("cli"):  # rich, too
            module = importlib.import_module(f"trunkline.cli.{cmd_name}")
        if not gc.isenabled():  # by main
            gc.freeze()
            gc.enable()
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(130)  # 128 + SIGINT, as a shell reports it
        except (TrunklineError, OSError) as error:
            if isinstance(error, BrokenPipeError) and ctx.invoked_subcommand in ABOUT_FILES:
                raise  # click ends: whoever read has seen enough
            if ctx.params["debug"]:
                raise
            raise _OneLineError(describe(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="trunkline", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def app(debug: bool) -> None:
    """Receive, send and make the media streams of phone calls.

    Exit codes: 0 done, 1 an error (one line says which), 2 wrong usage, 130 interrupted.
    """
