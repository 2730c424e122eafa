"""What every request passes: limits on bodies, and headers that keep answers out of caches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.errors import ApiError, error_body
from node.api.origins import require_no_foreign_page
from node.settings_fields import is_loopback

BODY_BYTES_MAX: Final = 16 * 1024
HEAD_BYTES_MAX: Final = 16 * 1024
#: From the first look at a body to its end.
BODY_WITHIN_S: Final = 10.0

_HEADERS: Final = "answer_headers"


class SizeLimits:
    """ASGI middleware: whoever reads the body gets so much of it, in so much time, whatever its length claims to be.

    Nothing is read before somebody asks: a request is refused for its headers first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on with a measured body; a head that is too large goes no further."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # What comes in one piece is parsed before its length is looked at: the wire's own limit does not see it.
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES_MAX:
            message = f"the headers are larger than {HEAD_BYTES_MAX} bytes"
            await JSONResponse(error_body("BAD_REQUEST", message), HTTPStatus.BAD_REQUEST)(scope, receive, send)
            return
        await self._app(scope, _Body(scope, receive).receive, send)


class _Body:
    """One request's body on its way in."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._headers = Headers(scope=scope)
        self._receive = receive
        self._length = 0
        self._complete = False
        self._until: float | None = None

    async def receive(self) -> Message:
        """The next message.

        Raises:
            HTTPException: 400, too large or too slow. (Of this class, because the framework hides every other.)
        """
        if self._complete:
            return await self._receive()
        if self._until is None:
            claimed = self._headers.get("content-length", "0")
            if not claimed.isdigit() or int(claimed) > BODY_BYTES_MAX:
                raise _too_large()
            self._until = asyncio.get_running_loop().time() + BODY_WITHIN_S
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the body did not come in time") from None
        self._length += len(message.get("body", b""))
        if self._length > BODY_BYTES_MAX:
            raise _too_large()
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message


def _too_large() -> HTTPException:
    return HTTPException(HTTPStatus.BAD_REQUEST, f"the body is larger than {BODY_BYTES_MAX} bytes")


def add_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Put headers on whatever this request will be answered with, success or refusal."""
    request.scope.setdefault("state", {}).setdefault(_HEADERS, {}).update(headers)


class NoStore:
    """ASGI middleware: no answer of this API may be remembered by anything on its way; and ``add_headers``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to whatever is answered."""

        async def uncached(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
                headers.update(scope.get("state", {}).get(_HEADERS, {}))
            await send(message)

        await self._app(scope, receive, uncached if scope["type"] == "http" else send)


async def require_local_peer(request: Request) -> None:
    """Dependency: engines on this machine need no key, everybody else does.

    A reverse proxy on this machine counts as this machine: it must not forward these routes. So would a page in a
    browser on this machine, of a site whose name was turned to us: programs pass, foreign pages do not.

    Raises:
        ApiError: 401 UNAUTHORIZED, 403 FORBIDDEN.
    """
    peer = request.client
    # Over a Unix socket there is no address.
    if peer is not None and peer.host and not is_loopback(peer.host):
        raise ApiError("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED, "locks are served to this machine only")
    require_no_foreign_page(request)
