"""Whose page sent a request: only pages that this node has served itself may speak for the person before them."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from node.api.errors import ApiError
from node.settings_fields import is_loopback

_SAFE_METHODS: Final = ("GET", "HEAD")


class Origins:
    """The names under which browsers may reach a listener.

    A name of this machine's own (``localhost``, ``127.0.0.1``) is always one, on any port: no foreign site can be
    reached under it. Any other name must be known, or a site whose DNS was turned to us (rebinding) would be one of
    our pages to its browser.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins)
        self._hosts = frozenset(urlsplit(origin).netloc for origin in origins)

    def secure(self, request: Request) -> bool:
        """Whether the browser spoke TLS: to us, or to what stands before us."""
        return request.url.scheme == "https" or f"https://{_host(request)}" in self._origins

    def require(self, request: Request) -> None:
        """Let a page's request pass only if it is one of our own pages.

        Raises:
            ApiError: 403 FORBIDDEN.
        """
        host = _host(request)
        if host not in self._hosts and not _is_of_this_machine(host):
            raise _forbidden("this node is not served under that name: see operator.origins")
        origin = request.headers.get("origin")
        if origin is not None and not self._is_ours(origin.lower(), request, host):
            raise _forbidden("sent by the page of another site")
        site = request.headers.get("sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            raise _forbidden("sent by the page of another site")
        if request.method not in _SAFE_METHODS and origin is None and site is None:
            raise _forbidden("the sender does not say which page it comes from")

    def _is_ours(self, origin: str, request: Request, host: str) -> bool:
        if origin in self._origins and urlsplit(origin).netloc == host:
            return True
        return origin == f"{request.url.scheme}://{host}"


def require_no_foreign_page(request: Request) -> None:
    """Where whoever is on this machine may ask: programs pass, pages of other sites do not.

    A browser reaches the operator's socket only through a tunnel (``ssh -L 8787:/run/…/operator.sock``), and the lock
    routes only on the machine itself, under a name of its own; whatever other page is open in that browser can send
    requests there, too.

    Raises:
        ApiError: 403 FORBIDDEN.
    """
    host, origin = _host(request), request.headers.get("origin")
    # A name that a foreign site could turn to the tunnel has a dot; programs call the socket what they like.
    if "." in host and not _is_of_this_machine(host):
        raise _forbidden("not served under that name: this is for programs on this machine")
    if request.headers.get("sec-fetch-site") not in (None, "same-origin", "none"):
        raise _forbidden("sent by the page of another site")
    if origin is not None and (origin.lower() != f"http://{host}" or not _is_of_this_machine(host)):
        raise _forbidden("sent by the page of another site")


def _host(request: Request) -> str:
    return request.headers.get("host", "").lower()


def _is_of_this_machine(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or "" if not set(host) & set("/?#@\\") else ""
    return is_loopback(name)


def _forbidden(message: str) -> ApiError:
    return ApiError("FORBIDDEN", HTTPStatus.FORBIDDEN, message)
