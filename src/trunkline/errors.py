"""The exceptions of trunkline, each also a builtin.

    TrunklineError
    |- FormatError(ValueError)            unknown codec, rate or layout
    |- PayloadError(ValueError)           a payload that is not what its codec says
    |  `- PacketError                     one packet of a stream, which goes on with the next
    |- BufferTooSmallError(ValueError)    .needed, .available
    |- ConcurrentUseError(RuntimeError)   a stateful object used by two threads at once
    |- LibraryMissingError(ImportError)   what was looked for, and the command that cures it
    |- StreamStartError(RuntimeError)     .reason, as a status callback has it
    |- TargetRefusedError(PermissionError)   a host that may not be connected to
    `- ProtocolError
       |- LocalProtocolError(RuntimeError)   the caller did something out of order
       |  `- CallEndedError                  to speak on a call that has ended
       `- RemoteProtocolError(ValueError)    the peer did

Messages carry the numbers and their units.
"""

__all__ = [
    "BufferTooSmallError",
    "CallEndedError",
    "ConcurrentUseError",
    "FormatError",
    "LibraryMissingError",
    "LocalProtocolError",
    "PacketError",
    "PayloadError",
    "ProtocolError",
    "RemoteProtocolError",
    "StreamStartError",
    "TargetRefusedError",
    "TrunklineError",
]


class TrunklineError(Exception):
    """Base of every exception that trunkline defines."""


class FormatError(TrunklineError, ValueError):
    """Name a codec, sample rate, duration or file layout that is unknown or impossible."""


class PayloadError(TrunklineError, ValueError):
    """Refuse a payload that is not what its codec or its encoding says."""


class PacketError(PayloadError):
    """Refuse a packet that breaks its codec's rules: it is as good as lost, and the stream goes on."""


class BufferTooSmallError(TrunklineError, ValueError):
    """Refuse an output buffer that cannot hold the result; nothing was written.

    `needed` and `available` are in the unit that the message names.
    """

    def __init__(self, needed: int, available: int, unit: str = "bytes") -> None:
        super().__init__(needed, available, unit)
        self.needed = needed
        self.available = available
        self.unit = unit

    def __str__(self) -> str:
        return f"output buffer too small: needs {self.needed} {self.unit}, has {self.available}"


class ConcurrentUseError(TrunklineError, RuntimeError):
    """Refuse a second thread inside an object that serves one at a time."""


class LibraryMissingError(TrunklineError, ImportError):
    """Say which optional library is missing and the command that installs it."""


class StreamStartError(TrunklineError, RuntimeError):
    """Say why a switch could not start a stream.

    `reason` is what a status callback says: invalid_url, codec_error, connection_refused,
    connection_refused_timeout_or_ssl_error, general_error, "Duplicated stream ID", "Duplicated stream name".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class TargetRefusedError(TrunklineError, PermissionError):
    """Refuse to connect to a host that a stranger named, since it leads to an address that is not public."""


class ProtocolError(TrunklineError):
    """Base of the two kinds of protocol violation."""


class LocalProtocolError(ProtocolError, RuntimeError):
    """Refuse a call that is out of order on our side, such as media before start."""


class CallEndedError(LocalProtocolError):
    """Tell who speaks on a call that it has ended: a handler of `serve` that lets it through is done."""


class RemoteProtocolError(ProtocolError, ValueError):
    """Refuse what the peer sent; the state is as it was before."""
