"""Binance: spot, USD-M and COIN-M futures and, where it is configured, cross margin of one account.

Not covered: isolated margin, options, portfolio margin. Where the key opens them, the account says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import (
    CancelOrders,
    ClosePosition,
    ConvertAsset,
    Refusal,
    SpotOrder,
    Step,
)
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.conversion import Offer
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profiles.binance import answers, calls, convert, judgements, streams, wallets
from node.venues.profiles.binance.effects import effect_of
from node.venues.profiles.binance.refusals import CLOCK, refusal_of
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import Row, decimal, row

#: Rights of a key that open a part of Binance without a slice, by the names of GET apiRestrictions.
_BEYOND: Final = (
    ("enableMargin", "margin"),  # the cross margin wallet: read where a slice is configured for it
    ("enableMargin", "isolated margin"),  # one right opens both, and the isolated wallets are never read
    ("enableVanillaOptions", "options"),
    ("enablePortfolioMarginTrading", "portfolio margin"),
)
#: Longer than any ban of Binance's (three days).
_LONGEST_S: Final = 7 * 86_400.0


class BinanceProfile(PlainProfile):
    """What is peculiar about Binance."""

    exchange = "binance"
    #: Margin is read only where it is named: without a margin account there is nothing to read.
    other_slices = ("margin",)
    settle_coins = ("USDT", "USDC")
    budgets = calls.BUDGETS
    probe_id = calls.PROBE_ID

    def objections(self, options: VenueOptions) -> list[str]:
        """Portfolio margin has endpoints of its own, which are not used."""
        faults = super().objections(options)
        if options.options.get("portfolioMargin"):
            faults.append(
                "options.portfolioMargin: portfolio margin accounts are not covered: their positions and orders are"
                " behind endpoints of their own"
            )
        return faults

    def ccxt_options(self) -> dict[str, Any]:
        """No leverage brackets, currencies, margin pairs or broker ids."""
        return {
            "fetchMargins": False,
            "fetchCurrencies": False,
            "crossMarginPairsData": [],
            "isolatedMarginPairsData": [],
            "recvWindow": 5000,
            "warnOnFetchOpenOrdersWithoutSymbol": False,
            "broker": dict.fromkeys(("spot", "margin", "future", "swap", "option", "inverse"), ""),
        }

    def to_sandbox(self, exchange: Ccxt) -> None:
        """The testnet knows no futures; demo trading has all three."""
        exchange.enable_demo_trading(True)

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """GET exchangeInfo: everything at once."""
        return (calls.market_call(kind),)

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
        return wallets.balances(part, exchange, answer)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each ten (or each) of many orders to cancel."""
        return calls.of_step(step, kind)

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and parameters."""
        return effect_of(request)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Margin in use must be explained by what is listed."""
        wallets.corroborate(part, book, answer, positions, orders)

    def tells_all(self, part: Slice) -> bool:
        """Margin of positions and of open orders, or what is locked, in every wallet."""
        return True

    def takes_nothing(self, part: Slice, answer: Answer) -> bool:
        """No position, no margin in use, nothing locked."""
        return wallets.takes_nothing(part, answer)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's own id or its word for "all cancelled"."""
        return judgements.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the code, of the product that the step goes to."""
        return judgements.refused(step, reply)

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"code": -2022, "msg": "..."}``."""
        return judgements.reply(status, body)

    def closes_together(self, part: Slice) -> int:
        """Both futures venues take five orders in one request."""
        return calls.CLOSE_BATCH if part.derivative else 1

    def close_call(self, steps: Sequence[ClosePosition], kind: MarketKind) -> Call:
        """``POST batchOrders``."""
        return calls.close_batch(steps, kind)

    def closed(self, steps: Sequence[ClosePosition], answer: Answer) -> Sequence[Judgement]:
        """One element an order, in the order of the request."""
        return judgements.of_closes(steps, answer)

    def converts(self, kind: MarketKind) -> bool:
        """The spot wallet's; margin and futures wallets have services of their own, which are not used."""
        return kind is MarketKind.SPOT

    def offer_call(self, step: ConvertAsset) -> Call:
        """POST getQuote."""
        return convert.offer_call(step)

    def offer(self, step: ConvertAsset, answer: Answer) -> Offer | Judgement:
        """A price, with or without an id to accept it by."""
        return convert.offer(step, answer)

    def accept_call(self, offer: Offer) -> Call:
        """POST acceptQuote."""
        return convert.accept_call(offer)

    def conversion_call(self, offer: Offer) -> Call:
        """GET orderStatus."""
        return convert.conversion_call(offer)

    def conversion(self, answer: Answer) -> Judgement | None:
        """By orderStatus."""
        return convert.conversion(answer)

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
        return min(float(value), _LONGEST_S) if reply.status in (418, 429) and _number(value) else None

    def used(self, call: Call, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """Every answer says how much of the address's minute is gone."""
        for charge in call.charges:
            value = headers.get(_USED.get(charge.bucket, _USED_BY_ADDRESS), "")
            if not charge.per_key and _number(value):
                return charge.bucket, int(value)
        return None

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """One request, whatever the number."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        return (calls.quote_call(None if whole else ids),) if ids else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        return answers.quotes(book, symbols, answer, by_name=bool(call.params))

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By origClientOrderId."""
        return calls.order_call(step, kind)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself, or nothing that can be relied on."""
        found = (
            isinstance(answer, dict)
            and judgements.has_id(answer)
            and answer.get("clientOrderId") == step.client_order_id
        )
        return True if found else None

    def never_existed(self, reply: Reply) -> bool:
        """-2013: Order does not exist."""
        return reply.code == "-2013" and (reply.status or 0) < 500

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """User data streams, one a product."""
        return streams.streams(layout, sandbox=sandbox)

    def probe_call(self, step: CancelOrders, kind: MarketKind) -> Call:
        """By a client id."""
        return calls.probe_call(step.market_id, kind)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET time on each host in use."""
        return tuple(calls.clock_call(kind) for kind in layout.market_kinds)

    def clock_call_like(self, call: Call) -> Call:
        """GET time on the host of *call*."""
        kinds = {"fapi": MarketKind.LINEAR, "dapi": MarketKind.INVERSE}
        return calls.clock_call(kinds.get(call.endpoint[:4], MarketKind.SPOT))

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"serverTime": 1499827319559}``."""
        return time_ms(decimal(row(answer, "time"), "serverTime"))

    def key_calls(self) -> tuple[Call, ...]:
        """GET apiRestrictions."""
        return (calls.rights_call(),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Rights, and the parts that the key may trade."""
        rights = row(answer, "rights")
        trades = [rights.get(name) is True for name in ("enableSpotAndMarginTrading", "enableFutures")]
        return KeyFacts(
            may_trade=any(trades),
            may_withdraw=_said(rights, "enableWithdrawals"),
            bound_to_addresses=_said(rights, "ipRestrict"),
            opens=tuple(name for right, name in _BEYOND if rights.get(right) is True),
        )


#: Headers that tell how much of the minute is gone.
_USED_BY_ADDRESS: Final = "x-mbx-used-weight-1m"
_USED: Final = {"sapi": "x-sapi-used-ip-weight-1m"}


def _said(rights: Row, name: str) -> bool | None:
    value = rights.get(name)
    return value if isinstance(value, bool) else None


def _number(text: str) -> bool:
    """Whether a header is a number, and none that is absurd."""
    return text.isascii() and text.isdecimal() and len(text) <= 9
