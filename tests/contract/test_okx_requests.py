"""Every request that the OKX profile makes, exactly as it leaves the real ccxt class.

Written by hand from https://www.okx.com/docs-v5/en/ (Trade, Algo trading, Trading account, Public data).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import PositionSide
from node.domain.steps import Outcome, Refusal, RepayDebt, Step
from node.errors import VenueAnswerUnknown
from tests.support.okx_venue import (
    ID,
    INVERSE,
    KEY,
    SWAP,
    buy,
    cancel,
    close,
    empty,
    fault,
    ok,
    okx,
    path,
    sell,
    sweep,
)
from tests.support.venue import Sent, answer

HOST = "www.okx.com"
ORDER, CLOSE = path("trade/order"), path("trade/close-position")
CANCEL, CANCEL_ALGOS = path("trade/cancel-batch-orders"), path("trade/cancel-algos")
BASE = {"instId": SWAP, "tdMode": "cross", "side": "sell", "sz": "7", "ordType": "market", "clOrdId": ID}
SALE = {"instId": "BTC-USDT", "tdMode": "cash", "side": "sell", "sz": "0.50000", "ordType": "ioc", "px": "60000.01"}

STEPS: dict[str, tuple[str | None, Step, str, Any]] = {
    "close a net long": (None, close(), ORDER, {**BASE, "reduceOnly": True}),
    "close a net short": (
        None,
        close(side=PositionSide.SHORT, contracts=Decimal("1E+3")),
        ORDER,
        {**BASE, "side": "buy", "sz": "1000", "reduceOnly": True},
    ),
    "close a long leg": (None, close(hedged=True), ORDER, {**BASE, "posSide": "long"}),
    "close a short leg": (
        None,
        close(hedged=True, side=PositionSide.SHORT),
        ORDER,
        {**BASE, "side": "buy", "posSide": "short"},
    ),
    "close an isolated net long": (
        None,
        close(isolated=True),
        ORDER,
        {**BASE, "tdMode": "isolated", "reduceOnly": True},
    ),
    "close an isolated leg": (
        None,
        close(isolated=True, hedged=True),
        ORDER,
        {**BASE, "tdMode": "isolated", "posSide": "long"},
    ),
    "close within a price": (
        None,
        close(limit_price=Decimal("60800.10")),
        ORDER,
        {**BASE, "ordType": "ioc", "px": "60800.10", "reduceOnly": True},
    ),
    "close coin-margined": (
        None,
        close(slice="inverse", market_id=INVERSE, symbol="BTC/USD:BTC", contracts=Decimal("2.5")),
        ORDER,
        {**BASE, "instId": INVERSE, "sz": "2.5", "reduceOnly": True},
    ),
    "close in multi-currency margin": ("multi-currency", close(), ORDER, {**BASE, "reduceOnly": True}),
    "close in portfolio margin": (
        "portfolio",
        close(),
        CLOSE,
        {"instId": SWAP, "mgnMode": "cross", "autoCxl": True, "clOrdId": ID},
    ),
    "close in portfolio margin, whatever the price": (
        "portfolio",
        close(isolated=True, hedged=True, limit_price=Decimal(1)),
        CLOSE,
        {"instId": SWAP, "mgnMode": "isolated", "posSide": "long", "autoCxl": True, "clOrdId": ID},
    ),
    "sell spot for cash": (None, sell(), ORDER, {**SALE, "clOrdId": ID}),
    "sell spot in spot mode": ("spot", sell(), ORDER, {**SALE, "clOrdId": ID}),
    "sell spot in multi-currency margin": (
        "multi-currency",
        sell(),
        ORDER,
        {**SALE, "tdMode": "cross", "clOrdId": ID},
    ),
    "sell spot in portfolio margin": ("portfolio", sell(), ORDER, {**SALE, "tdMode": "cross", "clOrdId": ID}),
    "buy what is owed": (
        "multi-currency",
        buy(),
        ORDER,
        {**SALE, "tdMode": "cross", "side": "buy", "sz": "0.5", "px": "66000", "clOrdId": ID},
    ),
    "cancel one": (None, cancel("11"), CANCEL, [{"instId": SWAP, "ordId": "11"}]),
    "cancel several": (
        None,
        cancel("11", "12"),
        CANCEL,
        [{"instId": SWAP, "ordId": "11"}, {"instId": SWAP, "ordId": "12"}],
    ),
    "cancel one on spot": (None, cancel("11", slice_name="spot"), CANCEL, [{"instId": "BTC-USDT", "ordId": "11"}]),
    "cancel algo orders": (
        None,
        cancel("77", "78", trigger=True),
        CANCEL_ALGOS,
        [{"instId": SWAP, "algoId": "77"}, {"instId": SWAP, "algoId": "78"}],
    ),
    "cancel an algo order on spot": (
        None,
        cancel("77", slice_name="spot", trigger=True),
        CANCEL_ALGOS,
        [{"instId": "BTC-USDT", "algoId": "77"}],
    ),
}


def signed(sent: Sent) -> bool:
    """Key, passphrase, and HMAC-SHA256 in base64 over timestamp, method, path with query, and body."""
    headers = sent.headers
    if "ok-access-sign" not in headers:
        return False
    place = sent.path + (f"?{sent.raw}" if sent.method == "GET" and sent.raw else "")
    payload = headers["ok-access-timestamp"] + sent.method + place + (sent.raw if sent.method == "POST" else "")
    expected = base64.b64encode(hmac.new(KEY["secret"].encode(), payload.encode(), hashlib.sha256).digest()).decode()
    named = (headers["ok-access-key"], headers["ok-access-passphrase"]) == (KEY["apiKey"], KEY["password"])
    return named and headers["ok-access-sign"] == expected


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_one_signed_request_with_the_documented_body_and_nothing_else(name: str) -> None:
    """No hidden call before it, no broker id, no tag, no parameter of ccxt's own."""
    account, step, place, document = STEPS[name]
    async with okx(account) as (venue, fetch):
        await venue.execute(step)
        assert fetch.only.line == ("POST", HOST, place)
        assert fetch.only.document == document
        assert signed(fetch.only)
        assert fetch.only.headers["content-type"] == "application/json"


