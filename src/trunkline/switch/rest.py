"""The REST doors of a switch, as routes of an aiohttp application."""

import ssl as tls
from collections.abc import Callable
from functools import partial
from typing import Any

from trunkline.extras import needs_extra
from trunkline.net.targets import LOOPBACK, Targets
from trunkline.switch.rest_calling import CallingDoor
from trunkline.switch.rest_compat import COMPAT_PREFIXES, CompatDoor
from trunkline.switch.rest_dial import Dialler
from trunkline.switch.rest_http import RestError, guarded
from trunkline.switch.scripted_call import OpenSound
from trunkline.switch.sounds import Sounds
from trunkline.switch.sources import Source
from trunkline.switch.switch import Switch

with needs_extra("server"):
    from aiohttp import web

__all__ = ["rest_routes"]


def rest_routes(
    switch: Switch,
    *,
    dial_source: Callable[[], Source] | None = None,
    targets: Targets | None = None,
    ssl: tls.SSLContext | None = None,
    open_sound: OpenSound | None = None,
) -> list[web.RouteDef]:
    """Make the routes of the calling and the compatibility API, for who has the project's token.

    `dial_source` makes the audio of a call that is created here, None for silence; `targets` says where its
    document may be fetched from, None for public hosts and this one, and `ssl` what is trusted there.
    `open_sound` opens what a document plays, `Sounds(directory).open` say; None: sounds that are fetched, as
    a document is, and no files.

        app = web.Application()
        app.add_routes(rest_routes(switch))
        runner = trunkline.net.runner.app_runner(app)
    """
    targets = Targets(LOOPBACK) if targets is None else targets
    open_sound = Sounds(targets=targets, ssl=ssl).open if open_sound is None else open_sound
    dialler = Dialler(switch, dial_source, targets, ssl, open_sound)
    calling, compat = CallingDoor(switch, dialler), CompatDoor(switch, dialler)
    handlers = {
        "/api/calling": calling.handle,
        **{f"{prefix}/Accounts": compat.handle for prefix in COMPAT_PREFIXES},
        "/api": _nothing,
    }
    guard = partial(guarded, project_id=switch.project_id, token=switch.token)
    return [
        # A path is matched as it is decoded, and may hold a line feed.
        web.route(
            "*",
            path + r"{below:(?:/[\s\S]*)?}",
            guard(handler),
        )
        for path, handler in handlers.items()
    ]


async def _nothing(request: web.Request) -> tuple[int, dict[str, Any]]:
    raise RestError(404, "not_found", "there are only /api/calling and /api/laml here")
