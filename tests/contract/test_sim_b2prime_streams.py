"""SignalR hubs of the simulated B2PRIME, at the wire: the protocol, every stream, and how they differ or fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.b2prime_wire import MARKET_DATA, V3, V4, Trader, trading

EURO = "cfd.eur_usd"
ORDER_FIELDS = {
    "marketId", "marketType", "marketDisplayName", "marketFullName", "orderId", "timeInForce", "status", "source",
    "reason", "side", "orderType", "requestedAmount", "remainingAmount", "requestedPrice", "executionPrice",
    "createdAt", "updatedAt", "cancellationDate", "commissionAssetId", "commissionAmount", "leverage",
    "fillFactor", "takeProfit", "stopLoss",
}  # fmt: skip
POSITION_FIELDS = {
    "positionId", "marketId", "marketType", "marketDisplayName", "marketFullName", "createdAt", "updatedAt", "side",
    "status", "leverage", "positionLotAmount", "positionPriceInRAT", "rateToRAT", "usedMarginInRAT", "openPrice",
    "currentMarketPrice", "unrealizedPnlDayInRAT", "unrealizedPnlDayPercent", "unrealizedPnlTotalInRAT",
    "unrealizedPnlTotalPercent", "takeProfit", "stopLoss", "positionModifier",
}  # fmt: skip
MARGIN_FIELDS = {
    "marginBalanceInRAT", "unrealizedPnlInRAT", "equityInRAT", "usedMarginInRAT", "freeMarginInRAT", "marginLevel",
}  # fmt: skip


@pytest.fixture
async def trader() -> AsyncIterator[Trader]:
    """Of an account with all there is."""
    async with trading("demo") as someone:
        yield someone


@pytest.fixture
async def empty() -> AsyncIterator[Trader]:
    """Of an account with money and nothing else."""
    async with trading("empty") as someone:
        yield someone


class TestTheProtocol:
    async def test_negotiation(self, trader: Trader) -> None:
        """WebSockets only; the connection's name goes into its address."""
        url = f"https://{trader.host}{V4}/negotiate?negotiateVersion=1"
        async with trader.session.post(url, headers={"Authorization": f"Bearer {trader.token}"}) as response:
            document = await response.json()
        assert [each["transport"] for each in document["availableTransports"]] == ["WebSockets"]
        async with trader.hub(query=f"&id={document['connectionToken']}") as hub:
            assert (await hub.subscribe("OpenOrders", trader.account))["type"] == 2

    async def test_a_wrong_handshake(self, trader: Trader) -> None:
        async with trader.hub(greeted=False) as hub:
            await hub.say({"protocol": "messagepack", "version": 1})
            assert "error" in await hub.next()
            assert await hub.broken()

    @pytest.mark.parametrize("token", ["", "x"])
    async def test_a_wrong_token(self, trader: Trader, token: str) -> None:
        trader.token = token
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with trader.hub():
                pass
        assert refused.value.status == 401

    async def test_several_messages_in_a_frame(self, trader: Trader) -> None:
        """And one in two frames."""
        stream = {"type": 4, "target": "OpenOrders", "arguments": [trader.account]}
        async with trader.hub(greeted=False) as hub:
            await hub.say({"protocol": "json", "version": 1}, {**stream, "invocationId": "0"}, {"type": 6})
            assert [await hub.next(), (await hub.next())["invocationId"]] == [{}, "0"]
            await hub.wire.send_str('{"type":4,"target":"OpenPositions","invocationId":"1",')
            await hub.wire.send_str(f'"arguments":["{trader.account}"]}}\x1e')
            assert (await hub.next())["invocationId"] == "1"

    async def test_the_end_of_a_stream_is_confirmed(self, trader: Trader) -> None:
        """And nothing comes of it any more."""
        async with trader.hub() as hub:
            await hub.subscribe("OpenOrders", trader.account)
            await hub.say({"type": 5, "invocationId": "0"})
            assert await hub.next() == {"type": 3, "invocationId": "0"}
            await trader.order(EURO, "Buy", "0.1", price="1.05")
            assert (await hub.subscribe("OpenOrders", trader.account, invocation="1"))["invocationId"] == "1"

    @pytest.mark.parametrize(
        ("target", "arguments"),
        [("Nothing", None), ("FullBalance", None), ("OpenOrders", []), ("OpenOrders", ["66aa0000000000000000a001"])],
    )
    async def test_a_stream_that_cannot_be(self, trader: Trader, target: str, arguments: Any) -> None:
        """Unknown here, without an account, or of another's: the invocation ends with an error."""
        async with trader.hub() as hub:
            message = await hub.subscribe(target, *([trader.account] if arguments is None else arguments))
            assert (message["type"], message["invocationId"], "error" in message) == (3, "0", True)

    async def test_the_server_pings(self, trader: Trader) -> None:
        trader.switch(stream_ping_s=0.02)
        async with trader.hub() as hub:
            assert await hub.next(pings=True) == {"type": 6}

    async def test_the_server_closes_for_a_silent_client(self, trader: Trader) -> None:
        trader.switch(stream_ping_s=0.02, stream_client_silence_s=0.05)
        async with trader.hub() as hub:
            assert (await hub.next())["type"] == 7
            assert await hub.broken()


