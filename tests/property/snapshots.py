"""Reads of a derivatives slice, the rules of its markets and what earlier rounds taught, as Hypothesis draws them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st

from node.domain.plan import LegMemory
from node.domain.snapshot import MarketRules, OpenOrder, Position, PositionKey, PositionSide, Side, SliceSnapshot
from node.domain.steps import OrderIds
from tests.support.fake_venue import LINEAR, order, position, rules

SYMBOLS: Final = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")
AT: Final = datetime(2026, 11, 20, tzinfo=UTC)

steps = st.sampled_from([Decimal("0.001"), Decimal("0.01"), Decimal(1), Decimal(5)])
sizes = st.decimals(min_value="0.000001", max_value="5000", places=6)
marks = st.one_of(st.none(), st.decimals("0.01", "90000", places=2))
legs = st.builds(PositionKey, st.sampled_from(SYMBOLS), st.sampled_from(list(PositionSide)), st.booleans())
order_ids = st.builds(
    OrderIds,
    command_id=st.uuids(),
    account_id=st.just(UUID(int=2)),
    attempt=st.integers(0, 5000),
    round=st.integers(1, 500),
)
memories = st.dictionaries(
    legs,
    st.builds(
        LegMemory,
        protective_in_the_way=st.booleans(),
        price_level=st.integers(0, 6),
        chunk_max=st.one_of(st.none(), st.integers(20, 900).map(Decimal)),
    ),
)


@st.composite
def markets(draw: st.DrawFn) -> dict[str, MarketRules]:
    """Rules whose maxima are at least one step, some of them absent."""
    listed = {}
    for symbol in sorted(draw(st.sets(st.sampled_from(SYMBOLS)))):
        step = draw(steps)
        largest = st.one_of(st.none(), st.integers(50, 5000).map(step.__mul__))
        listed[symbol] = rules(
            symbol,
            quantity_step=draw(st.sampled_from([step, None])),
            quantity_min=draw(st.sampled_from([step, 3 * step, None])),
            market_quantity_max=draw(largest),
            limit_quantity_max=draw(largest),
            contract_size=draw(st.sampled_from([Decimal(1), Decimal("0.0001"), Decimal(100)])),
        )
    return listed


@st.composite
def positions(draw: st.DrawFn, symbol: str, *, hedged: bool) -> list[Position]:
    """At most one leg, or two in hedge mode; cross or isolated."""
    held = draw(st.sets(st.sampled_from(list(PositionSide)), max_size=2 if hedged else 1))
    isolated = draw(st.booleans())
    return [
        position(symbol, str(draw(sizes)), side, hedged=hedged, isolated=isolated, mark_price=draw(marks))
        for side in sorted(held)
    ]


@st.composite
def books(draw: st.DrawFn) -> SliceSnapshot:
    """One-way and hedged symbols with resting, trigger and protective orders."""
    held: list[Position] = []
    orders: list[OpenOrder] = []
    for symbol in SYMBOLS:
        hedged = draw(st.booleans())
        held += draw(positions(symbol, hedged=hedged))
        for number in range(draw(st.integers(0, 4))):
            changes: dict[str, Any] = {"trigger": draw(st.booleans())}
            if hedged:
                changes["position_side"] = draw(st.sampled_from(list(PositionSide)))
            else:
                changes["reduce_only"] = draw(st.booleans())
            orders.append(order(symbol, f"{symbol}-{number}", draw(st.sampled_from(list(Side))), **changes))
    return read(*held, orders=orders)


def read(*held: Position, orders: list[OpenOrder] | tuple[OpenOrder, ...] = ()) -> SliceSnapshot:
    """A read of the derivatives that shows just that."""
    return SliceSnapshot(
        slice=LINEAR,
        positions=held,
        orders=tuple(orders),
        balances=(),
        started_ns=1,
        ended_ns=2,
        read_at=AT,
    )
