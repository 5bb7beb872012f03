"""trunkline convert --ray, as far as it goes without Ray."""

import socket
import sys
from pathlib import Path

import pytest

from tests.cli.commands import trunkline_here


def test_without_ray_it_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    shown = trunkline_here(capsys, "convert", "call.wav", "-o", tmp_path / "out.wav", "--ray")
    expected = "error: ray is not installed: pip install 'trunkline[ray]'\n"
    assert (shown.returncode, shown.stderr) == (1, expected)


@pytest.mark.parametrize("address", ["call.wav", "calls/", "ray://head:10001", "head:port"])
def test_an_input_taken_for_an_address_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, address: str
) -> None:
    shown = trunkline_here(capsys, "convert", "--ray", address, "a.wav", "-o", tmp_path)
    assert shown.returncode == 2
    cure = f"--ray {address}: takes HOST:PORT, auto or local; before an INPUT, write --ray=auto"
    assert cure in " ".join(shown.stderr.split())


def test_where_no_cluster_answers_it_says_so_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        shown = trunkline_here(capsys, "convert", "a.wav", "-o", tmp_path / "b.wav", "--ray", address)
    assert shown.returncode == 1
    assert shown.stderr.startswith(f"error: Ray at {address}: ")
    assert "refused" in shown.stderr
