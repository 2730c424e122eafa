"""B2PRIME: by which requests a leg is closed. There are no orders that could only make it smaller: a position is closed
by its identifier, whole or in part, and in a hedging account a leg may be many of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import PositionSide
from node.domain.steps import ClosePosition
from node.venues.b2prime.charges import ONE
from node.venues.b2prime.readings import Leg, Ticket
from node.venues.call import Call
from node.venues.profiles.plain import plain

#: Documented as nullable, and shown without a body: what stands for the whole position is an option.
WHOLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "null": {"closePositionLotAmount": None},
    "empty": {},
    "none": {"noBody": True},
}
_Where = tuple[str, PositionSide]


class Closing:
    """The positions of one account as they were listed last."""

    def __init__(self, *, whole: str) -> None:
        self._whole = WHOLE[whole] if whole in WHOLE else WHOLE["null"]
        self._tickets: dict[_Where, tuple[Ticket, ...]] = {}

    def saw(self, legs: Iterable[Leg]) -> None:
        """A list of all positions."""
        self._tickets = {(leg.market_id, leg.side): leg.tickets for leg in legs}

    def knows(self, step: ClosePosition) -> bool:
        """Whether there is anything to close it by."""
        return bool(self._tickets.get((step.market_id, step.side)))

    def calls(self, step: ClosePosition) -> tuple[Call, ...]:
        """One request a position, the newest first, until the step's lots are reached: where only what was opened
        lately is to go, that is it.

        A position that is to go is closed whole, whatever has become of it; the last one in part where less of it is
        wanted. What a step takes is not there for the next one of the same plan.
        """
        where, left, calls = (step.market_id, step.side), step.contracts, list[Call]()
        kept: list[Ticket] = []
        for ticket in self._tickets.get(where, ()):
            taken = min(ticket.lots, max(left, Decimal(0)))
            left -= taken
            if taken:
                calls.append(self._close(ticket, None if taken == ticket.lots else taken))
            if taken < ticket.lots:
                kept.append(Ticket(position_id=ticket.position_id, lots=ticket.lots - taken))
        # A step that comes again without a list in between finds them all.
        self._tickets[where] = tuple(kept) or self._tickets[where]
        return tuple(calls)

    def _close(self, ticket: Ticket, part: Decimal | None) -> Call:
        amount = self._whole if part is None else {"closePositionLotAmount": plain(part)}
        return Call(
            endpoint="privatePostFrontofficeApiV4PositionsPositionIdClose",
            effect=Effect.CLOSE,
            params={"positionId": ticket.position_id, **amount},
            charges=ONE,
        )
