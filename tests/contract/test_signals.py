"""Alerts over HTTP, to exchanges that are simulated down to the wire: each field, each refusal, and what was placed."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import trustme
from ccxt.base import errors

from node.commands.operator_client import OperatorClient
from node.errors import JournalUnavailable
from node.venues.b2prime import exchange as b2prime_class
from tests.support.signals import (
    ACCOUNT,
    BEARER,
    TOKEN,
    USER,
    WEBHOOK,
    Answer,
    LaterClock,
    SignalBench,
    signal_bench,
)
from tests.support.sim_clients import LoopbackResolver

README = Path(__file__).parents[2] / "README.md"
B2PRIME: dict[str, Any] = {"venue": "b2prime", "options": {"perpetualOrders": True, "cfdStopOrders": True}}
OTHER = {"id": "11111111-5f0a-4c52-9a1e-3d0f6f1d2a77", "name": "theirs", "owner": "somebody-else"}


@pytest.fixture
async def binance(tmp_path: Path) -> AsyncIterator[SignalBench]:
    """A simulated Binance, with money and nothing else."""
    async with signal_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
async def b2prime(tmp_path: Path) -> AsyncIterator[SignalBench]:
    """A simulated B2PRIME, with what is inferred about it allowed."""
    async with signal_bench(tmp_path, **B2PRIME) as bench:
        yield bench


async def good(bench: SignalBench, **fields: Any) -> Any:
    """The document of an alert that must be placed: exactly the documented fields."""
    answer = await bench.alert(**fields)
    assert answer.status == 200, answer.text
    document = answer.json
    assert set(document) == {"success", "orderId", "orderStatus", "message", "timestamp"}
    assert (document["success"], document["message"]) == (True, "Order placed successfully")
    assert document["timestamp"].endswith("Z")
    return document


def last_order(bench: SignalBench, path: str) -> dict[str, str]:
    """What the newest order request at the exchange said."""
    entry = bench.sim.journal.entries(method="POST", path_prefix=path)[-1]
    return dict(entry.document()["params"])


class TestKeys:
    async def test_a_key_is_shown_once_and_good_for_a_year(self, binance: SignalBench) -> None:
        """In the documented shapes."""
        made = await binance.new_key("My TradingView Key")
        assert set(made) == {"id", "apiKey", "name", "userId", "status", "createdAt", "expiresAt"}
        assert (made["name"], made["userId"], made["status"]) == ("My TradingView Key", USER, "Active")
        assert made["apiKey"].startswith("wh_key_")
        listed = await binance.call("GET", f"{WEBHOOK}/api-keys", **BEARER)
        assert listed.json["webhookUrl"] == f"https://signals.example{WEBHOOK}/alerts/{USER}"
        shown = next(each for each in listed.json["apiKeys"] if each["id"] == made["id"])
        assert {"id", "name", "status", "createdAt", "expiresAt"} <= set(shown)
        assert made["apiKey"].rpartition("_")[2] not in listed.text

    async def test_it_is_nowhere_on_disk(self, binance: SignalBench, tmp_path: Path) -> None:
        """Only its hash is."""
        await good(binance)
        secret = binance.key.rpartition("_")[2].encode()
        files = [path for path in (tmp_path / "signals-state").iterdir() if path.is_file()]
        assert files
        assert not [path.name for path in files if secret in path.read_bytes()]
        assert all(path.stat().st_mode & 0o077 == 0 for path in files)

    async def test_revoked_it_opens_nothing(self, binance: SignalBench) -> None:
        key = (await binance.call("GET", f"{WEBHOOK}/api-keys", **BEARER)).json["apiKeys"][0]
        revoked = await binance.call("DELETE", f"{WEBHOOK}/api-keys/{key['id']}", **BEARER)
        assert revoked.json == {"success": True, "message": "API key revoked successfully"}
        again = await binance.call("DELETE", f"{WEBHOOK}/api-keys/{key['id']}", **BEARER)
        assert again.json["success"] is False
        assert (await binance.alert()).refusal == (403, "KEY_REVOKED")
        assert binance.placed == 0

    async def test_no_such_key(self, binance: SignalBench) -> None:
        assert (await binance.call("DELETE", f"{WEBHOOK}/api-keys/01JZ", **BEARER)).status == 404

    @pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines", None, 7])
    async def test_a_name_has_1_to_100_characters(self, binance: SignalBench, name: Any) -> None:
        answer = await binance.call("POST", f"{WEBHOOK}/api-keys", {"name": name}, **BEARER)
        assert (answer.status, answer.json["error"]["code"]) == (400, "BAD_REQUEST")

    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
    @pytest.mark.parametrize(("method", "rest"), [("POST", ""), ("GET", ""), ("DELETE", "/01JZ")])
    async def test_only_the_operator_makes_lists_and_revokes(
        self, binance: SignalBench, method: str, rest: str, headers: dict[str, str]
    ) -> None:
        body = {"name": "mine"} if method == "POST" else None
        assert (await binance.call(method, f"{WEBHOOK}/api-keys{rest}", body, **headers)).status == 401

    async def test_without_a_token_in_the_configuration_the_public_door_has_no_keys(self, tmp_path: Path) -> None:
        """The operator's socket has, for whoever may open it."""
        async with signal_bench(tmp_path, keyed=False) as bench:
            assert (await bench.call("POST", f"{WEBHOOK}/api-keys", {"name": "x"}, **BEARER)).status == 404
            client = OperatorClient(bench.settings.operator_socket)
            made = await asyncio.to_thread(client.call, "POST", f"{WEBHOOK}/api-keys", {"name": "x"})
            assert made.status == 201
            assert bench.settings.operator_socket.stat().st_mode & 0o777 == 0o660
            bench.key = str(made.document["apiKey"])
            await good(bench)

    async def test_with_several_owners_one_is_named(self, tmp_path: Path) -> None:
        """And a key of one reaches no account of another."""
        owners = [{"id": USER}, {"id": "somebody-else"}]
        async with signal_bench(tmp_path, change={"owners": owners}, keyed=False) as bench:
            unnamed = await bench.operator("POST", {"name": "x"})
            assert (unnamed.status, unnamed.document["error"]["code"]) == (400, "BAD_REQUEST")
            theirs = (await bench.operator("POST", {"name": "x", "userId": "somebody-else"})).document
            bench.key = str(theirs["apiKey"])
            assert (await bench.alert(user="somebody-else")).refusal == (404, "UNKNOWN_ACCOUNT")
            assert (await bench.alert(user=USER)).refusal == (401, "INVALID_KEY")
            assert bench.placed == 0


