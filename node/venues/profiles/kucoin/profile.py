"""KuCoin: spot, and linear and inverse contracts (the futures host) of one classic account.

Not covered: unified accounts, whose resting spot orders cannot be listed without naming each market; spot accounts of
low frequency, which are traded through endpoints that KuCoin calls old; cross and isolated margin, which is named if
the key opens it. Inverse wallets are read in XBT and ETH; positions and orders in all coins. Sources:
https://www.kucoin.com/docs-new and KuCoin's own github.com/Kucoin/kucoin-universal-sdk; requests as ccxt 4.5.90 signs
them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, Refusal, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import ACCOUNT, VenueOptions
from node.venues.profiles.kucoin import answers, calls, judgements, streams
from node.venues.profiles.kucoin.effects import effect_of
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import decimal, row, text

#: The account's modes, by ``GET /api/ua/v1/account/mode``.
_MODES: Final = {"CLASSIC": "classic", "UNIFIED": "unified"}
#: What an account is called whose spot orders rest where they are not read.
_LOW_FREQUENCY: Final = "classic, with spot of low frequency"
#: Rights of a key that open a part of KuCoin without a slice.
_BEYOND: Final = (("Margin", "margin"), ("Margin", "isolated margin"))
#: Longer than any pause that KuCoin asks for.
_LONGEST_S: Final = 60.0


class KucoinProfile(PlainProfile):
    """What is peculiar about KuCoin."""

    exchange = "kucoin"
    credentials = ("apiKey", "secret", "password")
    settle_coins = calls.LINEAR_COINS
    accounts = ("classic",)
    sandboxes = False
    budgets = calls.BUDGETS
    probe_id = calls.PROBE_FUTURES

    def __init__(self, options: VenueOptions | None = None) -> None:
        super().__init__(options)
        configured = options.slices if options is not None else None
        self._spot = configured is None or MarketKind.SPOT.value in configured

    def objections(self, options: VenueOptions) -> list[str]:
        """Why unified accounts are refused."""
        faults = super().objections(options)
        if options.options.get(ACCOUNT) == "unified":
            faults.append(
                "options.account: a unified account cannot be proven flat: KuCoin lists its resting spot orders only"
                " for markets that are named"
            )
        return faults

    def ccxt_options(self) -> dict[str, Any]:
        """The account's kinds are asked for by us alone, and nobody is named as a partner."""
        nobody = {"id": None, "key": None}
        return {"uta": False, "hf": True, "partner": {"spot": nobody, "future": nobody}}

    def effect_of(self, request: Request) -> Effect | None:
        """By host, method, path and body."""
        return effect_of(request)

    # Lists

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """Symbols, or contracts."""
        return (calls.market_call(kind),)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Limits as they are."""
        return answers.market_rules(exchange, kind, answer)

    def reads(self, part: Slice) -> SliceReads:
        """Orders, stop orders and wallet; of contracts positions, too."""
        return calls.reads(part)

    def more(self, call: Call, answer: Answer) -> Call | None:
        """By page, or by market."""
        return calls.more(call, answer)

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Legs with a size."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Open orders of one book."""
        return answers.orders(part, book, answer, trigger=trigger)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Coins of the slice's wallets."""
        return answers.balances(part, exchange, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Margin in use must be explained by what is listed."""
        answers.corroborate(part, book, answer, positions, orders)

    # Steps

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each twenty (or each) of many orders, or one for each book."""
        return calls.of_step(step, kind)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's own id, or its word for "all cancelled"."""
        return judgements.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the code."""
        return judgements.refused(step, reply)

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"code": "...", "msg": "..."}``."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights, address, or the person behind them."""
        return reply.code in judgements.DENIED

    def limited(self, reply: Reply) -> bool:
        """429, and its codes."""
        return reply.status == 429 or reply.code in judgements.LIMITED

    def clock_is_off(self, reply: Reply) -> bool:
        """More than five seconds."""
        return reply.code in judgements.CLOCK

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """The rest of the pool's thirty seconds, in milliseconds."""
        reset = headers.get("gw-ratelimit-reset", "")
        if self.limited(reply) and reset.isascii() and reset.isdecimal() and len(reset) <= 6:
            return min(int(reset) / 1000, _LONGEST_S)
        return super().retry_after_s(headers, reply)

    def used(self, call: Call, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """Every answer says what is left of its pool; of the public one, which the address shares."""
        left, most = (headers.get(f"gw-ratelimit-{name}", "") for name in ("remaining", "limit"))
        for charge in call.charges:
            units = self.budgets[charge.bucket].units
            if not charge.per_key and most == str(units) and left.isascii() and left.isdecimal():
                return charge.bucket, max(0, units - int(left[:9]))
        return None

    # Around it

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """The best prices of each, or all tickers."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        return calls.quote_calls(None if whole else ids) if ids else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        named = call.params.get("symbol") if isinstance(call.params, Mapping) else None
        return answers.quotes(book, symbols, answer, by_name=named)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By clientOid."""
        return calls.order_call(step)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself, or nothing that can be relied on."""
        try:
            found = row(calls.data(answer), "order")
            return True if text(found, "id") and found.get("clientOid") == step.client_order_id else None
        except VenueAnswerUnknown:
            return None

    def never_existed(self, reply: Reply) -> bool:
        """Order does not exist, in several wordings."""
        if reply.code is None or (reply.status or 0) >= 500:
            return False
        return judgements.refusal_of(reply.code, reply.message) is Refusal.UNKNOWN_ORDER

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Private topics."""
        return streams.streams(layout)

    def probe_call(self, step: CancelOrders, kind: MarketKind) -> Call:
        """By an id of the shape that the market's orders have."""
        number = calls.PROBE_SPOT if kind is MarketKind.SPOT else calls.PROBE_FUTURES
        return calls.of_step(replace(step, order_ids=(number,)), kind)[0]

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET timestamp on each host in use."""
        hosts = dict.fromkeys(kind is not MarketKind.SPOT for kind in layout.market_kinds)
        return tuple(calls.clock_call(futures=futures) for futures in hosts)

    def clock_call_like(self, call: Call) -> Call:
        """GET timestamp on the host of *call*."""
        return calls.clock_call(futures=call.endpoint.startswith("futures"))

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"code": "200000", "data": 1546837113087}``."""
        return time_ms(decimal({"time": calls.data(answer)}, "time"))

    def key_calls(self) -> tuple[Call, ...]:
        """The account's mode, the key's rights, and how spot is traded."""
        return calls.key_calls(spot=self._spot)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Mode and rights. An account with spot of low frequency is none of those that are covered."""
        found = calls.data(answer)
        if call.endpoint == "privateGetHfAccountsOpened":
            if not isinstance(found, bool):
                raise VenueAnswerUnknown("how spot is traded is not told")
            return KeyFacts() if found else KeyFacts(account=_LOW_FREQUENCY)
        if call.endpoint == "utaPrivateGetAccountMode":
            mode = text(row(found, "mode"), "selfAccountMode")
            if mode not in _MODES:
                raise VenueAnswerUnknown(f"selfAccountMode is {mode[:20]}")
            return KeyFacts(account=_MODES[mode])
        key = row(found, "key")
        may = {each.strip() for each in text(key, "permission").split(",")}
        addresses = key.get("ipWhitelist")
        return KeyFacts(
            may_trade=bool(may & {"Spot", "Futures", "Trade"}),
            may_withdraw=bool(may & {"Transfer", "Withdrawal", "Withdraw"}),
            bound_to_addresses=bool(addresses) if isinstance(addresses, str) or addresses is None else None,
            opens=tuple(name for right, name in _BEYOND if right in may),
        )
