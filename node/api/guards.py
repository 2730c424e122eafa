"""What every request passes: a limit on bodies, and headers that keep answers out of caches."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.errors import ApiError, error_body
from node.settings_fields import is_loopback

BODY_BYTES_MAX: Final = 16 * 1024


class BodyLimit:
    """ASGI middleware: reads the body up to a limit before anything looks at it, whatever its length claims to be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with the body already read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read(Headers(scope=scope), receive)
        if body is None:
            refusal = JSONResponse(
                error_body("BAD_REQUEST", f"the body is larger than {BODY_BYTES_MAX} bytes"), HTTPStatus.BAD_REQUEST
            )
            await refusal(scope, receive, send)
            return
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


async def _read(headers: Headers, receive: Receive) -> bytes | None:
    """The body; None if it is too large (or was never finished: then nobody waits for the answer)."""
    claimed = headers.get("content-length", "0")
    if not claimed.isdigit() or int(claimed) > BODY_BYTES_MAX:
        return None
    chunks: list[bytes] = []
    more, length = True, 0
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        length += len(chunks[-1])
        if length > BODY_BYTES_MAX:
            return None
        more = message.get("more_body", False)
    return b"".join(chunks)


class NoStore:
    """ASGI middleware: no answer of this API may be remembered by anything on its way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to whatever is answered."""

        async def uncached(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, uncached if scope["type"] == "http" else send)


def require_local_peer(request: Request) -> None:
    """Dependency: engines on this machine need no key, everybody else does.

    A reverse proxy on this machine counts as this machine: it must not forward these routes.

    Raises:
        ApiError: 401 UNAUTHORIZED.
    """
    peer = request.client
    # Over a Unix socket there is no address.
    if peer is not None and peer.host and not is_loopback(peer.host):
        raise ApiError("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED, "locks are served to this machine only")