class TestBinance:
    async def test_the_documents_own_example(self, binance: SignalBench) -> None:
        """A market order on spot, of base units, whatever the content type says."""
        body = {"apiKey": binance.key, "accountId": ACCOUNT, "symbol": "spot.btc_usdt", "side": "buy"}
        content = json.dumps({**body, "quantity": "0.01", "comment": "TV Strategy Signal"}).encode()
        for kind in (
            "text/plain; charset=utf-8",
            "application/json; charset=utf-8",
            "application/x-www-form-urlencoded",
        ):
            answer = await binance.call("POST", f"{WEBHOOK}/alerts/{USER}", content, **{"Content-Type": kind})
            assert (answer.status, answer.json["orderStatus"]) == (200, "Completed")
        assert bought(binance) == Decimal("0.03")

    async def test_an_account_may_be_named(self, binance: SignalBench) -> None:
        assert (await good(binance, accountId="main"))["orderStatus"] == "Completed"

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"orderType": "limit", "price": "60000"}, ("limit", "60000", None)),
            ({"orderType": "stop", "stopPrice": "70000"}, ("market", None, "70000")),
            ({"orderType": "stop_limit", "stopPrice": "70000", "price": "70100"}, ("limit", "70100", "70000")),
        ],
    )
    @pytest.mark.parametrize(("symbol", "product"), [("spot.btc_usdt", "spot"), ("perp.btc_usdt", "linear")])
    async def test_orders_that_wait(
        self, binance: SignalBench, symbol: str, product: str, fields: dict[str, str], expected: tuple[Any, ...]
    ) -> None:
        """On spot and on contracts, in the market that the prefix names."""
        document = await good(binance, symbol=symbol, **fields)
        (order,) = binance.orders
        assert (order["kind"], order["price"], order["trigger_price"]) == expected
        assert (order["product"], order["side"], order["quantity"]) == (product, "buy", "0.01")
        assert document["orderStatus"] == ("Working" if expected[2] is None else "WaitingForActivation")
        assert order["client_id"].startswith("w")

    @pytest.mark.parametrize(("force", "sent"), [("gtc", "GTC"), ("ioc", "IOC"), ("fok", "FOK")])
    async def test_time_in_force(self, binance: SignalBench, force: str, sent: str) -> None:
        await good(binance, symbol="perp.btc_usdt", orderType="limit", price="66000", timeInForce=force)
        assert last_order(binance, "/fapi/v1/order")["timeInForce"] == sent

    async def test_a_sale(self, binance: SignalBench) -> None:
        await good(binance, symbol="perp.btc_usdt", side="sell")
        (position,) = binance.sim.state()["accounts"]["empty"]["positions"]
        assert Decimal(position["quantity"]) == Decimal("-0.01")

    @pytest.mark.parametrize(
        ("fields", "refusal"),
        [
            ({"apiKey": "wh_key_wrong"}, (401, "INVALID_KEY")),
            ({"apiKey": None}, (400, "BAD_REQUEST")),
            ({"accountId": OTHER["id"]}, (404, "UNKNOWN_ACCOUNT")),
            ({"accountId": None}, (400, "BAD_REQUEST")),
            ({"symbol": "spot.no_body"}, (400, "BAD_SYMBOL")),
            ({"symbol": "cfd.eur_usd"}, (400, "BAD_SYMBOL")),
            ({"symbol": "btc_usdt"}, (400, "BAD_SYMBOL")),
            ({"symbol": None}, (400, "BAD_SYMBOL")),
            ({"symbol": "perp.btc_usd"}, (400, "BAD_SYMBOL")),
            ({"side": "hold"}, (400, "BAD_REQUEST")),
            ({"quantity": "0"}, (400, "BAD_QUANTITY")),
            ({"quantity": "many"}, (400, "BAD_QUANTITY")),
            ({"quantity": None}, (400, "BAD_QUANTITY")),
            ({"quantity": "0.000000001"}, (400, "BAD_QUANTITY")),
            ({"quantity": "0.010000001"}, (400, "BAD_QUANTITY")),
            ({"quantity": "99999999"}, (400, "BAD_QUANTITY")),
            ({"orderType": "limit"}, (400, "MISSING_PRICE")),
            ({"orderType": "stop"}, (400, "MISSING_PRICE")),
            ({"orderType": "stop_limit", "stopPrice": "66000"}, (400, "MISSING_PRICE")),
            ({"orderType": "limit", "price": "cheap"}, (400, "BAD_PRICE")),
            ({"timeInForce": "gtd"}, (400, "BAD_REQUEST")),
            ({"timeInForce": "day", "orderType": "limit", "price": "60000"}, (422, "NOT_SUPPORTED")),
            ({"comment": "x" * 257}, (400, "BAD_REQUEST")),
            ({"leverage": "5"}, (400, "BAD_LEVERAGE")),
            ({"symbol": "perp.btc_usdt", "stopLoss": "50000"}, (422, "NOT_SUPPORTED")),
            ({"unheardOf": "1"}, (400, "BAD_REQUEST")),
            ({"deduplicationId": ""}, (400, "BAD_REQUEST")),
            ({"quantity": "900", "orderType": "limit", "price": "64000"}, (422, "ORDER_REFUSED")),
        ],
    )
    async def test_what_is_refused(
        self, binance: SignalBench, fields: dict[str, Any], refusal: tuple[int, str]
    ) -> None:
        """Each says what is wrong, in one shape; nothing is placed."""
        answer = await binance.alert(**fields)
        assert (answer.refusal, binance.placed, binance.orders) == (refusal, 0, []), answer.text

    async def test_another_user(self, binance: SignalBench) -> None:
        """A key opens its own user's address only, and does not say who there is."""
        for user in ("01JZ3CVZKN20410JPYYH1YZJSX", "main", "%20"):
            assert (await binance.alert(user=user)).refusal == (401, "INVALID_KEY")
        assert binance.placed == 0

    async def test_a_body_that_is_too_large(self, binance: SignalBench) -> None:
        answer = await binance.call("POST", f"{WEBHOOK}/alerts/{USER}", b'{"apiKey": "' + b"x" * 17_000 + b'"}')
        assert answer.status == 400
        assert binance.placed == 0

    @pytest.mark.parametrize("permission", ["read", "cancel", "close"])
    async def test_an_account_that_is_not_fully_permitted(self, tmp_path: Path, permission: str) -> None:
        async with signal_bench(tmp_path, permission=permission) as bench:
            assert (await bench.alert()).refusal == (403, "NOT_PERMITTED")
            assert bench.placed == 0

    async def test_a_quantity_between_two_steps_is_rounded_down_where_configuration_says_so(
        self, tmp_path: Path
    ) -> None:
        async with signal_bench(tmp_path, off_step="down") as bench:
            await good(bench, quantity="0.0100099")
            assert bought(bench) == Decimal("0.01")

    async def test_names_of_an_accounts_own(self, tmp_path: Path) -> None:
        async with signal_bench(tmp_path, symbols={"perp.bitcoin": "BTC/USDT:USDT"}) as bench:
            await good(bench, symbol="perp.Bitcoin")
            assert last_order(bench, "/fapi/v1/order")["symbol"] == "BTCUSDT"

    async def test_tradingviews_own_tickers(self, binance: SignalBench) -> None:
        await good(binance, symbol="perp.BTCUSDT.P")
        assert last_order(binance, "/fapi/v1/order")["symbol"] == "BTCUSDT"