async def test_an_order_is_valid_for_five_seconds_of_the_venues_clock() -> None:
    """The venue itself takes requests that are half a minute old."""
    async with okx() as (venue, fetch):
        fetch.default = ok({"ts": "1800000000000"})
        await venue.keep_warm(1)
        await venue.execute(close())
        await venue.execute(cancel("11"))
        order, cancelled = fetch.sent[-2:]
        assert 4_900 < int(order.headers["exptime"]) - 1_800_000_000_000 < 7_000
        signed_at = datetime.fromisoformat(order.headers["ok-access-timestamp"]).timestamp()
        assert abs(signed_at - 1_800_000_000) < 2
        assert "exptime" not in cancelled.headers


@pytest.mark.parametrize(
    ("trigger", "name", "sizes"), [(False, "ordId", [20, 20, 5]), (True, "algoId", [10] * 4 + [5])]
)
async def test_many_cancels_go_in_batches_that_leave_together(trigger: bool, name: str, sizes: list[int]) -> None:
    """Twenty orders a request, or ten algo orders."""
    ids = [str(number) for number in range(100, 145)]
    async with okx() as (venue, fetch):
        await venue.execute(cancel(*ids, trigger=trigger))
        assert sorted((len(each.document) for each in fetch.sent), reverse=True) == sizes
        assert [entry[name] for each in fetch.sent for entry in each.document] == ids


async def test_a_market_is_not_swept() -> None:
    """Orders are named: the rules of the market say so."""
    async with okx() as (venue, fetch):
        result = await venue.execute(sweep())
        assert (result.outcome, result.refusal, fetch.sent) == (Outcome.REFUSED, Refusal.OTHER, [])


@pytest.mark.parametrize("step", [RepayDebt(slice="spot", asset="BTC", amount=Decimal(1)), close(slice="spot")])
async def test_what_the_venue_has_no_request_for_is_not_sent(step: Step) -> None:
    """And says why."""
    async with okx("multi-currency") as (venue, fetch):
        result = await venue.execute(step)
        assert (result.outcome, result.refusal, fetch.sent) == (Outcome.REFUSED, Refusal.OTHER, [])
        assert "not sent" in (result.message or "")


async def test_nothing_is_bought_from_an_account_that_cannot_owe() -> None:
    """Spot for cash knows no debts."""
    async with okx() as (venue, fetch):
        assert (await venue.execute(buy())).sent_ns is None
        assert fetch.sent == []


