"""Whatever a venue answers: nothing is raised but what the engine expects, and nothing that was not understood passes
for an empty answer, a done step or a refused one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from node.domain.snapshot import SliceSnapshot
from node.domain.steps import BuyToRepay, ConvertAsset, Outcome, RepayDebt, StepResult
from node.errors import VenueAnswerUnknown, VenueError
from node.venues import step_runner
from node.venues.answer_log import BODY_MAX, AnswerLog, Scrubber
from node.venues.ccxt_venue import CcxtVenue
from tests.support.venue import (
    CREDENTIALS,
    Answer,
    RecordedFetch,
    answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    recorded_venue,
    sell_spot,
)

ALL = ("spot", "linear", "inverse", "margin")
ORDER = {"orderId": 11, "clientOrderId": "sabcdefgh234567abc", "status": "FILLED", "executedQty": "0.015"}
POSITION = {
    "symbol": "BTCUSDT",
    "positionSide": "BOTH",
    "positionAmt": "1.250",
    "markPrice": "64000.0",
    "isolatedMargin": "0",
    "isolatedWallet": "0",
    "marginAsset": "USDT",
}
RESTING = {
    "orderId": 7,
    "algoId": 8,
    "symbol": "BTCUSDT",
    "side": "BUY",
    "positionSide": "BOTH",
    "origQty": "0.5",
    "executedQty": "0.2",
    "quantity": "0.4",
    "reduceOnly": False,
    "closePosition": False,
}
ACCOUNT = {
    "totalPositionInitialMargin": "0",
    "totalOpenOrderInitialMargin": "0",
    "assets": [
        {
            "asset": "USDT",
            "walletBalance": "100",
            "availableBalance": "90",
            "positionInitialMargin": "0",
            "openOrderInitialMargin": "0",
        }
    ],
    "positions": [{"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0"}],
}
MARKETS = {
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "contractType": "PERPETUAL",
            "filters": [{"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"}],
        }
    ]
}
CONVERT = ConvertAsset(
    slice="spot", asset="BTC", into="USDT", quantity=Decimal("0.00001"), least_received=Decimal("0.5")
)
QUOTE = {"quoteId": "12415572564", "ratio": "64000", "toAmount": "0.64", "fromAmount": "0.00001"}
REPAY = RepayDebt(slice="margin", asset="BTC", amount=Decimal("0.1"))
BUY = BuyToRepay(
    slice="margin",
    symbol="BTC/USDT",
    market_id="BTCUSDT",
    asset="BTC",
    quantity=Decimal("0.1"),
    limit_price=Decimal(70000),
    client_order_id="sabcdefgh234567abc",
)

Use = Callable[[CcxtVenue], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An endpoint, a good answer of it, and what asks it."""

    path: str
    good: Any
    use: Use
    #: Good answers that have to come before it.
    before: dict[str, Any] | None = None


def reads(name: str) -> Use:
    """Every way of reading a slice."""

    async def use(venue: CcxtVenue) -> list[Any]:
        return [await venue.read_slice(name), await venue.read_proof(name), await venue.read_positions(name)]

    return use


async def stock(venue: CcxtVenue) -> None:
    """Markets and rights, from the venue."""
    venue._shelf.books.clear()
    await venue.arm()