class TestB2prime:
    @pytest.mark.parametrize(
        ("fields", "stop", "price"),
        [
            ({"orderType": "limit", "price": "60000"}, None, "60000"),
            ({"orderType": "stop", "stopPrice": "70000"}, "70000", None),
            ({"orderType": "stop_limit", "stopPrice": "70000", "price": "70100"}, "70000", "70100"),
            ({"orderType": "limit", "price": "60000", "timeInForce": "day"}, None, "60000"),
        ],
    )
    async def test_orders_that_wait(
        self, b2prime: SignalBench, fields: dict[str, str], stop: str | None, price: str | None
    ) -> None:
        await good(b2prime, **fields)
        (order,) = b2prime.orders
        assert (order["trigger_price"], order["price"], order["quantity"]) == (stop, price, "0.01")

    async def test_a_cfd_with_everything(self, b2prime: SignalBench) -> None:
        """Base units become lots; leverage, protection and comment are the order's own."""
        document = await good(
            b2prime,
            symbol="cfd.eur_usd",
            side="sell",
            quantity="50000",
            leverage="20",
            takeProfit="1.05",
            stopLoss="1.1",
            comment="breakout",
        )
        assert document["orderStatus"] == "Working"
        order = taken(b2prime)
        assert (order.quantity, order.side.value) == (Decimal("0.5"), "sell")
        wanted = {
            "leverage": "20",
            "takeProfit": "1.05",
            "stopLoss": "1.1",
            "comment": "breakout",
            "timeInForce": "Ioc",
        }
        assert {name: order.extras[name] for name in wanted} == wanted

    @pytest.mark.parametrize(("force", "sent"), [("gtc", "Ioc"), ("ioc", "Ioc"), ("fok", "Fok")])
    async def test_time_in_force_at_market(self, b2prime: SignalBench, force: str, sent: str) -> None:
        """It is immediate by its nature."""
        await good(b2prime, symbol="perp.btc_usdt", timeInForce=force)
        assert taken(b2prime).extras["timeInForce"] == sent

    async def test_without_leverage_nothing_is_borrowed(self, b2prime: SignalBench) -> None:
        """And without a comment the order carries our own id: the venue has no field for it."""
        await good(b2prime, symbol="perp.btc_usdt")
        assert taken(b2prime).extras["leverage"] == "1"
        assert taken(b2prime).extras["comment"].startswith("w")

    @pytest.mark.parametrize(
        ("fields", "refusal"),
        [
            ({"symbol": "cfd.no_body"}, (400, "BAD_SYMBOL")),
            ({"symbol": "cfd.eur_usd", "quantity": "7"}, (400, "BAD_QUANTITY")),
            ({"symbol": "perp.btc_usdt", "leverage": "500"}, (422, "ORDER_REFUSED")),
            ({"symbol": "spot.btc_usdt", "stopLoss": "50000"}, (422, "NOT_SUPPORTED")),
            ({"quantity": "100"}, (422, "ORDER_REFUSED")),
        ],
    )
    async def test_what_is_refused(
        self, b2prime: SignalBench, fields: dict[str, Any], refusal: tuple[int, str]
    ) -> None:
        answer = await b2prime.alert(**fields)
        assert (answer.refusal, b2prime.placed) == (refusal, 0), answer.text

    async def test_what_is_inferred_is_not_used_unless_an_option_says_so(self, tmp_path: Path) -> None:
        async with signal_bench(tmp_path, venue="b2prime") as bench:
            assert (await bench.alert(symbol="perp.btc_usdt")).refusal == (422, "NOT_SUPPORTED")
            assert bench.placed == 0

    async def test_an_order_that_is_taken_and_rejected_is_refused(self, b2prime: SignalBench) -> None:
        """A 200 that says Rejected."""
        b2prime.sim.set_faults(venue={"refused_as_order": True})
        answer = await b2prime.alert(quantity="100")
        assert (answer.refusal, b2prime.placed) == ((422, "ORDER_REFUSED"), 0), answer.text

    async def test_an_access_token_that_ended_is_renewed_before_the_order(self, b2prime: SignalBench) -> None:
        b2prime.sim.set_faults(clock_offset_ms=3_700_000)
        await good(b2prime)


