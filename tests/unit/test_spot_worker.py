"""What a slice of balances remembers of its orders: nothing is sold or bought twice, and nothing is tried for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.domain.command import Action
from node.domain.flatten import FlattenTerms
from node.domain.permission import Permission
from node.domain.plan import Scope
from node.domain.snapshot import Balance, Side, SliceSnapshot
from node.domain.steps import (
    BuyToRepay,
    CancelOrders,
    CancelSymbol,
    OrderIds,
    Outcome,
    Refusal,
    RepayDebt,
    SellSpot,
    SpotOrder,
    Step,
    StepResult,
)
from node.engine import setbacks, spot_worker
from node.engine.account import AccountTerms, ExecutionTerms
from node.engine.slice_goal import SliceGoal
from node.engine.spot_worker import SpotWorker
from node.engine.view import AccountView
from tests.support.engine import ACCOUNT, engine
from tests.support.fake_venue import SPOT, FakeVenue, ambiguous, order, refused, rules
from tests.support.hurried import LoopClock, in_no_time

LATE_NS = 300_000_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds in milliseconds."""
    monkeypatch.setattr(spot_worker, "LATE_ARRIVAL_NS", LATE_NS)
    monkeypatch.setattr(spot_worker, "REFUSED_FOR_GOOD_AFTER_NS", 50_000_000)
    monkeypatch.setattr(spot_worker, "PAUSE_MAX_S", 0.05)
    monkeypatch.setattr(setbacks, "PAUSE_MAX_S", 0.05)


def wallet(**free: str) -> list[Balance]:
    """Free balances."""
    return [Balance(slice=SPOT, asset=asset, free=Decimal(amount)) for asset, amount in free.items()]


def spot_venue(*balances: Balance) -> FakeVenue:
    """Three markets, no position."""
    step, fine = Decimal("0.00001"), Decimal("0.0000001")
    return FakeVenue(
        balances=list(balances),
        markets={
            "ETH/USDT": rules("ETH/USDT", quantity_step=step),
            "BTC/USDT": rules("BTC/USDT", quantity_step=step),
            "WAN/BTC": rules("WAN/BTC", notional_min=Decimal("0.0001"), market_quantity_max=None, price_tick=fine),
        },
        prices={"ETH/USDT": Decimal(1000), "BTC/USDT": Decimal(50000), "WAN/BTC": Decimal("0.00001")},
    )


def shorted() -> FakeVenue:
    """Two ether are owed, and there is money for them."""
    return spot_venue(*wallet(USDT="20000"), Balance(slice=SPOT, asset="ETH", free=Decimal(0), debt=Decimal(2)))


def orders(venue: FakeVenue) -> list[tuple[str, Decimal]]:
    """Assets and quantities of the orders that the venue was given."""
    return [(step.asset, step.quantity) for step in venue.steps if isinstance(step, SpotOrder)]


def after(venue: FakeVenue, asset: str, act: Callable[[], object]) -> None:
    """Do something once, after the first order about a coin has taken effect."""
    first = iter([True])

    def once(step: Step) -> None:
        if isinstance(step, SpotOrder) and step.asset == asset and next(first, False):
            act()

    venue.afterwards = once


