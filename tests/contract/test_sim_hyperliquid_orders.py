"""Orders of the real ``ccxt.pro.hyperliquid`` at the simulated venue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from node.sim.hyperliquid import gateway
from node.sim.hyperliquid.wallets import master_address
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.hyperliquid_client import hyperliquid_client

BTC, ADA, GOLD = "BTC/USDC:USDC", "ADA/USDC:USDC", "XYZ-GOLD/USDC:USDC"
REDUCE = {"reduceOnly": True}
DEXS = ("", "xyz", "hyna")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The demo account."""
    async with serve(venue="hyperliquid") as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with loaded markets."""
    async with hyperliquid_client(simulator) as exchange:
        await exchange.load_markets()
        yield exchange


def cloid(number: int) -> str:
    """A client id as the venue wants it."""
    return f"0x{number:032x}"


def sizes(simulator: Simulator) -> dict[str, str]:
    """Open positions by coin, as the venue knows them."""
    (account,) = simulator.state()["accounts"].values()
    return {position["symbol"]: position["quantity"] for position in account["positions"]}


async def statuses(client: Any, *orders: dict[str, Any], grouping: str = "na") -> Any:
    """Place orders as they are on the wire; what became of each, whether ccxt would raise or not."""
    action = {"type": "order", "orders": list(orders), "grouping": grouping}
    return await acted(client, action)


async def acted(client: Any, action: dict[str, Any]) -> Any:
    """Sign and send an action; its statuses, or its refusal."""
    client.handle_errors = lambda *_: None
    nonce = client.incrementing_nonce()
    body = {"action": action, "nonce": nonce, "signature": client.sign_l1_action(action, nonce)}
    answer = await client.privatePostExchange(body)
    return answer["response"] if answer["status"] == "err" else answer["response"]["data"]["statuses"]


def order(
    asset: int, side: str, price: str, size: str, *, tif: str = "Gtc", reduces: bool = False, **more: Any
) -> dict[str, Any]:
    """A limit order on the wire."""
    kind = {"limit": {"tif": tif}}
    return {"a": asset, "b": side == "buy", "p": price, "s": size, "r": reduces, "t": kind, **more}


def stop(
    asset: int,
    side: str,
    price: str,
    size: str,
    at: str,
    *,
    kind: str = "sl",
    market: bool = True,
    reduces: bool = True,
) -> dict[str, Any]:
    """A conditional order on the wire."""
    trigger = {"isMarket": market, "triggerPx": at, "tpsl": kind}
    return order(asset, side, price, size, reduces=reduces) | {"t": {"trigger": trigger}}


class TestCloseEverything:
    async def test_all_dexs(self, simulator: Simulator, client: Any) -> None:
        """One signed action a dex; nothing flips, nothing is opened."""
        closed = 0
        for dex in DEXS:
            positions = await client.fetch_positions(None, {"dex": dex})
            batch = [
                {
                    "symbol": position["symbol"],
                    "type": "market",
                    "side": "sell" if position["side"] == "long" else "buy",
                    "amount": position["contracts"],
                    "price": position["markPrice"],
                    "params": REDUCE,
                }
                for position in positions
            ]
            orders = await client.create_orders(batch)
            assert [placed["filled"] for placed in orders] == [position["contracts"] for position in positions]
            assert await client.fetch_positions(None, {"dex": dex}) == []
            closed += len(orders)
        assert sizes(simulator) == {}
        assert len(simulator.journal.entries(path_prefix="/exchange")) == 3
        counters = simulator.account.counters
        assert (counters.sign_flips, counters.exposure_increases, counters.orders_filled) == (0, 0, closed)

    async def test_spot(self, simulator: Simulator, client: Any) -> None:
        """A sale brings dollars; the coin has another name at the venue. Too small an amount is not taken."""
        await client.create_order("BTC/USDC", "market", "sell", 0.8, 64000)
        assert simulator.account.balance("spot", "BTC").total == 0
        assert simulator.account.balance("spot", "USDC").free > 75_000
        with pytest.raises(ccxt.ExchangeError, match="minimum value of 10 USDC"):
            await client.create_order("PURR/USDC", "market", "sell", 3, 0.2)
        with pytest.raises(ccxt.ExchangeError, match="Insufficient spot balance asset=10004"):
            await client.create_order("SOL/USDC", "market", "sell", 81, 150)
        with pytest.raises(ccxt.ExchangeError, match="Reduce-only is invalid for spot trading"):
            await client.create_order("SOL/USDC", "market", "sell", 10, 150, REDUCE)


class TestReduceOnly:
    async def test_larger_than_the_position(self, simulator: Simulator, client: Any) -> None:
        """It shrinks to the position, at once and while it rests."""
        (resting,) = await statuses(client, order(0, "sell", "66000", "5", reduces=True))
        oid = resting["resting"]["oid"]
        (shown,) = [o for o in await orders_of(client) if o["oid"] == oid]
        assert (shown["sz"], shown["origSz"]) == ("1.25", "5.0")
        (filled,) = await statuses(client, order(0, "sell", "60000", "0.25", tif="Ioc"))
        assert filled["filled"]["totalSz"] == "0.25"
        (shown,) = [o for o in await orders_of(client) if o["oid"] == oid]
        assert (shown["sz"], shown["origSz"]) == ("1.0", "5.0")
        (filled,) = await statuses(client, order(0, "sell", "60000", "3", tif="Ioc", reduces=True))
        assert filled["filled"]["totalSz"] == "1.0"
        assert "BTC" not in sizes(simulator)
        assert (await status_of(client, oid))["status"] == "reduceOnlyCanceled"

    async def test_nothing_to_reduce(self, simulator: Simulator, client: Any) -> None:
        """Without a position, or on its own side; it has a place in the history."""
        asset = int(client.market("INJ/USDC:USDC")["id"])
        text = f"Reduce only order would increase position. asset={asset}"
        with pytest.raises(ccxt.InvalidOrder, match=text):
            await client.create_order("INJ/USDC:USDC", "market", "sell", 1, 22, {**REDUCE, "clientOrderId": cloid(1)})
        found = await client.fetch_order(None, "INJ/USDC:USDC", {"clientOrderId": cloid(1)})
        assert (found["status"], found["info"]["status"]) == ("rejected", "reduceOnlyRejected")
        assert await statuses(client, order(0, "buy", "66000", "0.1", tif="Ioc", reduces=True)) == [
            {"error": "Reduce only order would increase position. asset=0"}
        ]
        assert simulator.account.counters.orders_refused == 2

    async def test_the_least_value(self, simulator: Simulator, client: Any) -> None:
        """Ten dollars at the limit price: for a part of a position too, but not for the whole of it."""
        simulator.account.position(simulator.core.listings["linear", "BTC"].market).quantity = Decimal("0.0003")  # type: ignore[index]
        for reduces in (True, False):
            for tif, price in (("Gtc", "64500"), ("Ioc", "63000")):
                assert await statuses(client, order(0, "sell", price, "0.0001", tif=tif, reduces=reduces)) == [
                    {"error": "Order must have minimum value of $10. asset=0"}
                ]
        (placed,) = await statuses(client, order(0, "sell", "3300", "0.0003", tif="Ioc"))
        assert placed["filled"]["totalSz"] == "0.0003"
        assert "BTC" not in sizes(simulator)


async def orders_of(client: Any, dex: str = "", kind: str = "frontendOpenOrders") -> list[dict[str, Any]]:
    """Open orders as they are on the wire."""
    return list(await client.publicPostInfo({"type": kind, "user": client.walletAddress, "dex": dex}))


async def status_of(client: Any, oid: int | str) -> dict[str, Any]:
    """An order's entry in the history."""
    return dict(
        (await client.publicPostInfo({"type": "orderStatus", "user": client.walletAddress, "oid": oid}))["order"]
    )


