"""A guarded ccxt exchange: while the account is locked, nothing leaves that could add exposure."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from node.client import EngineLocked, guard
from node.client.intent import Intent, intent_of
from node.client.request import READS_OVER_REDUCE_ONLY
from tests.support.guarded import PERPETUAL, SPOT, NodeLock, NothingAnswers, exchange_of

ENTRY = (PERPETUAL, "limit", "buy", 1, 50000)
REDUCING = (PERPETUAL, "limit", "sell", 1, 50000, {"reduceOnly": True})
#: Of which ccxt can make requests with nothing but a key.
VENUES = [
    "binance",
    "bitget",
    "bybit",
    "deribit",
    "gate",
    "htx",
    "hyperliquid",
    "kraken",
    "krakenfutures",
    "kucoin",
    "mexc",
    "okx",
]


HARMLESS: list[tuple[Any, ...]] = [
    ("cancel_order", "1", PERPETUAL),
    ("cancel_order", "1", SPOT),
    ("cancel_orders", ["1", "2"], PERPETUAL),
    ("cancel_all_orders",),
    ("cancel_all_orders", PERPETUAL),
    ("cancel_all_orders", SPOT),
    ("cancel_all_orders_after", 10000),
    ("close_position", PERPETUAL),
    ("close_position", PERPETUAL, "sell"),
    ("close_all_positions",),
    ("repay_cross_margin", "USDT", 1),
    ("load_markets", True),
    ("fetch_balance",),
    ("fetch_positions",),
    ("fetch_open_orders", PERPETUAL),
    ("fetch_open_orders", SPOT),
    ("fetch_closed_orders", SPOT),
    ("fetch_order", "1", PERPETUAL),
    ("fetch_my_trades", SPOT),
    ("fetch_ticker", SPOT),
    ("fetch_leverage", PERPETUAL),
    ("fetch_deposits",),
    ("fetch_withdrawals",),
    ("fetch_transfers",),
    ("fetch_ledger",),
]


@pytest.fixture
def node(tmp_path: Path) -> NodeLock:
    """A node that lives, and has not locked."""
    return NodeLock(tmp_path)


class TestUnlocked:
    def test_everything_passes_as_if_there_were_no_guard(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("okx", node.engine)
        with pytest.raises(NothingAnswers):
            exchange.create_order(*ENTRY)
        with pytest.raises(NothingAnswers):
            exchange.transfer("USDT", 1, "spot", "swap")
        assert len(sent.requests) == 2

    async def test_also_in_coroutines(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("okx", node.engine, library=ccxt.async_support)
        with pytest.raises(NothingAnswers):
            await exchange.create_order(*ENTRY)
        assert len(sent.requests) == 1
        await exchange.close()


class TestLocked:
    @pytest.mark.parametrize("venue", [each for each in VENUES if each != "kraken"])
    def test_entries_are_refused_and_reduce_only_orders_leave(self, node: NodeLock, venue: str) -> None:
        """What shows in the request itself decides, in every venue's own words."""
        exchange, sent = exchange_of(venue, node.engine)
        node.lock()
        for entry in (ENTRY, (PERPETUAL, "limit", "sell", 1, 50000, {"reduceOnly": False})):
            with pytest.raises(EngineLocked, match="drawdown"):
                exchange.create_order(*entry)
        assert sent.requests == []
        with pytest.raises(NothingAnswers):
            exchange.create_order(*REDUCING)
        assert len(sent.requests) == 1

    @pytest.mark.parametrize("name", ["create_order", "createOrder", "create_limit_buy_order", "createLimitBuyOrder"])
    def test_by_whatever_name_it_is_called(self, node: NodeLock, name: str) -> None:
        exchange, sent = exchange_of("bybit", node.engine)
        node.lock()
        order = ENTRY if "imit" not in name else (PERPETUAL, 1, 50000)
        with pytest.raises(EngineLocked):
            getattr(exchange, name)(*order)
        assert sent.requests == []

    async def test_coroutines_are_guarded_alike(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("bybit", node.engine, library=ccxt.async_support)
        node.lock()
        with pytest.raises(EngineLocked):
            await exchange.create_order(*ENTRY)
        with pytest.raises(EngineLocked):
            await exchange.privatePostV5OrderCreate({"category": "linear", "symbol": "BTCP", "side": "Buy", "qty": "1"})
        with pytest.raises(EngineLocked):
            await exchange.fetch("https://api.bybit.com/v5/order/create", "POST", None, "{}")
        assert sent.requests == []
        with pytest.raises(NothingAnswers):
            await exchange.create_order(*REDUCING)
        with pytest.raises(NothingAnswers):
            await exchange.cancel_order("1", PERPETUAL)
        assert len(sent.requests) == 2
        await exchange.close()

    def test_one_entry_among_reduce_only_orders_holds_all_of_them_back(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("bybit", node.engine)
        node.lock()
        names = ("symbol", "type", "side", "amount", "price", "params")
        reducing, entry = dict(zip(names, REDUCING, strict=True)), dict(zip(names, (*ENTRY, {}), strict=True))
        with pytest.raises(EngineLocked):
            exchange.create_orders([reducing, entry])
        assert sent.requests == []
        with pytest.raises(NothingAnswers):
            exchange.create_orders([reducing, reducing])

    def test_an_order_cannot_be_enlarged_by_an_edit(self, node: NodeLock) -> None:
        """An amendment does not take the flag: whether the order that is there was reduce-only, nobody here knows."""
        exchange, sent = exchange_of("okx", node.engine)
        node.lock()
        with pytest.raises(EngineLocked):
            exchange.edit_order("1", *ENTRY)
        with pytest.raises(EngineLocked):
            exchange.edit_order("1", PERPETUAL, "limit", "sell", 5, 50000, {"reduceOnly": True})
        with pytest.raises(EngineLocked):
            exchange.privatePostTradeAmendOrder({"instId": "BTCP", "ordId": "1", "newSz": "9", "reduceOnly": True})
        assert sent.requests == []

    @pytest.mark.parametrize(
        "ask",
        [
            lambda exchange: exchange.cancel_order("1", PERPETUAL),
            lambda exchange: exchange.cancel_all_orders(PERPETUAL),
            lambda exchange: exchange.fetch_balance(),
            lambda exchange: exchange.fetch_open_orders(PERPETUAL),
            lambda exchange: exchange.close_position(PERPETUAL),
            lambda exchange: exchange.privateMixPostV2MixOrderCancelOrder({"orderId": "1"}),
            lambda exchange: exchange.privateMixPostV2MixOrderClosePositions({"symbol": "BTCP"}),
            lambda exchange: exchange.privateMixGetV2MixPositionAllPosition({"productType": "USDT-FUTURES"}),
            lambda exchange: exchange.repay_cross_margin("USDT", 1),
        ],
    )
    def test_reading_cancelling_closing_and_repaying_pass(self, node: NodeLock, ask: Callable[[Any], Any]) -> None:
        exchange, sent = exchange_of("bitget", node.engine)
        node.lock()
        with pytest.raises(NothingAnswers):
            ask(exchange)
        assert len(sent.requests) == 1

    @pytest.mark.parametrize(
        "ask",
        [
            lambda exchange: exchange.transfer("USDT", 1, "spot", "swap"),
            lambda exchange: exchange.withdraw("USDT", 1, "0x1", params={"network": "ETH", "fee": 1}),
            lambda exchange: exchange.borrow_cross_margin("USDT", 1),
            lambda exchange: exchange.set_leverage(20, "BTC/USDT:USDT"),
            lambda exchange: exchange.add_margin("BTC/USDT:USDT", 5),
            lambda exchange: exchange.request("trade/something-new", "private", "POST", {"reduceOnly": True}),
            lambda exchange: exchange.fetch2("trade/order", "private", "POST", {"side": "buy"}),
            lambda exchange: exchange.privatePostTradeOrder({"instId": "BTCS", "side": "buy", "reduceOnly": True}),
            lambda exchange: exchange.privatePostAssetWithdrawal({"ccy": "USDT"}),
        ],
    )
    def test_transfers_loans_leverage_and_the_unknown_count_as_risk(
        self, node: NodeLock, ask: Callable[[Any], Any]
    ) -> None:
        exchange, sent = exchange_of("okx", node.engine)
        node.lock()
        with pytest.raises(EngineLocked):
            ask(exchange)
        assert sent.requests == []

    def test_an_endpoints_own_method_may_reduce(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("okx", node.engine)
        node.lock()
        with pytest.raises(NothingAnswers):
            exchange.privatePostTradeOrder({"instId": "BTCP", "side": "sell", "sz": "1", "reduceOnly": True})
        assert len(sent.requests) == 1

    def test_a_read_of_ones_own_that_trades_is_no_read(self, node: NodeLock) -> None:
        class Sly(ccxt.okx):  # type: ignore[misc]
            def fetch_and_buy(self) -> Any:
                return self.privatePostTradeOrder({"instId": "BTCP", "side": "buy", "sz": "1"})

        exchange = guard(Sly({"apiKey": "k", "secret": "s", "password": "p"}), node.engine)
        node.lock()
        with pytest.raises(EngineLocked):
            exchange.fetch_and_buy()

    def test_an_entry_with_a_reduce_only_order_attached_to_it_is_an_entry(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("okx", node.engine)
        node.lock()
        order = {"instId": "BTCP", "side": "buy", "sz": "1", "attachAlgoOrds": [{"reduceOnly": True, "sz": "1"}]}
        with pytest.raises(EngineLocked):
            exchange.privatePostTradeOrder(order)
        with pytest.raises(EngineLocked):
            exchange.create_order(*ENTRY, {"more": [{"reduceOnly": True}], "reduceOnly": False})
        assert sent.requests == []

    def test_reduce_only_on_spot_reduces_nothing(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("okx", node.engine)
        node.lock()
        with pytest.raises(EngineLocked):
            exchange.create_order(SPOT, "limit", "buy", 1, 50000, {"reduceOnly": True})
        assert sent.requests == []

    def test_a_sale_on_spot_passes_into_base_currency_only_and_without_a_loan(self, node: NodeLock) -> None:
        sale = (SPOT, "limit", "sell", 1, 50000)
        exchange, sent = exchange_of("binance", node.engine, base_currency="USDT")
        other, _ = exchange_of("binance", node.engine, base_currency="EUR")
        none, _ = exchange_of("binance", node.engine)
        node.lock()
        for each in (other, none):
            with pytest.raises(EngineLocked):
                each.create_order(*sale)
        for order in ((*sale, {"marginMode": "cross"}), (SPOT, "limit", "buy", 1, 50000)):
            with pytest.raises(EngineLocked):
                exchange.create_order(*order)
        assert sent.requests == []
        with pytest.raises(NothingAnswers):
            exchange.create_order(*sale)
        assert len(sent.requests) == 1

    def test_a_fetch_that_somebody_puts_in_later_is_guarded_as_well(self, node: NodeLock) -> None:
        """Bots replace it, to count or to slow down."""
        exchange, _ = exchange_of("okx", node.engine)
        seen: list[str] = []
        exchange.fetch = lambda url, *_: seen.append(url)
        node.lock()
        with pytest.raises(EngineLocked):
            exchange.create_order(*ENTRY)
        assert seen == []


class TestEpochs:
    def test_an_order_decided_before_a_lock_is_refused_after_its_unlock(self, node: NodeLock) -> None:
        """Unlocked, and yet not for this one: it was decided when nobody had locked yet."""
        exchange, sent = exchange_of("bybit", node.engine)
        with node.engine.permit() as epoch:
            node.lock()
            node.unlock()
            with pytest.raises(EngineLocked, match=f"epoch {epoch}"):
                exchange.create_order(*ENTRY)
            with pytest.raises(EngineLocked):
                exchange.privatePostV5OrderCreate({"symbol": "BTCP", "side": "Buy"})
            with pytest.raises(NothingAnswers):
                exchange.create_order(*REDUCING)
        assert len(sent.requests) == 1
        with node.engine.permit(), pytest.raises(NothingAnswers):
            exchange.create_order(*ENTRY)

    @pytest.mark.parametrize("epoch", [6, 8, True, "7", None])
    def test_an_order_that_names_another_epoch_is_refused(self, node: NodeLock, epoch: Any) -> None:
        exchange, sent = exchange_of("bybit", node.engine)
        with pytest.raises(EngineLocked):
            exchange.create_order(*ENTRY, {"lock_epoch": epoch})
        assert sent.requests == []

    def test_the_exchange_never_sees_the_epoch(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("bybit", node.engine)
        order = {"symbol": PERPETUAL, "type": "limit", "side": "buy", "amount": 1, "price": 50000}
        asks: list[Callable[[], Any]] = [
            lambda: exchange.create_order(*ENTRY, params={"lock_epoch": node.epoch}),
            lambda: exchange.create_orders([{**order, "params": {"lock_epoch": node.epoch}}]),
            lambda: exchange.privatePostV5OrderCreate({"symbol": "BTCP", "lock_epoch": node.epoch}),
        ]
        for ask in asks:
            with pytest.raises(NothingAnswers):
                ask()
        assert len(sent.requests) == 3
        assert "lock_epoch" not in json.dumps(sent.requests)

    def test_an_endpoints_own_method_takes_an_epoch_too(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("bybit", node.engine)
        with pytest.raises(EngineLocked):
            exchange.privatePostV5OrderCreate({"symbol": "BTCP", "lock_epoch": node.epoch - 1})
        assert sent.requests == []

    @pytest.mark.parametrize(
        "ask",
        [
            lambda exchange: exchange.create_order(*ENTRY),
            lambda exchange: exchange.create_order(*ENTRY[:5], {"reduceOnly": False}),
            lambda exchange: exchange.edit_order("1", *REDUCING),
        ],
    )
    @pytest.mark.parametrize("unlocked_again", [False, True])
    async def test_a_lock_that_falls_while_the_order_waits_its_turn_stops_it(
        self, node: NodeLock, ask: Callable[[Any], Any], unlocked_again: bool
    ) -> None:
        """ccxt may hold an order back for seconds; what counts is the lock when it leaves."""
        exchange, sent = exchange_of("bybit", node.engine, library=ccxt.async_support, enableRateLimit=True)

        async def throttled(_cost: object = None) -> None:
            node.lock()
            if unlocked_again:
                node.unlock()

        exchange.throttle = throttled
        with pytest.raises(EngineLocked):
            await ask(exchange)
        assert sent.requests == []
        await exchange.close()

    async def test_what_may_only_reduce_is_not_stopped_by_it(self, node: NodeLock) -> None:
        exchange, sent = exchange_of("bybit", node.engine, library=ccxt.async_support, enableRateLimit=True)

        async def throttled(_cost: object = None) -> None:
            node.lock()

        exchange.throttle = throttled
        with pytest.raises(NothingAnswers):
            await exchange.create_order(*REDUCING)
        assert len(sent.requests) == 1
        await exchange.close()


class TestSockets:
    """Orders over ccxt.pro's WebSockets."""

    @pytest.mark.parametrize("venue", ["binance", "bybit", "okx", "hyperliquid", "gate"])
    async def test_entries_are_refused_and_reduce_only_orders_leave(self, node: NodeLock, venue: str) -> None:
        exchange, messages = socket_exchange(venue, node)
        node.lock()
        with pytest.raises(EngineLocked):
            await exchange.create_order_ws(*ENTRY)
        with pytest.raises(EngineLocked):
            await exchange.createOrderWs(*ENTRY)
        assert messages == []
        with pytest.raises(_Left):
            await exchange.create_order_ws(*REDUCING)
        with pytest.raises(_Left):
            await exchange.cancel_order_ws("1", PERPETUAL)
        assert len(messages) == 2

    async def test_watching_goes_on(self, node: NodeLock) -> None:
        exchange, messages = socket_exchange("bybit", node)
        node.lock()
        for watch in (exchange.watch_orders, exchange.watch_my_trades):
            with pytest.raises(_Left):
                await watch()
        with pytest.raises(_Left):
            await exchange.watch_ticker(PERPETUAL)
        assert messages

    async def test_a_message_of_ones_own_is_looked_at_as_well(self, node: NodeLock) -> None:
        exchange, messages = socket_exchange("bybit", node)
        client = exchange.client("wss://stream.bybit.com/v5/trade")
        node.lock()
        with pytest.raises(EngineLocked):
            await client.send({"op": "order.create", "args": [{"symbol": "BTCP", "side": "Buy", "qty": "1"}]})
        assert messages == []
        with pytest.raises(_Left):
            await client.send({"op": "ping"})

    async def test_an_order_that_a_lock_overtakes_on_its_way_is_refused_and_the_connection_lives(
        self, node: NodeLock
    ) -> None:
        """ccxt closes a connection on which sending fails, and with it everything that is watched there."""
        async with trading_socket() as (url, received):
            exchange, _ = exchange_of("bybit", node.engine, library=ccxt.pro)
            exchange.urls["api"]["ws"]["private"]["trade"] = url
            assert (await exchange.create_order_ws(*ENTRY))["id"] == "1"
            client = exchange.clients[url]
            waited: list[object] = []

            async def throttled(cost: object) -> None:
                waited.append(cost)
                node.lock()

            client.throttle, exchange.enableRateLimit = throttled, True
            with pytest.raises(EngineLocked, match="drawdown"):
                await exchange.create_order_ws(*ENTRY)
            assert waited
            node.unlock()
            with pytest.raises(EngineLocked, match="drawdown"):
                await exchange.create_order_ws(*ENTRY)
            assert [each["op"] for each in received] == ["auth", "order.create"]
            assert (await exchange.create_order_ws(*REDUCING))["id"] == "1"
            assert exchange.clients[url] is client
            assert not client.closed()
            await exchange.close()


class TestCoverage:
    """Every exchange that ccxt has, whatever is new in it."""

    def test_every_endpoint_that_ccxt_itself_adds_risk_by_is_refused(self, node: NodeLock) -> None:
        """The list is taken from the bodies of ccxt's own methods: no name is known here."""
        node.lock()
        tried = 0
        for name in ccxt.exchanges:
            exchange = signing_nothing(name, node)
            for endpoint in acting_endpoints(type(exchange)):
                with pytest.raises(EngineLocked):
                    getattr(exchange, endpoint)({"symbol": "BTCP", "side": "buy"})
                tried += 1
        assert tried > 700

    def test_nothing_is_in_the_way_of_reading_cancelling_and_closing(self, node: NodeLock) -> None:
        """Every exchange's own words for it."""
        node.lock()
        asked = 0
        for name in ccxt.exchanges:
            exchange, sent = exchange_of(name, node.engine)
            for method, *arguments in HARMLESS:
                try:
                    getattr(exchange, method)(*arguments)
                except EngineLocked as refusal:
                    pytest.fail(f"{name}.{method}: {refusal}")
                except Exception:  # noqa: BLE001, S110 - not supported, wrong for the market, nothing answers
                    pass
            asked += len(sent.requests)
        assert asked > 1000

    def test_every_unified_method_that_places_or_changes_an_order_is_known(self) -> None:
        missed = {
            name
            for exchange in ccxt.pro.exchanges
            for name, _ in coroutines(getattr(ccxt.pro, exchange))
            if re.search(r"(create|edit|amend|place|modify).*order", name) and intent_of(name) is not Intent.ORDER
        }
        assert missed == {name for name in missed if name.endswith("_request")}  # they build, and send nothing

    def test_classes_that_read_over_reduce_only_are_known(self) -> None:
        """In whose code the flag is not once mentioned."""
        silent = {
            name
            for name in ccxt.exchanges
            if getattr(ccxt, name)().has.get("swap") and not re.search(r"'reduce_?[oO]nly'", source_of(name))
        }
        reads_it_in_answers_only = {"coinbaseinternational"}
        assert silent | reads_it_in_answers_only == READS_OVER_REDUCE_ONLY


def test_what_is_no_exchange_cannot_be_guarded_and_nothing_is_guarded_twice(node: NodeLock) -> None:
    """And what is guarded is what it was."""
    with pytest.raises(TypeError):
        guard(object(), node.engine)
    exchange, _ = exchange_of("okx", node.engine)
    with pytest.raises(ValueError, match="already"):
        guard(exchange, node.engine)
    assert isinstance(exchange, ccxt.okx)


class _Left(Exception):
    """The message went out."""


class _Client:
    """A connection that is there, and writes down what is sent."""

    def __init__(self, url: str, messages: list[Any]) -> None:
        self.url = url
        self.subscriptions: dict[str, object] = {}
        self.futures: dict[str, object] = {}
        self._messages = messages

    async def send(self, message: Any) -> None:
        self._messages.append(message)
        raise _Left

    def future(self, _name: str) -> Any:
        return None


@asynccontextmanager
async def trading_socket() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Bybit's WebSocket for orders, which takes everything: its address, and what has arrived."""
    received: list[dict[str, Any]] = []

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            asked = message.json()
            received.append(asked)
            answer = {"op": asked["op"], "reqId": asked.get("reqId"), "retCode": 0, "success": True}
            await socket.send_json({**answer, "data": {"orderId": "1", "orderLinkId": ""}})
        return socket

    app = web.Application()
    app.router.add_get("/v5/trade", serve)
    async with TestServer(app) as server:
        yield str(server.make_url("/v5/trade")).replace("http", "ws", 1), received


def socket_exchange(venue: str, node: NodeLock) -> tuple[Any, list[Any]]:
    """Of ccxt.pro, with connections that write down."""
    messages: list[Any] = []
    kind = getattr(ccxt.pro, venue)

    def client(self: Any, url: str) -> _Client:
        self.asyncio_loop, self.clients = asyncio.get_running_loop(), self.clients or {}
        made: _Client = self.clients.setdefault(url, _Client(url, messages))
        return made

    async def watch(self: Any, url: str, message_hash: str, message: Any = None, *_: Any) -> Any:
        if message is not None:
            await self.client(url).send(message)
        raise _Left

    async def watch_multiple(self: Any, url: str, message_hashes: Any, message: Any = None, *_: Any) -> Any:
        await watch(self, url, "", message)

    async def authenticate(self: Any, *_: Any, **__: Any) -> None:
        return None

    members = {"client": client, "watch": watch, "watch_multiple": watch_multiple, "authenticate": authenticate}
    exchange, _ = exchange_of(type(venue, (kind,), members), node.engine)
    return exchange, messages


def signing_nothing(name: str, node: NodeLock) -> Any:
    """A guarded exchange that builds requests without keys and parameters of the right kind."""
    exchange, _ = exchange_of(name, node.engine)

    def sign(path: str, api: Any = "public", method: str = "GET", params: Any = None, *_: Any) -> dict[str, Any]:
        body = None if method == "GET" else json.dumps(params)
        return {"url": f"https://venue.test/{path}", "method": method, "headers": None, "body": body}

    exchange.sign = sign
    return exchange


#: What ccxt's methods look up by the way, among the endpoints that add risk.
LOOKED_UP = {
    "privateGetV3Account",
    "publicGetV3Symbols",
    "v1PrivateGetUserOrdersId",
    "publicGetMarketExchangeInfo",
    "privateGetGetWithdrawTemplate",
    "privateGetGetWithdrawTemplateTypes",
}
RISKS = ("transfer", "withdraw", "borrow_", "set_leverage", "add_margin", "reduce_margin", "create_convert_trade")
_ENDPOINT = re.compile(r"self\.([a-z]\w*(?:Get|Post|Put|Delete|Patch)[A-Z]\w*)\(")


def acting_endpoints(kind: type) -> set[str]:
    """What ccxt's methods that add risk call, and those that cancel do not."""
    adds = {True: set[str](), False: set[str]()}
    for parent in kind.__mro__:
        for name, method in vars(parent).items():
            if not inspect.isfunction(method) or parent.__module__ == "ccxt.base.exchange":
                continue
            adding = intent_of(name) is Intent.ORDER or name.startswith(RISKS)
            if adding or intent_of(name) is Intent.CANCEL:
                adds[adding] |= set(_ENDPOINT.findall(_source(method)))
    return {each for each in adds[True] - adds[False] - LOOKED_UP if hasattr(kind, each)}


def _source(method: Any) -> str:
    try:
        return inspect.getsource(method)
    except (OSError, TypeError):
        return ""  # the guard's own: the exchange's is behind it


def source_of(name: str) -> str:
    """A class's code, with its parents' but ccxt's common one."""
    modules = {each.__module__ for each in getattr(ccxt, name).__mro__ if each.__module__.startswith("ccxt.")}
    return "".join(Path(sys.modules[each].__file__ or "").read_text() for each in modules - {"ccxt.base.exchange"})


def coroutines(kind: type) -> Iterator[tuple[str, Any]]:
    """A class's asynchronous methods."""
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        if inspect.iscoroutinefunction(method):
            yield name, method
