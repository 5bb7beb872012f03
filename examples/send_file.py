"""Stream a WAV file in real time: python send_file.py FILE.wav ws://127.0.0.1:8765/"""

import asyncio
import sys

from trunkline.net import WavSource, stream
from trunkline.stream import StreamSender


async def main(path: str, url: str) -> None:
    sender = StreamSender("PCMU@8000h@20i", custom_parameters={"file": path})
    with WavSource(path, sender.format, sender.tracks) as source:
        result = await stream(url, sender, source)
    print(f"{result.messages_sent} messages, closed with {result.close_code} {result.close_reason}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
