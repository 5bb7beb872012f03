"""What importing trunkline costs and what it brings along."""

import statistics
import subprocess
import sys

import pytest

SOCKETS_AND_ARRAYS = ["numpy", "socket", "asyncio", "ssl", "aiohttp", "click", "rich", "matplotlib"]


def import_ms(code: str) -> float:
    """Milliseconds that the imports of `code` took, by the interpreter's own account."""
    timed = [sys.executable, "-X", "importtime", "-c", code]
    report = subprocess.run(timed, check=True, capture_output=True, text=True).stderr
    lines = [line.removeprefix("import time:") for line in report.splitlines() if "[us]" not in line]
    return sum(int(line.split("|")[0]) for line in lines) / 1000


@pytest.mark.parametrize(
    "code",
    [
        "import trunkline",
        "import trunkline; trunkline.StreamReceiver; trunkline.StreamSender",
        "import trunkline; trunkline.relay.ServerConnection",
    ],
)
def test_import_brings_no_arrays_and_no_sockets(code: str) -> None:
    listing = f"{code}; import sys; print([m for m in {SOCKETS_AND_ARRAYS} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", listing], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_import_loads_next_to_nothing() -> None:
    """The promise is 30 ms; what is asserted is what makes it so, since no test fails on a clock."""
    listing = "import sys; before = set(sys.modules); import trunkline; print(len(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", listing], check=True, capture_output=True, text=True)
    assert int(found.stdout) <= 40
    costs = [import_ms("import trunkline") - import_ms("pass") for _ in range(3)]
    print(f"import trunkline: {statistics.median(costs):.1f} ms more than bare Python")