class TestOtherVenues:
    @pytest.mark.parametrize("venue", ["okx", "bybit"])
    async def test_spot_and_contracts(self, tmp_path: Path, venue: str) -> None:
        """Purchases at market are of base units there, too; triggers wait on the right side."""
        async with signal_bench(tmp_path, venue=venue) as bench:
            await good(bench)
            assert bought(bench) == Decimal("0.01")
            await good(bench, symbol="perp.btc_usdt", side="sell")
            await good(bench, symbol="perp.btc_usdt", orderType="stop", stopPrice="70000")
            (order,) = bench.orders
            assert (order["kind"], order["trigger_price"]) == ("market", "70000")

    @pytest.mark.parametrize("venue", ["binance", "bybit"])
    async def test_leverage_is_set_before_the_order(self, tmp_path: Path, venue: str) -> None:
        """That it is so already is as good; one that ccxt or the exchange refuses places nothing."""
        async with signal_bench(tmp_path, venue=venue) as bench:
            await good(bench, symbol="perp.btc_usdt", leverage="5")
            await good(bench, symbol="perp.btc_usdt", leverage="5")
            (settings,) = [each for each in bench.sim.account.settings.values() if each.leverage == 5]
            assert settings.leverage == 5
            for leverage in ("101", "5000"):
                answer = await bench.alert(symbol="perp.btc_usdt", leverage=leverage)
                assert answer.refusal == (400, "BAD_LEVERAGE"), answer.text
            assert bench.placed == 2