async def until(true: Callable[[], object], *, within_s: float = 3) -> None:
    """Wait for something that the fake venue does not announce."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def flatten(venue: FakeVenue) -> dict[str, str]:
    """FLATTEN to its ending; the verdicts by asset."""
    async with engine(venue) as node:
        document = await node.carried_out(Action.FLATTEN)
    assert document["state"] == "done"
    return {each["asset"]: each["verdict"] for each in document["balances"]}


class TestWalletsThatLag:
    @pytest.mark.parametrize("reads", [1, 2, 5])
    async def test_sell_nothing_twice(self, reads: int) -> None:
        """The fake fails the test on overselling."""
        before = wallet(ETH="3")
        venue = spot_venue(*before)
        after(venue, "ETH", lambda: venue.shown_wallets.extend([before] * reads))
        assert await flatten(venue) == {"ETH": "flat"}
        assert orders(venue) == [("ETH", Decimal(3))]

    @pytest.mark.parametrize("reads", [1, 2, 5])
    async def test_buy_nothing_twice(self, reads: int) -> None:
        """Nor when the repayment lags."""
        venue = shorted()
        before = list(venue.balances)
        after(venue, "ETH", lambda: venue.shown_wallets.extend([before] * reads))
        await flatten(venue)
        assert sum(step.quantity for step in venue.steps if isinstance(step, BuyToRepay)) < Decimal("2.1")
        assert all(each.debt == 0 for each in venue.balances)

    async def test_and_fall_back_once_more(self) -> None:
        """One answer shows the sale, the next is an older one."""
        before = wallet(ETH="3")
        venue = spot_venue(*before, *wallet(BTC="1"))
        sold = wallet(USDT="3000", BTC="1")
        after(venue, "ETH", lambda: venue.shown_wallets.extend([sold, [*before, *wallet(BTC="1")]]))
        assert await flatten(venue) == {"ETH": "flat", "BTC": "flat"}
        assert orders(venue).count(("ETH", Decimal(3))) == 1

    async def test_while_another_sale_would_bring_the_same_coin(self) -> None:
        """It waits for that: the balance would not show what was sold."""
        before = wallet(BTC="0.001", WAN="500")
        venue = spot_venue(*before)
        after(venue, "BTC", lambda: venue.shown_wallets.append(before))
        reads: list[int] = []

        def count(step: Step) -> None:
            if isinstance(step, SellSpot):
                reads.append(venue.calls["read_proof:spot"])

        venue.interfere = count
        assert await flatten(venue) == {"BTC": "flat", "WAN": "flat"}
        assert sorted(set(reads)) == reads, "each of them from a read of its own"
        assert orders(venue) == [("BTC", Decimal("0.001")), ("WAN", Decimal(500)), ("BTC", Decimal("0.005"))]


class TestOrdersWithoutEffect:
    @pytest.mark.parametrize(("filled", "waits"), [(Decimal(0), False), (None, True)])
    async def test_are_repeated_at_a_wider_price(self, filled: Decimal | None, waits: bool) -> None:
        """At once if the venue says that nothing was traded; else when no read can be that late."""
        venue = spot_venue(*wallet(ETH="3"))
        first = iter([True])

        def take(step: Step) -> StepResult | None:
            if isinstance(step, SellSpot) and next(first, False):
                return StepResult(step=step, outcome=Outcome.DONE, filled=filled)
            return None

        venue.interfere = take
        began = asyncio.get_running_loop().time()
        assert await flatten(venue) == {"ETH": "flat"}
        took_ns = (asyncio.get_running_loop().time() - began) * 1e9
        assert [step.limit_price for step in venue.steps if isinstance(step, SellSpot)] == [950, 900]
        assert (took_ns >= LATE_NS) is waits


class TestAmbiguousOrders:
    async def test_are_remembered_by_the_next_command(self) -> None:
        """The first is given up while its sale is on its way."""
        venue = spot_venue(*wallet(ETH="3"))
        first = iter([True])

        def late(step: Step) -> StepResult | None:
            if isinstance(step, SellSpot) and next(first, False):
                asyncio.get_running_loop().call_later(0.15, venue.apply, step)
                return ambiguous(step)
            return None

        venue.interfere = late
        async with engine(venue) as node:
            submission = await node.submit(Action.FLATTEN)
            await until(lambda: venue.calls["filled"])
            await node.desk.abort(UUID(submission.document["command_id"]), by="test", reason=None)
            assert (await node.carried_out(Action.FLATTEN))["verdict"] == "flat"
        assert orders(venue) == [("ETH", Decimal(3))]

    @pytest.mark.parametrize(("attempt", "waits"), [(0, False), (1000, True)])
    async def test_of_an_earlier_process_are_waited_for(self, attempt: int, waits: bool) -> None:
        """Nothing is known of them after a restart; a new command waits for nothing."""
        venue, clock = spot_venue(*wallet(ETH="3")), SystemClock()
        terms = AccountTerms(
            account_id=ACCOUNT, name="a", owner="o", exchange="fake", permission=Permission.CLOSE,
            execution=ExecutionTerms(), flatten=FlattenTerms(base_currency="USDT"),
        )  # fmt: skip
        view = AccountView(venue, clock, nullcontext, number=0)
        worker = SpotWorker(SPOT, venue=venue, view=view, account=terms, clock=clock, pursuit=Flattening(attempt))
        began_ns = clock.monotonic_ns()
        running = asyncio.create_task(worker.run())
        await until(lambda: venue.steps)
        assert (clock.monotonic_ns() - began_ns >= LATE_NS) is waits
        worker.stop()
        await asyncio.wait_for(running, 2)


class Flattening:
    """A pursuit that wants one slice flattened."""

    def __init__(self, attempt: int) -> None:
        ids = OrderIds(command_id=UUID(int=1), account_id=ACCOUNT, attempt=attempt, round=0)
        self._goal = SliceGoal(scope=Scope(), flatten=True, parts=(Scope(),), ids=ids)

    def goal(self, _slice_name: str) -> SliceGoal:
        """Always the same."""
        return self._goal

    def may_sell(self) -> bool:
        """There are no positions."""
        return True

    def account_for(self, _result: StepResult) -> None: ...

    def snapshot_taken(self, _slice_name: str, _at_ns: int) -> None: ...

    def round_begun(self, _slice_name: str, _number: int) -> None: ...

    def changed(self) -> None: ...

    async def judged(self) -> None: ...

    async def quiet(self, _slice_name: str, *, within_s: float = 0.0) -> bool:
        """Nobody else is at work."""
        return within_s >= 0

    async def orders_first(self, _slice_name: str) -> None: ...

    def launched(self, _slice_name: str) -> None: ...

    def idle(self, _slice_name: str) -> None: ...

    def busy(self, _slice_name: str) -> None: ...


class TestRefusals:
    @pytest.mark.parametrize("refusal", [Refusal.OTHER, Refusal.INSUFFICIENT])
    async def test_without_a_cure_end(self, refusal: Refusal) -> None:
        """The coin is named; the others are sold."""
        venue = spot_venue(*wallet(ETH="3", BTC="1"))
        venue.interfere = lambda step: (
            refused(step, refusal) if isinstance(step, SellSpot) and step.asset == "ETH" else None
        )
        assert await flatten(venue) == {"ETH": "refused", "BTC": "flat"}
        assert spot_worker.REFUSED_FOR_GOOD <= len([1 for asset, _ in orders(venue) if asset == "ETH"]) <= 12

    async def test_count_anew_when_the_balance_has_changed(self) -> None:
        """Somebody takes a little each time: it is worth another try."""
        venue = spot_venue(*wallet(ETH="3"))
        tries = iter(range(8))

        def shrink(step: Step) -> StepResult | None:
            if isinstance(step, SellSpot) and next(tries, None) is not None:
                venue.credit("ETH", Decimal("-0.1"))
                return refused(step, Refusal.INSUFFICIENT)
            return None

        venue.interfere = shrink
        assert await flatten(venue) == {"ETH": "flat"}

    async def test_of_repayments_that_are_never_clear_end(self) -> None:
        """The debt stays, and is named."""
        venue = spot_venue(Balance(slice=SPOT, asset="USDT", free=Decimal(500), debt=Decimal(100)))
        venue.interfere = lambda step: ambiguous(step) if isinstance(step, RepayDebt) else None
        assert await flatten(venue) == {"USDT": "refused"}

    @pytest.mark.parametrize("refusal", [Refusal.TOO_SMALL, Refusal.QUANTITY])
    async def test_for_the_size_halve_the_order(self, refusal: Refusal) -> None:
        """Our own rules say that it is not too small: then it is too large."""
        venue = spot_venue(*wallet(ETH="8"))
        venue.interfere = lambda step: (
            refused(step, refusal) if isinstance(step, SellSpot) and step.quantity > 3 else None
        )
        assert await flatten(venue) == {"ETH": "flat"}
        assert [quantity for _, quantity in orders(venue)] == [8, 4, 2, 2, 2, 2]

    async def test_for_the_size_at_any_size_end(self) -> None:
        """It stays, and is not called dust."""
        venue = spot_venue(*wallet(ETH="8"))
        venue.interfere = lambda step: refused(step, Refusal.TOO_SMALL) if isinstance(step, SellSpot) else None
        assert await flatten(venue) == {"ETH": "unsellable"}
        assert len(orders(venue)) <= spot_worker.HALVINGS_MAX


class TestMarketsThatDoNotTrade:
    async def test_are_asked_all_the_same_where_there_is_no_other(self) -> None:
        """They were halted when markets were read, and trade again."""
        venue = spot_venue(*wallet(ETH="3"))
        venue.markets["ETH/USDT"] = replace(venue.markets["ETH/USDT"], trading=False)
        assert await flatten(venue) == {"ETH": "flat"}


READ_S = 0.01


class TimedVenue(FakeVenue):
    """Lives in the time of the loop, and writes down what it is asked for."""

    #: What is said of the orders that are asked after; None: what is so.
    answer: Callable[[SpotOrder], bool | None] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        #: Steps by the name of their kind and their coin, "read" and "asked", in their order.
        self.log: list[str] = []
        self.asked_s: list[float] = []

    async def _read(self, what: str, name: str) -> SliceSnapshot:
        started_ns = LoopClock().monotonic_ns()
        if what != "positions":
            self.log.append("read")
        await asyncio.sleep(READ_S)
        read = await super()._read(what, name)
        return replace(read, started_ns=started_ns, ended_ns=LoopClock().monotonic_ns())

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        self.log.append(told := f"{type(step).__name__} {step.symbol}")
        result = await super().execute(step, among=among)
        self.log.append(f"{told} ended")
        return result

    async def filled(self, step: SpotOrder) -> bool | None:
        self.log.append("asked")
        self.asked_s.append(asyncio.get_running_loop().time())
        return await super().filled(step) if self.answer is None else self.answer(step)


def timed(venue: FakeVenue) -> TimedVenue:
    """The same venue in the time of the loop."""
    return TimedVenue(balances=venue.balances, markets=venue.markets, prices=venue.prices, orders=venue.orders)


@asynccontextmanager
async def flattening(venue: FakeVenue) -> AsyncIterator[SpotWorker]:
    """A worker of a FLATTEN."""
    terms = AccountTerms(
        account_id=ACCOUNT, name="a", owner="o", exchange="fake", permission=Permission.CLOSE,
        execution=ExecutionTerms(), flatten=FlattenTerms(base_currency="USDT"),
    )  # fmt: skip
    view = AccountView(venue, LoopClock(), nullcontext, number=0)
    worker = SpotWorker(SPOT, venue=venue, view=view, account=terms, clock=LoopClock(), pursuit=Flattening(0))
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, 10)


def settled(worker: SpotWorker) -> bool:
    """Whether everything is sold and given back, or given up and named."""
    state = worker.state()
    return state.proof is not None and all(holding.step is None for holding in state.holdings)


def verdicts(worker: SpotWorker) -> dict[str, bool]:
    """What is left, by coin, and whether it was refused."""
    state = worker.state()
    return {each.balance.asset: each.balance.asset in state.refused_assets for each in state.holdings}


def waited_for(venue: TimedVenue) -> bool:
    """Whether bitcoin was sold, and the wallet read, before what brings bitcoin was."""
    sold, brought = venue.log.index("SellSpot BTC/USDT ended"), venue.log.index("SellSpot WAN/BTC")
    return "read" in venue.log[sold:brought]


class TestRepayments:
    def owing(self) -> TimedVenue:
        """Two ether are owed and held."""
        return timed(spot_venue(Balance(slice=SPOT, asset="ETH", free=Decimal(2), debt=Decimal(2))))

    @pytest.mark.parametrize("reads", [1, 2, 5])
    def test_that_were_taken_are_not_made_twice_where_the_wallet_lags(self, reads: int) -> None:
        """The venue would take the second one from what else is held of the coin, or refuse it."""

        @in_no_time
        async def repay() -> None:
            venue = self.owing()
            before = list(venue.balances)

            def lag(step: Step) -> None:
                venue.shown_wallets.extend([before] * reads)

            venue.afterwards = lag
            async with flattening(venue) as worker:
                await until(lambda: settled(worker))
                assert verdicts(worker) == {}
            assert [step for step in venue.steps if isinstance(step, RepayDebt)] == venue.steps
            assert (len(venue.steps), venue.balances) == (1, [])

        repay()

    @in_no_time
    async def test_that_do_not_show_are_made_again_when_no_wallet_can_lag_that_long(self) -> None:
        """The venue took the first one and did nothing."""
        venue = self.owing()
        first = iter([True])
        venue.interfere = lambda step: StepResult(step=step, outcome=Outcome.DONE) if next(first, False) else None
        began_s = asyncio.get_running_loop().time()
        async with flattening(venue) as worker:
            await until(lambda: len(venue.steps) == 2)
            assert asyncio.get_running_loop().time() - began_s >= LATE_NS / 1e9
            assert venue.log.count("read") <= 16, "with pauses between them"
            await until(lambda: settled(worker))
        assert venue.balances == []

    @in_no_time
    async def test_that_take_long_may_show_late_all_the_same(self) -> None:
        """The wallet's delay counts from the answer."""
        venue = self.owing()
        before, venue.step_takes_s = list(venue.balances), 3 * LATE_NS / 1e9
        venue.afterwards = lambda _step: venue.shown_wallets.extend([before] * 2)
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
        assert (len(venue.steps), venue.balances) == (1, [])

    @in_no_time
    async def test_that_show_keep_the_rest_of_the_debt_waiting_no_longer(self) -> None:
        """What is still owed is bought at once."""
        owed = Balance(slice=SPOT, asset="ETH", free=Decimal(1), debt=Decimal(3))
        venue = timed(spot_venue(owed, *wallet(USDT="20000")))
        async with flattening(venue):
            began_s = asyncio.get_running_loop().time()
            await until(lambda: any(isinstance(step, BuyToRepay) for step in venue.steps))
        assert isinstance(venue.steps[0], RepayDebt)
        assert asyncio.get_running_loop().time() - began_s < LATE_NS / 1e9

    @pytest.mark.parametrize(
        ("refusal", "refusals", "given_up"),
        [(Refusal.OTHER, 3, True), (Refusal.OTHER, 2, False), (Refusal.OVERLOADED, 6, False)],
    )
    def test_that_are_refused_end_unless_the_refusal_passes(
        self, refusal: Refusal, refusals: int, given_up: bool
    ) -> None:
        """Three times in a row; a venue that is overloaded says nothing about the debt."""

        @in_no_time
        async def repay() -> None:
            venue, left = self.owing(), iter(range(refusals))
            venue.interfere = lambda step: refused(step, refusal) if next(left, None) is not None else None
            async with flattening(venue) as worker:
                await until(lambda: settled(worker))
                assert verdicts(worker) == ({"ETH": True} if given_up else {})
            assert len(venue.steps) == (refusals if given_up else refusals + 1)

        repay()

    @in_no_time
    async def test_that_were_refused_count_anew_after_one_that_was_taken(self) -> None:
        """Two refusals, a part that is given back, and two more: nobody refuses for good."""
        owed = Balance(slice=SPOT, asset="ETH", free=Decimal(1), debt=Decimal(3))
        venue = timed(spot_venue(owed, *wallet(USDT="20000")))
        taken = iter([False, False, True, False, False, True])
        venue.interfere = lambda step: (
            refused(step, Refusal.OTHER) if isinstance(step, RepayDebt) and not next(taken) else None
        )
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
        assert all(each.debt == 0 for each in venue.balances)

    @in_no_time
    async def test_that_never_show_end(self) -> None:
        """The debt stays, and is named."""
        venue = self.owing()
        venue.interfere = lambda step: StepResult(step=step, outcome=Outcome.DONE)
        async with flattening(venue) as worker:
            await until(lambda: settled(worker), within_s=60)
            assert verdicts(worker) == {"ETH": True}
        assert len(venue.steps) == spot_worker.REFUSED_FOR_GOOD


