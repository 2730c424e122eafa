"""B2PRIME: what requests cost. Nothing is documented but five alerts a second: taken for all, in one bucket."""

from __future__ import annotations

from typing import Final

from node.venues.lane import Budget, Charge

_BUCKET: Final = "requests"
#: By the minute, so that a burst may be one.
BUDGETS: Final = {_BUCKET: Budget(units=300, interval_s=60.0)}
ONE: Final = (Charge(bucket=_BUCKET),)