class TestOnce:
    async def test_the_same_answer_for_five_minutes(self, tmp_path: Path) -> None:
        """And then it is another alert, with another id at the exchange."""
        clock, same = LaterClock(), str(uuid4())
        async with signal_bench(tmp_path, clock=clock) as bench:
            first = await bench.alert(deduplicationId=same)
            clock.later = timedelta(minutes=4, seconds=59)
            again = await bench.alert(deduplicationId=same, quantity="5")
            assert (again.text, again.status, bench.placed) == (first.text, 200, 1)
            clock.later = timedelta(minutes=5, seconds=1)
            assert (await good(bench, deduplicationId=same))["orderId"] != first.json["orderId"]
            assert bench.placed == 2

    async def test_a_refusal_is_remembered_too(self, binance: SignalBench) -> None:
        same = str(uuid4())
        first = await binance.alert(deduplicationId=same, quantity="0")
        again = await binance.alert(deduplicationId=same)
        assert (again.text, again.status, binance.placed) == (first.text, 400, 0)

    async def test_another_id_is_another_alert_and_so_is_none(self, binance: SignalBench) -> None:
        await good(binance, deduplicationId=str(uuid4()))
        await good(binance, deduplicationId=str(uuid4()))
        await good(binance)
        await good(binance)
        assert binance.placed == 4

    async def test_two_at_once_are_one(self, binance: SignalBench) -> None:
        """The second waits for the first's answer."""
        binance.sim.set_faults(latency_ms=100)
        same = str(uuid4())
        one, two = await asyncio.gather(*(binance.alert(deduplicationId=same) for _ in range(2)))
        assert (one.text, one.status, binance.placed) == (two.text, 200, 1)

    async def test_an_id_is_its_users_own(self, tmp_path: Path) -> None:
        """Nobody learns from a repetition what another was answered."""
        owners = [{"id": USER}, {"id": "somebody-else"}]
        async with signal_bench(tmp_path, change={"owners": owners}, keyed=False) as bench:
            same, ours = (
                str(uuid4()),
                str((await bench.operator("POST", {"name": "x", "userId": USER})).document["apiKey"]),
            )
            theirs = str((await bench.operator("POST", {"name": "x", "userId": "somebody-else"})).document["apiKey"])
            assert (await bench.alert(apiKey=ours, deduplicationId=same)).status == 200
            answer = await bench.alert(apiKey=theirs, user="somebody-else", deduplicationId=same)
            assert answer.refusal == (404, "UNKNOWN_ACCOUNT")


class TestTheLimit:
    async def test_five_a_second(self, binance: SignalBench) -> None:
        """The sixth is refused with the three headers, and places nothing."""
        answers = await asyncio.gather(*(binance.alert(quantity="0.001") for _ in range(6)))
        assert sorted(each.status for each in answers) == [200] * 5 + [429]
        (refused,) = [each for each in answers if each.status == 429]
        assert refused.refusal == (429, "RATE_LIMITED")
        assert (refused.headers["X-RateLimit-Limit"], refused.headers["X-RateLimit-Remaining"]) == ("5", "0")
        assert int(refused.headers["X-RateLimit-Reset"]) >= LaterClock().now().timestamp() - 1
        assert binance.placed == 5

    async def test_it_ends(self, tmp_path: Path) -> None:
        clock = LaterClock()
        async with signal_bench(tmp_path, clock=clock) as bench:
            await asyncio.gather(*(bench.alert(quantity="0.001") for _ in range(6)))
            clock.later = timedelta(seconds=1)
            await good(bench, quantity="0.001")

    async def test_junk_uses_up_nobodys_allowance(self, binance: SignalBench) -> None:
        """Who has no key is counted by address, and after a while not even looked at."""
        answers = [await binance.alert(apiKey="wh_key_guess") for _ in range(61)]
        assert {each.refusal for each in answers[:60]} == {(401, "INVALID_KEY")}
        assert answers[-1].refusal == (429, "RATE_LIMITED")
        assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(answers[-1].headers)
        await good(binance)

    async def test_a_key_ends_after_a_year(self, tmp_path: Path) -> None:
        clock = LaterClock()
        async with signal_bench(tmp_path, clock=clock) as bench:
            clock.later = timedelta(days=364)
            assert bench.signals.keys.keys()[0].status(clock.now()) == "Active"
            clock.later = timedelta(days=365)
            assert (await bench.alert()).refusal == (403, "KEY_EXPIRED")
            listed = await bench.call("GET", f"{WEBHOOK}/api-keys", **BEARER)
            assert [each["status"] for each in listed.json["apiKeys"]] == ["Expired"]
            assert bench.placed == 0


