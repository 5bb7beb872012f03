"""trunkline.opus.library: which libopus is loaded, where it is looked for, and when. One process a case."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline import opus

#: In its package the module's name is that of its function.
ABSENT = "import sys, trunkline.opus\nsys.modules['trunkline.opus.library'].SONAMES = ('libnowhere.so.0',)\n"
SHOW = "from trunkline import opus; info = opus.library({}); print(info.place, info.path, sep='\\n')\n"


def python(code: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "TRUNKLINE_LIBOPUS"}
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        env={**inherited, **environment},
    )


def found(code: str, *options: str, **environment: str) -> list[str]:
    run = python(code, *options, **environment)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def error(code: str, **environment: str) -> str:
    run = python(code, **environment)
    assert run.returncode == 1
    return run.stderr.splitlines()[-1]


PACKETIZER = """
from trunkline.formats import CodecSpec
from trunkline.track import Packetizer
print(len(Packetizer(CodecSpec("OPUS", 16000)).push(bytes(640))))
"""


def test_who_imports_the_packetizer_alone_gets_the_library() -> None:
    assert found(PACKETIZER) == ["1"]


@pytest.fixture
def copy(libopus: opus.LibraryInfo, tmp_path: Path) -> str:
    """A libopus at a path of its own."""
    if libopus.place == "built in":
        pytest.skip("this build has its own libopus, which cannot be copied")
    return shutil.copy(libopus.path, str(tmp_path / "libopus.so.0"))


@pytest.fixture
def opuslib(tmp_path: Path) -> dict[str, str]:
    """An environment with an opuslib whose code has the real one's SyntaxWarning."""
    package = tmp_path / "site" / "opuslib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("1 is not 0\n")
    (package / "api.py").write_text(
        "import os, types\nlibopus = types.SimpleNamespace(_name=os.environ['FOUND'])\n"
    )
    return {"PYTHONPATH": str(package.parent)}


# The order


def test_path_goes_before_all(copy: str) -> None:
    assert found(SHOW.format(repr(copy)), TRUNKLINE_LIBOPUS="/nowhere/libopus.so") == ["path", copy]


def test_variable_goes_before_the_system(copy: str) -> None:
    assert found(SHOW.format(""), TRUNKLINE_LIBOPUS=copy) == ["TRUNKLINE_LIBOPUS", copy]
    encode = "from trunkline import opus; opus.Encoder(8000); print(opus.library().path)"
    assert found(encode, TRUNKLINE_LIBOPUS=copy) == [copy]


def test_soname_goes_before_opuslib(libopus: opus.LibraryInfo, opuslib: dict[str, str]) -> None:
    place, path = found(SHOW.format(""), TRUNKLINE_LIBOPUS="", FOUND="/nowhere", **opuslib)
    assert place == ("built in" if libopus.place == "built in" else "libopus.so.0")
    assert os.path.isabs(path)


@pytest.mark.parametrize("options", [(), ("-W", "error")])
def test_opuslib_is_asked_last(copy: str, opuslib: dict[str, str], options: tuple[str, ...]) -> None:
    assert found(ABSENT + SHOW.format(""), *options, FOUND=copy, **opuslib) == ["opuslib", copy]


# What is refused


def test_missing_library_says_where_it_was_looked_for_and_the_cure(
    libopus: opus.LibraryInfo, opuslib: dict[str, str]
) -> None:
    if libopus.place == "built in":
        pytest.skip("this build has its own libopus")
    said = error(ABSENT + "opus = trunkline.opus; opus.Encoder(8000)", FOUND="/nowhere/libopus.so", **opuslib)
    assert said.startswith("trunkline.errors.LibraryMissingError: libopus cannot be loaded: ")
    for part in (
        "apt-get install libopus0",
        "set TRUNKLINE_LIBOPUS to its absolute path",
        "built in: this build has no copy",
        "libnowhere.so.0: cannot open shared object file",
        "opuslib: /nowhere/libopus.so: cannot open",
    ):
        assert part in said


@pytest.mark.parametrize("relative", ["libopus.so.0", "./libopus.so.0", "../libopus.so.0", ""])
def test_relative_path_is_refused(relative: str) -> None:
    said = error(SHOW.format(repr(relative)))
    assert f"path {relative!r} is not an absolute path" in said
    if relative:
        said = error(SHOW.format(""), TRUNKLINE_LIBOPUS=relative)
        assert f"TRUNKLINE_LIBOPUS {relative!r} is not an absolute path" in said


