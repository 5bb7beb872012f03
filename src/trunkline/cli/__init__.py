"""The `trunkline` command: arguments in, exit code out."""

import sys
import warnings

from trunkline.errors import LibraryMissingError

__all__ = ["main"]


def main() -> None:
    """Run the command line; without click say how to get it."""
    warnings.formatwarning = lambda message, *rest, **more: f"warning: {message}\n"
    try:
        from trunkline.cli.app import app
    except LibraryMissingError as error:
        sys.exit(f"error: {error}")
    app(prog_name="trunkline")
