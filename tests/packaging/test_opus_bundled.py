"""The build with a libopus of its own: what it takes, and what is in its wheel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference.opus import packets
from trunkline import opus

VARIABLE = "TRUNKLINE_OPUS_TARBALL"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """Where a wheel with its own libopus is unpacked."""
    tarball = os.environ.get(VARIABLE)
    if not tarball:
        pytest.skip(f"{VARIABLE} does not say where opus-1.5.2.tar.gz is")
    scratch = tmp_path_factory.mktemp("bundled")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    options = [f"-Cbuild-dir={scratch}/build", "-Ccmake.define.TRUNKLINE_OPUS=bundled"]
    options.append(f"-Ccmake.define.TRUNKLINE_OPUS_SOURCE={os.path.abspath(tarball)}")
    subprocess.run([*pip, *options, "--target", scratch / "site", pytestconfig.rootpath], check=True)
    return scratch / "site"


def bundled(installed: Path, code: str) -> object:
    # -S leaves out the hook of the editable install, which would answer for this checkout.
    site = next(path for path in sys.path if path.endswith("site-packages"))
    preamble = (
        f"import json, sys; sys.path[:0] = [{str(installed)!r}, {site!r}]\nfrom trunkline import opus\n"
    )
    run = subprocess.run([sys.executable, "-S", "-c", preamble + code], check=True, capture_output=True)
    return json.loads(run.stdout)


def test_wheel_uses_its_own_libopus(installed: Path) -> None:
    info = bundled(installed, "print(json.dumps(opus.library()._asdict()))")
    assert info == {
        "version": "libopus 1.5.2",
        "path": str(next(installed.glob("trunkline/_native/opus.*"))),
        "place": "built in",
        "fec": True,
        "dtx": True,
        "deep_plc": True,
        "dred": False,
        "pcm24": False,
    }


def test_silk_is_decoded_to_the_bit_as_by_the_systems(installed: Path, libopus: opus.LibraryInfo) -> None:
    stream, decoder = packets(1.0, bitrate=20000), opus.Decoder(16000)
    assert {opus.packet_info(packet).mode for packet in stream} == {"silk"}
    decode = (
        "decoder = opus.Decoder(16000)\n"
        f"print(json.dumps([decoder.decode(packet).hex() for packet in {stream!r}]))"
    )
    assert bundled(installed, decode) == [decoder.decode(packet).hex() for packet in stream]


def test_wheel_has_the_licence_and_exports_its_modules_alone(installed: Path) -> None:
    modules = list(installed.glob("trunkline/_native/*.so"))
    assert modules
    for module in modules:
        nm = subprocess.run(
            ["nm", "-D", "--defined-only", module], check=True, capture_output=True, text=True
        )
        names = [line.split()[-1] for line in nm.stdout.splitlines()]
        assert names == [f"PyInit_{module.name.split('.')[0]}"]
    assert len(list(installed.glob("*.dist-info/licenses/opus/COPYING"))) == 1
    assert not [path for end in ("a", "h", "cmake", "pc") for path in installed.rglob(f"*.{end}")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("bundled", "README.md"), "is not Opus 1.5.2: its SHA-256 is"),
        (("bundled", "nowhere.tar.gz"), "TRUNKLINE_OPUS_SOURCE is no file"),
        (("bundled", ""), "TRUNKLINE_OPUS_SOURCE is no file"),
        (("static", ""), "TRUNKLINE_OPUS is static: takes system, bundled"),
    ],
)
def test_other_sources_are_refused(
    options: tuple[str, str], said: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    kind, source = options
    path = str(pytestconfig.rootpath / source) if source else ""
    cmake = ["cmake", "-S", pytestconfig.rootpath, "-B", tmp_path]
    run = subprocess.run(
        [*cmake, f"-DTRUNKLINE_OPUS={kind}", f"-DTRUNKLINE_OPUS_SOURCE={path}"],
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert said in " ".join(run.stderr.split())