class TestSalesThatDoNotShow:
    @in_no_time
    async def test_are_waited_for_also_where_something_else_shows(self) -> None:
        """A deposit makes the balance another one; the sale is still to be taken off."""
        venue = timed(spot_venue(*wallet(ETH="3")))

        def deposit(_step: Step) -> None:
            venue.afterwards = lambda _step: None
            venue.credit("ETH", Decimal(1))
            venue.shown_wallets = [wallet(ETH="4")] * 2

        venue.afterwards = deposit
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
        assert orders(venue) == [("ETH", Decimal(3)), ("ETH", Decimal(1))]

    @in_no_time
    async def test_are_not_seen_in_what_another_sale_has_brought(self) -> None:
        """As much as was sold: the balance is what it was, and is sold at once."""
        venue = timed(spot_venue(*wallet(BTC="0.001", WAN="100")))
        began_s = asyncio.get_running_loop().time()
        async with flattening(venue):
            await until(lambda: len(orders(venue)) == 3)
        assert orders(venue) == [("BTC", Decimal("0.001")), ("WAN", Decimal(100)), ("BTC", Decimal("0.001"))]
        assert asyncio.get_running_loop().time() - began_s < LATE_NS / 1e9


class TestCertainty:
    def unclear(self) -> TimedVenue:
        """Three ether whose sale is never clear by itself, and what is said when it is asked after."""
        venue = timed(spot_venue(*wallet(ETH="3")))
        venue.interfere = lambda step: ambiguous(step) if step.symbol == "ETH/USDT" else None
        return venue

    @in_no_time
    async def test_is_waited_for_and_nothing_else_is_read_meanwhile(self) -> None:
        """A whole read a second for an order that one cheap question settles would cost what others need."""
        venue = self.unclear()
        asyncio.get_running_loop().call_later(0.15, lambda: venue.apply(venue.steps[0]))
        venue.answer = lambda order: order.client_order_id in venue.known_sales or None
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
        sale = venue.log.index("SellSpot ETH/USDT ended")
        asked = venue.log[sale + 1 : venue.log.index("read", sale)]
        assert asked == ["asked"] * len(asked)
        assert len(asked) >= 2
        assert orders(venue) == [("ETH", Decimal(3))]

    @in_no_time
    async def test_is_asked_for_ever_more_rarely(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The venue may be in trouble."""
        monkeypatch.setattr(spot_worker, "PAUSE_MAX_S", 5.0)
        venue = self.unclear()
        venue.answer = lambda _order: None
        async with flattening(venue):
            await until(lambda: len(venue.asked_s) == spot_worker.CERTAINTY_LOOKS, within_s=60)
        gaps = [later - earlier for earlier, later in pairwise(venue.asked_s[: spot_worker.CERTAINTY_LOOKS])]
        assert gaps == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0])

    @in_no_time
    async def test_that_does_not_come_does_not_keep_the_rest_waiting_for_ever(self) -> None:
        """What else is there is sold; the coin itself is left as it is."""
        venue = self.unclear()
        venue.answer = lambda _order: None
        async with flattening(venue) as worker:
            await until(lambda: venue.log.count("asked") >= spot_worker.CERTAINTY_LOOKS)
            venue.credit("BTC", Decimal(1))
            await until(lambda: "SellSpot BTC/USDT ended" in venue.log)
            await asyncio.sleep(10)
            assert not settled(worker)
        assert orders(venue) == [("ETH", Decimal(3)), ("BTC", Decimal(1))]

    @in_no_time
    async def test_is_not_waited_for_by_a_command_that_has_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next one remembers the order."""
        monkeypatch.setattr(spot_worker, "PAUSE_MAX_S", 5.0)
        venue = self.unclear()
        venue.answer = lambda _order: None
        async with flattening(venue) as worker:
            await until(lambda: len(venue.asked_s) == 3)
            worker.stop()
            await asyncio.sleep(5)
        assert len(venue.asked_s) <= 4

    @in_no_time
    async def test_comes_after_what_is_under_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A read beside a sale would show what it is about to change."""
        monkeypatch.setattr("node.engine.slice_worker.PATIENCE_S", 0.02)
        venue = timed(spot_venue(*wallet(ETH="3")))
        venue.step_takes_s = 0.5
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
        began = venue.log.index("SellSpot ETH/USDT")
        assert venue.log[began + 1] == "SellSpot ETH/USDT ended"
        assert orders(venue) == [("ETH", Decimal(3))]


class TestLockedBalances:
    def held(self) -> list[Balance]:
        """An order that is gone holds them still."""
        return [Balance(slice=SPOT, asset="ETH", free=Decimal(0), locked=Decimal(3))]

    @in_no_time
    async def test_are_looked_at_again_until_they_are_free(self) -> None:
        """Some venues give back with a delay what a cancelled order held."""
        venue = timed(spot_venue(*wallet(ETH="3")))
        venue.shown_wallets = [self.held()] * spot_worker.LOCKED_LOOKS_MAX
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
            assert verdicts(worker) == {}
        assert orders(venue) == [("ETH", Decimal(3))]

    @in_no_time
    async def test_that_stay_locked_are_named_after_a_few_looks(self) -> None:
        """Something else holds them: nobody can sell them."""
        venue = timed(spot_venue(*self.held()))
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
            assert verdicts(worker) == {"ETH": False}
        # Each is a round, which reads before and after; so is the one that ends in the proof.
        assert venue.log == ["read", "read"] * (spot_worker.LOCKED_LOOKS_MAX + 1)

    @in_no_time
    async def test_are_the_only_ones_that_are_looked_at_again(self) -> None:
        """Dust stays what it is."""
        venue = timed(spot_venue(*wallet(ETH="0.00001")))
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
        assert venue.log == ["read", "read"]

    @in_no_time
    async def test_that_an_order_holds_are_no_looks_wasted_on(self) -> None:
        """It is cancelled first, however often the venue is too busy for that; the delay comes after it."""
        venue = timed(spot_venue(*self.held()))
        venue.orders = [order("ETH/USDT", "sale", Side.SELL)]
        busy = iter(range(2 * spot_worker.LOCKED_LOOKS_MAX))
        venue.interfere = lambda step: (
            refused(step, Refusal.OVERLOADED)
            if isinstance(step, CancelOrders | CancelSymbol) and next(busy, None) is not None
            else None
        )

        def free(step: Step) -> None:
            if isinstance(step, CancelOrders | CancelSymbol):
                venue.shown_wallets = [self.held()] * 3
                venue.balances = wallet(ETH="3")

        venue.afterwards = free
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
            assert verdicts(worker) == {}
        assert orders(venue) == [("ETH", Decimal(3))]


class TestHindrances:
    def refusing(self, refusal: Refusal, *coins: str, times: int = 10**9) -> TimedVenue:
        """Half a bitcoin, and a coin that is sold for bitcoin; orders about some coins are refused."""
        venue, refusals = timed(spot_venue(*wallet(BTC="0.5", WAN="500"))), iter(range(times))
        venue.interfere = lambda step: (
            refused(step, refusal)
            if isinstance(step, SpotOrder) and step.asset in coins and next(refusals, None) is not None
            else None
        )
        return venue

    @pytest.mark.parametrize("refusal", [Refusal.OTHER, Refusal.MARKET_CLOSED])
    def test_of_a_coin_keep_nobody_from_selling_another_for_it(self, refusal: Refusal) -> None:
        """Usually what brings a coin waits until that coin is sold; here it would wait long, or for ever."""

        @in_no_time
        async def sell() -> None:
            venue = self.refusing(refusal, "BTC")
            async with flattening(venue):
                await until(lambda: "SellSpot WAN/BTC ended" in venue.log)
            assert 1 <= venue.log.index("SellSpot WAN/BTC") < 20
            tries = [asset for asset, _ in orders(venue)]
            assert tries[: tries.index("WAN")].count("BTC") < spot_worker.REFUSED_FOR_GOOD

        sell()

    @in_no_time
    async def test_that_pass_keep_another_sale_waiting(self) -> None:
        """A venue that is overloaded says nothing about the coin: it is sold first."""
        venue = self.refusing(Refusal.OVERLOADED, "BTC", times=8)
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
            assert verdicts(worker) == {}
        assert [asset for asset, _ in orders(venue)] == ["BTC"] * 9 + ["WAN", "BTC"]

    @in_no_time
    async def test_end_a_coin_only_when_they_have_lasted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A venue that is confused for a moment refuses five times in no time."""
        monkeypatch.setattr(spot_worker, "REFUSED_FOR_GOOD_AFTER_NS", 2_000_000_000)
        venue = self.refusing(Refusal.OTHER, "BTC", times=spot_worker.REFUSED_FOR_GOOD + 3)
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
            assert verdicts(worker) == {}

    @in_no_time
    async def test_of_a_moment_do_not_end_a_coin_however_long_they_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not before there are five of them."""
        monkeypatch.setattr(spot_worker, "REFUSED_FOR_GOOD_AFTER_NS", 0)
        venue = self.refusing(Refusal.OTHER, "BTC", times=spot_worker.REFUSED_FOR_GOOD - 1)
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
            assert verdicts(worker) == {}

    @pytest.mark.parametrize("refusal", [Refusal.OTHER, Refusal.MARKET_CLOSED])
    def test_are_over_when_an_order_is_taken(self, refusal: Refusal) -> None:
        """What brings the coin waits for its sale again."""

        @in_no_time
        async def sell() -> None:
            venue = self.refusing(refusal, "BTC", times=1)
            async with flattening(venue) as worker:
                await until(lambda: settled(worker))
                venue.balances = wallet(BTC="0.4", WAN="400", USDT="1")
                venue.log.clear()
                worker.recheck()
                await until(lambda: "SellSpot WAN/BTC" in venue.log)
            assert waited_for(venue)

        sell()

    @in_no_time
    async def test_of_a_repayment_say_nothing_about_a_sale(self) -> None:
        """What brings the coin still waits for that."""
        venue = timed(spot_venue(Balance(slice=SPOT, asset="BTC", free=Decimal(1), debt=Decimal(1))))
        venue.interfere = lambda step: ambiguous(step) if isinstance(step, RepayDebt) else None
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
            assert verdicts(worker) == {"BTC": True}
            venue.balances = [Balance(slice=SPOT, asset="BTC", free=Decimal(2), debt=Decimal(1)), *wallet(WAN="500")]
            worker.recheck()
            await until(lambda: "SellSpot WAN/BTC" in venue.log)
        assert waited_for(venue)

    @in_no_time
    async def test_of_a_sale_do_not_keep_a_residue_waiting_for_what_it_would_bring(self) -> None:
        """That may never come: the venue converts what there is."""
        venue = self.refusing(Refusal.MARKET_CLOSED, "WAN")
        venue.balances, venue.converting = wallet(BTC="0.00005", WAN="500"), True
        async with flattening(venue):
            await until(lambda: "ConvertAsset BTC ended" in venue.log)
        assert "SellSpot WAN/BTC" in venue.log


class TestConversions:
    @in_no_time
    async def test_wait_for_what_is_still_to_come_of_the_coin(self) -> None:
        """Only once is it asked for; with more of it an order may do."""
        venue = timed(spot_venue(*wallet(BTC="0.00005", WAN="500")))
        venue.converting = True
        async with flattening(venue) as worker:
            await until(lambda: settled(worker))
        assert orders(venue) == [("WAN", Decimal(500)), ("BTC", Decimal("0.00505"))]
        assert venue.calls["ConvertAsset"] == 0


class TestBudget:
    @in_no_time
    async def test_is_not_spent_because_other_balances_change(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rewards come in all the time; nothing can be sold: the pauses grow all the same."""
        monkeypatch.setattr(setbacks, "PAUSE_MAX_S", 5.0)
        venue = timed(spot_venue(*wallet(ETH="3", USDT="1")))
        ended = asyncio.Event()

        def refuse(step: Step) -> StepResult | None:
            return refused(step, Refusal.OVERLOADED) if isinstance(step, SellSpot) and not ended.is_set() else None

        async def drift() -> None:
            while True:
                venue.credit("USDT", Decimal("0.01"))
                await asyncio.sleep(0.001)

        venue.interfere = refuse
        drifting = asyncio.create_task(drift())
        async with flattening(venue) as worker:
            await asyncio.sleep(1.5)
            tried = venue.calls["SellSpot"]
            ended.set()
            drifting.cancel()
            await until(lambda: settled(worker), within_s=10)
            assert verdicts(worker) == {}
        assert 1 < tried <= 6
