"""A server in a process of its own: python -m tests.net.attacked_server ADAPTER '{"start_timeout_s": 1}'

Prints its URL; then, for each line that it is sent, a JSON object: its memory, the calls that are there, and
what the handler has got of each that ended.
"""

import asyncio
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from tests.net.adapters import ADAPTERS
from trunkline.net import Call
from trunkline.stream import Frame

ended: dict[str, Any] = {}


async def handle(call: Call) -> None:
    audio = hashlib.sha256()
    async for event in call:
        if isinstance(event, Frame):
            audio.update(event)
    track = call.stats["inbound"]
    ended[call.start.call_id] = {
        "packets": track.packets,
        "lost": track.lost,
        "sha256": audio.hexdigest(),
        "error": call.error and str(call.error),
    }


def memory_kib(name: str) -> int:
    """Read what the kernel says: VmRSS, or its peak VmHWM."""
    return int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0])


async def main(adapter: str, options: str) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with ADAPTERS[adapter](handle, **json.loads(options)) as server:
        print(server.url, flush=True)
        while await lines.readline():
            told = {
                "resident_kib": memory_kib("VmRSS"),
                "peak_kib": memory_kib("VmHWM"),
                "calls": len(server.calls),
                "ended": ended,
            }
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
