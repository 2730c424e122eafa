"""Whatever a venue answers for a while: rounds of plans end flat, and no position ever changes its sign."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.command import Action
from node.domain.plan import Memory, Scope, learn, plan_slice
from node.domain.result import Document
from node.domain.snapshot import OpenOrder, Position, PositionSide, Side, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, OrderIds, Outcome, Refusal, Step, StepResult
from node.engine.account import ExecutionTerms
from tests.support.engine import engine
from tests.support.fake_venue import LINEAR, FakeVenue, ambiguous, order, position, refused, rules

SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
PASSING = (
    Refusal.NOTHING_TO_REDUCE,
    Refusal.PRICE_BAND,
    Refusal.QUANTITY,
    Refusal.TOO_SMALL,
    Refusal.MARKET_CLOSED,
    Refusal.RATE_LIMITED,
    Refusal.OVERLOADED,
    Refusal.OTHER,
)
#: How a step ends: as it should, refused, lost before or after it took effect, half filled, or said to be done.
endings = st.one_of(
    st.just("done"),
    st.sampled_from(PASSING),
    st.sampled_from(["lost before", "lost after", "half", "half lost", "lie"]),
)


@st.composite
def accounts(draw: st.DrawFn) -> tuple[list[Position], list[OpenOrder]]:
    """Positions with their protection, and entry orders."""
    positions: list[Position] = []
    orders: list[OpenOrder] = []
    for symbol in SYMBOLS:
        hedged = draw(st.booleans())
        for side in sorted(draw(st.sets(st.sampled_from(list(PositionSide)), max_size=2 if hedged else 1))):
            size = draw(st.decimals("0.001", "400", places=3))
            positions.append(position(symbol, str(size), side, hedged=hedged))
            for trigger in draw(st.sets(st.booleans())):
                protection = {"reduce_only": not hedged, "position_side": side if hedged else None, "trigger": trigger}
                orders.append(order(symbol, f"{symbol}{side}{trigger}", side.closing_side, **protection))
        for trigger in draw(st.sets(st.booleans())):
            entry = {"trigger": trigger, "position_side": PositionSide.LONG if hedged else None}
            orders.append(order(symbol, f"{symbol}-entry-{trigger}", Side.BUY, **entry))
    return positions, orders


class Model:
    """A venue that bounds nothing: a close larger than the position would turn it round."""

    def __init__(self, positions: list[Position], orders: list[OpenOrder], answers: list[object]) -> None:
        self.positions = {held.key: held for held in positions}
        self.orders = {each.order_id: each for each in orders}
        self.answers = iter(answers)
        self.ids: list[str] = []

    def snapshot(self) -> SliceSnapshot:
        """What a read would show."""
        return SliceSnapshot(
            slice=LINEAR,
            positions=tuple(self.positions.values()),
            orders=tuple(self.orders.values()),
            balances=(),
            started_ns=1,
            ended_ns=2,
            read_at=datetime(2026, 11, 20, tzinfo=UTC),
        )

    def execute(self, step: Step) -> StepResult:
        """Carry a step out, as far as the next answer lets it."""
        answer = next(self.answers, "done")
        if isinstance(step, ClosePosition):
            self.ids.append(step.client_order_id)
        if isinstance(answer, Refusal):
            return refused(step, answer)
        if answer not in ("lost before", "lie"):
            self._apply(step, part=Decimal("0.5") if str(answer).startswith("half") else Decimal(1))
        return ambiguous(step) if "lost" in str(answer) else StepResult(step=step, outcome=Outcome.DONE)

    def _apply(self, step: Step, *, part: Decimal) -> None:
        match step:
            case ClosePosition():
                held = self.positions[step.key]
                left = held.contracts - step.contracts * part
                assert left >= 0, "turned round"
                self.positions[held.key] = replace(held, contracts=left)
                if left == 0:
                    del self.positions[held.key]
            case CancelOrders():
                for order_id in step.order_ids:
                    self.orders.pop(order_id, None)
            case CancelSymbol():
                self.orders = {
                    name: each
                    for name, each in self.orders.items()
                    if (each.symbol, each.trigger) != (step.symbol, step.trigger)
                }


@given(accounts(), st.lists(endings, max_size=60))
def test_plans_converge_and_never_close_more_than_there_is(
    account: tuple[list[Position], list[OpenOrder]], answers: list[object]
) -> None:
    """On a venue that bounds nothing by itself, with every round planned from a fresh read."""
    model = Model(*account, answers)
    memory: Memory = {}
    markets = {symbol: rules(symbol) for symbol in SYMBOLS}
    for number in range(1, len(answers) + 6):
        ids = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=number)
        plan = plan_slice(
            model.snapshot(), Scope(), markets, ids=ids, memory=memory, max_slippage=Decimal("0.05"), fresh=True
        )
        if not plan.steps:
            break
        results = [model.execute(step) for chain in plan.chains for stage in chain for step in stage]
        memory = learn(memory, results, model.snapshot())
    assert model.positions == {}
    assert model.orders == {}
    assert len(model.ids) == len(set(model.ids))


@settings(max_examples=40)
@given(accounts(), st.lists(endings, max_size=8))
def test_the_engine_proves_flat_what_really_is_flat(
    account: tuple[list[Position], list[OpenOrder]], answers: list[object]
) -> None:
    """Through the running engine: its word, and the venue's state, agree."""
    positions, orders = account
    venue = FakeVenue(positions=list(positions), orders=list(orders))
    pending, overshot = iter(answers), []

    def interfere(step: Step) -> StepResult | None:
        if isinstance(step, ClosePosition):
            held = next((each for each in venue.positions if each.key == step.key), None)
            if held is None or step.contracts > held.contracts:
                overshot.append(step)
        answer = next(pending, "done")
        if isinstance(answer, Refusal):
            return refused(step, answer)
        match answer:
            case "lie":
                return StepResult(step=step, outcome=Outcome.DONE)
            case "lost before":
                return ambiguous(step)
            case "lost after":
                venue.apply(step)
                return ambiguous(step)
            case "half" | "half lost" if isinstance(step, ClosePosition):
                venue.apply(replace(step, contracts=step.contracts / 2))
                return ambiguous(step) if answer == "half lost" else StepResult(step=step, outcome=Outcome.DONE)
            case _:
                return None

    venue.interfere = interfere

    async def close_all() -> Document:
        async with engine(venue, execution=ExecutionTerms(deadline_s=30.0)) as node:
            submission = await node.submit(Action.CLOSE_ALL)
            return await node.ending(submission.document["command_id"], within_s=20)

    document = asyncio.run(close_all())
    assert (document["state"], document["verdict"]) == ("done", "flat")
    assert (venue.positions, venue.orders) == ([], [])
    assert overshot == []
    ids = [step.client_order_id for step in venue.steps if isinstance(step, ClosePosition)]
    assert len(ids) == len(set(ids))
