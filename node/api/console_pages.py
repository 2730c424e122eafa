"""The console: a page of plain files, served by the node itself. It holds no data; it asks the API like anybody."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from node.api.errors import ApiError

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

#: Only our own files, nothing inline, no frame around us, no form that leaves, no text that becomes markup.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@cache
def console_files() -> dict[str, tuple[str, bytes]]:
    """Every file of the console by name: media type and content."""
    found = (entry for entry in (files("node.api") / "console").iterdir() if entry.is_file())
    return {
        entry.name: (_TYPES[suffix], entry.read_bytes())
        for entry in found
        if (suffix := entry.name.rpartition(".")[2]) in _TYPES
    }


def console_router() -> APIRouter:
    """``/`` and ``/console`` lead to ``/console/``, which is the page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/console")
    async def entrance() -> RedirectResponse:
        """To the page."""
        return RedirectResponse("/console/", headers=PAGE_HEADERS)

    @router.get("/console/")
    async def page() -> Response:
        """The page itself."""
        return _file("index.html")

    @router.get("/console/{name}")
    async def file(name: str) -> Response:
        """One of its files."""
        return _file(name)

    return router


def _file(name: str) -> Response:
    media_type, content = console_files().get(name, (None, b""))
    if media_type is None:
        raise ApiError.not_found("no such page")
    return Response(content, media_type=media_type, headers=PAGE_HEADERS)
