"""Who is asking, and for what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from fastapi import Request

from node.api.origins import require_no_foreign_page
from node.domain.command import OPERATOR, Action, Door


class Need(Enum):
    """What a route asks of its caller."""

    COMMAND = auto()  # to command something; what exactly is in the body
    READ = auto()  # to look


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who has been recognised at one of the HTTP doors."""

    #: Becomes the commands' issuer.
    issuer: str
    door: Door
    #: May unlock, abort, manage keys, and name accounts by name or ``*``.
    operator: bool
    #: What may be commanded.
    actions: frozenset[Action] = frozenset(Action)
    #: What may be reached and known of; None: everything.
    accounts: frozenset[UUID] | None = None
    #: Whether it would still be recognised: what it listens to ends with it.
    welcome: Callable[[], bool] = _always

    def reaches(self, account_id: UUID) -> bool:
        """Whether it may know that the account exists."""
        return self.accounts is None or account_id in self.accounts


#: Recognises the sender of a request by its headers alone, or raises ``ApiError`` (401, 403, 429).
Authenticator = Callable[[Request, Need], Awaitable[Principal]]


async def operator_of_socket(request: Request, _need: Need) -> Principal:
    """Whoever may open the operator's socket is the operator: the file's permissions are the authentication.

    Raises:
        ApiError: 403 FORBIDDEN: it is another site's page, in a browser with a tunnel to the socket.
    """
    require_no_foreign_page(request)
    return Principal(issuer=OPERATOR, door=Door.OPERATOR, operator=True)