SPOT_ROW = {"asset": "BTC", "free": "0.5", "locked": "0.1", "borrowed": "0.1", "interest": "0.01"}
ENDPOINTS: dict[str, Asked] = {
    "usd-m positions": Asked(path="/fapi/v3/positionRisk", good=[POSITION], use=reads("linear")),
    "usd-m orders": Asked(path="/fapi/v1/openOrders", good=[RESTING], use=reads("linear")),
    "usd-m triggers": Asked(path="/fapi/v1/openAlgoOrders", good=[RESTING], use=reads("linear")),
    "usd-m account": Asked(path="/fapi/v3/account", good=ACCOUNT, use=reads("linear")),
    "coin-m positions": Asked(path="/dapi/v1/positionRisk", good=[POSITION], use=reads("inverse")),
    "coin-m orders": Asked(path="/dapi/v1/openOrders", good=[RESTING], use=reads("inverse")),
    "coin-m triggers": Asked(path="/dapi/v1/openAlgoOrders", good=[RESTING], use=reads("inverse")),
    "coin-m account": Asked(path="/dapi/v1/account", good=ACCOUNT, use=reads("inverse")),
    "spot orders": Asked(path="/api/v3/openOrders", good=[RESTING], use=reads("spot")),
    "spot account": Asked(path="/api/v3/account", good={"balances": [SPOT_ROW]}, use=reads("spot")),
    "margin orders": Asked(path="/sapi/v1/margin/openOrders", good=[RESTING], use=reads("margin")),
    "margin account": Asked(path="/sapi/v1/margin/account", good={"userAssets": [SPOT_ROW]}, use=reads("margin")),
    "quotes": Asked(
        path="/api/v3/ticker/bookTicker",
        good=[{"symbol": "BTCUSDT", "bidPrice": "10", "askPrice": "11"}],
        use=lambda venue: venue.quotes(["BTC/USDT"]),
    ),
    "time": Asked(path="/fapi/v1/time", good={"serverTime": 1_800_000_000_000}, use=lambda venue: venue.keep_warm(2)),
    "markets": Asked(path="/fapi/v1/exchangeInfo", good=MARKETS, use=stock),
    "coin-m markets": Asked(path="/dapi/v1/exchangeInfo", good=MARKETS, use=stock),
    "spot markets": Asked(path="/api/v3/exchangeInfo", good=MARKETS, use=stock),
    "rights": Asked(path="/sapi/v1/account/apiRestrictions", good={"enableMargin": True}, use=stock),
    "order": Asked(path="POST /fapi/v1/order", good=ORDER, use=lambda venue: venue.execute(close_position())),
    "spot order": Asked(path="POST /api/v3/order", good=ORDER, use=lambda venue: venue.execute(sell_spot())),
    "margin order": Asked(path="POST /sapi/v1/margin/order", good=ORDER, use=lambda venue: venue.execute(BUY)),
    "repayment": Asked(
        path="POST /sapi/v1/margin/borrow-repay", good={"tranId": 1}, use=lambda venue: venue.execute(REPAY)
    ),
    "cancel": Asked(path="DELETE /fapi/v1/order", good=ORDER, use=lambda venue: venue.execute(cancel_orders("11"))),
    "cancel batch": Asked(
        path="DELETE /fapi/v1/batchOrders",
        good=[ORDER, {"code": -2011, "msg": "Unknown order sent."}],
        use=lambda venue: venue.execute(cancel_orders("11", "12")),
    ),
    "cancel trigger": Asked(
        path="DELETE /fapi/v1/algoOrder",
        good={"algoId": 7, "code": "200", "msg": "success"},
        use=lambda venue: venue.execute(cancel_orders("7", trigger=True)),
    ),
    "sweep": Asked(
        path="DELETE /fapi/v1/allOpenOrders",
        good={"code": 200, "msg": "done"},
        use=lambda venue: venue.execute(cancel_symbol()),
    ),
    "sweep spot": Asked(
        path="DELETE /api/v3/openOrders", good=[ORDER], use=lambda venue: venue.execute(cancel_symbol("spot"))
    ),
    "probe": Asked(
        path="DELETE /fapi/v1/order",
        good={"code": -2011, "msg": "Unknown order sent."},
        use=lambda venue: venue.probe(),
    ),
    "order query": Asked(path="GET /api/v3/order", good=ORDER, use=lambda venue: venue.filled(sell_spot())),
    "margin order query": Asked(path="GET /sapi/v1/margin/order", good=ORDER, use=lambda venue: venue.filled(BUY)),
    "conversion price": Asked(
        path="POST /sapi/v1/convert/getQuote", good=QUOTE, use=lambda venue: venue.execute(CONVERT)
    ),
    "conversion": Asked(
        path="POST /sapi/v1/convert/acceptQuote",
        good={"orderId": "9", "createTime": 1, "orderStatus": "PROCESS"},
        use=lambda venue: venue.execute(CONVERT),
        before={"POST /sapi/v1/convert/getQuote": answer(QUOTE)},
    ),
    "conversion status": Asked(
        path="GET /sapi/v1/convert/orderStatus",
        good={"orderId": 9, "orderStatus": "SUCCESS"},
        use=lambda venue: venue.execute(CONVERT),
        before={
            "POST /sapi/v1/convert/getQuote": answer(QUOTE),
            "POST /sapi/v1/convert/acceptQuote": answer({"orderId": "9", "orderStatus": "PROCESS"}),
        },
    ),
}


