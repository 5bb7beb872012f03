"""The wheel and the sdist: what is in them, and that the one builds from the other."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STEMS = [
    "_buffer",
    "exclusive",
    "event_stream",
    "cpu",
    "g711",
    "audioop",
    "base64",
    "resample",
    "opus_packet",
    "opus",
    "opus_encoder",
    "opus_decoder",
    "opus_many",
    "frame",
    "track",
    "wav",
    "rtp",
    "plc",
    "jitter",
    "media",
    "packetizer",
]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    code = f"from scikit_build_core.build import build_sdist; print(build_sdist({str(out)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=pytestconfig.rootpath, check=True, capture_output=True)
    return next(out.glob("*.tar.gz"))


# The second is built against the stable ABI, as the wheel for 3.12 and later is.
@pytest.fixture(scope="module", params=["", "cp311"], ids=["native", "abi3"])
def wheel(request: pytest.FixtureRequest, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out]
    subprocess.run([*pip, f"-Cwheel.py-api={request.param}", sdist], check=True)
    built = next(out.glob("*.whl"))
    assert ("-abi3-" in built.name) == bool(request.param)
    return built


def test_sdist_has_what_a_build_and_a_test_run_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CMakeLists.txt", "csrc/CMakeLists.txt", "src/CMakeLists.txt", "tests/conftest.py"} <= names
    assert {f"src/trunkline/_native/{stem}.pyx" for stem in STEMS} <= names
    assert not [name for name in names if name.startswith(("build/", ".venv/"))]


def test_wheel_has_the_package_and_no_sources(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "trunkline/py.typed" in names
    assert {f"trunkline/_native/{stem}.pyi" for stem in STEMS} <= set(names)
    modules = {name.split("/")[-1].split(".")[0] for name in names if name.endswith(".so")}
    assert modules == set(STEMS)
    assert not [
        name
        for name in names
        if name.endswith((".c", ".h", ".pyx", ".pxd", ".txt", ".a", ".cmake")) and "dist-info" not in name
    ]


def test_wheel_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path, wheel]
    subprocess.run(pip, check=True)
    # -S leaves out the hook of the editable install, which would answer for this checkout.
    site = next(path for path in sys.path if path.endswith("site-packages"))
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {site!r}]\n"
        "import trunkline\n"
        f"assert trunkline.__file__.startswith({str(tmp_path)!r}), trunkline.__file__\n"
        "print(trunkline.g711.ulaw_encode(bytes(4)))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == r"b'\xff\xff'"
