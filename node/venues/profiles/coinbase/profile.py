"""Coinbase (Advanced Trade): the spot wallet of the portfolio that the key belongs to.

Not covered: futures (CFM) and perpetuals (INTX): nothing says that a close of theirs cannot open (orders have no
reduce-only in the documentation, and close_position does not say what it does with a size that is too large), and ccxt
cannot list the positions of the latter; vaults and staked coins, which no order can sell; the convert service, which
needs account ids. There is no test environment: the sandbox answers the same whatever is asked.

Sources: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api, .../coinbase-app/api-architecture/
rate-limiting, .../authentication-authorization/api-key-authentication.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, CancelSymbol, Outcome, Refusal, SellSpot, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.lane import Budget, Charge
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.coinbase import answers, streams
from node.venues.profiles.coinbase.refusals import CANCELLED_ALREADY, CANCELS, DENIED, LIMITED, ORDERS
from node.venues.profiles.plain import RECEIVE_WINDOW_MAX_MS, PlainProfile, plain, time_ms
from node.venues.stream import Stream
from node.venues.strict import Row, decimal, flag, row, rows, text

#: A user's requests a second (30), and a key's an hour; an address's to public endpoints a second.
_BUDGETS: Final = {
    "private": Budget(units=30, interval_s=1.0),
    "hour": Budget(units=10_000, interval_s=3600.0),
    "public": Budget(units=10, interval_s=1.0),
}
_PRIVATE: Final = (Charge(bucket="private", per_key=True), Charge(bucket="hour", per_key=True))
_PUBLIC: Final = (Charge(bucket="public"),)
_API: Final = "/api/v3/brokerage/"
_LIST: Final = "v3PrivateGetBrokerageOrdersHistoricalBatch"
#: No list has more open orders.
ORDERS_MAX: Final = 1000
ACCOUNTS_PAGE: Final = 250
#: No most is documented; more would be an answer of unusual length.
CANCEL_BATCH: Final = 100
QUOTES_BATCH: Final = 50
LOOKUP_PAGE: Final = 250
#: Orders that end at once.
_IMMEDIATE: Final = frozenset({"sor_limit_ioc", "market_market_ioc", "limit_limit_fok", "market_market_fok"})
#: Of an order, all that says what it does.
_ORDER_FIELDS: Final = frozenset({"client_order_id", "product_id", "side", "order_configuration"})
_DONE: Final = Judgement(outcome=Outcome.DONE)
_UNDERSTOOD_NOT: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)


class CoinbaseProfile(PlainProfile):
    """What is peculiar about Coinbase."""

    exchange = "coinbase"
    usual_slices = ("spot",)
    sandboxes = False
    budgets = _BUDGETS
    probe_id: ClassVar[str] = "11111111-1111-4111-8111-111111111111"

    def layout(self, configured: Collection[str] | None) -> Layout:
        """Names also what is never covered."""
        found = super().layout(configured)
        return replace(found, not_covered=(*found.not_covered, "futures", "perpetuals", "vaults and staked coins"))

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """With a clock that is corrected by the venue's, and tokens that are not valid for two minutes."""
        return type("Coinbase", (_Coinbase, plain), {})

    def ccxt_options(self) -> dict[str, Any]:
        """No currencies, no fees."""
        return {"fetchCurrencies": False, "brokerId": "", "advanced": True}

    # Markets

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """GET market/products: everything that is listed."""
        endpoint = "v3PublicGetBrokerageMarketProducts"
        return (Call(endpoint=endpoint, effect=Effect.READ, params={"product_type": "SPOT"}, charges=_PUBLIC),)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """The spot products."""
        return answers.market_rules(exchange, answer)

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """GET best_bid_ask, for some products at a time; that of market/products may be a second old."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        if whole and ids:
            return (_read("v3PrivateGetBrokerageBestBidAsk"),)
        return tuple(_read("v3PrivateGetBrokerageBestBidAsk", product_ids=some) for some in _some(ids, QUOTES_BATCH))

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        asked = call.params.get("product_ids", ()) if isinstance(call.params, Mapping) else ()
        return answers.quotes(book, symbols, answer, asked)

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """Orders by their status: OPEN stands alone, and leaves out those that are not in the book yet or any more.

        Those on their way into the book are read first, so that none slips past.
        """
        return SliceReads(
            triggers=(_orders(["PENDING", "QUEUED", "EDIT_QUEUED"]),),
            orders=(_orders(["OPEN"]), _orders(["EDIT_QUEUED", "CANCEL_QUEUED"])),
            balances=(_read("v3PrivateGetBrokerageAccounts", limit=str(ACCOUNTS_PAGE)),),
        )

    def more(self, call: Call, answer: Answer) -> Call | None:
        """By the cursor, as long as there is a next page."""
        if call.endpoint not in (_LIST, "v3PrivateGetBrokerageAccounts") or not isinstance(call.params, Mapping):
            return None
        listed = call.endpoint == _LIST
        most = ORDERS_MAX if listed else 10**9
        following = answers.cursor(row(answer, "page"), most, "orders" if listed else "accounts")
        return replace(call, params={**call.params, "cursor": following}) if following is not None else None

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Never asked for."""
        raise NotImplementedError

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Each says itself whether it waits for a trigger."""
        return answers.orders(part, book, answer)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Coins of the portfolio."""
        return answers.balances(part, exchange, answer)

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """Also that no request cancels all orders of a market."""
        if isinstance(step, CancelSymbol):
            return "coinbase cannot cancel all orders of a market at once"
        return super().obstacle(step, part)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each hundred of many orders to cancel."""
        match step:
            case SellSpot():
                return (_sell(step),)
            case CancelOrders():
                ids = list(dict.fromkeys(step.order_ids))
                return tuple(_cancel(some) for some in _some(ids, CANCEL_BATCH))
            case _:
                return ()

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's id, or its word on each order to cancel."""
        try:
            document = row(answer, "answer")
            if isinstance(step, CancelOrders):
                return _of_cancels(step, rows(document.get("results"), "results"))
            taken = row(document.get("success_response"), "success_response")
            text(taken, "order_id")
        except VenueAnswerUnknown:
            return _UNDERSTOOD_NOT
        same = taken.get("client_order_id", "") in ("", getattr(step, "client_order_id", ""))
        # A bare acknowledgement: what was filled is seen in the wallet.
        return _DONE if document.get("success") is True and same else _UNDERSTOOD_NOT

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the reason. A server error (5xx) may have been executed."""
        if reply.code is None:
            return None
        refusal, message = ORDERS.get(reply.code), f"{reply.code} {reply.message}".strip()
        if (reply.status or 0) >= 500 or refusal is None:
            return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
        off = self.clock_is_off(reply)
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=off)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """The newest orders of the market: none can be asked for by client id."""
        return _read(_LIST, product_ids=[step.market_id], order_side="SELL", limit=str(LOOKUP_PAGE))

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """Whether it is among them; that it is not counts only of a whole list, or one that begins with the newest."""
        try:
            document = row(answer, "orders")
            listed = rows(document.get("orders"), "orders")
            if any(each.get("client_order_id") == step.client_order_id for each in listed):
                return True
            times = [text(each, "created_time") for each in listed]
            return False if not flag(document, "has_next") or _newest_first(times) else None
        except VenueAnswerUnknown:
            return None

    def never_existed(self, reply: Reply) -> bool:
        """A list is no refusal."""
        return False

    # Answers that are no answers

    def reply(self, status: int | None, body: Answer) -> Reply:
        """Errors of an order (with HTTP 200), of a request (gRPC's), and of the gateway.

        ``{"success": false, "error_response": {...}}``, ``{"error": "PERMISSION_DENIED", "error_details": "..."}``,
        ``{"errors": [{"id": "rate_limit_exceeded", "message": "..."}]}``; and "Unauthorized", which is no JSON.
        """
        code, message = _error(body) if isinstance(body, dict) and not 300 <= (status or 0) < 400 else (None, "")
        if code is None and status == 401:
            code = "unauthorized"
        return Reply(status=status, code=code, message=message)

    def denied(self, reply: Reply) -> bool:
        """Key, rights or place."""
        return reply.code in DENIED

    def limited(self, reply: Reply) -> bool:
        """429 and its names."""
        return reply.status == 429 or reply.code in LIMITED

    def clock_is_off(self, reply: Reply) -> bool:
        """A refused token does not say why: it may be its time. So the clock is measured."""
        return reply.status == 401

    # What a request may do

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and the JSON body. All that is answered to GET are reads."""
        if not request.path.startswith(_API) or ".." in request.path or "%" in request.path:
            return None
        if request.method == "GET":
            return Effect.READ if not request.body else None
        document, name = request.document, request.path.removeprefix(_API)
        if request.method != "POST" or request.params or not isinstance(document, dict):
            return None
        if name == "orders/batch_cancel":
            return Effect.CANCEL
        return _effect_of_order(document) if name == "orders" else None

    # Around it

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Changes of orders."""
        return streams.streams(layout)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET time."""
        return (Call(endpoint="v3PublicGetBrokerageTime", effect=Effect.READ, charges=_PUBLIC),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"iso": "...", "epochSeconds": "1690000000", "epochMillis": "1690000000123"}``."""
        return time_ms(decimal(row(answer, "time"), "epochMillis"))

    def key_calls(self) -> tuple[Call, ...]:
        """GET key_permissions."""
        return (_read("v3PrivateGetBrokerageKeyPermissions"),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Rights; a key may be bound to addresses, but that is not told."""
        rights = row(answer, "rights")
        return KeyFacts(may_trade=flag(rights, "can_trade"), may_withdraw=flag(rights, "can_transfer"))


class _Coinbase:
    """Before ccxt's own class in the order of resolution."""

    def seconds(self) -> int:
        """Tokens are made with this, and refused where it is far off."""
        own: Any = self
        return int((own.milliseconds() - int(own.options.get("timeDifference") or 0)) / 1000)

    def jwt(self, request: dict[str, Any], *rest: Any) -> str:  # noqa: ANN401 - as ccxt passes it on
        """ccxt's tokens are valid for two minutes: so late an order could still arrive."""
        own: Any = super()
        return str(own.jwt({**request, "exp": request["nbf"] + RECEIVE_WINDOW_MAX_MS // 1000}, *rest))

    def stream_token(self) -> str:
        """For one message over the WebSocket; the kind of key is told as ccxt tells it."""
        own: Any = self
        ed25519 = len(own.secret) == 88 or own.secret.endswith("=")
        return str(own.create_auth_token(own.seconds(), None, None, ed25519))


def _read(endpoint: str, **params: str | list[str]) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=_PRIVATE)


def _orders(statuses: list[str]) -> Call:
    return _read(_LIST, order_status=statuses, limit=str(ORDERS_MAX))


def _cancel(ids: list[str]) -> Call:
    endpoint = "v3PrivatePostBrokerageOrdersBatchCancel"
    return Call(endpoint=endpoint, effect=Effect.CANCEL, params={"order_ids": ids}, charges=_PRIVATE)


def _sell(step: SellSpot) -> Call:
    """Limited and immediate-or-cancel. Sent twice with one client id, it is one order."""
    params = {
        "client_order_id": step.client_order_id,
        "product_id": step.market_id,
        "side": "SELL",
        "order_configuration": {
            "sor_limit_ioc": {"base_size": plain(step.quantity), "limit_price": plain(step.limit_price)}
        },
    }
    return Call(endpoint="v3PrivatePostBrokerageOrders", effect=Effect.CLOSE, params=params, charges=_PRIVATE)


def _some(ids: list[str], most: int) -> Iterable[list[str]]:
    return (ids[start : start + most] for start in range(0, len(ids), most))


def _effect_of_order(document: Mapping[str, Any]) -> Effect:
    """On spot nothing can be sold but what is held; a future can, and what rests may be forgotten."""
    kinds, product_id = document.get("order_configuration"), document.get("product_id")
    immediate = isinstance(kinds, dict) and len(kinds) == 1 and set(kinds) <= _IMMEDIATE
    plain_sale = document.get("side") == "SELL" and set(document) <= _ORDER_FIELDS
    spot = isinstance(product_id, str) and answers.is_spot(product_id)
    return Effect.CLOSE if immediate and plain_sale and spot else Effect.OPEN


def _error(body: Mapping[str, Any]) -> tuple[str | None, str]:
    """The reason that says most, and the words beside it."""
    details = body.get("error_response")
    if isinstance(details, dict):
        names = [details.get(each) for each in ("new_order_failure_reason", "preview_failure_reason", "error")]
        known = [name for name in names if isinstance(name, str) and name]
        telling = [name for name in known if not name.startswith("UNKNOWN")]
        said = next((details[each] for each in ("error_details", "message") if details.get(each)), "")
        return (telling or known or ["UNKNOWN_FAILURE_REASON"])[0], str(said)
    first = body["errors"][0] if isinstance(body.get("errors"), list) and body["errors"] else None
    if isinstance(first, dict) and isinstance(first.get("id"), str):
        return first["id"], str(first.get("message") or "")
    code = body.get("error")
    if isinstance(code, str) and code:
        return code, str(body.get("error_details") or body.get("message") or "")
    return None, ""


def _of_cancels(step: CancelOrders, results: list[Row]) -> Judgement:
    """Done if each order of one request is cancelled, or on its way; the whole says no more than its worst part."""
    told, ids = [text(each, "order_id") for each in results], set(step.order_ids)
    # Each order of the request, which may be one of several, and the last of them.
    sizes = (min(len(ids), CANCEL_BATCH), len(ids) % CANCEL_BATCH or CANCEL_BATCH)
    if len(told) not in sizes or len(set(told)) != len(told) or not set(told) <= ids:
        return _UNDERSTOOD_NOT
    refusals: list[tuple[Refusal, str]] = []
    for each in results:
        reason = str(each.get("failure_reason", ""))[:60]
        if flag(each, "success") or reason == CANCELLED_ALREADY:
            continue
        if reason not in CANCELS:
            return Judgement(outcome=Outcome.AMBIGUOUS, message=reason or "an order was not cancelled")
        refusals.append((CANCELS[reason], reason))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or (refusals and len(refusals) == len(results)):
        refusal, message = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message)
    return _DONE


def _newest_first(times: list[str]) -> bool:
    return len(times) > 1 and times[0] > times[-1] and times == sorted(times, reverse=True)
