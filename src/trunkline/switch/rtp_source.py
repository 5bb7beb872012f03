"""RtpSource: what comes to a UDP port as RTP, as the audio of a call."""

from typing import Self

__all__ = ["RtpSource"]


class RtpSource:
    """A live source: silence while nothing comes; it does not end. Made by `open`."""

    sample_rate: int
    url: str

    @classmethod
    async def open(
        cls, host: str = "127.0.0.1", port: int = 0, *, codec: str = "PCMU", sample_rate: int | None = None
    ) -> Self:
        """Listen; `port` 0 takes a free one."""
        raise NotImplementedError

    def read(self, n_samples: int) -> bytes:
        """Give what has come, and silence for what has not."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop listening."""
        raise NotImplementedError
