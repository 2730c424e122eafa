"""What a slice of balances remembers of its orders: nothing is sold or bought twice, and nothing is tried for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.domain.command import Action
from node.domain.flatten import FlattenTerms
from node.domain.permission import Permission
from node.domain.plan import Scope
from node.domain.snapshot import Balance
from node.domain.steps import (
    BuyToRepay,
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
from tests.support.fake_venue import SPOT, FakeVenue, ambiguous, refused, rules

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


async def until(true: Callable[[], object]) -> None:
    """Wait for something that the fake venue does not announce."""
    async with asyncio.timeout(3):
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
        view = AccountView(venue, clock, nullcontext)
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

    async def quiet(self, _slice_name: str) -> None: ...

    async def orders_first(self, _slice_name: str) -> None: ...

    def launched(self, _slice_name: str) -> None: ...

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


class TestBudget:
    async def test_is_not_spent_because_other_balances_change(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rewards come in all the time; nothing can be sold: the pauses grow all the same."""
        monkeypatch.setattr(setbacks, "PAUSE_MAX_S", 5.0)
        venue = spot_venue(*wallet(ETH="3", USDT="1"))
        ended = asyncio.Event()

        def refuse(step: Step) -> StepResult | None:
            return refused(step, Refusal.OVERLOADED) if isinstance(step, SellSpot) and not ended.is_set() else None

        async def drift() -> None:
            while True:
                venue.credit("USDT", Decimal("0.01"))
                await asyncio.sleep(0.001)

        venue.interfere = refuse
        drifting = asyncio.create_task(drift())
        async with engine(venue) as node:
            submission = await node.submit(Action.FLATTEN)
            await asyncio.sleep(1.5)
            tried = venue.calls["SellSpot"]
            ended.set()
            drifting.cancel()
            await node.ending(submission.document["command_id"], within_s=10)
        assert 1 < tried <= 6
