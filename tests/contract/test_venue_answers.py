"""What answers mean, and that an answer which is not understood is never an empty one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import PositionSide, Side
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from tests.support.venue import Answer, answer, error, recorded_venue

POSITIONS, BALANCES = "/fapi/v3/positionRisk", "/fapi/v3/account"
ORDERS, TRIGGERS = "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders"


def position(**changes: Any) -> dict[str, Any]:
    """A long of 1.25 BTC, one-way, cross."""
    return {
        "symbol": "BTCUSDT",
        "positionSide": "BOTH",
        "positionAmt": "1.250",
        "entryPrice": "62720.0",
        "markPrice": "64000.00000000",
        "isolatedMargin": "0",
        "isolatedWallet": "0",
        "marginAsset": "USDT",
        **changes,
    }


def order(**changes: Any) -> dict[str, Any]:
    """A resting buy, 0.2 of 0.5 filled."""
    return {
        "orderId": 1917641,
        "clientOrderId": "abc",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "positionSide": "BOTH",
        "origQty": "0.5",
        "executedQty": "0.2",
        "reduceOnly": False,
        "closePosition": False,
        "type": "LIMIT",
        **changes,
    }


def trigger(**changes: Any) -> dict[str, Any]:
    """A stop that sells 0.4 reduce-only."""
    return {
        "algoId": 2148627,
        "clientAlgoId": "stop",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "quantity": "0.4",
        "algoStatus": "NEW",
        "reduceOnly": True,
        "closePosition": False,
        **changes,
    }


async def positions_of(*rows: dict[str, Any], slices: tuple[str, ...] | None = None, name: str = "linear") -> Any:
    """The snapshot's positions."""
    async with recorded_venue(slices=slices) as (venue, fetch):
        fetch.default = answer(list(rows))
        return (await venue.read_positions(name)).positions


async def orders_of(*rows: dict[str, Any], triggers: tuple[dict[str, Any], ...] = ()) -> Any:
    """The snapshot's orders."""
    async with recorded_venue() as (venue, fetch):
        fetch.empty(**{ORDERS: answer(list(rows)), TRIGGERS: answer(list(triggers))})
        return (await venue.read_slice("linear")).orders


class TestPositions:
    """From rows to legs."""

    async def test_a_one_way_position_keeps_the_venues_own_number(self) -> None:
        """Digits as sent, exposure signed."""
        (found,) = await positions_of(position())
        assert str(found.contracts) == "1.250"
        assert (found.symbol, found.side, found.hedged, found.isolated) == (
            "BTC/USDT:USDT",
            PositionSide.LONG,
            False,
            False,
        )
        assert found.base_exposure == Decimal("1.250")

    async def test_a_negative_amount_is_a_short(self) -> None:
        """In one-way mode the sign is the side."""
        (found,) = await positions_of(position(positionAmt="-0.004"))
        assert (found.side, found.contracts, found.base_exposure) == (
            PositionSide.SHORT,
            Decimal("0.004"),
            Decimal("-0.004"),
        )

    async def test_hedge_legs_of_one_symbol_are_two_positions(self) -> None:
        """Side by positionSide, whatever the sign."""
        found = await positions_of(
            position(positionSide="LONG", positionAmt="0.8"), position(positionSide="SHORT", positionAmt="-0.3")
        )
        assert [(each.side, each.contracts, each.hedged) for each in found] == [
            (PositionSide.LONG, Decimal("0.8"), True),
            (PositionSide.SHORT, Decimal("0.3"), True),
        ]

    async def test_empty_legs_are_left_out_whatever_their_digits(self) -> None:
        """Zero rows are no positions."""
        assert await positions_of(position(positionAmt="0.000"), position(positionAmt="-0")) == ()

    async def test_an_entry_price_of_zero_hides_nothing(self) -> None:
        """ccxt's own reading drops such a position."""
        (found,) = await positions_of(position(entryPrice="0.0"))
        assert found.contracts == Decimal("1.250")

    async def test_an_unlisted_symbol_is_kept_under_its_raw_name(self) -> None:
        """Delisted or new: what is held there is held."""
        (found,) = await positions_of(position(symbol="GONEUSDT"))
        assert (found.symbol, found.market_id) == ("GONEUSDT", "GONEUSDT")

    async def test_isolated_margin_is_seen(self) -> None:
        """USD-M shows only the margin set aside."""
        (found,) = await positions_of(position(isolatedMargin="12.5", isolatedWallet="12"))
        assert found.isolated

    async def test_a_coin_margined_position_counts_contracts_and_exposes_coins(self) -> None:
        """250 contracts of 100 USD at 50 000 are half a bitcoin."""
        (found,) = await positions_of(
            position(symbol="BTCUSD_PERP", positionAmt="250", markPrice="50000", marginType="isolated"), name="inverse"
        )
        assert (found.contracts, found.base_exposure, found.isolated) == (250, Decimal("0.5"), True)

    async def test_a_narrowed_slice_shows_only_its_settle_coin(self) -> None:
        """Listed or not; what cannot be told is shown."""
        rows = (
            position(),
            position(symbol="BTCUSDC", marginAsset="USDC"),
            position(symbol="NEWUSDC", marginAsset="USDC"),
            position(symbol="ODD", marginAsset=None),
        )
        found = await positions_of(*rows, slices=("linear:USDT",), name="linear:USDT")
        assert [each.market_id for each in found] == ["BTCUSDT", "ODD"]


