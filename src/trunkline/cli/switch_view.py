"""What a switch looks like while it runs: its calls and their streams."""

import time
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from trunkline.cli.view import LiveView, plain
from trunkline.stream import StreamRequest
from trunkline.switch import (
    Call,
    CallChanged,
    Client,
    Stream,
    StreamChanged,
    StreamNotStarted,
    SwitchEvent,
)

__all__ = ["SwitchView"]

COLORS = {"ringing": "yellow", "answered": "green", "streaming": "green"}


class SwitchView(LiveView):
    """Show calls: an async context manager; give it the switch's events, and its clients."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[Call] = []
        self.n_failed = 0  # streams

    def on_event(self, event: SwitchEvent) -> None:
        """Take what the switch tells."""
        match event:
            case CallChanged():
                self._call_changed(event.call)
            case StreamChanged():
                self._stream_changed(event)
            case StreamNotStarted():
                self._stream_not_started(event)

    def on_client(self, client: Client, change: str) -> None:
        """Take what the RELAY door tells."""
        agent = f" ({client.agent[:64]})" if client.agent else ""
        wants = f", contexts {', '.join(client.contexts)[:200] or 'none'}" if client.connected else ""
        self.note(f"client {client.peer}{agent}: {change}{wants}")

    def _call_changed(self, call: Call) -> None:
        if call.state == "ringing":
            self.running.append(call)
        elif call.state == "ended" and call in self.running:
            self.running.remove(call)
        if call.state == "ended":
            self.note(f"call {_short(call.id)}: ended after {_seconds(call)}: {call.end_reason}")
        elif call.state == "ringing":  # REST commands take the whole id
            self.note(f"call {call.id}: ringing, {call.from_number} -> {call.to_number}")
        elif call.state == "answered" and not self._is_live:
            self.note(f"call {_short(call.id)}: answered")

    def _stream_changed(self, event: StreamChanged) -> None:
        stream = event.stream
        named = _named(event.call, stream.request)
        if event.state == "streaming":
            if not self._is_live:
                request = stream.request
                self.note(f"{named}: {request.track}, {request.codec}, to {_where(request.url)}")
            return
        sent = f"{stream.messages_sent:,} messages, at most {stream.lateness.max_ms:.0f} ms late"
        dropped = f", {stream.dropped:,} dropped" if stream.dropped else ""
        self.note(f"{named}: finished, {sent}{dropped}")
        if stream.error is not None:
            self.n_failed += 1
            self.note(f"  failed: {stream.error}", "red")

    def _stream_not_started(self, event: StreamNotStarted) -> None:
        self.n_failed += 1
        why = f"{event.error.reason}: {event.error}"[:200]
        where = _where(event.request.url, with_path=False)
        line = f"{_named(event.call, event.request)} to {where} not started: {why}"
        self.note_one_of("streams not started", line, "red")

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
        for heading in ("call", "", "state"):
            table.add_column(heading, no_wrap=True)
        for heading in ("messages", "dropped", "late", "seconds"):
            table.add_column(heading, justify="right", no_wrap=True)
        left = max(1, self._console.height - 4)
        for n_shown, call in enumerate(self.running):
            live = [stream for stream in call.streams.values() if stream.state != "finished"]
            if left < 1 + len(live):
                table.add_row(f"and {len(self.running) - n_shown:,} more")
                break
            left -= 1 + len(live)
            parties = f"{call.from_number[:20]} → {call.to_number[:20]}"
            table.add_row(
                _short(call.id), plain(parties), _colored(call.state), "", "", "", _seconds(call, unit="")
            )
            for stream in live:
                table.add_row(*_cells(stream))
        return table


def _cells(stream: Stream) -> tuple[Text, ...]:
    request = stream.request
    name = _short(request.name or stream.control_id)
    return (
        plain(f"  {name}", "dim"),
        plain(f"{request.track} {request.codec.name} {_where(request.url)}"[:40], "dim"),
        _colored(stream.state),
        Text(f"{stream.messages_sent:,}"),
        Text(f"{stream.dropped:,}", "yellow" if stream.dropped else "dim"),
        Text(f"{stream.lateness.max_ms:.0f} ms", "dim"),
        Text("" if stream.started_s is None else f"{time.time() - stream.started_s:.1f}", "dim"),
    )


def _colored(state: str) -> Text:
    return Text(state, COLORS.get(state, "dim"))


def _short(name: str) -> str:
    return name[:8]


def _seconds(call: Call, unit: str = " s") -> str:
    until_s = time.time() if call.ended_s is None else call.ended_s
    return f"{until_s - (call.answered_s or call.created_s):.1f}{unit}"


def _named(call: Call, request: StreamRequest) -> str:
    name = request.name[:64] if request.name else _short(request.control_id)
    return f"call {_short(call.id)}: stream {name}"


def _where(url: str, *, with_path: bool = True) -> str:
    """Give a URL without its query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path if with_path else ''}"[:100]
