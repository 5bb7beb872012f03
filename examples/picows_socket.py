"""Take media streams in a picows server of your own: a StreamReceiver between its frames and you.

picows hands out frames as they come: whether they are whole, and mean what they may, is yours to look at.
"""

import asyncio
import contextlib

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from trunkline.stream import Event, Frame, StreamReceiver


def take(event: Event) -> None:
    print("20 ms of audio" if isinstance(event, Frame) else event, flush=True)


class Media(WSListener):
    def __init__(self) -> None:
        self._receiver = StreamReceiver(sample_rate=16000)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif not frame.fin or frame.rsv1 or frame.msg_type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            transport.send_close(WSCloseCode.UNSUPPORTED_DATA, b"whole messages only")
            transport.disconnect()
        else:  # what it raises, picows logs, and closes with 1011
            is_text = frame.msg_type is WSMsgType.TEXT
            message = frame.get_payload_as_utf8_text() if is_text else frame.get_payload_as_bytes()
            for event in self._receiver.receive(message):
                take(event)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for event in self._receiver.close():  # what a connection that was lost has left
            take(event)


def accept(request: WSUpgradeRequest) -> WSListener:
    return Media()


async def main() -> None:
    server = await ws_create_server(accept, "127.0.0.1", 8765, max_frame_size=65536)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
