"""A list that hides something is caught by the wallet that was read with it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from node.domain.snapshot import SliceSnapshot
from node.errors import VenueAnswerUnknown
from node.venues.ccxt_venue import CcxtVenue
from tests.contract.test_venue_answers import order, position, trigger
from tests.support.venue import BOOKS, Answer, RecordedFetch, answer, recorded_venue
from tests.support.venue_sim import bench, closes

POSITIONS, ORDERS, TRIGGERS = "/fapi/v3/positionRisk", "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders"
ACCOUNT = "/fapi/v3/account"


def wallet(asset: str = "USDT", positions: str = "0.00000000", orders: str = "0.00000000") -> dict[str, Any]:
    """One coin of a futures wallet, and the margin in use in it."""
    return {
        "asset": asset,
        "walletBalance": "1000",
        "availableBalance": "900",
        "positionInitialMargin": positions,
        "openOrderInitialMargin": orders,
    }


def account(*assets: dict[str, Any], positions: list[dict[str, Any]] | None = None, **totals: str) -> Any:
    """``GET /fapi/v3/account``; single-asset totals are those of USDT."""
    own = next((each for each in assets if each["asset"] == "USDT"), wallet())
    document = {
        "totalPositionInitialMargin": own["positionInitialMargin"],
        "totalOpenOrderInitialMargin": own["openOrderInitialMargin"],
        "assets": list(assets),
        "positions": positions or [],
        **totals,
    }
    return answer(document)


async def proof_of(given: Any, *, name: str = "linear", **lists: Any) -> SliceSnapshot:
    """The proof of a slice whose account says *given*."""
    async with recorded_venue(slices=(name,)) as (venue, fetch):
        fetch.empty(**{ACCOUNT: given, **{path: answer(rows) for path, rows in lists.items()}})
        return await venue.read_proof(name)


USDC_POSITION = position(symbol="BTCUSDC", marginAsset="USDC")

UNEXPLAINED: dict[str, dict[str, Any]] = {
    "margin for positions, and none is listed": {"given": account(wallet(positions="62.5"))},
    "margin for orders, and none is listed": {"given": account(wallet(orders="4"))},
    "positions in another coin only": {
        "given": account(wallet(), wallet("USDC", positions="62.5")),
        POSITIONS: [],
    },
    "single-asset: the coin's own position is missing": {
        "given": account(wallet(positions="62.5"), wallet("USDC", positions="10")),
        POSITIONS: [position()],
    },
    "orders in another coin only": {
        "given": account(wallet(), wallet("USDC", orders="3")),
        ORDERS: [order()],
    },
    "a narrowed slice, its own coin": {
        "given": account(wallet(), wallet("USDC", positions="62.5")),
        "name": "linear:USDC",
        POSITIONS: [position()],
    },
    "multi-assets: only the total shows it": {
        "given": account(wallet(), totalPositionInitialMargin="62.5"),
    },
    "multi-assets: only the total shows the orders": {
        "given": account(wallet(), totalOpenOrderInitialMargin="0.1"),
    },
    "an isolated position that takes no margin of the coin": {
        "given": account(wallet(), positions=[{"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "-0.5"}]),
    },
    "one more position than was listed": {
        "given": account(
            wallet(positions="62.5"),
            positions=[
                {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "1"},
                {"symbol": "ETHUSDT", "positionSide": "BOTH", "positionAmt": "1"},
            ],
        ),
        POSITIONS: [position()],
    },
    "a long leg beside a short one": {
        "given": account(
            wallet(positions="62.5"),
            positions=[
                {"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": "0.8"},
                {"symbol": "BTCUSDT", "positionSide": "SHORT", "positionAmt": "-0.3"},
            ],
        ),
        POSITIONS: [position(positionSide="SHORT", positionAmt="-0.3")],
    },
    "multi-assets: a position in another coin beside one that is listed": {
        "given": account(
            wallet(positions="62.5"),
            wallet("USDC"),
            positions=[
                {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "1"},
                {"symbol": "BTCUSDC", "positionSide": "BOTH", "positionAmt": "1"},
            ],
            totalPositionInitialMargin="125.1",
        ),
        POSITIONS: [position()],
    },
    "multi-assets: a narrowed slice's own position": {
        "given": account(
            wallet(positions="62.5"),
            wallet("USDC"),
            positions=[
                {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "1"},
                {"symbol": "BTCUSDC", "positionSide": "BOTH", "positionAmt": "1"},
            ],
            totalPositionInitialMargin="125.1",
        ),
        "name": "linear:USDC",
        POSITIONS: [position()],
    },
    "a position in a market that is not known": {
        "given": account(wallet(), positions=[{"symbol": "GONEUSDT", "positionSide": "BOTH", "positionAmt": "3"}]),
    },
}


@pytest.mark.parametrize("name", UNEXPLAINED)
async def test_what_no_list_explains_is_no_proof(name: str) -> None:
    """It says what is in use, or what is held."""
    with pytest.raises(VenueAnswerUnknown, match=r"in use as margin|that was not listed"):
        await proof_of(**UNEXPLAINED[name])


EXPLAINED: dict[str, dict[str, Any]] = {
    "nothing": {"given": account(wallet())},
    "no wallet yet": {"given": account()},
    "a position": {"given": account(wallet(positions="62.5")), POSITIONS: [position()]},
    "hedge legs": {
        "given": account(
            wallet(positions="62.5"),
            positions=[
                {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.000"},
                {"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": "0.8"},
                {"symbol": "BTCUSDT", "positionSide": "SHORT", "positionAmt": "-0.3"},
            ],
        ),
        POSITIONS: [position(positionSide="LONG"), position(positionSide="SHORT", positionAmt="-0.3")],
    },
    "an isolated position": {
        "given": account(wallet(positions="62.5")),
        POSITIONS: [position(isolatedMargin="62.5", isolatedWallet="62")],
    },
    "an order": {"given": account(wallet(orders="4")), ORDERS: [order()]},
    "a reduce-only order takes no margin": {
        "given": account(wallet(positions="62.5")),
        POSITIONS: [position()],
        ORDERS: [order(reduceOnly=True)],
    },
    "a trigger that has been taken for an order": {"given": account(wallet(orders="4")), TRIGGERS: [trigger()]},
    "each coin its own": {
        "given": account(wallet(positions="62.5"), wallet("USDC", positions="10")),
        POSITIONS: [position(), USDC_POSITION],
    },
    "multi-assets: a position in one coin uses another's": {
        "given": account(wallet(positions="62.5"), wallet("BTC"), totalPositionInitialMargin="62.4"),
        POSITIONS: [USDC_POSITION],
    },
    "multi-assets: a narrowed slice without positions beside another coin's": {
        "given": account(
            wallet(positions="62.4", orders="3"),
            wallet("USDC"),
            positions=[{"symbol": "BTCUSDC", "positionSide": "BOTH", "positionAmt": "1"}],
            totalPositionInitialMargin="62.5",
        ),
        "name": "linear:USDT",
        POSITIONS: [USDC_POSITION],
    },
    "a narrowed slice does not answer for other coins": {
        "given": account(
            wallet(positions="62.5"),
            wallet("USDC"),
            positions=[{"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "1"}],
        ),
        "name": "linear:USDC",
        POSITIONS: [position()],
    },
    "a market that is not known may be in any coin": {
        "given": account(wallet(positions="62.5")),
        POSITIONS: [position(symbol="GONEUSDT")],
    },
    "a closed position": {
        "given": account(wallet(), positions=[{"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.000"}])
    },
}


@pytest.mark.parametrize("name", EXPLAINED)
async def test_what_the_lists_explain_is_a_proof(name: str) -> None:
    """A false alarm would keep an account from ever being proven."""
    assert (await proof_of(**EXPLAINED[name])).causal


async def test_a_coin_margined_wallet_is_held_against_its_lists_likewise() -> None:
    """It has no totals; every coin settles its own contracts."""
    async with recorded_venue(slices=("inverse",)) as (venue, fetch):
        fetch.empty(**{"/dapi/v1/account": answer({"assets": [wallet("BTC", positions="0.01")], "positions": []})})
        with pytest.raises(VenueAnswerUnknown, match=r"0\.01 BTC are in use as margin, and no position was listed"):
            await venue.read_proof("inverse")
        fetch.answers["/dapi/v1/positionRisk"] = answer(
            [position(symbol="BTCUSD_PERP", positionAmt="250", marginType="cross")]
        )
        assert (await venue.read_proof("inverse")).positions


async def test_only_a_proof_is_held_against_the_wallet() -> None:
    """Other reads are made while things move, and prove nothing."""
    async with recorded_venue(slices=("linear",)) as (venue, fetch):
        fetch.empty(**{ACCOUNT: account(wallet(positions="62.5", orders="4"))})
        assert (await venue.read_slice("linear")).positions == ()


async def _reads_while_markets_arrive(venue: CcxtVenue, fetch: RecordedFetch, path: str) -> tuple[SliceSnapshot, ...]:
    """Every kind of read, the markets becoming known while *path* is asked."""
    shelf, given, found = venue._shelf, fetch.answers[path], []

    def arrive() -> Any:
        shelf.books.update(BOOKS)
        return json.loads(given.body) if isinstance(given, Answer) else None

    fetch.answers[path] = arrive
    for read in (venue.read_slice, venue.read_proof):
        shelf.books.clear()
        found.append(await read("linear"))
    return tuple(found)


@pytest.mark.parametrize("path", [POSITIONS, ORDERS, TRIGGERS, ACCOUNT])
async def test_one_read_names_a_market_in_one_way(path: str) -> None:
    """Although the markets become known in its midst: a stop must not look like one without a position."""
    async with recorded_venue(slices=("linear",)) as (venue, fetch):
        given = account(wallet(positions="62.5"), positions=[position()])
        rows = {POSITIONS: answer([position()]), ORDERS: answer([order()]), TRIGGERS: answer([trigger()])}
        fetch.empty(**{ACCOUNT: given, **rows})
        for snapshot in await _reads_while_markets_arrive(venue, fetch, path):
            assert [each.symbol for each in snapshot.positions] == ["BTCUSDT"]
            assert [each.symbol for each in snapshot.orders or ()] == ["BTCUSDT"] * 2
        assert {each.symbol for each in (await venue.read_slice("linear")).positions} == {"BTC/USDT:USDT"}


@pytest.mark.parametrize("name", ["spot", "margin"])
async def test_locked_coins_without_an_order_are_reported_and_no_contradiction(name: str) -> None:
    """Withdrawals and other products of the venue lock coins as well."""
    row = {"asset": "BTC", "free": "0", "locked": "0.5", "borrowed": "0", "interest": "0"}
    async with recorded_venue(slices=(name,)) as (venue, fetch):
        fetch.empty()
        fetch.answers["/api/v3/account"] = answer({"balances": [row]})
        fetch.answers["/sapi/v1/margin/account"] = answer({"userAssets": [row]})
        (found,) = (await venue.read_proof(name)).balances or ()
        assert str(found.locked) == "0.5"


@pytest.mark.parametrize(
    ("hidden", "name", "slices"),
    [
        ("linear", "linear", ("linear",)),
        ("linear:USDT", "linear:USDT", ("linear:USDT",)),
        ("linear:USDC", "linear:USDC", ("linear:USDT", "linear:USDC")),
        ("inverse", "inverse", ("inverse",)),
        ("inverse:ETH", "inverse", ("inverse",)),
    ],
)
async def test_a_slice_that_the_venue_hides_is_never_proven(hidden: str, name: str, slices: tuple[str, ...]) -> None:
    """Its lists are empty and its wallet is not."""
    async with bench(slices=slices) as the:
        the.sim.set_faults(hidden_slice=[{"slice": hidden}])
        for _ in range(3):
            with pytest.raises(VenueAnswerUnknown, match="in use as margin"):
                await the.venue.read_proof(name)


async def test_a_settle_coin_that_the_venue_hides_is_missed_beside_others_too() -> None:
    """What is shown is closed; no proof comes of it, neither before nor after."""
    async with bench(slices=("linear",)) as the:
        the.sim.set_faults(hidden_slice=[{"slice": "linear:USDC"}])
        with pytest.raises(VenueAnswerUnknown, match="USDC are in use as margin"):
            await the.venue.read_proof("linear")
        shown = closes((await the.venue.read_positions("linear")).positions)
        await asyncio.gather(*(the.venue.execute(step) for step in shown))
        with pytest.raises(VenueAnswerUnknown, match="USDC are in use as margin"):
            await the.venue.read_proof("linear")
        the.sim.set_faults(clear=True)
        assert "BTC/USDC:USDC" in {each.symbol for each in (await the.venue.read_proof("linear")).positions}


@pytest.mark.parametrize("scenario", ["demo", "hedge", "basis", "empty"])
async def test_what_is_in_use_in_every_scenario_is_explained(scenario: str) -> None:
    """With positions, orders, triggers, reduce-only orders, isolated margin and hedge legs."""
    async with bench(scenario) as the:
        for name in the.venue.slices:
            assert (await the.venue.read_proof(name)).causal


ONCE = [TRIGGERS, ORDERS, POSITIONS, ACCOUNT]
#: What a read of all at once goes on with where it has shown something, or proves too little.
IN_ORDER = [*ONCE, ORDERS, POSITIONS, ACCOUNT]
SPOT_ORDERS, SPOT_ACCOUNT = "/api/v3/openOrders", "/api/v3/account"


async def chained(name: str = "linear", since_ns: int | None = 5, /, **lists: Any) -> tuple[SliceSnapshot, list[str]]:
    """A proof that goes back to a read without triggers, and what was asked for it."""
    async with recorded_venue(slices=(name,)) as (venue, fetch):
        fetch.empty(**lists)
        snapshot = await venue.read_proof(name, no_triggers_since_ns=since_ns)
        return snapshot, [each.path for each in fetch.sent]


class TestAllAtOnce:
    async def test_nothing_held_and_nothing_resting_is_proven_by_one_round_trip(self) -> None:
        """The wallet bears it out, of one instant."""
        snapshot, asked = await chained()
        assert (snapshot.causal, snapshot.chained_from_ns, asked) == (True, 5, ONCE)
        snapshot, asked = await chained("spot")
        assert (snapshot.causal, snapshot.chained_from_ns, asked) == (True, 5, [SPOT_ORDERS, SPOT_ACCOUNT])

    async def test_without_an_earlier_read_triggers_come_first(self) -> None:
        """One might fire while the wallet is read."""
        snapshot, asked = await chained("linear", None)
        assert (snapshot.chained_from_ns, asked) == (None, ONCE)

    @pytest.mark.parametrize(
        "shown",
        [
            {TRIGGERS: answer([trigger()])},
            {ORDERS: answer([order()])},
            {POSITIONS: answer([position()])},
            {ACCOUNT: account(wallet(), positions=[position(positionAmt="0.000")]), ORDERS: answer([order()])},
        ],
        ids=["a trigger", "an order", "a position", "an order beside an empty leg"],
    )
    async def test_what_is_listed_is_read_again_in_order(self, shown: dict[str, Answer]) -> None:
        """After a list that was read before another, what left it may be in neither."""
        snapshot, asked = await chained(**shown)
        assert (snapshot.causal, snapshot.chained_from_ns, asked) == (True, None, IN_ORDER)

    @pytest.mark.parametrize(
        "shown",
        [
            account(wallet(orders="0.04")),
            account(wallet(positions="62.5")),
            account(wallet(), wallet("USDC", orders="0.04")),
            account(wallet(), totalOpenOrderInitialMargin="0.04"),
            account(wallet(), positions=[position()]),
        ],
        ids=["margin of orders", "margin of positions", "in another coin", "in the total alone", "a position"],
    )
    async def test_what_only_the_wallet_shows_is_no_proof(self, shown: Answer) -> None:
        """The order that was filled between two answers: it rested when the wallet was read."""
        async with recorded_venue(slices=("linear",)) as (venue, fetch):
            fetch.empty(**{ACCOUNT: shown})
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof("linear", no_triggers_since_ns=5)
            assert [each.path for each in fetch.sent] == IN_ORDER

    async def test_locked_coins_are_read_again_in_order(self) -> None:
        """An order may have locked them that was filled since; or something else has."""
        locked = answer({"balances": [{"asset": "BTC", "free": "1", "locked": "0.5"}]})
        snapshot, asked = await chained("spot", **{SPOT_ACCOUNT: locked})
        assert (snapshot.chained_from_ns, asked) == (None, [SPOT_ORDERS, SPOT_ACCOUNT] * 2)

    async def test_a_wallet_without_the_figures_is_not_understood(self) -> None:
        """Absent is not zero."""
        bare = {"asset": "USDT", "walletBalance": "1000", "availableBalance": "900"}
        async with recorded_venue(slices=("linear",)) as (venue, fetch):
            fetch.empty(**{ACCOUNT: answer({"assets": [bare], "positions": []})})
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof("linear", no_triggers_since_ns=5)
