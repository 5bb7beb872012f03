"""Take media streams in a FastAPI route of your own: a StreamReceiver between its socket and you."""

import uvicorn
from fastapi import FastAPI, WebSocket

from trunkline.errors import TrunklineError
from trunkline.stream import Event, Frame, StreamReceiver

app = FastAPI()


def take(event: Event) -> None:
    print("20 ms of audio" if isinstance(event, Frame) else event, flush=True)


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    await websocket.accept()
    receiver = StreamReceiver(sample_rate=16000)
    try:
        while (message := await websocket.receive())["type"] == "websocket.receive":
            for event in receiver.receive(message.get("text") or message["bytes"]):
                take(event)
    except TrunklineError as error:
        await websocket.close(1002, str(error)[:100])
    # What was held back; and Stop, where a platform says it by closing.
    for event in receiver.close(in_order=message.get("code") == 1000):
        take(event)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=8765,
        ws_max_size=65536,
        ws_per_message_deflate=False,
        log_level="warning",
    )