class FakeClock:
    """Time that moves only by waiting for the lane."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        """Monotonic nanoseconds."""
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        """At once."""
        self.now_ns += int(seconds * 1e9) + 1


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions that are under way are asked after without a pause."""
    monkeypatch.setattr(step_runner, "CONVERSION_LOOKS_S", (0.0, 0.0, 0.0))


#: What no venue should send and any may.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.sampled_from(
        ["", "0", "-1", "NaN", "Infinity", "1E+999999999", "1e-999999999", "200", "-2011", 10**30, "\uff19"]
    ),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """*good* with one to three of its parts replaced, removed or repeated."""
    document = {"root": deepcopy(good)}
    for _ in range(draw(st.integers(1, 3))):
        node: Any = document
        key: Any = "root"
        while isinstance(node[key], dict | list) and node[key] and draw(st.integers(0, 3)):
            node = node[key]
            key = draw(st.sampled_from(sorted(node))) if isinstance(node, dict) else draw(st.integers(0, len(node) - 1))
        match draw(st.sampled_from(["replace", "replace", "remove", "repeat", "wrap"])):
            case "remove" if isinstance(node, dict) and node is not document:
                del node[key]
            case "repeat" if isinstance(node, list):
                node.append(deepcopy(node[key]))
            case "wrap":
                node[key] = [node[key]]
            case _:
                node[key] = draw(JSON)
    return document["root"]


@st.composite
def bodies(draw: st.DrawFn, good: Any) -> str:
    """JSON that is nearly right, JSON that is not, and what is no JSON at all."""
    match draw(st.sampled_from(["mutated", "mutated", "mutated", "arbitrary", "cut", "text", "error", "deep"])):
        case "mutated":
            return json.dumps(draw(mutated(good)))
        case "arbitrary":
            return json.dumps(draw(JSON))
        case "cut":
            whole = json.dumps(good)
            return whole[: draw(st.integers(0, len(whole) - 1))]
        case "error":
            return json.dumps({"code": draw(SCALARS), "msg": draw(SCALARS)})
        case "deep":
            return "[" * 3000 + "]" * draw(st.sampled_from([0, 3000]))
        case _:
            return draw(st.text(max_size=40))


STATUSES = st.sampled_from([200] * 8 + [201, 400, 401, 403, 404, 418, 429, 451, 500, 502, 503, 599])
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "X-MBX-USED-WEIGHT-1M", "X-SAPI-USED-IP-WEIGHT-1M"]),
    st.sampled_from(["1", "0", "-5", "soon", "9" * 400, "9" * 5000, "٣", ""]),
    max_size=2,
)


def outcome_of(asked: Asked, given_answer: Answer, venue: CcxtVenue, fetch: RecordedFetch) -> Callable[[], Any]:
    """Let the venue answer once so, and everything else as it should."""
    fetch.sent.clear()
    fetch.empty(**{each.path: answer(each.good) for each in ENDPOINTS.values() if each.path.startswith("/")})
    for name in ("/api/v3/time", "/fapi/v1/time", "/dapi/v1/time"):
        fetch.answers[name] = answer({"serverTime": 1_800_000_000_000})
    fetch.answers["POST /sapi/v1/convert/acceptQuote"] = answer({"orderId": "9", "orderStatus": "SUCCESS"})
    fetch.answers["GET /sapi/v1/convert/orderStatus"] = answer({"orderId": 9, "orderStatus": "SUCCESS"})
    fetch.answers |= asked.before or {}
    fetch.answers[asked.path] = given_answer
    # A refusal for the number of requests closes the lane, and the next answer would never be asked for.
    venue._client._lane._accounts.clear()
    return lambda: asked.use(venue)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_no_answer_whatsoever_raises_what_the_engine_does_not_expect(name: str) -> None:
    """Reads: a snapshot or a VenueError. Steps: an outcome. Questions after orders: true, false or not known."""
    asked = ENDPOINTS[name]
    # Hundreds of answers that are not understood need not be on the screen.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        with asyncio.Runner() as runner:
            opened = recorded_venue(slices=ALL, warm_sockets=1)
            venue, fetch = runner.run(opened.__aenter__())
            lane = venue._client._lane
            lane.clock_ns = clock = FakeClock()
            lane.sleep = clock.sleep

            @settings(
                max_examples=120,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                database=None,
            )
            @example(body="", status=200, headers={})
            @example(body="<html>maintenance</html>", status=200, headers={})
            @example(body=json.dumps(asked.good), status=418, headers={"Retry-After": "9" * 400})
            @given(body=bodies(asked.good), status=STATUSES, headers=HEADERS)
            def feed(body: str, status: int, headers: dict[str, str]) -> None:
                use = outcome_of(asked, Answer(body=body, status=status, headers=headers), venue, fetch)
                try:
                    found = runner.run(use())
                except VenueError:
                    return
                for each in found if isinstance(found, list) else [found]:
                    assert isinstance(each, SliceSnapshot | StepResult | dict | bool | None)
                    assert not isinstance(each, StepResult) or each.sent_ns is not None

            feed()
            use = outcome_of(asked, answer(asked.good), venue, fetch)
            runner.run(use())  # after all that the venue works as before
            runner.run(opened.__aexit__(None, None, None))
    finally:
        structlog.reset_defaults()


