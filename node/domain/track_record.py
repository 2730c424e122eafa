"""What is remembered of the closes of each account, real and rehearsed: no more than estimates need."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from node.domain.command import Action
from node.domain.estimate import HISTORY, estimated_execution_ms


@dataclass(slots=True)
class TrackRecord:
    """Durations in milliseconds, by account and action."""

    _proofs_ms: dict[tuple[UUID, Action], deque[float]] = field(default_factory=dict)
    #: What the newest passed drill of each foresaw; the newest of an account is the last.
    _foreseen_ms: dict[UUID, dict[Action, float]] = field(default_factory=dict)

    def closed(self, account_id: UUID, action: Action, *proofs_ms: float) -> None:
        """Real executions, oldest first: from receipt to proof."""
        self._proofs_ms.setdefault((account_id, action), deque(maxlen=HISTORY)).extend(proofs_ms)

    def closed_before(self, account_id: UUID, action: Action, *proofs_ms: float) -> None:
        """The same of earlier than what is known already."""
        since = self._proofs_ms.get((account_id, action), ())
        self._proofs_ms[account_id, action] = deque((*proofs_ms, *since), maxlen=HISTORY)

    def knows_drill(self, account_id: UUID, action: Action) -> bool:
        """Whether a drill of it has been told."""
        return action in self._foreseen_ms.get(account_id, {})

    def drilled(self, account_id: UUID, action: Action, predicted_ms: float) -> None:
        """A drill passed, and this is what it foresaw."""
        foreseen = self._foreseen_ms.setdefault(account_id, {})
        foreseen.pop(action, None)
        foreseen[action] = predicted_ms

    def estimated_ms(self, account_id: UUID, action: Action) -> float | None:
        """From the executions of this action on this account; else its last drill; else the account's last drill of
        another close; None where there is nothing.
        """
        foreseen = self._foreseen_ms.get(account_id, {})
        others: Iterable[float] = reversed(foreseen.values())
        return estimated_execution_ms(
            list(self._proofs_ms.get((account_id, action), ())), foreseen.get(action), *others
        )