def test_named_library_is_not_passed_over(tmp_path: Path) -> None:
    absent = str(tmp_path / "libopus.so.0")
    for said in (error(SHOW.format(repr(absent))), error(SHOW.format(""), TRUNKLINE_LIBOPUS=absent)):
        assert f"{absent}: cannot open shared object file" in said
        assert "built in" not in said


def test_library_without_a_function_is_named(libopus: opus.LibraryInfo) -> None:
    path = importlib.import_module("trunkline._native.g711").__file__
    said = error(SHOW.format(repr(path)))
    assert f"path {path}: it has no opus_get_version_string" in said


def test_working_directory_is_never_searched(libopus: opus.LibraryInfo, tmp_path: Path) -> None:
    (tmp_path / "libopus.so.0").write_bytes(b"not a library: whoever loads this fails")
    chdir = f"import os; os.chdir({str(tmp_path)!r})\n"
    assert not found(chdir + SHOW.format(""))[1].startswith(str(tmp_path))
    said = error(chdir + ABSENT.replace("libnowhere", "libopus") + SHOW.format(repr("libopus.so.0")))
    assert "not an absolute path" in said


@pytest.mark.parametrize("searched", [":", "/nowhere:", ".", "{0}:"])
def test_nor_where_a_search_path_or_opuslib_leads_there(copy: str, tmp_path: Path, searched: str) -> None:
    directory = Path(copy).parent
    library_path = searched.format(directory / "absent")
    package = directory / "opuslib"
    package.mkdir()
    (package / "__init__.py").write_text("print('imported')\n")
    run = subprocess.run(
        [sys.executable, "-c", SHOW.format("")],
        capture_output=True,
        text=True,
        cwd=directory,
        env={**os.environ, "TRUNKLINE_LIBOPUS": "", "LD_LIBRARY_PATH": library_path},
    )
    assert run.returncode == 1
    assert "libopus.so.0: LD_LIBRARY_PATH leads to the working directory" in run.stderr
    assert "opuslib: it lies in the working directory" in run.stderr
    assert "imported" not in run.stdout


def test_path_is_not_cut_at_a_nul(copy: str) -> None:
    assert "has a NUL" in error(SHOW.format(repr(copy + "\0/elsewhere")))


def test_another_library_is_refused_once_one_is_in_use(copy: str, libopus: opus.LibraryInfo) -> None:
    first = f"from trunkline import opus; opus.library({libopus.path!r}); opus.library({libopus.path!r})\n"
    for other in (copy, "/nowhere/libopus.so.0"):
        said = error(f"{first}opus.library({other!r})")
        assert (
            f"LocalProtocolError: libopus is in use from {libopus.path} already: load {other} before" in said
        )


# When, and what it can do


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system has no /proc")
def test_nothing_but_opus_loads_libopus(libopus: opus.LibraryInfo) -> None:
    """Not the import, not G.711, not a stream of PCMU."""
    code = (
        "import trunkline\n"
        "from trunkline import StreamReceiver, StreamSender, g711, opus\n"
        "pcm = g711.ulaw_decode(g711.ulaw_encode(bytes(3200)))\n"
        "sender, receiver = StreamSender('PCMU', tracks=('inbound',)), StreamReceiver()\n"
        "for message in [*sender.start(), *sender.media(pcm, 'inbound'), *sender.stop()]:\n"
        "    receiver.receive(message)\n"
        "assert opus.packet_info(b'H').duration_ms == 20\n"
        "def loaded(): return 'libopus' in open('/proc/self/maps').read()\n"
        "print(loaded())\n"
    )
    assert found(code + "opus.Decoder(8000)\nprint(loaded())") == ["False", "True"]


def test_description_is_what_the_library_does(libopus: opus.LibraryInfo) -> None:
    assert "libopus" in libopus.version
    assert Path(libopus.path).is_file()
    assert libopus.fec
    assert libopus.dtx
    if libopus.version.startswith("libopus 1.3"):
        assert not any((libopus.deep_plc, libopus.dred, libopus.pcm24))
    assert opus.library() == opus.library(libopus.path) == libopus
