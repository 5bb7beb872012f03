"""Which libopus is used: where it is looked for, and what it can do."""

import importlib.util
import math
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Final, NamedTuple

from trunkline._native import opus as native
from trunkline._native.opus_decoder import Decoder
from trunkline._native.opus_encoder import Encoder
from trunkline.errors import FormatError, LibraryMissingError, LocalProtocolError

__all__ = ["LibraryInfo", "library", "load"]

VARIABLE: Final = "TRUNKLINE_LIBOPUS"
SET_DRED_DURATION: Final = 4050  # one of libopus's requests
SONAMES: Final = (
    ("libopus.0.dylib", "/opt/homebrew/lib/libopus.0.dylib")
    if sys.platform == "darwin"
    else ("libopus.so.0",)
)
_CURE: Final = (
    "install it (apt-get install libopus0, dnf install opus, apk add opus, brew install opus), "
    f"or set {VARIABLE} to its absolute path"
)
_loaded: "LibraryInfo | None" = None
_lock = threading.Lock()


class LibraryInfo(NamedTuple):
    """The libopus in use.

    `version` as it says itself; `path` of the file; `place` where it was found: "path" (given to `library`),
    the name of the environment variable, "built in", a SONAME or "opuslib". What it can do: `fec`, `dtx`,
    `deep_plc` (concealment by a neural network, from a Decoder complexity of 5 on), `dred` (deep
    redundancy), `pcm24` (24-bit PCM).
    """

    version: str
    path: str
    place: str
    fec: bool
    dtx: bool
    deep_plc: bool
    dred: bool
    pcm24: bool


def library(path: str | os.PathLike[str] | None = None) -> LibraryInfo:
    """Load libopus, if no Encoder or Decoder has done so yet, and say which it is.

    It is looked for at `path`, then where the variable TRUNKLINE_LIBOPUS says (both absolute), in this
    package when it was built with a copy of its own, under its SONAME in the system's directories, and where
    opuslib finds it; never in the working directory. A path or a variable that is given is not passed over.

    Raises LibraryMissingError with every place that was tried, LocalProtocolError for a `path` once another
    libopus is in use.

    >>> from trunkline import opus
    >>> opus.library().fec
    True
    """
    return load(path)


def load(path: str | os.PathLike[str] | None = None) -> LibraryInfo:
    global _loaded
    with _lock:
        if _loaded is None:
            found, place = _find(None if path is None else os.fspath(path))
            _loaded = _describe(found, place)
            native.use(found)
        elif path is not None and not (os.path.exists(path) and os.path.samefile(path, _loaded.path)):
            raise LocalProtocolError(f"libopus is in use from {_loaded.path} already: load {path} before")
        return _loaded


def _find(path: str | None) -> tuple[native.Library, str]:
    """Load the first libopus there is; one that was named must be it."""
    named = ("path", path) if path is not None else (VARIABLE, os.environ.get(VARIABLE) or None)
    if named[1] is not None:
        if not os.path.isabs(named[1]):
            raise LibraryMissingError(f"libopus: {named[0]} {named[1]!r} is not an absolute path")
        places: list[tuple[str, str | None]] = [(named[0], named[1])]
    else:
        places = [("built in", None), *((name, name) for name in SONAMES)]
    tried = []
    for place, name in places:
        try:
            return _open(name), place
        except LibraryMissingError as error:
            tried.append(f"{place}: {error}" if name in (None, place) else f"{place} {name}: {error}")
    if named[1] is None:
        try:
            return _open(_opuslibs()), "opuslib"
        except Exception as error:
            tried.append(f"opuslib: {error}")
    raise LibraryMissingError(f"libopus cannot be loaded: {_CURE}. Tried {'; '.join(tried)}")


def _open(name: str | None) -> native.Library:
    """Load a path or a SONAME, but not by a part of LD_LIBRARY_PATH that is relative, or empty."""
    searched = os.environ.get("LD_LIBRARY_PATH")
    if name and searched and "/" not in name:
        relative = [part for part in searched.replace(";", ":").split(":") if not os.path.isabs(part)]
        if any(os.path.exists(os.path.join(part, name)) for part in relative):
            raise LibraryMissingError("LD_LIBRARY_PATH leads to the working directory")
    return native.Library(name)


def _opuslibs() -> str:
    """Where opuslib has found libopus, if it is installed."""
    spec = importlib.util.find_spec("opuslib")
    if spec is not None and spec.origin is not None and Path(spec.origin).resolve().parents[1] == Path.cwd():
        raise ImportError("it lies in the working directory")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # its code has one, an error under -W error
        return str(importlib.import_module("opuslib.api").libopus._name)


def _describe(found: native.Library, place: str) -> LibraryInfo:
    return LibraryInfo(
        version=found.version,
        path=found.path,
        place=place,
        fec=True,  # since 1.0, as is dtx
        dtx=True,
        deep_plc=_conceals_deeply(found),
        dred=_has_dred(found),
        pcm24=found.has_pcm24,
    )


def _has_dred(found: native.Library) -> bool:
    try:
        Encoder(48000, library=found).set(SET_DRED_DURATION, 0)
    except FormatError:
        return False
    return True


def _conceals_deeply(found: native.Library) -> bool:
    """Whether a Decoder's complexity changes its concealment: nothing else tells a build with the network."""
    encoder = Encoder(16000, library=found, bitrate=24000)
    tone = b"".join(
        round(8000 * math.sin(i * 0.05) * math.sin(i * 0.0007)).to_bytes(2, sys.byteorder, signed=True)
        for i in range(320 * 10)
    )
    packets = [encoder.encode(tone[i : i + 640]) for i in range(0, len(tone), 640)]
    concealed = []
    for complexity in (0, 10):
        decoder, out = Decoder(16000, library=found), bytearray(640)
        try:
            decoder.complexity = complexity
        except FormatError:
            return False
        for packet in packets:
            decoder.decode_into(packet, out)
        decoder.conceal_into(out, 320)
        concealed.append(bytes(out))
    return concealed[0] != concealed[1]


native.find_with(load)
