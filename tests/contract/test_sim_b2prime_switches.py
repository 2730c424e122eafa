"""What is unknown of B2PRIME, and how it may fail: each switch of the simulator has the effect that it names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import pytest

from node.sim.b2prime.settings_calls import CYRILLIC_CHARGE
from node.sim.b2prime.switches import Switches
from tests.support.b2prime_wire import Trader, order, trading
from tests.support.waiting import until

EURO, COIN = "cfd.eur_usd", "perp.btc_usdt"
CLOSED = {"timeZoneId": "Europe/London", "tradingSessions": [], "sessionOverrides": []}


@pytest.fixture
async def trader() -> AsyncIterator[Trader]:
    """Of an account with all there is."""
    async with trading("demo") as someone:
        yield someone


def flat(trader: Trader) -> bool:
    """Whether no position is left."""
    return not any(trader.sim.account.open_positions())


class TestSetting:
    async def test_through_the_control_port(self, trader: Trader) -> None:
        """A wrong name, a wrong position or a market that is not listed changes nothing."""
        url = f"http://127.0.0.1:{trader.sim.control_port}/faults"
        async with aiohttp.ClientSession() as session:
            for wrong in ({"nothing": 1}, {"error_body": "poem"}, {"market_status": {"cfd.no_body": "Paused"}}):
                async with session.post(url, json={"venue": wrong}) as response:
                    assert response.status == 400
            async with session.post(url, json={"venue": {"error_body": "text"}}) as response:
                assert response.status == 200
        assert (await trader.ask("GET", "/nothing")).headers["Content-Type"].startswith("text/plain")

    async def test_clearing(self, trader: Trader) -> None:
        trader.switch(error_body="empty", token_life_s=1, market_status={EURO: "Paused"})
        trader.sim.set_faults(clear=True)
        state = trader.sim.handler.front_end.state  # type: ignore[attr-defined]
        assert (state.switches, state.trades(state.listing(EURO).market)) == (Switches(), True)

    async def test_other_venues_have_none(self) -> None:
        from node.sim.server import serve

        async with serve(venue="binance") as sim:
            with pytest.raises(LookupError, match="error_body"):
                sim.set_faults(venue={"error_body": "text"})


class TestErrors:
    @pytest.mark.parametrize(
        ("form", "kind"), [("problem", dict), ("message", dict), ("text", str), ("empty", type(None))]
    )
    async def test_the_body(self, trader: Trader, form: str, kind: type) -> None:
        trader.switch(error_body=form)
        answer = await trader.ask("GET", "/v6/markets/cfd.no_body")
        assert answer.status == 404
        if kind is dict:
            assert set(answer.json) >= ({"title", "status", "detail"} if form == "problem" else {"message"})
        else:
            assert bool(answer.text) == (kind is str)

    @pytest.mark.parametrize("status", [403, 404])
    async def test_a_foreign_account(self, trader: Trader, status: int) -> None:
        trader.switch(foreign_account_status=status)
        answer = await trader.ask("POST", "/v4/positions/bulk-close", {}, accountId="66aa0000000000000000a001")
        assert answer.status == status

    @pytest.mark.parametrize("status", [400, 404])
    async def test_an_unknown_order(self, trader: Trader, status: int) -> None:
        trader.switch(unknown_order_status=status)
        assert (await trader.ask("DELETE", "/v3/orders/01J8ZZZZZZZZZZZZZZZZZZZZZ1")).status == status

    async def test_a_refused_order_may_be_an_answer(self, trader: Trader) -> None:
        """200, ``Rejected``, and why; nothing was placed."""
        trader.switch(refused_as_order=True)
        answer = await trader.order(EURO, "Buy", "0.015")
        assert (answer["status"], bool(answer["rejectDetails"])) == ("Rejected", True)
        assert trader.sim.account.counters.orders_placed == 0

    @pytest.mark.parametrize("headers", [True, False])
    async def test_too_many_requests(self, trader: Trader, headers: bool) -> None:
        trader.switch(rate_limit_headers=headers)
        trader.sim.set_faults(rules=[{"do": {"rate_limit": 2}}])
        answer = await trader.ask("GET", "/v3/accounts")
        assert (answer.status, "X-RateLimit-Reset" in answer.headers) == (429, headers)

    async def test_a_limit_of_rest_requests(self, trader: Trader) -> None:
        trader.switch(rest_requests_per_s=3)
        statuses = [(await trader.ask("GET", "/v3/info")).status for _ in range(4)]
        assert statuses[-1] == 429

    async def test_an_opaque_token(self, trader: Trader) -> None:
        """It is good for what it is good for, and tells nothing."""
        trader.switch(token_opaque=True)
        await trader.log_in()
        assert await trader.get("/v3/accounts")
        with pytest.raises(jwt.DecodeError):
            jwt.decode(trader.token, options={"verify_signature": False})

    async def test_short_tokens(self, trader: Trader) -> None:
        trader.switch(token_life_s=10)
        await trader.log_in()
        trader.sim.set_faults(clock_offset_ms=10_001)
        assert (await trader.ask("GET", "/v3/accounts")).status == 401


class TestTheDocumentsDefects:
    @pytest.mark.parametrize("cyrillic", [True, False])
    async def test_the_charge(self, trader: Trader, cyrillic: bool) -> None:
        trader.switch(cyrillic_charge=cyrillic)
        settings = (await trader.get(f"/v6/markets/{EURO}"))["commissionSettings"]
        assert (CYRILLIC_CHARGE in settings, "charge" in settings) == (cyrillic, not cyrillic)

    @pytest.mark.parametrize("word", ["Perpetual", "Perp"])
    async def test_the_type_of_perpetuals(self, trader: Trader, word: str) -> None:
        trader.switch(perpetual_type=word)
        markets = await trader.get("/v6/markets")
        assert {each["type"] for each in markets if each["marketId"].startswith("perp.")} == {word}

    @pytest.mark.parametrize("wrapper", [None, "closedPositions"])
    async def test_the_wrapper_of_closed_positions(self, trader: Trader, wrapper: str | None) -> None:
        trader.switch(closed_positions_wrapper=wrapper)
        answer = await trader.post("/v4/orders/closed-positions", {})
        assert answer == ([] if wrapper is None else {wrapper: []})


class TestShutMarkets:
    async def test_outside_the_sessions(self, trader: Trader) -> None:
        """Orders and closes are refused; a bulk close leaves the market's positions out."""
        position = await trader.position(EURO)
        trader.switch(calendars={EURO: CLOSED})
        assert (await trader.get(f"/v6/markets/{EURO}"))["calendar"] == CLOSED
        assert (await trader.ask("POST", *order(EURO, "Buy", "0.1"))).status == 400
        path = f"/v4/positions/{position['positionId']}/close"
        assert (await trader.ask("POST", path, {})).status == 400
        answer = await trader.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
        assert position["positionId"] not in answer["positionIds"]
        await until(lambda: len(list(trader.sim.account.open_positions())) == 1)
        trader.switch(calendars={})
        await trader.post(path, {})
        await until(lambda: flat(trader))

    async def test_accepted_and_never_filled(self, trader: Trader) -> None:
        position = await trader.position(EURO)
        trader.switch(calendars={EURO: CLOSED}, close_when_shut="accept")
        answer = await trader.post(f"/v4/positions/{position['positionId']}/close", {})
        assert answer == {"positionId": position["positionId"]}
        bulk = await trader.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
        assert position["positionId"] in bulk["positionIds"]
        await until(lambda: len(list(trader.sim.account.open_positions())) == 1)
        assert [each["positionId"] for each in await trader.positions()] == [position["positionId"]]

    @pytest.mark.parametrize(("status", "rests"), [("Paused", True), ("Halted", False), ("Disabled", False)])
    async def test_the_statuses(self, trader: Trader, status: str, rests: bool) -> None:
        """All refuse orders; two of them end resting ones."""
        trader.switch(market_status={EURO: status})
        assert (await trader.ask("POST", *order(EURO, "Buy", "0.1"))).status == 400
        assert (EURO in {row["marketId"] for row in await trader.first("OpenOrders")}) == rests
        trader.switch(market_status={EURO: "Open"})
        await trader.order(EURO, "Buy", "0.1")

    @pytest.mark.parametrize(
        ("intervals", "override", "opens"),
        [
            ([("00:00", "24:00")], ..., True),
            ([("00:00:00", "00:00:00")], ..., True),  # midnight at the end is the next one
            ([("00:00", "12:00")], ..., False),
            ([("00:00", "12:00"), ("12:00", "24:00")], ..., True),
            ([("00:00", "24:00")], None, False),
            ([("00:00", "24:00")], [], False),
            ([("00:00", "12:00")], [{"start": "12:00", "end": "16:00"}], True),
        ],
    )
    async def test_calendars(self, trader: Trader, intervals: Any, override: Any, opens: bool) -> None:
        """At noon in Tokyo, on a day that an override may be for."""
        from node.sim.b2prime.calendars import DAYS, is_open, weekly

        noon_ms = 1_795_662_000_000  # 2026-11-26 12:00 in Tokyo
        overrides = [] if override is ... else [{"date": "2026-11-26", "timeIntervals": override}]
        calendar = weekly("Asia/Tokyo", dict.fromkeys(DAYS, intervals), overrides)
        assert is_open(calendar, noon_ms) is opens