class TestOrders:
    """Two books in one list."""

    async def test_an_order_shows_what_is_left_of_it(self) -> None:
        """And that it can add exposure."""
        (found,) = await orders_of(order())
        assert (found.order_id, found.client_order_id, found.side) == ("1917641", "abc", Side.BUY)
        assert (found.remaining, found.trigger, found.protective) == (Decimal("0.3"), False, False)

    async def test_a_trigger_order_lives_in_the_other_book(self) -> None:
        """By its algo id."""
        (found,) = await orders_of(triggers=(trigger(),))
        assert (found.order_id, found.trigger, found.protective) == ("2148627", True, True)

    @pytest.mark.parametrize("flag", [True, "true"])
    async def test_an_order_for_the_whole_position_has_no_size_and_is_protective(self, flag: object) -> None:
        """closePosition, in either book."""
        found = await orders_of(
            order(closePosition=flag, origQty="0", executedQty="0"),
            triggers=(trigger(closePosition=flag, quantity="0", reduceOnly=False),),
        )
        assert [(each.remaining, each.reduce_only) for each in found] == [(None, True), (None, True)]

    async def test_hedge_mode_orders_carry_their_leg(self) -> None:
        """Selling the long leg is protective, buying it is not."""
        found = await orders_of(order(positionSide="LONG", side="SELL"), order(positionSide="LONG", side="BUY"))
        assert [(each.position_side, each.protective) for each in found] == [
            (PositionSide.LONG, True),
            (PositionSide.LONG, False),
        ]


class TestBalances:
    """Wallets."""

    async def test_spot_shows_free_and_locked_without_empty_coins(self) -> None:
        """In ccxt's names for coins."""
        rows = [
            {"asset": "BTC", "free": "0.5", "locked": "0.1"},
            {"asset": "LTC", "free": "0.00000000", "locked": "0.00000000"},
        ]
        async with recorded_venue() as (venue, fetch):
            fetch.answers = {"/api/v3/openOrders": answer([]), "/api/v3/account": answer({"balances": rows})}
            (found,) = (await venue.read_slice("spot")).balances or ()
        assert (found.asset, found.free, found.locked, found.total) == (
            "BTC",
            Decimal("0.5"),
            Decimal("0.1"),
            Decimal("0.6"),
        )

    async def test_collateral_is_what_the_wallet_holds_and_a_negative_one_is_a_debt(self) -> None:
        """Free never exceeds it, whatever profit makes available."""
        rows = [
            {"asset": "USDT", "walletBalance": "100", "availableBalance": "140"},
            {"asset": "BTC", "walletBalance": "2", "availableBalance": "0.5"},
            {"asset": "USDC", "walletBalance": "-7", "availableBalance": "0"},
            {"asset": "BNB", "walletBalance": "0", "availableBalance": "0"},
        ]
        async with recorded_venue() as (venue, fetch):
            fetch.empty(**{BALANCES: answer({"assets": rows})})
            found = (await venue.read_slice("linear")).balances or ()
        assert [(each.asset, each.free, each.locked, each.debt) for each in found] == [
            ("USDT", Decimal(100), Decimal(0), Decimal(0)),
            ("BTC", Decimal("0.5"), Decimal("1.5"), Decimal(0)),
            ("USDC", Decimal(0), Decimal(0), Decimal(7)),
        ]

    async def test_two_narrowed_slices_of_one_wallet_report_each_coin_once(self) -> None:
        """The first one has what belongs to neither."""
        rows = [{"asset": name, "walletBalance": "1", "availableBalance": "1"} for name in ("USDT", "USDC", "BNB")]
        async with recorded_venue(slices=("linear:USDC", "linear:USDT")) as (venue, fetch):
            fetch.empty(**{BALANCES: answer({"assets": rows})})
            found = {name: (await venue.read_slice(name)).balances or () for name in venue.slices}
        assert [each.asset for each in found["linear:USDC"]] == ["USDC", "BNB"]
        assert [each.asset for each in found["linear:USDT"]] == ["USDT"]


def raw(text: str) -> Answer:
    """A body as it is."""
    return Answer(body=text)


