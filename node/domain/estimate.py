"""How long the next close of an account is expected to take, from what it took before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.domain.distribution import percentile

#: Executions that the estimate is made from; older ones are forgotten.
HISTORY: Final = 50
#: Of a hundred executions, so many took no longer than the estimate.
ESTIMATE_PERCENT: Final = 95


def estimated_execution_ms(history_ms: Sequence[float], *drills_ms: float | None) -> float | None:
    """The 95th percentile (nearest rank: of fewer than 20 the longest) of the newest executions of one action on one
    account, each from receipt to proof; before there is any, the first of the drills' predictions that is known; None
    where there is nothing to go by.

    *history_ms*: oldest first. Pure.
    """
    newest = sorted(history_ms[-HISTORY:])
    if newest:
        return percentile(newest, ESTIMATE_PERCENT)
    return next((predicted_ms for predicted_ms in drills_ms if predicted_ms is not None), None)
