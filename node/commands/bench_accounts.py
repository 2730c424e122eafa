"""Accounts as the bench meets them: behind the daemon that has them, or in this very process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID, uuid4

from node.commands.operator_client import ConnectionLost, OperatorClient
from node.commands.output import Document, Trouble
from node.commands.send import Order, ending
from node.domain.command import Action
from node.engine.lone_drills import LoneDrills

_ANSWER_WITHIN_S: Final = 3.0
#: A drill ends by its account's deadline, which is seconds; whoever waits longer waits for a daemon that hangs.
_DRILL_WITHIN_S: Final = 120.0


class StandBack(Exception):
    """Something more important has come: what was measured so far stands, and nothing more is asked."""


class BenchAccount(Protocol):
    """One account that can be drilled."""

    @property
    def account_id(self) -> UUID:
        """As configured."""

    @property
    def name(self) -> str:
        """As configured."""

    @property
    def exchange(self) -> str:
        """As configured."""

    async def respite_s(self) -> float:
        """How long to wait for the request budgets; 0 if not at all.

        Raises:
            StandBack: the bench must end.
        """

    async def drill(self, action: Action) -> Document:
        """The ending of one drill.

        Raises:
            StandBack: the bench must end.
        """


def daemon_answers(client: OperatorClient) -> bool:
    """Whether a daemon serves this configuration.

    Raises:
        Trouble: one is there, and does not answer, or not to this user.
    """
    try:
        client.call("GET", "/livez", timeout_s=_ANSWER_WITHIN_S)
    except Trouble as trouble:
        if trouble.code == "NOT_RUNNING":
            return False
        raise
    except ConnectionLost as error:
        raise Trouble("CONNECTION_LOST", f"a daemon is there and does not answer: {error}") from None
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonsAccount:
    """Behind the daemon: it drills on its own warm sockets, within its own budgets, and drops the drill for a real
    command.
    """

    account_id: UUID
    name: str
    exchange: str
    client: OperatorClient

    async def respite_s(self) -> float:
        """As the daemon reckons it."""
        status = await asyncio.to_thread(self._status)
        for account in status.get("accounts") or ():
            if account.get("id") == str(self.account_id):
                return float(account.get("drill_respite_s") or 0.0)
        raise StandBack(f"{self.name}: the running daemon does not have this account: restart it, or mend the file")

    async def drill(self, action: Action) -> Document:
        """A drill as anybody could send it, recorded in the journal like any other."""
        order = Order(
            command_id=uuid4(), action=action.value, account=str(self.account_id), dry_run=True, reason="bench"
        )
        try:
            document = await asyncio.to_thread(ending, self.client, order, timeout_s=_DRILL_WITHIN_S)
        except Trouble as trouble:
            raise StandBack(f"the daemon: {trouble.message}") from None
        if any(error.get("code") == "PREEMPTED" for error in document.get("errors") or ()):
            raise StandBack(f"{self.name}: a real command is live: the bench stands back")
        return document

    def _status(self) -> Document:
        try:
            return self.client.call("GET", "/api/v1/node/status").or_trouble()
        except (Trouble, ConnectionLost) as error:
            raise StandBack(f"the daemon went away: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccount:
    """In this process, on connections of its own, without a journal."""

    rehearsal: LoneDrills
    #: Whether a daemon has come to have the account meanwhile.
    taken: Callable[[], bool]

    @property
    def account_id(self) -> UUID:
        """As configured."""
        return self.rehearsal.terms.account_id

    @property
    def name(self) -> str:
        """As configured."""
        return self.rehearsal.terms.name

    @property
    def exchange(self) -> str:
        """As configured."""
        return self.rehearsal.terms.exchange

    async def respite_s(self) -> float:
        """Until our own half of the budgets bears one more drill."""
        try:
            taken = await asyncio.to_thread(self.taken)
        except Trouble:
            taken = True
        if taken:
            raise StandBack("a daemon has started: the request budgets are its own")
        return self.rehearsal.respite_s()

    async def drill(self, action: Action) -> Document:
        """Here and now."""
        return await self.rehearsal.drill(action)