class TestRefusals:
    @pytest.mark.parametrize(
        ("wire", "text"),
        [
            (order(0, "buy", "64000.5", "0.1"), "Price must be divisible by tick size. asset=0"),
            (order(2, "buy", "150.123", "1"), "Price must be divisible by tick size. asset=2"),
            (order(0, "buy", "0", "0.1"), "Order has invalid price."),
            (order(0, "buy", "64000", "0"), "Order has zero size."),
            (order(0, "buy", "64000", "0.000001"), "Order has invalid size."),
            (order(0, "buy", "3200", "0.1"), "Order price cannot be more than 95% away from the reference price"),
            (order(0, "sell", "1280100", "0.1"), "Order price cannot be more than 95% away from the reference price"),
            (order(0, "buy", "63000", "0.0001"), "Order must have minimum value of $10. asset=0"),
            (order(0, "buy", "63000", "100"), "Insufficient margin to place order. asset=0"),
            (
                order(0, "buy", "64001", "0.1", tif="Alo"),
                "Post only order would have immediately matched, bbo was 63999.0@64001.0. asset=0",
            ),
            (
                order(0, "buy", "64000", "0.1", tif="Ioc"),
                "Order could not immediately match against any resting orders. asset=0",
            ),
            (stop(0, "sell", "60000", "0.1", "65000"), "Invalid TP/SL price. asset=0"),
            (stop(0, "sell", "60000", "0.1", "63000.5"), "Invalid TP/SL price. asset=0"),
        ],
    )
    async def test_texts(self, client: Any, wire: dict[str, Any], text: str) -> None:
        """In the order's place among the statuses of an answer that says ok."""
        assert await statuses(client, wire) == [{"error": text}]

    @pytest.mark.parametrize(
        ("coin", "asset", "price"), [("BTC", 0, "123461"), ("BTC", 0, "9999.9"), ("XRP", 4, "0.12346")]
    )
    async def test_digits(self, simulator: Simulator, client: Any, coin: str, asset: int, price: str) -> None:
        """Five of them, or any whole number."""
        simulator.set_faults(prices={f"linear:{coin}/USDC": price})
        (placed,) = await statuses(client, order(asset, "buy", price, "0.1" if coin == "BTC" else "1000", tif="Alo"))
        assert "resting" in placed

    async def test_one_bad_order_refuses_the_batch(self, simulator: Simulator, client: Any) -> None:
        """What the numbers alone show is one error for all; what the account shows is that order's own."""
        good = order(0, "sell", "60000", "0.25", tif="Ioc", reduces=True)
        assert await statuses(client, good, order(0, "buy", "64000.5", "0.1")) == [
            {"error": "Price must be divisible by tick size. asset=0"}
        ]
        assert sizes(simulator)["BTC"] == "1.25"
        answer = await statuses(client, order(20, "sell", "20", "1", tif="Ioc", reduces=True), good)
        assert [next(iter(each)) for each in answer] == ["error", "filled"]
        assert sizes(simulator)["BTC"] == "1"

    async def test_ccxt_raises_for_one_of_many(self, simulator: Simulator, client: Any) -> None:
        """The trap: an exception, and the other order has traded."""
        batch = [
            {"symbol": symbol, "type": "market", "side": "sell", "amount": amount, "price": price, "params": REDUCE}
            for symbol, amount, price in ((BTC, 1.25, 64000), ("INJ/USDC:USDC", 1, 22))
        ]
        with pytest.raises(ccxt.InvalidOrder, match="Reduce only"):
            await client.create_orders(batch)
        assert "BTC" not in sizes(simulator)

    async def test_nothing_and_too_much(self, client: Any) -> None:
        """An empty batch, more than two hundred entries, an unknown asset."""
        assert await statuses(client) == [{"error": "Orders are empty."}]
        action: dict[str, Any] = {"type": "cancel", "cancels": [{"a": 0, "o": number} for number in range(201)]}
        assert await acted(client, action) == "Signed action over weight limit of 200."
        assert len(await acted(client, action | {"cancels": action["cancels"][:200]})) == 200
        assert await statuses(client, order(999, "buy", "1", "1")) == "Invalid perp"

    async def test_a_crowd_of_open_orders(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond a thousand open orders none may reduce or wait: a stop or a close is refused, an entry is not."""
        monkeypatch.setattr(gateway, "OPEN_ORDERS_MAX", 5)
        assert await statuses(
            client,
            order(0, "sell", "60000", "0.1", tif="Ioc", reduces=True),
            stop(0, "sell", "50000", "0.1", "58000"),
            order(0, "buy", "60000", "0.1"),
        ) == [{"error": gateway.TOO_MANY_OPEN}] * 2 + [{"resting": {"oid": pytest.approx(8389765000000014)}}]

    async def test_a_client_id_in_use(self, client: Any) -> None:
        """While its order is open; the form is checked."""
        wire = order(0, "buy", "60000", "0.1", c=cloid(7))
        (first,) = await statuses(client, wire)
        assert first["resting"]["cloid"] == cloid(7)
        assert "error" in (await statuses(client, wire))[0]
        client.handle_errors = type(client).handle_errors.__get__(client)
        with pytest.raises(ccxt.ExchangeError, match=r"422 .* Failed to deserialize"):
            await client.create_order(BTC, "limit", "buy", 0.1, 60000, {"clientOrderId": "sn-1"})


class TestCancel:
    async def test_one_action_for_several_markets(self, simulator: Simulator, client: Any) -> None:
        """All that one dex lists, conditional orders among them; those of another dex stay."""
        orders = await client.fetch_open_orders()
        assert len(orders) == 10
        await client.cancel_orders_for_symbols([{"id": o["id"], "symbol": o["symbol"]} for o in orders])
        assert await client.fetch_open_orders() == []
        left = {o["symbol"] for o in simulator.state()["accounts"]["demo"]["orders"]}
        assert left == {"xyz:GOLD", "xyz:TSLA", "hyna:ETH"}
        assert simulator.account.balance("spot", "SOL").free == 120
        assert simulator.account.counters.orders_cancelled == 10

    async def test_by_client_id(self, client: Any) -> None:
        """And again: it is gone."""
        placed = await client.create_order(BTC, "limit", "buy", 0.01, 62000, {"clientOrderId": cloid(2)})
        await client.cancel_order(None, BTC, {"clientOrderId": cloid(2)})
        assert (await client.fetch_order(placed["id"], BTC))["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound, match="never placed, already canceled, or filled"):
            await client.cancel_order(None, BTC, {"clientOrderId": cloid(2)})
        with pytest.raises(ccxt.OrderNotFound, match="unknownOid"):
            await client.fetch_order("123", BTC)

    async def test_each_answers_for_itself(self, client: Any) -> None:
        """A number that nobody has, one of another market, a good one: ccxt would raise, and it is cancelled."""
        orders = await client.fetch_open_orders(BTC)
        numbers = [1, *(int(o["id"]) for o in orders if o["type"] == "limit")]
        action = {"type": "cancel", "cancels": [{"a": 0, "o": n} for n in numbers] + [{"a": 1, "o": numbers[1]}]}
        answer = await acted(client, action)
        assert answer[1] == "success"
        assert [type(each) for each in answer] == [dict, str, dict]

    async def test_a_change(self, simulator: Simulator, client: Any) -> None:
        """A changed order has a new number; one that has ended cannot be changed."""
        placed = await client.create_order(BTC, "limit", "buy", 0.01, 62000)
        changed = await client.edit_order(placed["id"], BTC, "limit", "buy", 0.02, 61000)
        assert changed["id"] != placed["id"]
        assert (await client.fetch_order(changed["id"], BTC))["amount"] == 0.02
        with pytest.raises(ccxt.ExchangeError, match="Cannot modify canceled or filled order"):
            await client.edit_order(placed["id"], BTC, "limit", "buy", 0.02, 61000)

    async def test_scheduled(self, simulator: Simulator, client: Any) -> None:
        """Only for accounts that have traded a million; five seconds ahead; then everything goes."""
        with pytest.raises(ccxt.ExchangeError, match=r"Required: \$1000000. Traded: \$87457.46"):
            await client.cancel_all_orders_after(10_000)
        budget = simulator.handler.front_end.state.budgets["demo"]  # type: ignore[attr-defined]
        budget.traded = Decimal(1_000_001)
        with pytest.raises(ccxt.ExchangeError, match="at least 5 seconds"):
            await client.cancel_all_orders_after(4_000)
        await client.cancel_all_orders_after(10_000)
        assert len(await client.fetch_open_orders()) == 10
        simulator.clock.offset_ms = 10_001
        assert await client.fetch_open_orders() == []


class TestTriggers:
    async def test_a_stop_fires(self, simulator: Simulator, client: Any) -> None:
        """A market stop trades up to its limit, here with all that is left of the position."""
        simulator.set_faults(prices={"linear:BTC/USDC": "57000"})
        assert "BTC" not in sizes(simulator)
        assert simulator.account.counters.exposure_increases == 0

    async def test_a_stop_misses(self, simulator: Simulator, client: Any) -> None:
        """When the price has fallen below its limit it ends, and the position stays."""
        (placed,) = await statuses(client, stop(2, "sell", "140", "310", "145"))
        simulator.set_faults(prices={"linear:SOL/USDC": "130"})
        assert (sizes(simulator)["SOL"], (await status_of(client, placed["resting"]["oid"]))["status"]) == (
            "310",
            "canceled",
        )

    async def test_through_ccxt(self, client: Any) -> None:
        """Stop and take profit in one list with the others, told apart by their fields."""
        made = [
            await client.create_order(BTC, "market", "sell", 0.5, 64000, {**REDUCE, "stopLossPrice": 58000}),
            await client.create_order(BTC, "limit", "sell", 0.5, 70000, {**REDUCE, "takeProfitPrice": 69000}),
        ]
        found = {o["id"]: o for o in await client.fetch_open_orders(BTC)}
        first, second = (found[order["id"]] for order in made)
        assert (first["stopLossPrice"], first["reduceOnly"], first["type"]) == (58000, True, "market")
        assert (second["takeProfitPrice"], second["type"]) == (69000, "take profit limit")

    async def test_the_plain_list_hides_what_they_are(self, client: Any) -> None:
        """``openOrders`` shows a stop as a limit order at its limit price."""
        (plain,) = [o for o in await orders_of(client, kind="openOrders") if o["coin"] == "XRP"]
        (full,) = [o for o in await orders_of(client) if o["coin"] == "XRP"]
        assert (plain["limitPx"], "isTrigger" in plain) == ("0.4212", False)
        assert (full["isTrigger"], full["triggerCondition"], full["orderType"]) == (
            True,
            "Price below 0.468",
            "Stop Market",
        )

    async def test_of_the_whole_position(self, client: Any, simulator: Simulator) -> None:
        """Size zero; it goes with the position, one of a fixed size does not."""
        (whole,) = [o for o in await orders_of(client) if o["isPositionTpsl"] and o["coin"] == "BTC"]
        assert (whole["sz"], whole["reduceOnly"]) == ("0.0", True)
        await client.create_order(BTC, "market", "sell", 1.25, 64000, REDUCE)
        await client.create_order("XRP/USDC:USDC", "market", "sell", 42000, 0.52, REDUCE)
        left = {o["coin"] for o in await orders_of(client) if o["isTrigger"]}
        assert "BTC" not in left
        assert "XRP" in left
        answer = await statuses(client, stop(1, "buy", "3600", "0", "3400"), grouping="positionTpsl")
        assert answer == ["waitingForTrigger"]
        assert await statuses(client, stop(1, "buy", "3600", "0", "3400")) == [{"error": "Order has zero size."}]

    async def test_a_family(self, client: Any) -> None:
        """Children stand in the list twice, and go with their parent: cancelling all in turn then fails."""
        parent = order(0, "buy", "60000", "0.1")
        children = [stop(0, "sell", "50000", "0.1", "58000"), stop(0, "sell", "60000", "0.1", "70000", kind="tp")]
        answer = await statuses(client, parent, *children, grouping="normalTpsl")
        assert answer[1:] == ["waitingForFill"] * 2
        shown = await orders_of(client)
        (father,) = [o for o in shown if o["children"]]
        numbers = [father["oid"], *(child["oid"] for child in father["children"])]
        assert {child["oid"] for child in father["children"]} < {o["oid"] for o in shown}
        action = {"type": "cancel", "cancels": [{"a": 0, "o": number} for number in numbers]}
        assert [type(each) for each in await acted(client, action)] == [str, dict, dict]


class TestLeverage:
    async def test_settings(self, simulator: Simulator, client: Any) -> None:
        """Within the market's maximum; the mode only without a position; builders' markets are isolated."""
        await client.set_leverage(25, BTC)
        (position,) = await client.fetch_positions([BTC])
        assert (position["leverage"], position["marginMode"]) == (25, "cross")
        for symbol, leverage, mode, text in (
            (BTC, 41, "cross", "Invalid leverage value"),
            (BTC, 20, "isolated", "Cannot switch leverage type with open position"),
            (GOLD, 5, "cross", "Cross margin is not allowed for this asset"),
        ):
            with pytest.raises(ccxt.ExchangeError, match=text):
                await client.set_leverage(leverage, symbol, {"marginMode": mode})
        await client.set_margin_mode("isolated", "INJ/USDC:USDC", {"leverage": 5})
        await client.create_order("INJ/USDC:USDC", "market", "buy", 30, 22)
        (position,) = await client.fetch_positions(["INJ/USDC:USDC"])
        assert (position["leverage"], position["marginMode"], position["isolated"]) == (5, "isolated", True)
        assert simulator.account.counters.exposure_increases == 1


async def test_an_address_is_as_good_in_any_case(client: Any, simulator: Simulator) -> None:
    """Explorers show addresses in mixed case."""
    client.walletAddress = master_address("demo").upper().replace("0X", "0x")
    assert len(await client.fetch_positions()) == 20
