"""trunkline plot: a picture of a recording."""

import os
from pathlib import Path

import click

from trunkline.cli.output import printable
from trunkline.errors import FormatError

__all__ = ["plot"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="By default FILE's name with .png."
)
def plot(file: Path, out: Path | None) -> None:
    """Draw the waveform and the spectrogram of each channel of a recording, into a PNG.

    FILE is an audio file or a capture, of any length.
    """
    from trunkline.convert.plot import plot as draw  # here, so that --help needs no matplotlib

    picture = out or file.with_suffix(".png")
    if picture.exists() and file.exists() and os.path.samefile(picture, file):
        raise FormatError(f"{picture}: the picture would replace the recording: give another name with -o")
    draw(file, picture)
    click.echo(printable(f"picture: {picture}"))
