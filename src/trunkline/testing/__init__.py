"""What to test with, all made here: talkers, conversations, tones, networks, and calls for pytest.

    signals       speech-like talkers, two-party conversations, tones
    networks      what networks do to packets
    virtual_time  an event loop for whom sleeping costs no time
    fixtures      pytest's: a switch, a call, an endpoint; `pytest_plugins = ["trunkline.testing.fixtures"]`

The names of the first two are here; the others need asyncio, aiohttp and pytest, and are imported by name.
"""

from trunkline.testing.networks import NETWORKS, network
from trunkline.testing.signals import conversation, speech_like, tone

__all__ = ["NETWORKS", "conversation", "network", "speech_like", "tone"]
