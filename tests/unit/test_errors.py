"""The exception tree: each error is a TrunklineError and a builtin."""

import pickle

import pytest

from trunkline import errors


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.FormatError, ValueError),
        (errors.PayloadError, ValueError),
        (errors.PacketError, errors.PayloadError),
        (errors.BufferTooSmallError, ValueError),
        (errors.ConcurrentUseError, RuntimeError),
        (errors.LibraryMissingError, ImportError),
        (errors.TargetRefusedError, PermissionError),
        (errors.LocalProtocolError, RuntimeError),
        (errors.RemoteProtocolError, ValueError),
        (errors.StreamStartError, RuntimeError),
    ],
)
def test_tree(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, errors.TrunklineError)
    assert issubclass(error, builtin)
    assert error.__name__ in errors.__all__
    assert error.__name__ in (errors.__doc__ or "")
    protocol = error.__name__.endswith("ProtocolError")
    assert issubclass(error, errors.ProtocolError) == protocol


def test_buffer_too_small_says_how_much_is_needed_and_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(errors.BufferTooSmallError(320, 160)))
    assert (error.needed, error.available) == (320, 160)
    assert str(error) == "output buffer too small: needs 320 bytes, has 160"


def test_stream_start_error_has_a_reason_and_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(errors.StreamStartError("invalid_url", "no such scheme")))
    assert (error.reason, str(error)) == ("invalid_url", "no such scheme")
