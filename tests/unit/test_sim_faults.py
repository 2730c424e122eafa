"""Fault rules, traps and the documents that set them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from pydantic import ValidationError

from node.sim.fault_plan import FaultPlan, Traits
from node.sim.faults import Deed, EngineReopens, FaultDocument, HiddenSlice, Intent, LateTrigger
from node.sim.market import Product
from node.sim.orders import OrderStatus
from node.sim.provocations import Provocations
from node.sim.refusals import RefusalError
from node.sim.world import select_markets
from tests.support.sim_core import INVERSE, LINEAR, arm, core_with_account, hold, size, terms

ORDER = Traits(
    method="POST",
    host="fapi.binance.com",
    path="/fapi/v1/order",
    intent=Intent.PLACE,
    product=Product.LINEAR,
    symbols=frozenset({LINEAR.symbol}),
    sides=frozenset({"sell"}),
)


def plan(*rules: object) -> FaultPlan:
    """A fault plan from JSON rules."""
    faults = FaultPlan()
    core, _ = core_with_account()
    faults.add(FaultDocument.model_validate({"rules": list(rules)}).rules, lambda name: select_markets(core, name))
    return faults


class TestRules:
    def test_a_rule_applies_as_often_as_it_says(self) -> None:
        """Once by default, then the venue behaves again."""
        faults = plan({"do": "hang", "times": 2})
        deeds = [faults.take(ORDER) for _ in range(3)]
        assert [action.deed if action else None for action in deeds] == [Deed.HANG, Deed.HANG, None]

    def test_nth_lets_the_first_ones_pass(self) -> None:
        """The rule begins with the n-th matching request."""
        faults = plan({"match": {"nth": 3}, "do": "hang"})
        assert [faults.take(ORDER) is not None for _ in range(4)] == [False, False, True, False]

    @pytest.mark.parametrize(
        ("match", "applies"),
        [
            ({"method": "POST", "path_prefix": "/fapi/v1/ord"}, True),
            ({"method": "GET"}, False),
            ({"intent": "place"}, True),
            ({"intent": ["cancel", "place"], "product": "linear"}, True),
            ({"intent": "cancel"}, False),
            ({"intent": "place", "product": "spot"}, False),
            ({"symbol": LINEAR.symbol, "side": "SELL"}, True),
            ({"symbol": "B"}, False),
            ({"symbol": "linear:BTC/USDT"}, True),
            ({"market": "linear:BTC/USDT"}, True),
            ({"market": "spot:BTC/USDT"}, False),
            ({"market": "inverse:BTC/USD"}, False),
            ({"side": "buy"}, False),
            ({"host": "fapi"}, True),
            ({"host": "dapi"}, False),
            ({"account": "demo"}, False),
        ],
    )
    def test_matching(self, match: dict[str, str], *, applies: bool) -> None:
        """All that a match names must hold."""
        assert (plan({"match": match, "do": "hang"}).take(ORDER) is not None) is applies

    def test_settings_in_short(self) -> None:
        """A deed with one setting may be written as {deed: setting}."""
        action = plan({"do": {"partial_fill": "0.25"}}).take(ORDER)
        assert action is not None
        assert (action.deed, action.fraction) == (Deed.PARTIAL_FILL, Decimal("0.25"))

    @pytest.mark.parametrize(
        "document",
        [
            {"rules": {"do": "explode"}},
            {"rules": {"do": "hang", "match": {"verb": "GET"}}},
            {"rules": {"do": "hang", "match": {"intent": "buy"}}},
            {"rules": {"do": {"refuse": {"reason": "bad_mood"}}}},
            {"latency": 5},
            {"rules": {}},
        ],
    )
    def test_unknown_words_are_refused(self, document: dict[str, object]) -> None:
        """A misspelt fault must not look like a passed test."""
        with pytest.raises(ValidationError):
            FaultDocument.model_validate(document)

    def test_rules_on_unlisted_markets_are_refused(self) -> None:
        """A rule that can never apply must not look like a passed test either."""
        for market in ("linear:NOPE/USDT", "linear:BTC/USDT-dated", "cash:BTC/USDT", "NOPE"):
            with pytest.raises(LookupError):
                plan({"match": {"market": market}, "do": "hang"})

    def test_latency_of_the_longest_rule_that_fits(self) -> None:
        """Latency may depend on host and path."""
        faults = FaultPlan()
        document = FaultDocument.model_validate(
            {"latency_ms": [{"ms": 10}, {"ms": 50, "host": "fapi"}, {"ms": 90, "path_prefix": "/dapi"}]}
        )
        assert isinstance(document.latency_ms, list)
        faults.latency = document.latency_ms
        assert faults.round_trip_s(ORDER) == pytest.approx(0.05)


class Traps:
    """A core with traps, and the actions that they postponed."""

    def __init__(self) -> None:
        self.postponed: list[tuple[float, Callable[[], None]]] = []
        self.core, self.account = core_with_account()
        self.traps = Provocations(self.core, lambda delay_s, act: self.postponed.append((delay_s, act)))

    def close(self) -> None:
        """Close the linear position."""
        side = "sell" if self.account.quantity(LINEAR) > 0 else "buy"
        self.core.place(self.account, terms(side, str(abs(self.account.quantity(LINEAR))), reduce_only=True))


@pytest.fixture
def world() -> Traps:
    """An account with a long position."""
    traps = Traps()
    hold(traps.account, "5")
    return traps


class TestEngineThatReopens:
    def test_after_close_so_often_as_told(self, world: Traps) -> None:
        """The engine buys back what was closed, twice, and is counted apart."""
        world.traps.add([EngineReopens(symbol=LINEAR.symbol, quantity=Decimal(2), times=2)], [], [])
        sizes = []
        for _ in range(3):
            world.close()
            sizes.append(size(world.account))
        assert sizes == [2, 2, 0]
        assert (world.account.counters.exposure_increases, world.account.engine_counters.exposure_increases) == (0, 2)

    def test_after_flat_waits_for_the_last_position(self, world: Traps) -> None:
        """It strikes when the whole account is flat, not before."""
        hold(world.account, "3", market=INVERSE)
        world.traps.add([EngineReopens(symbol=LINEAR.symbol, quantity=Decimal(-1), trigger="after_flat")], [], [])
        world.close()
        assert size(world.account) == 0
        world.core.place(world.account, terms("sell", "3", market=INVERSE, reduce_only=True))
        assert size(world.account) == -1

    def test_delay_is_left_to_the_scheduler(self, world: Traps) -> None:
        """A late engine acts when its time comes."""
        world.traps.add([EngineReopens(symbol=LINEAR.symbol, quantity=Decimal(2), delay_ms=250)], [], [])
        world.close()
        assert size(world.account) == 0
        ((delay_s, act),) = world.postponed
        act()
        assert (delay_s, size(world.account)) == (0.25, 2)


class TestLateTrigger:
    def test_after_close_the_entry_trigger_fires(self, world: Traps) -> None:
        """Of several waiting triggers the one that opens a position does the harm."""
        stop = arm(world.core, world.account, "sell", None, "90")
        entry = arm(world.core, world.account, "buy", "3", "110")
        world.traps.add([], [LateTrigger(symbol=LINEAR.symbol)], [])
        world.close()
        assert (entry.status, stop.status, size(world.account)) == (OrderStatus.FINISHED, OrderStatus.NEW, 3)

    def test_on_cancel_it_fires_instead(self, world: Traps) -> None:
        """The cancel comes too late: unknown order, and a position."""
        entry = arm(world.core, world.account, "buy", "3", "110")
        world.traps.add([], [LateTrigger(symbol=LINEAR.symbol, trigger="on_cancel")], [])
        with pytest.raises(RefusalError):
            world.core.cancel(world.account, entry)
        assert size(world.account) == 8


def test_hidden_slices_count_the_reads_they_spoil(world: Traps) -> None:
    """Reads of other products do not use it up."""
    world.traps.add([], [], [HiddenSlice(slice="linear:USDC", times=1)])
    reads = [world.traps.hidden_from(product) for product in (Product.SPOT, Product.LINEAR, Product.LINEAR)]
    assert reads == [(), ("linear:USDC",), ()]


def test_traps_on_unknown_symbols_are_refused(world: Traps) -> None:
    """Nothing is set if a symbol does not exist."""
    with pytest.raises(LookupError):
        world.traps.add([EngineReopens(symbol="NOPE", quantity=Decimal(1))], [], [])
    assert not any(world.traps.document().values())
