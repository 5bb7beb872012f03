"""Take media streams in a `websockets` server of your own: a StreamReceiver between its socket and you."""

import asyncio
import contextlib

from websockets.asyncio.server import ServerConnection, serve

from trunkline.errors import TrunklineError
from trunkline.stream import Event, Frame, StreamReceiver


def take(event: Event) -> None:
    print("20 ms of audio" if isinstance(event, Frame) else event, flush=True)


async def media(socket: ServerConnection) -> None:
    receiver = StreamReceiver(sample_rate=16000)
    try:
        async for message in socket:
            for event in receiver.receive(message):
                take(event)
    except TrunklineError as error:
        await socket.close(1002, str(error)[:100])
    # What was held back; and Stop, where a platform says it by closing.
    for event in receiver.close(in_order=socket.close_code == 1000):
        take(event)


async def main() -> None:
    async with serve(media, "127.0.0.1", 8765, max_size=65536, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