class TestUnknownFate:
    """An answer that proves nothing is never read as success or as refusal, and nothing is ever sent twice."""

    @pytest.mark.parametrize(
        "deed",
        [
            "lose_after_execution",
            "status_after_execution",
            "empty_200",
            "html_200",
            "truncated_body",
            {"refuse": {"reason": "status_unknown"}},
        ],
    )
    async def test_what_was_executed_is_found_by_our_own_id(self, binance: SignalBench, deed: Any) -> None:
        """Asked for once; where the exchange has it, the answer is the usual one."""
        answer = await at_fault(binance, deed)
        if deed == {"refuse": {"reason": "status_unknown"}}:  # nothing was executed, and nobody can know
            assert (answer.refusal, binance.placed) == ((504, "ORDER_UNKNOWN"), 0)
        else:
            assert (answer.status, binance.placed) == (200, 1), answer.text

    @pytest.mark.parametrize("deed", ["lose_after_execution", "status_after_execution", "empty_200", "html_200"])
    async def test_where_orders_cannot_be_looked_up_it_stays_unknown(self, b2prime: SignalBench, deed: Any) -> None:
        """And the status is the one 5xx after which TradingView does not send again."""
        same = str(uuid4())
        answer = await at_fault(b2prime, deed, path="/frontoffice/api/v3/orders", deduplicationId=same)
        assert (answer.refusal, b2prime.placed) == ((504, "ORDER_UNKNOWN"), 1)
        again = await b2prime.alert(deduplicationId=same)
        assert (again.refusal, b2prime.placed) == ((504, "ORDER_UNKNOWN"), 1)

    async def test_without_an_id_the_same_words_are_the_same_alert_for_five_minutes(self, tmp_path: Path) -> None:
        """That is how a sender repeats what it got no answer to. Other words are another alert."""
        clock = LaterClock()
        async with signal_bench(tmp_path, clock=clock, **B2PRIME) as bench:
            await at_fault(bench, "status_after_execution", path="/frontoffice/api/v3/orders")
            assert ((await bench.alert()).refusal, bench.placed) == ((504, "ORDER_UNKNOWN"), 1)
            await good(bench, quantity="0.02")
            clock.later = timedelta(minutes=5, seconds=1)
            await good(bench)
            assert bench.placed == 3

    async def test_an_exchange_that_is_silent(self, tmp_path: Path) -> None:
        """After the time-out it is unknown; a repetition looks once more, and finds it."""
        change = {"request_timeout_s": 0.3}
        async with signal_bench(tmp_path, signals=change) as bench:
            same = str(uuid4())
            bench.sim.set_faults(
                rules=[
                    {"match": {"method": "POST", "path_prefix": "/api/v3/order"}, "do": "timeout_after_execution"},
                    {"match": {"method": "GET", "path_prefix": "/api/v3/order"}, "do": "hang"},
                ]
            )
            assert (await bench.alert(deduplicationId=same)).refusal == (504, "ORDER_UNKNOWN")
            again = await bench.alert(deduplicationId=same)
            assert (again.status, bench.placed) == (200, 1), again.text
            assert (await bench.alert(deduplicationId=same)).text == again.text

    async def test_a_class_that_sends_more_than_the_order_is_never_read_as_refused(self, binance: SignalBench) -> None:
        """Our gate lets one request of a call out; what a second one was for is not known, nor what the first did."""
        ccxt = binance.signals.venues["main"]._client.ccxt
        real = ccxt.create_order

        async def order_and_more(*arguments: Any, **named: Any) -> Any:
            await real(*arguments, **named)
            return await ccxt.privatePostOrder({})

        ccxt.create_order = order_and_more
        assert ((await binance.alert()).status, binance.placed) == (200, 1)  # it was looked up
        ccxt.has["fetchOrder"] = False
        assert (await binance.alert(quantity="0.02")).refusal == (504, "ORDER_UNKNOWN")

    async def test_what_is_read_after_the_order_refuses_no_order(self, binance: SignalBench) -> None:
        """A class may look at what it has placed, and the exchange may not show it yet."""
        ccxt = binance.signals.venues["main"]._client.ccxt
        real = ccxt.create_order

        async def order_and_look(*arguments: Any, **named: Any) -> Any:
            await real(*arguments, **named)
            return await ccxt.fetch_order("1", "BTC/USDT")

        ccxt.create_order = order_and_look
        assert ((await binance.alert()).status, binance.placed) == (200, 1)  # it was looked up
        ccxt.has["fetchOrder"] = False
        assert (await binance.alert(quantity="0.02")).refusal == (504, "ORDER_UNKNOWN")
        assert binance.placed == 2

    async def test_a_failure_of_our_own_is_never_an_invitation_to_send_again(self, binance: SignalBench) -> None:
        """TradingView repeats a 500: so there is none once an order may have left."""
        venue: Any = binance.signals.venues["main"]
        store: Any = binance.signals.store

        async def surprise(*_arguments: Any) -> Any:
            raise RuntimeError("surprise")

        prepare, venue.prepare = venue.prepare, surprise
        assert ((await binance.alert()).refusal, binance.placed) == ((503, "NOT_READY"), 0)
        venue.prepare, venue.find = prepare, surprise
        assert (await at_fault(binance, "empty_200")).refusal == (504, "ORDER_UNKNOWN")
        assert binance.placed == 1
        venue.place = surprise
        assert (await binance.alert(quantity="0.02")).refusal == (504, "ORDER_UNKNOWN")
        store.receive = surprise
        assert (await binance.alert(quantity="0.03")).refusal == (504, "ORDER_UNKNOWN")

    async def test_a_token_that_the_exchange_refuses_has_placed_nothing(self, b2prime: SignalBench) -> None:
        """401 says so; the repetition that the 503 invites has a new one."""
        same, ccxt = str(uuid4()), b2prime.signals.venues["main"]._client.ccxt
        await ccxt.authorize()
        known = ccxt._access
        real = ccxt.create_order

        async def with_an_old_token(*arguments: Any, **named: Any) -> Any:
            ccxt._access = type(known)(value="ended", obtained_s=known.obtained_s, life_s=3600)
            ccxt.create_order = real
            return await real(*arguments, **named)

        ccxt.create_order = with_an_old_token
        assert (await b2prime.alert(deduplicationId=same)).refusal == (503, "VENUE_UNAVAILABLE")
        assert b2prime.placed == 0
        await good(b2prime, deduplicationId=same)
        assert b2prime.placed == 1

    async def test_an_exchange_that_refuses_for_the_number_of_requests_has_placed_nothing(
        self, binance: SignalBench
    ) -> None:
        answer = await at_fault(binance, {"rate_limit": 1})
        assert (answer.refusal, binance.placed) == ((422, "ORDER_REFUSED"), 0)

    async def test_an_exchange_that_cannot_be_reached_may_be_asked_again_with_the_same_id(self, tmp_path: Path) -> None:
        """Nothing left: the repetition that the 503 invites is placed."""
        same = str(uuid4())
        async with signal_bench(tmp_path, **B2PRIME) as bench:
            bench.sim.set_faults(
                rules=[{"match": {"path_prefix": "/frontoffice/api/v6/markets/"}, "do": {"refuse": -1}}]
            )
            assert (await bench.alert(symbol="perp.eth_usdt", deduplicationId=same)).refusal == (
                503,
                "VENUE_UNAVAILABLE",
            )
            assert bench.placed == 0
            await good(bench, symbol="perp.eth_usdt", deduplicationId=same)
            assert bench.placed == 1


