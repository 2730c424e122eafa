"""A venue that nobody has made a profile for: by ccxt's unified methods, over the wire and without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from ccxt import async_support

from node.domain.permission import Permission
from node.domain.plan import Scope, plan_slice
from node.domain.snapshot import MarketKind, PositionSide, SliceSnapshot
from node.domain.steps import CancelOrders, ClosePosition, Outcome, Refusal, Step
from node.errors import ConfigError, VenueAnswerUnknown
from node.sim.server import serve
from node.sim.simulator import Simulator
from node.venues import factory
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from node.venues.profiles.generic import GenericProfile
from tests.support.venue import cancel_orders, close_position, rules, sell_spot
from tests.support.venue_sim import order_ids

LINEAR = rules("BTC/USDT:USDT", "BTCUSDT", MarketKind.LINEAR)
POSITION = {"symbol": "BTC/USDT:USDT", "side": "long", "contracts": 0.5, "hedged": False, "marginMode": "cross"}
ORDER = {"id": "7", "symbol": "BTC/USDT:USDT", "side": "sell", "remaining": 0.5, "reduceOnly": True}


def options(exchange: str = "phemex", **changes: Any) -> VenueOptions:
    """An account."""
    return VenueOptions(exchange=exchange, credentials={"apiKey": "k", "secret": "s"}, **changes)


def profile(exchange: str = "phemex") -> GenericProfile:
    """Of a venue that has none of its own."""
    return GenericProfile(options(exchange))


@asynccontextmanager
async def at_binance(exchange: str, **changes: Any) -> AsyncIterator[tuple[CcxtVenue, Simulator]]:
    """A class of ccxt's without a profile, at a venue that we can simulate."""
    async with serve(venue="binance", scenario="demo") as sim:
        values = options(exchange, connect_to=f"127.0.0.1:{sim.port}", ca_file=sim.ca_path, warm_sockets=1, **changes)
        pools = Pools()
        venue = factory.build(replace(values, credentials=sim.credentials()), pools)
        try:
            yield venue, sim
        finally:
            await venue.close()
            await pools.close()


def planned(venue: CcxtVenue, snapshot: SliceSnapshot) -> tuple[Step, ...]:
    """What would close the slice."""
    return plan_slice(
        snapshot,
        Scope(),
        venue.rules(snapshot.slice),
        ids=order_ids(),
        memory={},
        max_slippage=Decimal("0.05"),
        fresh=True,
    ).steps


@pytest.mark.parametrize(("exchange", "name"), [("binanceusdm", "linear"), ("binancecoinm", "inverse")])
async def test_closes_and_proves_over_the_wire(exchange: str, name: str) -> None:
    """Positions, orders and triggers go; the venue agrees that nothing was enlarged or turned round."""
    async with at_binance(exchange, slices=(name,)) as (venue, sim):
        await venue.arm()
        assert not venue.profiled
        assert (await venue.probe()).outcome is Outcome.DONE
        before = await venue.read_proof(name)
        assert before.positions
        assert before.orders
        for _ in range(3):
            for step in planned(venue, await venue.read_proof(name)):
                await venue.execute(step)
        after = await venue.read_proof(name)
        assert (after.positions, after.orders) == ((), ())
        for account in sim.core.accounts.values():
            assert (account.counters.sign_flips, account.counters.exposure_increases) == (0, 0)


async def test_a_level_below_closing_places_nothing() -> None:
    """The gate goes by what we have declared."""
    async with at_binance("binanceusdm", slices=("linear",), permission=Permission.READ) as (venue, sim):
        await venue.arm()
        result = await venue.execute(close_position())
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.PERMISSION)
        assert sim.journal.entries(method="POST") == []


async def test_an_undeclared_write_of_ccxts_own_does_not_leave() -> None:
    """Whatever its unified methods may come to do on their own account."""
    async with at_binance("binanceusdm", slices=("linear",), permission=Permission.FULL) as (venue, sim):
        with pytest.raises(Exception, match="not declared"):
            await venue._client.ccxt.set_leverage(5, "BTC/USDT:USDT")
        assert sim.journal.entries(method="POST") == []


def classes_with_a_fee_of_their_own() -> list[str]:
    """Those of ccxt's that approve a fee for its makers unless they are told not to, and have no profile."""
    found = [name for name in async_support.exchanges if "builderFee" in getattr(async_support, name)().options]
    return sorted(set(found) - set(factory.supported()))


