"""The REST doors of a switch, as routes of an aiohttp application."""

import ssl as tls
from collections.abc import Callable
from typing import Any

from trunkline.extras import needs_extra
from trunkline.switch.events import Targets
from trunkline.switch.rest_calling import CallingDoor
from trunkline.switch.rest_compat import COMPAT_PREFIXES, CompatDoor
from trunkline.switch.rest_dial import Dialler
from trunkline.switch.rest_http import RestError, guarded
from trunkline.switch.sources import Source
from trunkline.switch.switch import Switch

with needs_extra("server"):
    from aiohttp import web

__all__ = ["rest_routes"]


def rest_routes(
    switch: Switch,
    *,
    project_id: str,
    token: str,
    dial_source: Callable[[], Source] | None = None,
    targets: Targets | None = None,
    ssl: tls.SSLContext | None = None,
    insecure_loopback: bool = False,
) -> list[web.RouteDef]:
    """Make the routes of the calling and the compatibility API, for who has the project's token.

    `dial_source` makes the audio of a call that is created here, None for silence; `targets` says where its
    document may be fetched from and `ssl` what is trusted there; `insecure_loopback` lets streams go to
    ws:// URLs of this machine.

        app = web.Application()
        app.add_routes(rest_routes(switch, project_id="p1", token="secret"))
        runner = web.AppRunner(app, auto_decompress=False)
    """
    dialler = Dialler(
        switch, source=dial_source, targets=targets, ssl=ssl, insecure_loopback=insecure_loopback
    )
    calling = CallingDoor(switch, dialler, insecure_loopback=insecure_loopback)
    compat = CompatDoor(switch, dialler, project_id=project_id, insecure_loopback=insecure_loopback)
    handlers = {
        "/api/calling": calling.handle,
        **{f"{prefix}/Accounts": compat.handle for prefix in COMPAT_PREFIXES},
        "/api": _nothing,
    }
    return [
        # A path is matched as it is decoded, and may hold a line feed.
        web.route("*", path + r"/{below:[\s\S]*}", guarded(handler, project_id=project_id, token=token))
        for path, handler in handlers.items()
    ]


async def _nothing(request: web.Request) -> tuple[int, dict[str, Any]]:
    raise RestError(404, "not_found", "there are only /api/calling and /api/laml here")
