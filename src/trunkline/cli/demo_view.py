"""What the demo looks like while it runs: who does what, above the recording's live lines."""

from rich.text import Text

from trunkline.cli.live import RecordingView
from trunkline.cli.view import plain
from trunkline.net import CallRecording
from trunkline.switch.demo import Party

__all__ = ["DemoView"]

COLORS = {"switch": "cyan", "application": "magenta", "endpoint": "green"}
PARTY_CELLS = max(map(len, COLORS))


class DemoView(RecordingView):
    """Show a call: an async context manager; give its `step` and `started` to `run_demo`."""

    def step(self, at_s: float, party: Party, what: str) -> None:
        """Print what one of the three has done."""
        line = Text.assemble(
            (f"{at_s:6.2f} s  ", "dim"), (f"{party:{PARTY_CELLS}}  ", COLORS[party]), plain(what)
        )
        self._console.print(line, soft_wrap=True)

    def started(self, recording: CallRecording) -> None:
        """Take a recording into the view, of which a step has told."""
        self.running.append(recording)