ALGOS = ("conditional,oco", "trigger", "move_order_stop", "chase", "iceberg", "smart_iceberg", "twap")


def lists(types: tuple[str, ...], algos: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """Algo orders of every kind, then orders."""
    return [
        *((path("trade/orders-algo-pending"), {"ordType": name, "limit": "100"}) for name in algos),
        *((path("trade/orders-pending"), {"instType": name, "limit": "100"}) for name in types),
    ]


CONTRACTS = [
    *lists(("SWAP", "FUTURES"), ALGOS),
    (path("account/positions"), {}),
    (path("account/account-position-risk"), {}),
]
SPOT = lists(("SPOT", "MARGIN"), tuple(name for name in ALGOS if name != "chase"))
BALANCE: tuple[str, dict[str, str]] = (path("account/balance"), {})
READS: dict[tuple[str | None, str], list[tuple[str, dict[str, str]]]] = {
    (None, "linear"): CONTRACTS,
    (None, "inverse"): CONTRACTS,
    (None, "spot"): [*SPOT, (path("account/positions"), {"instType": "MARGIN"}), BALANCE],
    ("spot", "spot"): [*SPOT, BALANCE],
    ("multi-currency", "spot"): [*SPOT, BALANCE],
    ("portfolio", "spot"): [*SPOT, BALANCE],
}


@pytest.mark.parametrize(("account", "name"), READS)
async def test_a_proof_reads_triggers_then_orders_then_positions_and_balances(account: str | None, name: str) -> None:
    """In causal order, every book."""
    async with okx(account) as (venue, fetch):
        empty(fetch)
        snapshot = await venue.read_proof(name)
        assert [(each.path, each.params) for each in fetch.sent] == READS[account, name]
        assert all(each.method == "GET" and each.host == HOST and signed(each) for each in fetch.sent)
        assert snapshot.causal


async def test_a_full_read_makes_the_same_requests() -> None:
    """All at once, and marked as not causal."""
    async with okx() as (venue, fetch):
        empty(fetch)
        snapshot = await venue.read_slice("linear")
        assert sorted(map(str, ((each.path, each.params) for each in fetch.sent))) == sorted(map(str, CONTRACTS))
        assert (snapshot.causal, snapshot.orders, snapshot.positions_doubtful) == (False, (), False)


async def test_a_look_at_everything_stays_within_the_list_of_algo_orders() -> None:
    """Twenty requests in two seconds are all that the venue allows."""
    async with okx() as (venue, fetch):
        empty(fetch)
        for name in venue.slices:
            await venue.read_slice(name)
        assert len([each for each in fetch.sent if each.path == path("trade/orders-algo-pending")]) == 20


async def test_full_pages_are_followed_by_the_last_rows_id() -> None:
    """Back in time, until one is not full."""
    row = {"instType": "SWAP", "instId": SWAP, "side": "buy", "sz": "1", "accFillSz": "0", "posSide": "net"}
    pages = {
        "none": [{**row, "ordId": str(number), "reduceOnly": "false"} for number in range(300, 200, -1)],
        "201": [{**row, "ordId": str(number), "reduceOnly": "false"} for number in range(201, 190, -1)],
    }

    async with okx() as (venue, fetch):
        empty(fetch)
        whole = venue._client.send

        async def by_page(url: str, *rest: Any) -> Any:
            swaps = "orders-pending?instType=SWAP" in url
            fetch.default = ok(*pages[url.rpartition("after=")[2] if "after=" in url else "none"]) if swaps else ok()
            return await whole(url, *rest)

        venue._client.send = by_page
        orders = (await venue.read_slice("linear")).orders or ()
        asked = [each.params for each in fetch.sent if each.params.get("instType") == "SWAP"]
        assert asked == [
            {"instType": "SWAP", "limit": "100"},
            {"instType": "SWAP", "limit": "100", "after": "201"},
        ]
        assert sorted(int(order.order_id) for order in orders) == list(range(191, 301)), "each once"


async def test_a_page_that_comes_again_is_no_end() -> None:
    """Nobody may take it for the whole."""
    row = {"instType": "SWAP", "instId": SWAP, "side": "buy", "sz": "1", "posSide": "net", "reduceOnly": "false"}
    async with okx() as (venue, fetch):
        empty(fetch, trade__orders_algo_pending=ok(*({**row, "algoId": str(number)} for number in range(100))))
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_slice("linear")


async def test_few_quotes_are_asked_for_by_name_and_many_as_a_whole() -> None:
    """Best bids and offers; what nobody bids in has none."""
    async with okx() as (venue, fetch):
        fetch.in_turn = iter(
            [
                ok({"instType": "SPOT", "instId": "BTC-USDT", "bidPx": "10", "askPx": "11"}),
                ok({"instType": "SPOT", "instId": "ETH-USDT", "bidPx": "", "askPx": "11"}),
            ]
        )
        quotes = await venue.quotes(["ETH/USDT", "BTC/USDT", "NOT/LISTED"])
        assert [(each.path, each.params) for each in fetch.sent] == [
            (path("market/ticker"), {"instId": "BTC-USDT"}),
            (path("market/ticker"), {"instId": "ETH-USDT"}),
        ]
        assert not any("ok-access-sign" in each.headers for each in fetch.sent)
        assert {name: quote.bid for name, quote in quotes.items()} == {"BTC/USDT": 10}
        assert await venue.quotes([]) == {}


async def test_all_quotes_are_asked_for_where_the_venue_knows_one_of_the_names_no_more() -> None:
    """One market that was delisted must not keep the others from being sold."""
    async with okx() as (venue, fetch):
        listed = ok({"instType": "SPOT", "instId": "BTC-USDT", "bidPx": "10", "askPx": "11"})
        fetch.answers = {
            path("market/ticker"): fault("51001", "Instrument ID doesn't exist."),
            path("market/tickers"): listed,
        }
        assert set(await venue.quotes(["ETH/USDT", "BTC/USDT"])) == {"BTC/USDT"}
        assert (fetch.sent[-1].path, fetch.sent[-1].params) == (path("market/tickers"), {"instType": "SPOT"})


async def test_a_quote_of_another_market_is_not_the_one_that_was_asked_for() -> None:
    """Or a balance would be called unsellable because of somebody else's answer."""
    async with okx() as (venue, fetch):
        fetch.default = ok({"instType": "SPOT", "instId": "BTC-USDT", "bidPx": "10", "askPx": "11"})
        with pytest.raises(VenueAnswerUnknown, match="ETH-USDT"):
            await venue.quotes(["ETH/USDT"])


async def test_an_ambiguous_sale_is_looked_up_by_client_id() -> None:
    """GET order, by clOrdId."""
    async with okx() as (venue, fetch):
        await venue.filled(sell())
        assert fetch.only.line == ("GET", HOST, ORDER)
        assert fetch.only.params == {"instId": "BTC-USDT", "clOrdId": ID}
        assert signed(fetch.only)


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """On a derivative market, by a client id that no order of ours can have."""
    async with okx() as (venue, fetch):
        await venue.probe()
        assert fetch.only.line == ("POST", HOST, CANCEL)
        (entry,) = fetch.only.document
        assert entry == {"instId": SWAP, "clOrdId": "0sovereignnodeprobe0"}
        assert entry["clOrdId"].isalnum()
        assert len(entry["clOrdId"]) <= 32


async def test_keeping_warm_asks_for_the_time_once_a_socket() -> None:
    """Unsigned; there is one host."""
    async with okx() as (venue, fetch):
        fetch.default = ok({"ts": "1800000000000"})
        await venue.keep_warm(3)
        assert fetch.lines == [("GET", HOST, path("public/time"))] * 3
        assert not any("ok-access-sign" in each.headers for each in fetch.sent)
        assert venue.clock_offset_ms() is not None


LISTED: dict[str, list[dict[str, Any]]] = {
    "SPOT": [
        {
            "instType": "SPOT",
            "instId": "BTC-USDT",
            "baseCcy": "BTC",
            "quoteCcy": "USDT",
            "lotSz": "0.00000001",
            "minSz": "0.00001",
            "tickSz": "0.1",
            "maxLmtSz": "9999999999",
            "maxMktSz": "1000000",
            "maxLmtAmt": "20000000",
            "state": "live",
            "ctVal": "",
            "ctMult": "",
            "ctType": "",
            "settleCcy": "",
            "uly": "",
        }
    ],
    "SWAP": [
        {
            "instType": "SWAP",
            "instId": SWAP,
            "uly": "BTC-USDT",
            "settleCcy": "USDT",
            "ctVal": "0.01",
            "ctMult": "1",
            "ctType": "linear",
            "lotSz": "0.01",
            "minSz": "0.01",
            "tickSz": "0.1",
            "maxLmtSz": "100000000",
            "maxMktSz": "12000",
            "state": "live",
        },
        {
            "instType": "SWAP",
            "instId": INVERSE,
            "uly": "BTC-USD",
            "settleCcy": "BTC",
            "ctVal": "100",
            "ctMult": "1",
            "ctType": "inverse",
            "lotSz": "1",
            "minSz": "1",
            "tickSz": "0.1",
            "maxLmtSz": "1000000",
            "maxMktSz": "5000",
            "state": "suspend",
        },
        {"instType": "SWAP", "instId": "NEW-USDT-SWAP", "state": "preopen", "ctType": "linear", "minSz": ""},
    ],
    "FUTURES": [
        {
            "instType": "FUTURES",
            "instId": "BTC-USDT-270326",
            "uly": "BTC-USDT",
            "settleCcy": "USDT",
            "ctVal": "0.01",
            "ctMult": "1",
            "ctType": "linear",
            "expTime": "1806048000000",
            "lotSz": "1",
            "minSz": "1",
            "tickSz": "0.1",
            "maxLmtSz": "100000",
            "maxMktSz": "1000",
            "state": "live",
        }
    ],
}
CONFIG = {
    "acctLv": "2",
    "posMode": "long_short_mode",
    "perm": "read_only,withdraw,trade",
    "ip": "192.0.2.1",
    "opAuth": "1",
    "roleType": "0",
    "spotRoleType": "0",
    "uid": "44705892343619584",
}


async def test_arming_asks_for_markets_time_and_configuration_and_nothing_else() -> None:
    """No currencies, no options, no accounts."""
    async with okx(warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        whole = venue._client.send

        async def by_type(url: str, *rest: Any) -> Any:
            if "public/instruments" in url:
                fetch.default = ok(*LISTED[url.rpartition("instType=")[2]])
            return await whole(url, *rest)

        venue._client.send = by_type
        fetch.answers = {path("public/time"): ok({"ts": "1800000000000"}), path("account/config"): ok(CONFIG)}
        await venue.arm()
        asked = sorted((each.path.removeprefix("/api/v5/"), each.params.get("instType", "")) for each in fetch.sent)
        assert asked == [
            ("account/config", ""),
            *[("public/instruments", name) for name in ("FUTURES", "SPOT", "SWAP")],
            ("public/time", ""),
        ]
        assert venue.not_covered == ("options",)
        linear, inverse, spot = venue.rules("linear"), venue.rules("inverse"), venue.rules("spot")
        assert set(linear) == {"BTC/USDT:USDT", "BTC/USDT:USDT-270326"}
        swap, coin, pair = linear["BTC/USDT:USDT"], inverse["BTC/USD:BTC"], spot["BTC/USDT"]
        assert (swap.contract_size, swap.quantity_step, swap.market_quantity_max, swap.limit_quantity_max) == (
            Decimal("0.01"),
            Decimal("0.01"),
            Decimal(12000),
            Decimal(100000000),
        )
        assert (coin.contract_size, coin.settle, coin.trading) == (Decimal(100), "BTC", False)
        assert (pair.market_quantity_max, pair.notional_max, pair.price_tick) == (
            None,
            Decimal(20000000),
            Decimal("0.1"),
        )
        facts = venue.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == (True, True, True)
        assert (facts.account, facts.hedged) == ("futures", True)


async def test_the_sandbox_is_demo_trading() -> None:
    """The same host, and a header."""
    async with okx(sandbox=True) as (venue, fetch):
        await venue.execute(close())
        assert fetch.only.host == HOST
        assert venue._client.ccxt.headers["x-simulated-trading"] == "1"


async def test_nothing_is_sent_for_an_answer_of_another_kind() -> None:
    """A stream of garbage never makes ccxt ask on its own account."""
    async with okx() as (venue, fetch):
        fetch.default = answer([])
        await venue.execute(close())
        assert len(fetch.sent) == 1
