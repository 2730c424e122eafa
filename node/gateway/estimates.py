"""How long a close is expected to take, from what nodes have said before."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeGuard
from uuid import UUID

from node.domain.command import Action, CommandState
from node.domain.track_record import TrackRecord
from node.gateway.answers import Answer

#: A node's deadline where its configuration has no other: the gateway does not know it.
USUAL_DEADLINE_MS: Final = 10_000.0
#: A day: no close takes longer, and no number that does was measured.
_LONGEST_MS: Final = 86_400_000


class Estimates:
    """Learns from endings."""

    def __init__(self, accounts: Collection[UUID]) -> None:
        self._accounts = frozenset(accounts)
        self._record = TrackRecord()

    def observe(self, answer: Answer) -> None:
        """Learn from an ending of one account's close, real or rehearsed."""
        account, document = answer.account_id, answer.document
        if account is None or account not in self._accounts or answer.state is not CommandState.DONE:
            return
        if answer.action not in (Action.CLOSE_ALL.value, Action.FLATTEN.value):
            return
        proof_ms, predicted_ms = document["latency_ms"].get("proof"), document.get("predicted_ms")
        if document.get("dry_run") is True:
            if _sensible(predicted_ms):
                self._record.drilled(account, Action(answer.action), float(predicted_ms))
        elif _sensible(proof_ms):
            self._record.closed(account, Action(answer.action), float(proof_ms))

    def of(self, account_id: UUID, action: Action) -> float:
        """The 95th percentile of what this action took on this account; else a drill's word; else the deadline."""
        estimated_ms = self._record.estimated_ms(account_id, action)
        return USUAL_DEADLINE_MS if estimated_ms is None else estimated_ms


def _sensible(duration_ms: object) -> TypeGuard[int | float]:
    return isinstance(duration_ms, int | float) and 0 <= duration_ms <= _LONGEST_MS