class TestCancelsAndCloses:
    async def test_a_cancel_that_is_not_done_when_it_is_answered(self, trader: Trader) -> None:
        trader.switch(cancel_delay_ms=50)
        row = (await trader.first("OpenOrders"))[0]
        answer = (await trader.delete(f"/v3/orders/{row['orderId']}"))["order"]
        assert answer["status"] == "Pending"
        assert row["orderId"] in {each["orderId"] for each in await trader.first("OpenOrders")}
        await until(lambda: trader.sim.account.counters.orders_cancelled == 1)
        assert row["orderId"] not in {each["orderId"] for each in await trader.first("OpenOrders")}

    async def test_a_bulk_close_that_leaves_one(self, trader: Trader) -> None:
        """All are acknowledged; one stays, and can be closed by itself."""
        trader.switch(bulk_close_skips=1)
        answer = await trader.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
        await until(lambda: len(list(trader.sim.account.open_positions())) == 1)
        (left,) = await trader.positions()
        assert left["positionId"] in answer["positionIds"]
        await trader.post(f"/v4/positions/{left['positionId']}/close", {})
        await until(lambda: flat(trader))

    @pytest.mark.parametrize(
        "deed", ["lose_after_execution", {"status_after_execution": 503}, "empty_200", "truncated_body", "html_200"]
    )
    async def test_done_though_the_answer_says_otherwise(self, trader: Trader, deed: Any) -> None:
        trader.sim.set_faults(rules=[{"match": {"path_prefix": "/frontoffice/api/v4/positions"}, "do": deed}])
        try:
            answer = await trader.ask("POST", "/v4/positions/bulk-close", {"mode": "AllPositions"})
            with pytest.raises(json.JSONDecodeError):
                _ = answer.json
        except aiohttp.ClientError:
            pass  # the connection broke
        await until(lambda: flat(trader))

    async def test_a_close_that_fills_in_part(self, trader: Trader) -> None:
        position = await trader.position(EURO)
        trader.sim.set_faults(rules=[{"match": {"market": "linear:EUR/USD"}, "do": {"partial_fill": "0.5"}}])
        await trader.post(f"/v4/positions/{position['positionId']}/close", {})
        await until(lambda: trader.sim.account.counters.orders_placed == 1)
        assert (await trader.position(EURO))["positionLotAmount"] == "1"

    async def test_a_fault_for_one_position(self, trader: Trader) -> None:
        """A close names no market; it meets what is meant for its position's all the same."""
        euro, coin = await trader.position(EURO), await trader.position(COIN)
        refusal = {"refuse": {"reason": "insufficient_margin"}}
        trader.sim.set_faults(rules=[{"match": {"market": "linear:BTC/USDT", "intent": "place"}, "do": refusal}])
        assert (await trader.ask("POST", f"/v4/positions/{euro['positionId']}/close", {})).status == 200
        assert (await trader.ask("POST", f"/v4/positions/{coin['positionId']}/close", {})).status == 400

    async def test_a_late_stop_order_opens_exposure_again(self, trader: Trader) -> None:
        """When everything is closed, a stop order that nobody could list fires."""
        trader.sim.set_faults(late_trigger={"symbol": "cfd.xau_usd", "trigger": "after_flat"})
        await trader.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
        await until(lambda: trader.sim.account.counters.orders_filled >= 22 and not flat(trader))
        assert [each["marketId"] for each in await trader.positions()] == ["cfd.xau_usd"]

    async def test_an_engine_that_opens_again(self, trader: Trader) -> None:
        trader.sim.set_faults(engine_reopens={"symbol": EURO, "quantity": "0.3"})
        old = await trader.position(EURO)
        await trader.post(f"/v4/positions/{old['positionId']}/close", {})
        await until(lambda: trader.sim.account.engine_counters.orders_filled == 1)
        new = await trader.position(EURO)
        assert (new["positionLotAmount"], new["positionId"] != old["positionId"]) == ("0.3", True)


class TestServing:
    async def test_what_a_client_must_be_told(self, trader: Trader) -> None:
        """It is printed when the simulator is ready: the API token, the host and the account."""
        (account,) = trader.sim.ready_document()["accounts"]
        assert set(account["credentials"]) == {"token"}
        assert account["options"] == {"hostname": trader.host, "accountId": trader.account}

    @pytest.mark.parametrize("scenario", ["demo", "hedge", "basis", "margin", "residue", "empty", "desk"])
    async def test_every_scenario(self, scenario: str) -> None:
        """Each can be flattened with documented calls, and nothing is added on the way."""
        async with trading(scenario) as trader:
            for name, account in trader.sim.core.accounts.items():
                trader.account = trader.sim.kind.options(name)["accountId"]
                for row in await trader.first("OpenOrders"):
                    await trader.delete(f"/v3/orders/{row['orderId']}")
                await trader.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
                await until(lambda account=account: not any(account.open_positions()))  # type: ignore[misc]
                assert (await trader.first("OpenOrders"), await trader.positions()) == ([], [])
                assert (account.counters.exposure_increases, account.counters.sign_flips) == (0, 0)
