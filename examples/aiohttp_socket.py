"""Take media streams in an aiohttp application of your own: a StreamReceiver between its socket and you."""

from aiohttp import WSMsgType, web

from trunkline.errors import TrunklineError
from trunkline.stream import Event, Frame, StreamReceiver


def take(event: Event) -> None:
    print("20 ms of audio" if isinstance(event, Frame) else event, flush=True)


async def media(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=65536, compress=False)
    await socket.prepare(request)
    receiver = StreamReceiver(sample_rate=16000)
    try:
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            for event in receiver.receive(message.data):
                take(event)
    except TrunklineError as error:
        await socket.close(code=1002, message=str(error).encode()[:100])
    # What was held back; and Stop, where a platform says it by closing.
    for event in receiver.close(in_order=socket.close_code == 1000):
        take(event)
    return socket


app = web.Application()
app.router.add_get("/media", media)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=8765, print=None)
