"""The `trunkline` command: arguments in, exit code out."""

import gc
import sys
import warnings

from trunkline.errors import LibraryMissingError

__all__ = ["main"]


def main() -> None:
    """Run the command line; without click or rich say how to get it."""
    warnings.formatwarning = lambda message, *rest, **more: f"warning: {message}\n"
    gc.disable()  # what is imported stays: to look for garbage in it took a tenth of the start
    try:
        from trunkline.cli.app import app

        app(prog_name="trunkline")
    except KeyboardInterrupt:  # while it is still being imported
        sys.exit(130)
    except LibraryMissingError as error:  # click; rich, where the list of commands needs it
        sys.exit(f"error: {error}")