class TestStreams:
    async def test_open_orders(self, trader: Trader) -> None:
        """A list, in base units, with seven digits behind the second; stop orders are not in it."""
        rows = await trader.first("OpenOrders")
        assert all(set(row) == ORDER_FIELDS for row in rows)
        (euro,) = [row for row in rows if row["marketId"] == EURO]
        assert (euro["requestedAmount"], euro["status"], euro["marketType"]) == ("50000", "Pending", "Cfd")
        assert len(euro["createdAt"].partition(".")[2]) == len("0000000Z")
        state = trader.sim.state()["accounts"]["demo"]
        assert (len(rows), len(state["algo_orders"])) == (len(state["orders"]), 2)

    async def test_open_positions(self, trader: Trader) -> None:
        """A list within an object."""
        item = await trader.first("OpenPositions")
        assert list(item) == ["item"]
        assert all(set(row) == POSITION_FIELDS for row in item["item"])
        (euro,) = [row for row in item["item"] if row["marketId"] == EURO]
        assert (euro["side"], euro["positionLotAmount"], euro["status"]) == ("Buy", "2", "Open")

    async def test_closed_positions(self, trader: Trader) -> None:
        async with trader.hub() as hub:
            assert (await hub.subscribe("ClosePositionsOrders", trader.account))["item"] == []
            await trader.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
            row = (await hub.next())["item"][0]
            assert {"marketId", "orderId", "positionCloseLotAmount", "reason", "realizedPnlInRAT"} <= set(row)

    async def test_balances(self, trader: Trader) -> None:
        rows = {row["assetId"]: row for row in await trader.first("FullBalance", V3)}
        assert rows["sol"] == {"assetId": "sol", "available": "80", "total": "120", "locked": "40"}

    async def test_margin(self, trader: Trader) -> None:
        """The figures agree with each other and with the positions; the level is a ratio."""
        margin = await trader.first("MarginData", V3)
        assert set(margin) == MARGIN_FIELDS
        numbers = {name: float(value) for name, value in margin.items()}
        used = sum(float(row["usedMarginInRAT"]) for row in await trader.positions())
        assert numbers["usedMarginInRAT"] == pytest.approx(used)
        assert numbers["equityInRAT"] == pytest.approx(numbers["marginBalanceInRAT"] + numbers["unrealizedPnlInRAT"])
        assert numbers["marginLevel"] == pytest.approx(numbers["equityInRAT"] / used)

    async def test_nothing_used_without_positions(self, empty: Trader) -> None:
        assert (await empty.first("MarginData", V3))["usedMarginInRAT"] == "0"

    async def test_top_of_the_book(self, trader: Trader) -> None:
        """All at first, then what moved."""
        async with trader.hub(MARKET_DATA) as hub:
            first = await hub.subscribe("Tob", trader.account, [EURO, "spot.btc_usdt"])
            assert first["item"]["snapshot"] is True
            assert first["item"]["markets"][0] == {"marketId": EURO, "ask": "1.0826", "bid": "1.0824"}
            trader.sim.set_faults(prices={EURO: "1.09"})
            item = (await hub.next())["item"]
            assert (item["snapshot"], item["markets"][0]["ask"]) == (False, "1.0901")

    async def test_the_order_book(self, trader: Trader) -> None:
        book = await trader.first("Book", MARKET_DATA, EURO)
        assert (book["instrument"], book["asks"][0]["price"], book["bids"][0]["price"]) == (EURO, "1.0826", "1.0824")
        assert set(book) == {"instrument", "askTotalAmount", "bidTotalAmount", "asks", "bids", "version", "snapshot"}

    async def test_a_market_that_is_not_there(self, trader: Trader) -> None:
        async with trader.hub(MARKET_DATA) as hub:
            assert (await hub.subscribe("Tob", trader.account, ["cfd.no_body"]))["type"] == 3

    async def test_accounts_are_told_apart(self) -> None:
        async with trading("desk") as someone:
            names = ("demo", "empty")
            accounts = [someone.sim.kind.options(name)["accountId"] for name in names]
            async with someone.hub() as hub:
                counts = [len((await hub.subscribe("OpenOrders", each, invocation=each))["item"]) for each in accounts]
            assert (counts[0] > 0, counts[1]) == (True, 0)


