"""Ctrl-C before a command has begun."""

import pytest

import trunkline.cli
import trunkline.cli.app


def test_an_interrupted_import_leaves_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trunkline.cli.app, "app", interrupted)
    with pytest.raises(SystemExit) as left:
        trunkline.cli.main()
    assert left.value.code == 130