NONSENSE = ["", "<html>ok</html>", "null", "[]", "{}", "[[]]", '"done"', "7", "true", '{"orderId": null}', "[" * 3000]


@pytest.mark.parametrize("name", [name for name, asked in ENDPOINTS.items() if asked.path.startswith("/")])
@pytest.mark.parametrize("body", NONSENSE, ids=lambda body: body[:12])
async def test_a_read_of_nonsense_is_unknown(name: str, body: str) -> None:
    """Never empty: only an empty list of rows is that, or an object with one."""
    asked = ENDPOINTS[name]
    if body == "[]" and isinstance(asked.good, list):
        return  # a good answer
    if name == "rights":
        return  # best effort: nothing that is done depends on it
    async with recorded_venue(slices=ALL, warm_sockets=1) as (venue, fetch):
        use = outcome_of(asked, Answer(body=body), venue, fetch)
        with pytest.raises(VenueAnswerUnknown):
            await use()


@pytest.mark.parametrize("name", [name for name, asked in ENDPOINTS.items() if asked.path[0] in "PD"])
@pytest.mark.parametrize("body", NONSENSE, ids=lambda body: body[:12])
async def test_a_step_that_is_answered_with_nonsense_is_ambiguous(name: str, body: str) -> None:
    """Neither done nor refused."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        use = outcome_of(ENDPOINTS[name], Answer(body=body), venue, fetch)
        fetch.answers["GET /sapi/v1/convert/orderStatus"] = Answer(body="<html>")
        result = await use()
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)


def complaints(logged: list[Any]) -> list[dict[str, Any]]:
    """The answers that were kept."""
    return [dict(entry) for entry in logged if entry["event"] == "venue_answer_not_understood"]


@pytest.mark.parametrize(
    ("name", "body", "endpoint"),
    [
        ("usd-m account", '{"assets": "none"}', "fapiPrivateV3GetAccount"),
        ("order", '{"status": "NEW"}', "fapiPrivatePostOrder"),
        ("time", '{"serverTime": "noon"}', "fapiPublicGetTime"),
        ("order query", '{"orderId": 5}', "privateGetOrder"),
        ("conversion price", '{"toAmount": "0.64"}', "sapiPostConvertGetQuote"),
        ("quotes", "[7]", "publicGetTickerBookTicker"),
        ("usd-m orders", "<html>maintenance</html>", "fapiPrivateGetOpenOrders"),
    ],
)
async def test_an_answer_that_is_not_understood_is_kept_whole(name: str, body: str, endpoint: str) -> None:
    """With its endpoint and status, once."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        use = outcome_of(ENDPOINTS[name], Answer(body=body), venue, fetch)
        with capture_logs() as logged:
            for _ in range(3):
                try:
                    await use()
                except VenueAnswerUnknown:
                    continue
        (kept,) = complaints(logged)
        assert (kept["endpoint"], kept["status"], kept["body"], kept["suppressed"]) == (endpoint, 200, body, 0)