class TestUpdates:
    async def test_whole_lists(self, empty: Trader) -> None:
        """Each message is what there is; the empty list is told, too."""
        async with empty.hub() as hub:
            assert (await hub.subscribe("OpenPositions", empty.account))["item"] == {"item": []}
            await empty.order(EURO, "Buy", "0.1")
            await empty.order("perp.eth_usdt", "Buy", "1")
            assert len((await hub.next())["item"]["item"]) == 1
            assert len((await hub.next())["item"]["item"]) == 2
            await empty.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
            while (item := (await hub.next())["item"]["item"]) != []:
                assert len(item) == 1

    async def test_changes_only(self, empty: Trader) -> None:
        """What is gone is told as closed."""
        empty.switch(stream_updates="delta")
        async with empty.hub() as hub:
            await hub.subscribe("OpenPositions", empty.account)
            await empty.order(EURO, "Buy", "0.1")
            (first,) = (await hub.next())["item"]["item"]
            await empty.order("perp.eth_usdt", "Buy", "1")
            (second,) = (await hub.next())["item"]["item"]
            assert {first["marketId"], second["marketId"]} == {EURO, "perp.eth_usdt"}
            await empty.post(f"/v4/positions/{first['positionId']}/close", {})
            (gone,) = (await hub.next())["item"]["item"]
            assert (gone["positionId"], gone["status"], gone["positionLotAmount"]) == (
                first["positionId"],
                "Closed",
                "0",
            )

    async def test_changes_of_orders(self, empty: Trader) -> None:
        empty.switch(stream_updates="delta")
        async with empty.hub() as hub:
            await hub.subscribe("OpenOrders", empty.account)
            placed = await empty.order(EURO, "Buy", "0.1", price="1.05")
            assert [row["status"] for row in (await hub.next())["item"]] == ["Pending"]
            await empty.delete(f"/v3/orders/{placed['orderId']}")
            assert [row["status"] for row in (await hub.next())["item"]] == ["Cancelled"]

    async def test_silence_where_there_is_nothing(self, empty: Trader) -> None:
        """No message at first; the first one comes when there is something to tell."""
        empty.switch(stream_empty="silence")
        async with empty.hub() as hub:
            await hub.open("OpenPositions", empty.account)
            await hub.open("OpenOrders", empty.account, invocation="1")
            await hub.open("MarginData", empty.account, invocation="2")
            assert (await hub.next())["type"] == 3  # the last is not of this hub: the two before it were silent
            await empty.order(EURO, "Buy", "0.1")
            assert len((await hub.next())["item"]["item"]) == 1

    async def test_duplicates(self, empty: Trader) -> None:
        empty.switch(stream_duplicates=True)
        async with empty.hub() as hub:
            await hub.subscribe("OpenOrders", empty.account)
            await empty.order(EURO, "Buy", "0.1", price="1.05")
            assert await hub.next() == await hub.next()

    async def test_late_items_tell_what_was(self, empty: Trader) -> None:
        """When the second subscription is answered already, the first is still told of the order that is gone."""
        async with empty.hub() as hub:
            await hub.subscribe("OpenOrders", empty.account)
            empty.switch(stream_late_ms=100)
            placed = await empty.order(EURO, "Buy", "0.1", price="1.05")
            await empty.delete(f"/v3/orders/{placed['orderId']}")
            assert (await hub.subscribe("OpenOrders", empty.account, invocation="1"))["item"] == []
            late = await hub.next()
            assert (late["invocationId"], [row["orderId"] for row in late["item"]]) == ("0", [placed["orderId"]])

    async def test_the_bare_list(self, trader: Trader) -> None:
        trader.switch(stream_bare_positions=True)
        assert isinstance(await trader.first("OpenPositions"), list)

    async def test_other_fractions_of_a_second(self, trader: Trader) -> None:
        trader.switch(stream_fraction_digits=0)
        assert all("." not in row["createdAt"] for row in await trader.first("OpenOrders"))


