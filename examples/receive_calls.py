"""Record every call that is streamed here, and print the keys that were pressed."""

import asyncio
import contextlib
import uuid

from trunkline.net import Call, serve
from trunkline.stream import Dtmf, Recorder


async def handle(call: Call) -> None:
    with Recorder(f"call-{uuid.uuid4()}.wav") as recorder:  # a Recorder replaces a file of its name
        async for event in call:
            recorder.write(event)
            if isinstance(event, Dtmf):
                print(f"key {event.digit}")
    print(f"{recorder.path}: {recorder.duration_ms / 1000:.2f} s", flush=True)


async def main() -> None:
    async with serve(handle, "127.0.0.1", 8765) as server:
        print(f"listening on {server.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