@pytest.mark.parametrize(("body", "status"), [('{"error": "what?"}', 400), ("<html>bad gateway</html>", 502)])
async def test_an_error_in_words_that_are_not_the_venues_is_kept_as_well(body: str, status: int) -> None:
    """Of reads and of steps."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        fetch.default = Answer(body=body, status=status)
        with capture_logs() as logged:
            with pytest.raises(VenueError):
                await venue.read_positions("linear")
            await venue.execute(close_position())
        assert [(kept["endpoint"], kept["status"], kept["body"]) for kept in complaints(logged)] == [
            ("fapiPrivateV3GetPositionRisk", status, body),
            ("fapiPrivatePostOrder", status, body),
        ]


async def test_an_answer_that_is_understood_is_not_kept() -> None:
    """Neither a good one nor a refusal that is known."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        with capture_logs() as logged:
            for asked in ENDPOINTS.values():
                await outcome_of(asked, answer(asked.good), venue, fetch)()
            fetch.answers["POST /fapi/v1/order"] = answer({"code": -2022, "msg": "ReduceOnly Order is rejected."}, 400)
            await venue.execute(close_position())
        assert complaints(logged) == []


def test_one_a_minute_of_each_endpoint_with_the_number_of_the_others() -> None:
    """A venue in trouble answers thousands of times."""
    now = [100.0]
    kept = AnswerLog(Scrubber(()), clock=lambda: now[0])
    with capture_logs() as logged:
        for _ in range(5):
            kept.note("a", 200, "?", "why")
        kept.note("b", 502, "?", "why")
        now[0] += 59.9
        kept.note("a", 200, "?", "why")
        now[0] += 0.2
        kept.note("a", 200, "!", "why")
        now[0] += 60.0
        kept.note("a", 200, "!", "why")
    found = [(each["endpoint"], each["body"], each["suppressed"]) for each in complaints(logged)]
    assert found == [("a", "?", 0), ("b", "?", 0), ("a", "!", 5), ("a", "!", 0)]


SECRET = 'MC4CAQ"\n/+secret=='


@pytest.mark.parametrize(
    "body",
    [
        f"you sent {SECRET}",
        json.dumps({"echo": SECRET}),
        json.dumps(json.dumps({"echo": SECRET})),
        "https://fapi.binance.com/fapi/v1/order?x=1&signature=0a1b2c3d4e5f",
        '{"request": "symbol=BTCUSDT&timestamp=1&signature=0a1b2c3d4e5f"}',
        '{"signature": "0a1b2c3d4e5f"}',
        '{"listenKey": "0a1b2c3d4e5f"}',
        '{"listenToken":"0a1b2c3d4e5f","expirationTime":1}',
        '{"token": "0a1b2c3d4e5f"}',
        "X-MBX-APIKEY: 0a1b2c3d4e5f",
        '"{\\"listenKey\\": \\"0a1b2c3d4e5f\\"}"',
        "apiKey=0a1b2c3d4e5f&symbol=BTCUSDT",
    ],
)
def test_what_is_kept_carries_no_secret(body: str) -> None:
    """Neither ours nor one that the venue has given us, in whatever quotes."""
    with capture_logs() as logged:
        AnswerLog(Scrubber((SECRET,))).note("a", 200, body, body)
    (kept,) = complaints(logged)
    for text in (kept["body"], kept["reason"]):
        assert "0a1b2c3d4e5f" not in text
        assert "secret" not in text
        assert "***" in text or "?" not in text


def test_what_is_kept_is_bounded_and_cut_through_no_secret() -> None:
    """64 KiB, wherever in it a secret stands."""
    secret = "s3cr3t-" + "0123456789" * 20
    for length in (BODY_MAX - 5, BODY_MAX + 8 * 1024 - 30, BODY_MAX * 20):
        body = ("." * 1000 + secret) * 100 + "." * length + secret
        with capture_logs() as logged:
            AnswerLog(Scrubber((secret,))).note("a", 200, body, "")
        (kept,) = complaints(logged)
        assert len(kept["body"]) <= BODY_MAX
        assert "s3cr3t" not in kept["body"]
        assert kept["length"] == len(body)
    whole = secret * 1000
    with capture_logs() as logged:
        AnswerLog(Scrubber((secret,))).note("a", 200, whole, "")
    assert "s3cr3t" not in complaints(logged)[0]["body"]


async def test_credentials_are_what_is_taken_out() -> None:
    """Of the account whose answer it is."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = Answer(body=f"<html>{CREDENTIALS['apiKey']} {CREDENTIALS['secret']}</html>")
        with capture_logs() as logged:
            await venue.execute(close_position())
        assert complaints(logged)[0]["body"] == "<html>*** ***</html>"
