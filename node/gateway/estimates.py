"""How long a close is expected to take, from what nodes have said before."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final, TypeGuard
from uuid import UUID

from node.domain.command import Action, CommandState
from node.gateway.answers import Answer

#: Proven executions that the estimate is made from; a node's own number.
HISTORY: Final = 50
#: A node's deadline where its configuration has no other: the gateway does not know it.
USUAL_DEADLINE_MS: Final = 10_000.0
#: A day: no close takes longer, and no number that does was measured.
_LONGEST_MS: Final = 86_400_000


class Estimates:
    """Learns from endings."""

    def __init__(self, accounts: Collection[UUID]) -> None:
        self._history: dict[UUID, deque[float]] = {account: deque(maxlen=HISTORY) for account in accounts}
        self._predicted: dict[UUID, float] = {}

    def observe(self, answer: Answer) -> None:
        """Learn from an ending of one account's close, real or rehearsed."""
        account, document = answer.account_id, answer.document
        if account is None or account not in self._history or answer.state is not CommandState.DONE:
            return
        if answer.action not in (Action.CLOSE_ALL.value, Action.FLATTEN.value):
            return
        proof_ms, predicted_ms = document["latency_ms"].get("proof"), document.get("predicted_ms")
        if document.get("dry_run") is True:
            if _sensible(predicted_ms):
                self._predicted[account] = float(predicted_ms)
        elif _sensible(proof_ms):
            self._history[account].append(float(proof_ms))

    def of(self, account_id: UUID) -> float:
        """The 95th percentile of the account's own history; else the last drill's prediction; else the deadline."""
        history = sorted(self._history.get(account_id, ()))
        if history:
            return history[min(int(len(history) * 0.95), len(history) - 1)]
        return self._predicted.get(account_id, USUAL_DEADLINE_MS)


def _sensible(duration_ms: object) -> TypeGuard[int | float]:
    return isinstance(duration_ms, int | float) and 0 <= duration_ms <= _LONGEST_MS