class TestFailures:
    @pytest.mark.parametrize(("mode", "status"), [("required", 401), ("absent", 404)])
    async def test_negotiation_may_be_required_or_absent(self, trader: Trader, mode: str, status: int) -> None:
        trader.switch(negotiate=mode)
        url = f"https://{trader.host}{V4}/negotiate?negotiateVersion=1&access_token={trader.token}"
        async with trader.session.post(url) as response:
            assert (response.status == 404) == (mode == "absent")
        if mode == "absent":
            assert await trader.first("OpenOrders")
            return
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with trader.hub():
                pass
        async with trader.hub(query="&id=1") as hub:
            assert (await hub.subscribe("OpenOrders", trader.account))["type"] == 2

    async def test_a_connection_breaks(self, trader: Trader) -> None:
        async with trader.hub() as hub:
            await hub.subscribe("OpenOrders", trader.account)
            trader.sim.set_faults(streams={"cut": True})
            assert await hub.broken()

    async def test_the_server_closes(self, trader: Trader) -> None:
        """With its notice, for the account that is meant."""
        async with trader.hub() as hub:
            await hub.subscribe("OpenOrders", trader.account)
            trader.sim.set_faults(streams={"account": "demo", "expire": True})
            message = await hub.next()
            assert (message["type"], message["allowReconnect"]) == (7, True)
            assert await hub.broken()

    async def test_connections_are_turned_away(self, trader: Trader) -> None:
        trader.sim.set_faults(streams={"refused": True})
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with trader.hub():
                pass
        assert refused.value.status == 503

    async def test_a_silent_stream(self, trader: Trader) -> None:
        """Not even the state comes; what asks of another product is answered."""
        trader.sim.set_faults(streams={"product": "linear", "silent": True})
        async with trader.hub() as hub:
            await hub.open("OpenPositions", trader.account)
            await hub.open("Nothing", invocation="1")
            assert (await hub.next())["invocationId"] == "1"
        assert await trader.first("FullBalance", V3)

    @pytest.mark.parametrize("outlives", [True, False])
    async def test_the_token_ends_while_connected(self, trader: Trader, outlives: bool) -> None:
        trader.switch(token_life_s=0.3, stream_outlives_token=outlives, stream_ping_s=0.4)
        await trader.log_in()
        async with trader.hub() as hub:
            await hub.subscribe("OpenOrders", trader.account)
            message = await hub.next(pings=True)
            assert message["type"] == (6 if outlives else 7)

    async def test_opening_a_stream_meets_faults_like_a_request(self, trader: Trader) -> None:
        """Refused, another document, nothing: each for the stream that is meant, and all in the request journal."""
        positions = {"intent": "positions", "product": "linear"}
        deeds: list[Any] = [{"refuse": {"reason": "overloaded"}}, {"reshape": {"body": {"item": None}}}, "hang"]
        trader.sim.set_faults(rules=[{"match": positions, "do": deed} for deed in deeds])
        async with trader.hub() as hub:
            assert (await hub.subscribe("OpenPositions", trader.account))["type"] == 3
            assert (await hub.subscribe("OpenPositions", trader.account, invocation="1"))["item"] == {"item": None}
            await hub.open("OpenPositions", trader.account, invocation="2")
            assert (await hub.subscribe("OpenPositions", trader.account, invocation="3"))["invocationId"] == "3"
        faults = [entry.fault for entry in trader.sim.journal.entries(path_prefix=f"{V4}/OpenPositions")]
        assert faults == ["refuse", "reshape", "hang", None]

    async def test_a_slice_is_left_out(self, trader: Trader) -> None:
        """Of the first message of one subscription."""
        trader.sim.set_faults(hidden_slice={"slice": "linear:USDT", "times": 1})
        assert await trader.positions() == []
        assert await trader.positions() != []

    async def test_many_changes_are_told_at_once(self, empty: Trader) -> None:
        """What one event changes is one message."""
        async with empty.hub() as hub:
            await hub.subscribe("OpenOrders", empty.account)
            for count in range(1, 4):
                await empty.order(EURO, "Buy", "0.1", price="1.05")
                assert len((await hub.next())["item"]) == count
            empty.sim.set_faults(prices={EURO: "1.04"})
            assert (await hub.next())["item"] == []
