"""The one place that every request passes: nothing beyond the account's permission level reaches a socket.

It looks at the request itself, as it is about to leave, whoever made it: a profile's call, a unified method of ccxt, an
endpoint's own method, or something that ccxt asks on its own account. What it does not know, it does not let out.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import structlog

from node.domain.permission import Effect, Permission
from node.errors import VenueDenied, VenueError
from node.venues.call import Request
from node.venues.wire import Wire

log = structlog.get_logger(__name__)


class NotPermitted(VenueDenied):
    """This node's permission level for the account does not include the request: it was not sent."""


class NotSent(VenueError):
    """A rehearsed request, at its end."""


#: What a request can do at most, by the profile's table; None: it is not in it.
EffectOf = Callable[[Request], Effect | None]


class Gate:
    """Decides on every request of one account."""

    def __init__(self, permission: Permission, effect_of: EffectOf) -> None:
        self._permission = permission
        self._effect_of = effect_of

    def check(self, url: str, method: str, body: object, record: Wire | None) -> None:
        """Let a request pass, counting it in *record*.

        Raises:
            NotPermitted: it must not leave.
        """
        request, declared = read_request(url, method, body), record.effect if record is not None else None
        actual = self._effect_of(request)
        if reason := self._objection(request, actual, declared, record):
            log.warning("venue_request_not_permitted", method=request.method, path=request.path, reason=reason)
            raise NotPermitted(f"{reason}; not sent")
        if record is not None and declared is not Effect.READ:
            record.acted = _acts(request, actual) or record.acted

    def _objection(
        self, request: Request, actual: Effect | None, declared: Effect | None, record: Wire | None
    ) -> str | None:
        if actual is None:
            return f"{request.method} {request.path} is not known to this venue's profile"
        if declared is None:
            # ccxt's own: it may look, but a request that nobody has declared never does anything.
            hidden_read = request.method == "GET" and actual is Effect.READ
            return None if hidden_read else f"{request.method} {request.path} was not declared"
        if actual > declared:
            return f"{request.method} {request.path} does more than was declared ({actual.name} > {declared.name})"
        if not self._permission.allows(declared):
            return f"the account's permission is {self._permission.value!r}"
        if request.repeats and actual is not Effect.READ:
            return f"{request.method} {request.path} has a parameter twice"
        if record is not None and record.acted and _acts(request, actual):
            return f"{request.method} {request.path} would be a second request of one call"
        return None


def _acts(request: Request, actual: Effect | None) -> bool:
    """Whether it may do something: on some venues a GET places orders."""
    return request.method != "GET" or actual is not Effect.READ


def read_request(url: str, method: str, body: object) -> Request:
    """A request's method, place and parameters.

    Raises:
        NotPermitted: a parameter is there twice: who knows which one the venue takes.
    """
    parts = urlsplit(url)
    text = body if isinstance(body, str) else ""
    form = [] if text.lstrip().startswith(("{", "[")) else parse_qsl(text, keep_blank_values=True)
    pairs = parse_qsl(parts.query, keep_blank_values=True) + form
    request = Request(
        method=method.upper(),
        host=parts.hostname or "",
        path=parts.path,
        params=dict(pairs),
        body=text,
        repeats=len(dict(pairs)) != len(pairs),
    )
    if request.repeats and request.method != "GET":
        raise NotPermitted(f"{request.method} {request.path} has a parameter twice; not sent")
    if body is not None and not isinstance(body, str):
        raise NotPermitted(f"{request.method} {request.path} has a body that cannot be read; not sent")
    return request