BROKEN: dict[str, Answer | Callable[[], Any]] = {
    "nothing": raw(""),
    "a web page": raw("<html><body>maintenance</body></html>"),
    "an object": answer({"positions": []}),
    "half a list": raw('[{"symbol":"BTCUSDT","positionAmt":"1'),
    "null": raw("null"),
    "a number": raw("7"),
    "a list of text": answer(["BTCUSDT"]),
    "a list of lists": answer([[]]),
    "a row without an amount": answer([{"symbol": "BTCUSDT", "positionSide": "BOTH"}]),
    "an amount that is no number": answer([position(positionAmt="many")]),
    "an amount that is not finite": answer([position(positionAmt="NaN")]),
    "an amount that is true": answer([position(positionAmt=True)]),
    "an amount whose digits would fill the memory": answer([position(positionAmt="1E+999999")]),
    "an amount of no size that there is": answer([position(positionAmt="1E-999999")]),
    "a row without a symbol": answer([position(symbol="")]),
    "an unknown side": answer([position(positionSide="UP")]),
    "a surprise inside ccxt": lambda: (_ for _ in ()).throw(IndexError("list index out of range")),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_not_understood_is_unknown_and_never_empty(name: str) -> None:
    """The read raises; nobody may take it for flat."""
    async with recorded_venue() as (venue, fetch):
        fetch.empty(**{POSITIONS: BROKEN[name]})
        for read in (venue.read_positions, venue.read_slice, venue.read_proof):
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await read("linear")


@pytest.mark.parametrize(
    ("path", "row"),
    [
        (ORDERS, order(reduceOnly=None)),
        (ORDERS, order(origQty=None)),
        (ORDERS, order(orderId=None)),
        (ORDERS, order(side="HOLD")),
        (TRIGGERS, trigger(closePosition=None)),
        (TRIGGERS, trigger(algoId="")),
        (BALANCES, {"asset": "USDT", "walletBalance": "1"}),
    ],
)
async def test_one_odd_row_makes_the_whole_read_unknown(path: str, row: dict[str, Any]) -> None:
    """A row that was skipped could be the one that matters."""
    async with recorded_venue() as (venue, fetch):
        fetch.empty(**{path: answer({"assets": [row]} if path == BALANCES else [row])})
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_slice("linear")


@pytest.mark.parametrize("path", [TRIGGERS, ORDERS, POSITIONS, BALANCES])
async def test_a_slice_is_unread_if_any_part_of_it_fails(path: str) -> None:
    """Three good answers and a bad one prove nothing."""
    async with recorded_venue() as (venue, fetch):
        fetch.empty(**{path: error(-1001, "Internal error", 500)})
        with pytest.raises(VenueUnavailable):
            await venue.read_slice("linear")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (error(-2015, "Invalid API-key, IP, or permissions for action.", 401), VenueDenied),
        (error(-1022, "Signature for this request is not valid."), VenueDenied),
        (error(-1003, "Too many requests", 429), VenueLimited),
        (error(-1008, "Server is currently overloaded", 503), VenueLimited),
        (error(-1021, "Timestamp outside of the recvWindow."), VenueUnavailable),
        (error(-1001, "Internal error", 500), VenueUnavailable),
        (Answer(body="<html>bad gateway</html>", status=502), VenueUnavailable),
        (Answer(body="<html>WAF</html>", status=403), VenueUnavailable),
        (answer([], status=599), VenueUnavailable),
        (error(-1102, "Mandatory parameter was not sent"), VenueError),
        (error(-1102, "Mandatory parameter was not sent", 200), VenueError),
    ],
)
async def test_a_failed_read_says_what_to_do_about_it(given: Answer, kind: type[VenueError]) -> None:
    """By the venue's code first, then by the status."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers = {POSITIONS: given, "/fapi/v1/time": answer({"serverTime": 1_800_000_000_000})}
        with pytest.raises(VenueError) as raised:
            await venue.read_positions("linear")
        assert type(raised.value) is kind


async def test_a_second_denial_is_still_a_denial() -> None:
    """ccxt takes -2015 after a success for rate limiting; the code decides here."""
    async with recorded_venue() as (venue, fetch):
        fetch.empty()
        await venue.read_slice("spot")
        fetch.answers["/api/v3/account"] = error(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        with pytest.raises(VenueDenied):
            await venue.read_slice("spot")


@pytest.mark.parametrize("time", [0, 1, 1e300, 1_800_000_000, -1_800_000_000_000, "noon"])
async def test_a_time_that_is_none_does_not_move_the_clock(time: object) -> None:
    """Everything would be signed by it."""
    async with recorded_venue(slices=("linear",)) as (venue, fetch):
        fetch.default = answer({"serverTime": time})
        with pytest.raises(VenueAnswerUnknown):
            await venue.keep_warm(1)
        assert venue.clock_offset_ms() is None
        assert "timeDifference" not in venue._client.ccxt.options or not venue._client.ccxt.options["timeDifference"]


async def test_a_refused_timestamp_has_the_clock_measured_on_that_host() -> None:
    """So that the next request has it right."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers = {
            "/dapi/v1/positionRisk": error(-1021, "Timestamp outside of the recvWindow."),
            "/dapi/v1/time": answer({"serverTime": 1_800_000_000_000}),
        }
        with pytest.raises(VenueUnavailable):
            await venue.read_positions("inverse")
        assert fetch.lines[-1] == ("GET", "dapi.binance.com", "/dapi/v1/time")
        assert venue.clock_offset_ms() is not None
