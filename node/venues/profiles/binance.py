"""Binance: spot, USD-M and COIN-M futures of one account.

Not covered: margin accounts, options, portfolio margin. Where the key opens them, the account says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, CancelSymbol, Outcome, Refusal, SellSpot, Step
from node.errors import ConfigError, VenueAnswerUnknown
from node.venues.lane import Budget
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profile import Answer, Call, Ccxt, Judgement, Layout, Reply, Slice, SliceReads
from node.venues.profiles import binance_answers as answers
from node.venues.profiles import binance_calls as calls
from node.venues.profiles.binance_refusals import CLOCK, refusal_of, uncertain
from node.venues.strict import decimal, row

#: Coins that USD-M contracts settle in and that a slice may be narrowed to.
_SETTLE_COINS: Final = ("USDT", "USDC")
_NAMES: Final = ("spot", "linear", *(f"linear:{coin}" for coin in _SETTLE_COINS), "inverse")
#: Rights of a key that open a part of Binance without a slice, by the names of GET apiRestrictions.
_BEYOND: Final = {
    "enableMargin": "margin",
    "enableVanillaOptions": "options",
    "enablePortfolioMarginTrading": "portfolio margin",
}
#: In which market the permission probe is made, if it is listed.
_PROBE_SYMBOLS: Final = ("BTC/USDT:USDT", "BTC/USD:BTC", "BTC/USDT")
#: Of an order that is over without having done anything.
_EXPIRED: Final = ("EXPIRED", "EXPIRED_IN_MATCH", "REJECTED")


class BinanceProfile:
    """What is peculiar about Binance."""

    budgets: Mapping[str, Budget] = calls.BUDGETS
    unverified: tuple[str, ...] = ()

    def layout(self, configured: Collection[str] | None) -> Layout:
        """Slices are ``spot``, ``linear`` (or narrowed: ``linear:USDT``, ``linear:USDC``) and ``inverse``."""
        names = tuple(dict.fromkeys(configured if configured is not None else ("spot", "linear", "inverse")))
        known = ", ".join(_NAMES)
        faults = [f"slices: binance has no {name!r}; it has {known}" for name in names if name not in _NAMES]
        coins = tuple(name.partition(":")[2] for name in names if name.startswith("linear:"))
        if "linear" in names and coins:
            faults.append("slices: 'linear' includes every settle coin; leave out the narrower ones")
        if not names:
            faults.append("slices: none is named; leave the line out for all")
        if faults:
            raise ConfigError(faults)
        left_out = [name for name in ("spot", "linear", "inverse") if name not in names]
        if coins:
            left_out[left_out.index("linear")] = f"linear (other than {', '.join(coins)})"
        return Layout(slices=tuple(_slice(name, coins) for name in names), not_covered=tuple(left_out))

    def build(self, options: VenueOptions, session: object) -> Ccxt:
        """ccxt's class without leverage brackets, currencies, margin pairs, broker ids or retries."""
        import ccxt.pro

        exchange = ccxt.pro.binance(
            {
                **options.credentials,
                "session": session,
                "timeout": int(options.request_timeout_s * 1000),
                "options": {
                    "fetchMargins": False,
                    "fetchCurrencies": False,
                    "crossMarginPairsData": [],
                    "isolatedMarginPairsData": [],
                    "recvWindow": 5000,
                    "maxRetriesOnFailure": 0,
                    "warnOnFetchOpenOrdersWithoutSymbol": False,
                    "broker": dict.fromkeys(("spot", "margin", "future", "swap", "option", "inverse"), ""),
                    **options.options,
                },
            }
        )
        exchange.has["fetchCurrencies"] = False
        if options.sandbox:
            # The testnet knows no futures; demo trading has all three.
            exchange.enable_demo_trading(True)
        return exchange

    def market_call(self, kind: MarketKind) -> Call:
        """GET exchangeInfo."""
        return calls.market_call(kind)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Filters as they are."""
        return answers.market_rules(exchange, kind, answer)

    def reads(self, part: Slice) -> SliceReads:
        """Positions, orders, algo orders and wallet; on spot orders and account."""
        return calls.reads(part)

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Legs with a size."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Resting orders of one book."""
        return answers.orders(part, book, answer, trigger=trigger)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Coins of the slice's wallet."""
        if part.kind is MarketKind.SPOT:
            return answers.spot_balances(part, exchange, answer)
        return answers.wallet_balances(part, exchange, answer)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each ten (or each) of many orders to cancel."""
        return calls.of_step(step, kind)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's own id or its word for "all cancelled"."""
        if isinstance(answer, list):
            if isinstance(step, CancelOrders):
                return _of_batch(answer, step)
            cancelled = isinstance(step, CancelSymbol) and all(_has_id(each) for each in answer)
            return _DONE if cancelled else _NOT_UNDERSTOOD
        if not isinstance(answer, dict):
            return _NOT_UNDERSTOOD
        if isinstance(step, CancelSymbol):
            return _DONE if str(answer.get("code")) == "200" else _NOT_UNDERSTOOD
        if not _has_id(answer):
            return _NOT_UNDERSTOOD
        if isinstance(step, CancelOrders):
            return _DONE
        return _of_order(answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the code. A server error (5xx) may have been executed, except for the overload protection's."""
        if reply.code is None:
            return None
        message = f"{reply.code} {reply.message}"
        refusal = refusal_of(reply.code, reply.message)
        server_error = (reply.status or 0) >= 500 and refusal is not Refusal.OVERLOADED
        if server_error or uncertain(reply.code, reply.message):
            return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
        if refusal is None:
            return None
        if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
            return Judgement(outcome=Outcome.DONE, message=message)  # spot's way of saying that nothing rests
        return Judgement(
            outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=self.clock_is_off(reply)
        )

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"code": -2022, "msg": "..."}``, alone or as the only element of a batch."""
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if isinstance(body, dict):
            code, message = str(body.get("code", "")), body.get("msg")
            if code.startswith("-") and code[1:].isdecimal() and isinstance(message, str):
                return Reply(status=status, code=code, message=message)
        return Reply(status=status, code=None, message="")

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights or address."""
        return reply.code is not None and refusal_of(reply.code, reply.message) is Refusal.DENIED

    def limited(self, reply: Reply) -> bool:
        """429, 418 (a ban), and their codes; and the overload protection."""
        if reply.status in (418, 429):
            return True
        limits = (Refusal.RATE_LIMITED, Refusal.OVERLOADED)
        return reply.code is not None and refusal_of(reply.code, reply.message) in limits

    def concerns_orders_only(self, reply: Reply) -> bool:
        """-1015: Too many new orders."""
        return reply.code == "-1015"

    def clock_is_off(self, reply: Reply) -> bool:
        """Outside recvWindow."""
        return reply.code in CLOCK

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """Sent with 429 and 418."""
        value = headers.get("retry-after", "")
        return float(value) if reply.status in (418, 429) and value.isdecimal() else None

    def used(self, call: Call, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """Every answer says how much of the address's minute is gone."""
        value = headers.get("x-mbx-used-weight-1m", "")
        buckets = [charge.bucket for charge in call.charges if not charge.per_key]
        return (buckets[0], int(value)) if value.isdecimal() and buckets else None

    def quote_calls(self, book: MarketBook, symbols: Collection[str]) -> tuple[Call, ...]:
        """One request, whatever the number."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        return (calls.quote_call(ids),) if ids else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        return answers.quotes(book, symbols, answer)

    def order_call(self, step: SellSpot) -> Call:
        """By origClientOrderId."""
        return calls.order_call(step)

    def exists(self, step: SellSpot, answer: Answer) -> bool | None:
        """The order itself, or nothing that can be relied on."""
        found = isinstance(answer, dict) and _has_id(answer) and answer.get("clientOrderId") == step.client_order_id
        return True if found else None

    def never_existed(self, reply: Reply) -> bool:
        """-2013: Order does not exist."""
        return reply.code == "-2013" and (reply.status or 0) < 500

    def probe(self, layout: Layout, books: Mapping[MarketKind, MarketBook]) -> tuple[Step, Call] | None:
        """On a derivative market if the account has one: that is where the right to trade is missing most often."""
        for part in sorted(layout.slices, key=lambda part: not part.derivative):
            book = books.get(part.kind)
            rules = list(book.by_symbol.values()) if book else []
            usual = [rule for rule in rules if rule.symbol in _PROBE_SYMBOLS]
            for rule in usual or [rule for rule in rules if rule.trading] or rules:
                step = CancelOrders(
                    slice=part.name,
                    symbol=rule.symbol,
                    market_id=rule.market_id,
                    order_ids=(calls.PROBE_ID,),
                    trigger=False,
                )
                return step, calls.probe_call(rule.market_id, part.kind)
        return None

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET time on each host in use."""
        return tuple(calls.clock_call(kind) for kind in dict.fromkeys(part.kind for part in layout.slices))

    def clock_call_like(self, call: Call) -> Call:
        """GET time on the host of *call*."""
        kinds = {"fapi": MarketKind.LINEAR, "dapi": MarketKind.INVERSE}
        return calls.clock_call(kinds.get(call.endpoint[:4], MarketKind.SPOT))

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"serverTime": 1499827319559}``."""
        return float(decimal(row(answer, "time"), "serverTime"))

    def rights_call(self) -> Call | None:
        """GET apiRestrictions."""
        return calls.rights_call()

    def beyond(self, answer: Answer) -> tuple[str, ...]:
        """Parts that the key may trade and this profile does not read."""
        rights = row(answer, "rights")
        return tuple(name for right, name in _BEYOND.items() if rights.get(right) is True)


_DONE: Final = Judgement(outcome=Outcome.DONE)
_NOT_UNDERSTOOD: Final = Judgement(outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id")


def _slice(name: str, coins: tuple[str, ...]) -> Slice:
    kind, _, settle = name.partition(":")
    if not settle:
        return Slice(name=name, kind=MarketKind(kind))
    return Slice(
        name=name,
        kind=MarketKind(kind),
        settle=settle,
        foreign_coins=frozenset(coins) - {settle},
        reports_other_coins=settle == coins[0],
    )


def _has_id(answer: object) -> bool:
    if not isinstance(answer, dict):
        return False
    # Cancelled order lists (OCO) come back with the ids of their legs inside.
    identified = any(answer.get(name) not in (None, "") for name in ("orderId", "algoId", "orderListId"))
    return identified and str(answer.get("code", "200")) == "200"


def _of_order(answer: Mapping[str, Any]) -> Judgement:
    """An order that ended without doing anything was refused by the market, whatever the status line says."""
    status = str(answer.get("status", ""))
    if status not in _EXPIRED:
        return _DONE
    try:
        executed = decimal(answer, "executedQty")
    except VenueAnswerUnknown:
        return _NOT_UNDERSTOOD
    if executed != 0:
        return _DONE
    refusal = Refusal.PRICE_BAND if status == "EXPIRED" else Refusal.OTHER
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=f"the order ended {status} without a fill")


def _of_batch(answer: list[Any], step: CancelOrders) -> Judgement:
    """Done if every named order is cancelled or gone; the whole says no more than its worst part."""
    if not 0 < len(answer) <= len(step.order_ids):
        return _NOT_UNDERSTOOD
    refusals: list[tuple[Refusal, str]] = []
    for each in answer:
        if _has_id(each):
            continue
        code, message = (str(each.get("code")), str(each.get("msg"))) if isinstance(each, dict) else ("", "")
        refusal = refusal_of(code, message)
        if refusal is None:
            return _NOT_UNDERSTOOD
        refusals.append((refusal, f"{code} {message}"))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or len(refusals) == len(answer):
        refusal, text = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=text)
    return _DONE
