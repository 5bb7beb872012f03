from typing import final

from trunkline._native.frame import Frame
from trunkline._native.track import Track
from trunkline.timeline import Discontinuity, Payload

def scan(text: str) -> tuple[str | None, str, int, int | None, bytes] | None: ...
@final
class MediaReader:
    def __new__(cls, stream_id: str, max_bytes: int) -> MediaReader: ...
    def add_track(self, track: Track) -> None: ...
    def receive(
        self, message: object, arrival_ms: float | None
    ) -> list[Frame | Discontinuity | Payload] | None: ...
