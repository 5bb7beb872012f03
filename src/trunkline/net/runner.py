"""How aiohttp serves without its clients' secrets in the logs: an application, or a bare server."""

import logging
from typing import Any, Final

from trunkline.extras import needs_extra

with needs_extra("server"):
    from aiohttp import web
    from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["QUIETLY", "app_runner"]

_log: Final = logging.getLogger(__name__)
QUIETLY: Final[dict[str, Any]] = {"access_log": None, "auto_decompress": False, "logger": _log}


def app_runner(app: web.Application, **options: Any) -> web.AppRunner:
    """Make an AppRunner that logs no access, unpacks no bodies, and keeps to itself what it cannot parse.

    aiohttp logs a header that is malformed as it came, and a header may hold a token.
    """
    return web.AppRunner(app, **QUIETLY, **options)


def _without_headers(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        error = record.exc_info[1]
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}, HTTP {error.code}", ()
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


_log.addFilter(_without_headers)