@pytest.mark.parametrize("exchange", classes_with_a_fee_of_their_own())
async def test_nobody_is_granted_a_fee(exchange: str) -> None:
    """What ccxt asks before a first order is not asked: it would be a signed approval of a stranger's fee."""
    built = profile(exchange).build(options(exchange), None)
    sent: list[str] = []

    async def no_network(url: str, *_: object, **__: object) -> object:
        sent.append(url)
        raise AssertionError(url)

    built.fetch = no_network
    assert built.handle_option("createOrder", "builderFee", True) is False
    for prelude in ("initialize_client", "handle_builder_fee_approval"):
        if hasattr(built, prelude):
            numbers = (1, 4) if exchange == "lighter" else ()
            await getattr(built, prelude)(*numbers)
    assert sent == []


async def test_the_first_order_is_the_order_and_names_no_builder() -> None:
    """At a venue whose class would otherwise ask for an approval first."""
    built = profile("aster").build(VenueOptions(exchange="aster", credentials={"privateKey": "0x" + "1" * 64}), None)
    market = {
        "id": "BTCUSDT", "symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT", "settle": "USDT", "type": "swap",
        "spot": False, "swap": True, "contract": True, "linear": True, "inverse": False, "active": True,
        "precision": {"amount": 0.001, "price": 0.1}, "limits": {},
    }  # fmt: skip
    built.set_markets([market])
    sent: list[str] = []

    async def answered(url: str, method: str = "GET", headers: object = None, body: object = None) -> object:
        sent.append(f"{method} {url} {body}")
        return {"orderId": 1, "symbol": "BTCUSDT", "status": "NEW"}

    built.fetch = answered
    (call,) = profile("aster").calls(close_position(), MarketKind.LINEAR)
    await getattr(built, call.endpoint)(dict(call.params))
    (order,) = sent
    assert "/order" in order
    assert "reduceonly=true" in order.lower()
    assert "builder" not in order.lower()


def test_an_id_that_ccxt_does_not_have_is_refused_with_what_would_be_right() -> None:
    """At check."""
    (fault,) = factory.check(options("nowhere"))
    assert "no 'nowhere'" in fault
    assert "binance" in fault
    with pytest.raises(ConfigError):
        factory.build(options("nowhere"), Pools())


def test_what_a_key_lacks_and_slices_that_there_are_not_are_named() -> None:
    """By what ccxt says of the class."""
    wrong = VenueOptions(exchange="phemex", credentials={"apiKey": "k"}, slices=("margin",), sandbox=False)
    assert factory.check(wrong) == [
        "credentials: secret is missing",
        "slices: phemex has no 'margin'; it has spot, linear, inverse",
    ]
    assert profile("bitstamp").layout(None).slices[0].name == "spot"
    assert len(profile("bitstamp").layout(None).slices) == 1


def test_what_it_cannot_list_is_unverified() -> None:
    """Triggers, where ccxt does not say that it can list them."""
    assert any("trigger orders" in each for each in profile("bitstamp").unverified)


@pytest.mark.parametrize(
    ("step", "endpoint", "said"),
    [
        (
            close_position(),
            "unified_place",
            {
                "symbol": "BTC/USDT:USDT", "type": "market", "side": "sell", "amount": "0.015", "price": None,
                "params": {"clientOrderId": "sabcdefgh234567abc", "reduceOnly": True, "marginMode": "cross"},
            },
        ),
        (
            close_position(
                side=PositionSide.SHORT, hedged=True, isolated=True, limit_price=Decimal(70000)
            ),
            "unified_place",
            {
                "symbol": "BTC/USDT:USDT", "type": "limit", "side": "buy", "amount": "0.015", "price": "70000",
                "params": {
                    "clientOrderId": "sabcdefgh234567abc", "reduceOnly": True, "marginMode": "isolated",
                    "hedged": True, "timeInForce": "IOC",
                },
            },
        ),
        (
            sell_spot(),
            "unified_place",
            {
                "symbol": "BTC/USDT", "type": "limit", "side": "sell", "amount": "0.50000", "price": "60000.01",
                "params": {"clientOrderId": "sabcdefgh234567abc", "timeInForce": "IOC"},
            },
        ),
        (
            cancel_orders("9", trigger=True),
            "unified_cancel",
            {"symbol": "BTC/USDT:USDT", "id": "9", "params": {"trigger": True}},
        ),
    ],
)  # fmt: skip
def test_a_step_is_one_unified_call(step: Step, endpoint: str, said: dict[str, Any]) -> None:
    """Bounded by reduce-only wherever it closes."""
    (call,) = profile().calls(step, MarketKind.LINEAR)
    assert (call.endpoint, call.params) == (endpoint, said)


