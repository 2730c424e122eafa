"""Who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from node.api.origins import require_no_foreign_page
from node.domain.command import OPERATOR, Door


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who has been recognised at one of the HTTP doors."""

    #: Becomes the commands' issuer.
    issuer: str
    door: Door
    #: May unlock, abort, and name accounts by name or ``*``.
    operator: bool


#: Recognises the sender of a request, or raises ``ApiError`` (401, 403, 429).
Authenticator = Callable[[Request], Awaitable[Principal]]


async def operator_of_socket(request: Request) -> Principal:
    """Whoever may open the operator's socket is the operator: the file's permissions are the authentication.

    Raises:
        ApiError: 403 FORBIDDEN: it is another site's page, in a browser with a tunnel to the socket.
    """
    require_no_foreign_page(request)
    return Principal(issuer=OPERATOR, door=Door.OPERATOR, operator=True)
