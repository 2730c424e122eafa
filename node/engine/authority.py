"""Who may command what, and when it is too late for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from node.domain.command import OPERATOR, THE_NODE, Action, RejectCode, Request
from node.engine.ports import Rejection

#: How far the sender's clock and ours may differ.
SKEW: Final = timedelta(seconds=5)
#: Commands older than this are no longer in the journal's memory, so they may have been carried out before.
RETENTION: Final = timedelta(days=400)
#: How long a command may be on its way, where its issuer has no other limit. LOCK may take any time.
LIFETIME: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One who may command."""

    id: str
    actions: frozenset[Action]
    #: None: every account.
    accounts: frozenset[UUID] | None
    lifetime: timedelta = LIFETIME
    #: Not told which accounts exist beside its own.
    kept_in_the_dark: bool = False

    def may_reach(self, account_id: UUID) -> bool:
        """Whether the account is among the issuer's."""
        return self.accounts is None or account_id in self.accounts


#: The person at the socket may do everything.
THE_OPERATOR: Final = Issuer(id=OPERATOR, actions=frozenset(Action), accounts=None)
#: The schedule of drills: it may rehearse, nothing else.
THE_SCHEDULE: Final = Issuer(id=THE_NODE, actions=frozenset({Action.CLOSE_ALL, Action.FLATTEN}), accounts=None)


class Authority:
    """Judges requests whose sender is already certain."""

    def __init__(
        self,
        issuers: Iterable[Issuer],
        accounts: Iterable[UUID],
        *,
        venue_offset: Callable[[], timedelta | None] = lambda: None,
        further: Callable[[str], Issuer | None] = lambda _id: None,
    ) -> None:
        known = (*issuers, THE_OPERATOR, THE_SCHEDULE)
        self._issuers: Mapping[str, Issuer] = {issuer.id: issuer for issuer in known}
        self._accounts = tuple(accounts)
        #: Venues' clock less ours.
        self._venue_offset = venue_offset
        #: Issuers that come and go: API keys.
        self._further = further

    def accounts_of(self, request: Request) -> tuple[UUID, ...]:
        """The accounts that the request means and its issuer may reach."""
        issuer = self._issuer(request.issuer)
        if issuer is None:
            return ()
        wanted = self._accounts if request.account_id is None else (request.account_id,)
        return tuple(account for account in wanted if account in self._accounts and issuer.may_reach(account))

    def obstacle(self, request: Request, now: datetime) -> Rejection | None:
        """Why the request may not be begun; None if it may."""
        issuer = self._issuer(request.issuer)
        if issuer is None:
            return Rejection(code=RejectCode.UNKNOWN_ISSUER, message="nobody known by that name")
        if issuer is THE_SCHEDULE and not request.dry_run:
            return Rejection(code=RejectCode.FORBIDDEN, message="the schedule may order drills only")
        if request.action not in issuer.actions:
            return Rejection(code=RejectCode.FORBIDDEN, message=f"{issuer.id} may not {request.action}")
        if not self.accounts_of(request):
            return self._unreachable(request, issuer)
        return self._untimely(request, issuer, now)

    def _issuer(self, name: str) -> Issuer | None:
        return self._issuers.get(name) or self._further(name)

    def _unreachable(self, request: Request, issuer: Issuer) -> Rejection:
        known = request.account_id in self._accounts and not issuer.kept_in_the_dark
        if known and not issuer.may_reach(request.account_id or UUID(int=0)):
            return Rejection(code=RejectCode.FORBIDDEN, message=f"{issuer.id} may not command that account")
        return Rejection(code=RejectCode.UNKNOWN_ACCOUNT, message="no such account at this node")

    def _untimely(self, request: Request, issuer: Issuer, now: datetime) -> Rejection | None:
        if request.issued_at is None or request.expires_at is None:
            return None
        skew = self.skew()
        now = now if skew is None else now + skew
        lifetime = request.expires_at - request.issued_at
        if request.action is not Action.LOCK and lifetime > issuer.lifetime:
            seconds = issuer.lifetime.total_seconds()
            return Rejection(code=RejectCode.FORBIDDEN, message=f"valid for more than {seconds:g} s")
        if request.expires_at + SKEW < now:
            return Rejection(code=RejectCode.EXPIRED, message=f"the command came after its expiry{_by(skew)}")
        if request.issued_at < now - RETENTION:
            return Rejection(code=RejectCode.REPLAYED, message="issued before the journal's memory begins")
        if request.action is Action.UNLOCK and request.issued_at > now + SKEW:
            return Rejection(code=RejectCode.NOT_YET_VALID, message=f"an UNLOCK from the future{_by(skew)}")
        return None

    def clock_is_right(self) -> bool | None:
        """Whether the venues agree with our clock as far as is tolerated; None: none has told its time."""
        offset = self._venue_offset()
        return None if offset is None else abs(offset) <= SKEW

    def skew(self) -> timedelta | None:
        """The venues' clock less ours, where they agree that ours is wrong beyond what is tolerated; else None."""
        offset = self._venue_offset()
        return None if offset is None or abs(offset) <= SKEW else offset


def _by(skew: timedelta | None) -> str:
    return (
        "" if skew is None else f", by the exchanges' clock, from which ours is {abs(skew.total_seconds()):.0f} s off"
    )
