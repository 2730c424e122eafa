"""OKX (API v5): spot, perpetual and expiry contracts of one trading account, in all four kinds of account.

https://www.okx.com/docs-v5/en/. Not covered: the funding account, options, events, spreads, copy trading, and what
trading bots do with the money that they were given (that there is some is told). Positions on spot pairs with margin
are shown, not closed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Refusal, RepayDebt, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profiles.okx import answers, calls, refusals, streams
from node.venues.profiles.okx.effects import effect_of
from node.venues.profiles.okx.words import ACCOUNTS, CAN_OWE, FUTURES, PORTFOLIO, only_row, rows_of
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import decimal, text

#: For how long after it was signed the venue may still place an order (header expTime): by itself it takes requests
#: that are up to 30 seconds old, and an order is looked up long before.
ORDER_LIFE_MS: Final = 5_000


class OkxProfile(PlainProfile):
    """What is peculiar about OKX."""

    exchange = "okx"
    credentials = ("apiKey", "secret", "password")
    settle_coins = ("USDT", "USDC")
    accounts = (FUTURES, *(kind for kind in ACCOUNTS.values() if kind != FUTURES))
    budgets = calls.BUDGETS
    probe_id = calls.PROBE_ID

    def __init__(self, options: VenueOptions | None = None) -> None:
        super().__init__(options)
        limits = []
        if self.account in CAN_OWE:
            limits.append("spot sales: with auto-borrow the venue does not bound them by what is held")
        if self.account == PORTFOLIO:
            limits.append("closes: of whole legs only, for the venue bounds no order in portfolio margin")
        self.unverified = tuple(limits)

    def layout(self, configured: Collection[str] | None) -> Layout:
        """Where the trading account can owe, spot trades from a margin wallet."""
        found = super().layout(configured)
        if all(part.derivative for part in found.slices):
            self.unverified = (answers.BOTS, *self.unverified)  # what they hold is told by the wallet, which spot reads
        owing = self.account in CAN_OWE
        parts = (
            replace(part, kind=MarketKind.MARGIN) if owing and not part.derivative else part for part in found.slices
        )
        return Layout(slices=tuple(parts), not_covered=found.not_covered)

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """Orders get a time until which they are valid."""

        class Okx(plain):  # type: ignore[misc]
            def sign(self, path: str, *rest: Any, **named: Any) -> Any:  # noqa: ANN401 - as ccxt's
                signed = super().sign(path, *rest, **named)
                if path == "trade/order" and signed["method"] == "POST":
                    signed["headers"]["expTime"] = str(int(self.nonce()) + ORDER_LIFE_MS)
                return signed

        return Okx

    def ccxt_options(self) -> dict[str, Any]:
        """No broker id, and nothing asked before."""
        return {"brokerId": "", "adjustForTimeDifference": False, "fetchMarkets": {"types": ["spot", "swap", "future"]}}

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and JSON."""
        return effect_of(request, self.account)

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """GET instruments, by type."""
        return calls.market_calls(kind)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Sizes in contracts."""
        return answers.market_rules(exchange, kind, answer)

    def reads(self, part: Slice) -> SliceReads:
        """Algo orders by type, orders by instrument type, positions, and the account."""
        return calls.reads(part, self.account)

    def more(self, call: Call, answer: Answer) -> Call | None:
        """Pages go back in time from the last row's id."""
        name = calls.PAGED.get(call.endpoint)
        if name is None or not isinstance(call.params, Mapping):
            return None
        found = rows_of(answer, "page")
        if len(found) < calls.PAGE:
            return None
        last = text(found[-1], name)
        if call.params.get("after") == last:
            raise VenueAnswerUnknown("the next page is the same again")
        return replace(call, params={**call.params, "after": last})

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Legs with a size."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Those of the slice, of lists that have others besides."""
        return answers.orders(part, book, answer, trigger=trigger)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """The trading account's, reported by spot."""
        return answers.balances(part, exchange, answer)

    def kept_apart(self, part: Slice, answer: Answer) -> tuple[str, ...]:
        """What trading bots hold."""
        return answers.kept_apart(part, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Positions must be those of the venue's snapshot of account and positions."""
        answers.corroborate(part, book, answer, positions)

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """What is held with margin on spot pairs, and repayments: what is bought makes up for a debt by itself."""
        if isinstance(step, ClosePosition) and not part.derivative:
            return "a margin position on a spot pair has to be closed at the venue"
        if isinstance(step, CancelSymbol):
            return "OKX cancels all orders of a market at once for market makers in options only"
        if isinstance(step, RepayDebt):
            return "OKX sets what is held off against what is owed by itself"
        return super().obstacle(step, part)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each twenty (algo orders: ten) of many orders to cancel."""
        return calls.of_step(step, self.account)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's own id."""
        return refusals.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the row's code, or the answer's."""
        return refusals.refused(reply)

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"code": "50113", "msg": "..."}``, or with rows that have codes of their own."""
        return refusals.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights, address or account."""
        return refusals.REFUSALS.get(reply.code or "") is Refusal.DENIED

    def limited(self, reply: Reply) -> bool:
        """429 and the codes for it. The venue does not say for how long."""
        return reply.status == 429 or refusals.REFUSALS.get(reply.code or "") is Refusal.RATE_LIMITED

    def clock_is_off(self, reply: Reply) -> bool:
        """More than 30 seconds away, or an order's time is over."""
        return reply.code in refusals.CLOCK

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """One request a market, or one for all."""
        ids = {book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol}
        return calls.quote_calls(None if whole else ids) if ids else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        asked = call.params.get("instId") if isinstance(call.params, Mapping) else None
        return answers.quotes(book, symbols, answer, asked)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By clOrdId."""
        return calls.order_call(step)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself, or nothing that can be relied on."""
        try:
            found = only_row(answer, "order")
            return True if text(found, "ordId") and found.get("clOrdId") == step.client_order_id else None
        except VenueAnswerUnknown:
            return None

    def never_existed(self, reply: Reply) -> bool:
        """51603: Order does not exist. What was cancelled without a fill is remembered for two hours."""
        return reply.code == refusals.NO_SUCH_ORDER and (reply.status or 0) < 500

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Orders, balances and positions; algo orders."""
        return streams.streams(layout, sandbox=sandbox)

    def probe_call(self, step: CancelOrders, kind: MarketKind) -> Call:
        """By a client id."""
        return calls.probe_call(step.market_id)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET time."""
        return (calls.clock_call(),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"code": "0", "data": [{"ts": "1597026383085"}]}``."""
        return time_ms(decimal(only_row(answer, "time"), "ts"))

    def key_calls(self) -> tuple[Call, ...]:
        """GET config."""
        return (calls.config_call(),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Kind of account, position mode, rights and addresses; options and copy trading where they are opened."""
        config = only_row(answer, "config")
        level, mode, rights = text(config, "acctLv"), text(config, "posMode"), text(config, "perm").split(",")
        if level not in ACCOUNTS or mode not in ("net_mode", "long_short_mode"):
            raise VenueAnswerUnknown(f"acctLv is {level[:10]}, posMode is {mode[:20]}")
        copying = any(config.get(name) not in (None, "", "0") for name in ("roleType", "spotRoleType"))
        opened = (("options", config.get("opAuth") == "1"), ("copy trading", copying))
        addresses = config.get("ip")
        return KeyFacts(
            may_trade="trade" in rights,
            may_withdraw="withdraw" in rights,
            bound_to_addresses=bool(addresses) if isinstance(addresses, str) else None,
            account=ACCOUNTS[level],
            hedged=mode == "long_short_mode",
            opens=tuple(name for name, is_open in opened if is_open),
        )
