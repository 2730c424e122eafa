"""Kraken: the spot exchange, its margin positions among it.

https://docs.kraken.com/api/docs/rest-api, .../guides/spot-errors, .../guides/spot-ratelimits, .../guides/spot-clordid.
Margin positions (trades on spot markets with leverage) are shown and closed in the spot slice: by an opposing order
that is leveraged and reduce-only, at whatever leverage (https://support.kraken.com/hc/en-us/articles/202966956).

Not covered: Kraken Futures, which has accounts, keys and a profile of its own; tokenized assets (xStocks), which are
shown, and whose orders are cancelled, but which are not sold; what is staked or bonded (.S, .B, .M), which is shown.

A key for this needs, besides queries of funds and of open orders, those of closed orders (to ask after a sale), to
create and to cancel orders. It better has a nonce window of some seconds: without one its requests wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Refusal, SellSpot, SpotOrder, Step
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.lane import Budget, Charge
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profiles.kraken import answers, judgements, streams
from node.venues.profiles.kraken.effects import effect_of
from node.venues.profiles.kraken.line import WINDOW_MS, Line, in_line
from node.venues.profiles.plain import PlainProfile, plain, time_ms
from node.venues.stream import Stream
from node.venues.strict import decimal

#: Of the key's call counter, of the address's public requests, of the trading engine.
_COUNTER: Final = (Charge(bucket="counter", per_key=True),)
_PUBLIC: Final = (Charge(bucket="public"),)
_ENGINE: Final = "engine"
#: What cancelling an order costs that is younger than five seconds.
_CANCEL_COST: Final = 8
#: Any leverage closes, and every margin market has this one.
_LEVERAGE: Final = "2"
#: Beyond this many names all markets are asked for: addresses stay short.
_QUOTES_BY_NAME: Final = 50


class KrakenProfile(PlainProfile):
    """What is peculiar about Kraken."""

    exchange = "kraken"
    usual_slices = ("spot",)
    sandboxes = False
    #: .../guides/spot-rest-ratelimits and .../guides/spot-ratelimits, for the lowest tier: how high the counters may
    #: go, and how long they take to come down again. The engine has a counter for each market, here there is one.
    budgets: Mapping[str, Budget] = {
        "counter": Budget(units=15, interval_s=45.0),
        "public": Budget(units=15, interval_s=15.0),
        _ENGINE: Budget(units=60, interval_s=60.0),
    }
    #: In the form of an order's id.
    probe_id = "OAAAAA-AAAAA-AAAAAA"

    def __init__(self, options: VenueOptions | None = None) -> None:
        super().__init__(options)
        self._line = Line()

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """The class with requests that wait for their turn, and with orders that do not come late."""
        return in_line(plain, self._line)

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and parameters."""
        return effect_of(request)

    # Markets

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """GET AssetPairs: all of them."""
        return (Call(endpoint="publicGetAssetPairs", effect=Effect.READ, charges=_PUBLIC),)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Named as ccxt names them."""
        return answers.market_rules(exchange, answer)

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """GET Ticker: one request, whatever the number."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        named = {"pair": ",".join(ids)} if not whole and len(ids) <= _QUOTES_BY_NAME else {}
        return (Call(endpoint="publicGetTicker", effect=Effect.READ, params=named, charges=_PUBLIC),) if ids else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        return answers.quotes(book, symbols, answer, by_name=bool(call.params))

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """Lists of everything, stops among the orders; no pages."""
        return SliceReads(
            orders=(_read("OpenOrders"),), positions=(_read("OpenPositions"),), balances=(_read("BalanceEx"),)
        )

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Those on margin."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """All that rest or wait."""
        return answers.orders(part, book, answer)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Coins, by ccxt's names."""
        return answers.balances(part, exchange, answer)

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """Positions are closed here, too; a market cannot be swept alone."""
        if isinstance(step, CancelSymbol):
            return "kraken cannot cancel all orders of one market: they have to be named"
        if isinstance(step, ClosePosition):
            return None if step.contracts > 0 else "ClosePosition of nothing"
        return super().obstacle(step, part)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request; many cancels in batches."""
        match step:
            case SellSpot():
                pricing = {"ordertype": "limit", "timeinforce": "IOC", "price": plain(step.limit_price)}
                amount = {"volume": plain(step.quantity)}
                # The fee in money: in the coin it would be more than there is.
                return (_order(step, "sell", {**pricing, **amount, "oflags": "fciq"}),)
            case ClosePosition():
                return (_close(step),)
            case CancelOrders() if len(step.order_ids) == 1:
                return (_cancel("CancelOrder", 1, txid=step.order_ids[0]),)
            case CancelOrders():
                ids, size = step.order_ids, judgements.BATCH
                batches = (list(ids[start : start + size]) for start in range(0, len(ids), size))
                return tuple(_cancel("CancelOrderBatch", len(batch), orders=batch) for batch in batches)
            case _:
                return ()

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's id, or its count."""
        return judgements.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the beginning of the error."""
        return judgements.refused(step, reply)

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"error": ["EOrder:Insufficient funds"]}``."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights or account."""
        return reply.code is not None and judgements.refusal_of(reply.code) is Refusal.DENIED

    def limited(self, reply: Reply) -> bool:
        """A counter is spent, or too much is under way."""
        spent = reply.code is not None and judgements.refusal_of(reply.code) is Refusal.RATE_LIMITED
        return spent or reply.status == 429

    def clock_is_off(self, reply: Reply) -> bool:
        """A nonce that is too small, or an order that came too late."""
        return judgements.clock_is_off(reply)

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """Of the request counter, and of the throttle; the trading engine's counters are each market's own."""
        pause_s = judgements.pause_s(reply.code, headers.get("date", ""))
        return pause_s if pause_s is not None else super().retry_after_s(headers, reply)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """Ours are over at once: among the closed orders, by client id."""
        return _read("ClosedOrders", cl_ord_id=step.client_order_id)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself; or an empty list, which says that there is none."""
        found = answers.result(answer, "closed orders")
        closed = answers.mapping(found.get("closed"), "closed orders")
        if any(isinstance(each, dict) and each.get("cl_ord_id") == step.client_order_id for each in closed.values()):
            return True
        return False if not closed and found.get("count", 0) in (0, "0") else None

    def never_existed(self, reply: Reply) -> bool:
        """It is said with an empty list."""
        return False

    # Around it

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Executions and balances."""
        return (streams.stream(layout, _COUNTER),)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET Time."""
        return (Call(endpoint="publicGetTime", effect=Effect.READ, charges=_PUBLIC),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"unixtime": 1688669448}``: of the second that has begun, the middle."""
        return time_ms(decimal(answers.result(answer, "time"), "unixtime") * 1000 + 500)

    def key_calls(self) -> tuple[Call, ...]:
        """POST GetApiKeyInfo."""
        return (_read("GetApiKeyInfo"),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Rights and addresses; and whether requests have to wait for each other."""
        found = answers.result(answer, "key")
        rights, addresses = found.get("permissions"), found.get("ipAllowlist")
        told = rights if isinstance(rights, list) else None
        self._line.wide = "nonceWindow" in found and decimal(found, "nonceWindow") >= WINDOW_MS
        return KeyFacts(
            may_trade=None if told is None else "modify-trades" in told,
            may_withdraw=None if told is None else "withdraw-funds" in told,
            bound_to_addresses=bool(addresses) if isinstance(addresses, list) else None,
        )


def _read(name: str, **params: str) -> Call:
    return Call(endpoint=f"privatePost{name}", effect=Effect.READ, params=params, charges=_COUNTER)


def _cancel(name: str, count: int, **params: Any) -> Call:  # noqa: ANN401 - an id, or a list of them
    charges = (Charge(bucket=_ENGINE, units=_CANCEL_COST * count, per_key=True),)
    return Call(endpoint=f"privatePost{name}", effect=Effect.CANCEL, params=params, charges=charges)


def _close(step: ClosePosition) -> Call:
    pricing = {"ordertype": "market"}
    if step.limit_price is not None:
        pricing = {"ordertype": "limit", "timeinforce": "IOC", "price": plain(step.limit_price)}
    bounds = {"leverage": _LEVERAGE, "reduce_only": "true"}
    return _order(step, step.side.closing_side.value, {**pricing, "volume": plain(step.contracts), **bounds})


def _order(step: SellSpot | ClosePosition, side: str, terms: Mapping[str, str]) -> Call:
    params = {"pair": step.market_id, "type": side, **terms, "cl_ord_id": step.client_order_id}
    charges = (Charge(bucket=_ENGINE, per_key=True),)
    return Call(endpoint="privatePostAddOrder", effect=Effect.CLOSE, params=params, charges=charges)