class TestRestart:
    """What another process, on the same folder, makes of what the one before it left. (Killed in earnest:
    `tests/e2e/test_signals_process.py`.)"""

    @pytest.mark.parametrize(
        ("lost", "deed", "expected", "sent"),
        [
            ("receive", None, 200, 1),  # on disk, and nothing has left: it is placed now
            ("leaving", None, (504, "ORDER_UNKNOWN"), 0),  # it may have left
            ("settle", None, 200, 1),  # it has left, and the exchange has it under our own id
            ("settle", "hang", (504, "ORDER_UNKNOWN"), 1),  # it has left, and the exchange has nothing to show
        ],
    )
    async def test_an_alert_that_was_cut_short_is_never_sent_twice(
        self, tmp_path: Path, lost: str, deed: str | None, expected: Any, sent: int
    ) -> None:
        """By where the process ended: after that step was on disk, or before the answer was."""
        same, change = str(uuid4()), {"request_timeout_s": 0.5}
        async with signal_bench(tmp_path, signals=change) as bench:
            if deed is not None:
                rule = {"match": {"method": "POST", "path_prefix": "/api/v3/order"}, "do": deed}
                bench.sim.set_faults(rules=[rule])
            with dying(bench.signals.store, lost):
                await bench.alert(deduplicationId=same)
            async with bench.restarted() as after:
                for _ in range(2):
                    answer = await after.alert(deduplicationId=same)
                    assert (answer.status if expected == 200 else answer.refusal) == expected, answer.text
                assert len(after.sim.journal.entries(method="POST", path_prefix="/api/v3/order")) == sent

    async def test_answers_keys_and_revocations_are_remembered(self, tmp_path: Path) -> None:
        same = str(uuid4())
        async with signal_bench(tmp_path) as bench:
            revoked = await bench.new_key()
            await bench.call("DELETE", f"{WEBHOOK}/api-keys/{revoked['id']}", **BEARER)
            first = await bench.alert(deduplicationId=same)
            async with bench.restarted() as after:
                again = await after.alert(deduplicationId=same)
                assert (again.text, again.status, after.placed) == (first.text, 200, 1)
                assert (await after.alert(apiKey=revoked["apiKey"])).refusal == (403, "KEY_REVOKED")


class TestDisk:
    async def test_nothing_is_placed_that_cannot_be_recorded(self, binance: SignalBench, tmp_path: Path) -> None:
        """An order adds risk: everything must be healthy first."""
        (tmp_path / "signals-state" / "signals.sqlite3").rename(tmp_path / "elsewhere")
        with pytest.raises(Exception, match=r"signals\.sqlite3"):
            await binance.signals.store.probe()
        assert (await binance.alert()).refusal == (503, "NOT_READY")
        assert binance.placed == 0
        ready = await binance.call("GET", "/readyz")
        assert (ready.status, "store: cannot be written" in ready.json["reasons"]) == (503, True)