class TestAnswers:
    def part(self) -> Any:
        """Contracts that settle in their quote."""
        return next(part for part in profile().layout(None).slices if part.name == "linear")

    def test_positions_are_read_as_ccxt_has_parsed_them(self) -> None:
        """With an unknown market under its name; empty ones and other kinds are left out."""
        rows = [POSITION, POSITION | {"symbol": "NEW/USDT:USDT", "side": "short"}]
        rows += [POSITION | {"contracts": 0}, POSITION | {"symbol": "BTC/USD:BTC"}]
        first, second = profile().positions(self.part(), MarketBook([LINEAR]), rows)
        assert (first.market_id, first.side, first.contracts, first.base_exposure) == (
            "BTCUSDT", PositionSide.LONG, Decimal("0.5"), Decimal("0.5"),
        )  # fmt: skip
        assert (second.market_id, second.base_exposure) == ("NEW/USDT:USDT", None)

    def test_a_missing_hedge_flag_is_no_hedge_mode(self) -> None:
        """Reduce-only bounds the order either way."""
        (found,) = profile().positions(self.part(), MarketBook([LINEAR]), [POSITION | {"hedged": None}])
        assert found.hedged is False

    @pytest.mark.parametrize(
        "rows",
        [
            None,
            {},
            "",
            [None],
            [{}],
            [POSITION | {"contracts": None}],
            [POSITION | {"side": None}],
            [POSITION | {"symbol": None}],
        ],
    )
    def test_what_is_not_understood_is_never_empty(self, rows: Any) -> None:
        """Nor is a position without a size or side."""
        with pytest.raises(VenueAnswerUnknown):
            profile().positions(self.part(), MarketBook([LINEAR]), rows)

    @pytest.mark.parametrize("rows", [None, {}, [None], [{}], [ORDER | {"id": None}], [ORDER | {"side": None}]])
    def test_nor_are_orders(self, rows: Any) -> None:
        """One without an id could never be cancelled."""
        with pytest.raises(VenueAnswerUnknown):
            profile().orders(self.part(), MarketBook([LINEAR]), rows, trigger=False)

    def test_a_page_that_may_be_full_is_no_list(self) -> None:
        """There is no common way to the next one."""
        at = profile("bingx") if profile("bingx")._feature(MarketKind.SPOT, "limit") else profile("okx")
        spot = next(part for part in at.layout(None).slices if part.name == "spot")
        limit = int(at._feature(MarketKind.SPOT, "limit"))
        (call,) = at.reads(spot).orders
        assert at.more(call, [ORDER] * (limit - 1)) is None
        with pytest.raises(VenueAnswerUnknown, match="fill the page"):
            at.more(call, [ORDER] * limit)

    def test_debts_and_what_is_locked_are_told_apart(self) -> None:
        """A negative balance is a debt."""
        answer = {
            "free": {"BTC": 1, "USDT": -5, "ETH": None, "SOL": 0},
            "total": {"BTC": 1.5, "USDT": -5, "ETH": 2, "SOL": 0},
            "debt": {"ETH": 0.5},
        }
        found = {each.asset: each for each in profile().balances(self.part(), None, answer)}
        assert found.keys() == {"BTC", "USDT", "ETH"}
        assert (found["BTC"].free, found["BTC"].locked) == (Decimal(1), Decimal("0.5"))
        assert (found["USDT"].total, found["USDT"].debt) == (Decimal(0), Decimal(5))
        assert found["ETH"].debt == Decimal("0.5")

    @pytest.mark.parametrize("answer", [None, {}, [], "", {"id": ""}, {"id": None, "status": "closed"}])
    def test_an_answer_without_an_id_is_ambiguous(self, answer: Any) -> None:
        """Success with nothing in it is none."""
        assert profile().accepted(close_position(), answer).outcome is Outcome.AMBIGUOUS

    def test_an_order_that_ended_without_a_fill_was_refused_by_the_market(self) -> None:
        """Whatever the status line says."""
        said = profile().accepted(close_position(), {"id": "1", "status": "canceled", "filled": 0})
        assert (said.outcome, said.refusal) == (Outcome.REFUSED, Refusal.UNFILLED)
        assert profile().accepted(close_position(), {"id": "1", "status": "open"}).outcome is Outcome.DONE

    def test_nothing_is_swept_where_the_venue_cannot(self) -> None:
        """The markets say so, and orders are named."""
        at = profile("coinbaseadvanced") if "coinbaseadvanced" in factory.supported() else profile("okx")
        market = {
            "symbol": "BTC/USDT", "id": "BTC-USDT", "base": "BTC", "quote": "USDT", "spot": True, "active": True,
            "precision": {"amount": 0.001, "price": 0.1}, "limits": {"amount": {"min": 0.001}},
        }  # fmt: skip
        (listed,) = at.market_rules(None, MarketKind.SPOT, [market])
        assert (listed.sweeps, listed.quantity_step, listed.price_tick) == (False, Decimal("0.001"), Decimal("0.1"))
        assert isinstance(close_position(), ClosePosition)
        assert isinstance(cancel_orders("1"), CancelOrders)