class TestInterface:
    async def test_b2primes_own_client_understands_every_answer(self, tmp_path: Path) -> None:
        """Keys and alerts through our class for the venue, over TLS, with this process in the venue's place."""
        host = "signals.example"
        authority = trustme.CA()
        certificate = authority.issue_cert(host)
        certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        files = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
        trusted = ssl.create_default_context()
        authority.configure_trust(trusted)
        async with signal_bench(tmp_path, http=files, keyed=False, token=True) as bench:
            resolver = LoopbackResolver(bench.signals.api.ports[0])
            connector = aiohttp.TCPConnector(resolver=resolver, ssl=trusted)
            async with aiohttp.ClientSession(connector=connector) as session:
                options = {"hostname": host, "accountId": ACCOUNT, "exchangeToken": False}
                client = b2prime_class.b2prime(
                    {"token": TOKEN, "session": session, "options": options, "enableRateLimit": False}
                )
                client.timeout_on_exit = 0
                made = await client.create_webhook_key("ours")
                alert = {"apiKey": made["apiKey"], "accountId": ACCOUNT, "symbol": "spot.btc_usdt", "side": "buy"}
                placed = await client.send_webhook_alert(made["userId"], {**alert, "quantity": "0.01"})
                assert (placed["success"], placed["orderStatus"]) == (True, "Completed")
                listed = await client.fetch_webhook_keys()
                assert [(each["id"], each["status"]) for each in listed["apiKeys"]] == [(made["id"], "Active")]
                assert (await client.revoke_webhook_key(made["id"]))["success"] is True
                with pytest.raises(errors.PermissionDenied):
                    await client.send_webhook_alert(made["userId"], {**alert, "quantity": "0.01"})
                bench.locks.show(locked=True)
                other = await client.create_webhook_key("other")
                with pytest.raises(errors.OperationRejected):
                    await client.send_webhook_alert(
                        other["userId"], {**alert, "apiKey": other["apiKey"], "quantity": "0.01"}
                    )
            assert bench.placed == 1

    async def test_the_readmes_template_is_an_order_once_tradingview_has_filled_it_in(
        self, binance: SignalBench
    ) -> None:
        """And sent again, the same one."""
        (template,) = re.findall(r"```json\n(\{\n  \"apiKey\".*?\n\})\n```", README.read_text(), re.DOTALL)
        filled = template.replace("wh_key_…", binance.key).replace("binance-main", "main")
        for placeholder, value in {
            "{{ticker}}": "BTCUSDT.P",
            "{{strategy.order.action}}": "buy",
            "{{strategy.order.contracts}}": "0.01",
            "{{strategy.order.id}}": "Long",
            "{{timenow}}": "2026-11-26T03:00:00Z",
        }.items():
            assert placeholder in filled
            filled = filled.replace(placeholder, value)
        first, again = [
            await binance.call("POST", f"{WEBHOOK}/alerts/{USER}", filled.encode(), **{"Content-Type": "text/plain"})
            for _ in range(2)
        ]
        assert (first.status, again.text, binance.placed) == (200, first.text, 1), first.text


class TestHealth:
    async def test_alive_and_ready(self, binance: SignalBench) -> None:
        assert (await binance.call("GET", "/livez")).json == {"live": True, "reasons": []}
        assert (await binance.call("GET", "/readyz")).json == {"ready": True, "reasons": []}

    async def test_what_was_answered_is_counted(self, binance: SignalBench) -> None:
        await good(binance)
        await binance.alert(quantity="0")
        value = binance.signals.metrics.registry.get_sample_value
        name = "sovereign_node_signals_alerts_total"
        assert value(name, {"outcome": "PLACED"}) == 1
        assert value(name, {"outcome": "BAD_QUANTITY"}) == 1


async def at_fault(bench: SignalBench, deed: Any, *, path: str = "/api/v3/order", **fields: Any) -> Answer:
    """An alert whose order meets a misbehaving exchange, once."""
    bench.sim.set_faults(rules=[{"match": {"method": "POST", "path_prefix": path}, "times": 1, "do": deed}])
    return await bench.alert(**fields)


@contextmanager
def dying(store: Any, lost: str) -> Iterator[None]:
    """Nothing more comes of the alert after this step (``settle``: instead of it), as if the process had ended."""
    real = getattr(store, lost)

    async def last(*arguments: Any, **named: Any) -> Any:
        if lost != "settle":
            await real(*arguments, **named)
        store.settle = ended
        raise JournalUnavailable

    async def ended(*_arguments: Any, **_named: Any) -> None:
        raise JournalUnavailable

    setattr(store, lost, last)
    yield


def taken(bench: SignalBench) -> Any:
    """The terms of the newest order that the exchange has taken."""
    return list(bench.sim.account.orders.values())[-1].terms


def bought(bench: SignalBench) -> Decimal:
    """How much BTC has been bought on spot, fees and all."""
    return sum((order.filled for order in bench.sim.account.orders.values()), Decimal(0))
