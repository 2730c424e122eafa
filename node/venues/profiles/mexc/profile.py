"""MEXC: spot, and linear and coin-margined contracts.

https://www.mexc.com/api-docs/spot-v3 and https://www.mexc.com/api-docs/futures. One kind of account, with a wallet for
spot and one for all contracts. Not covered: what spot has no request for (stop orders, made on the web), copy trading,
and Convert (which turns small balances into MX without naming a price). There is no test environment. The venue has
kept orders on contracts from most keys for years: then every one is refused, and the account is degraded.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, SpotOrder, Step
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profiles.mexc import contracts, judgements, spot, streams, words
from node.venues.profiles.mexc.effects import effect_of
from node.venues.profiles.mexc.refusals import CLOCK, DENIED, LIMITED, UNKNOWN
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import decimal, row, text

_BUDGETS: Final = {**words.SPOT_BUDGETS, **contracts.BUDGETS}
#: How long a request on spot is valid. On futures it is ten seconds, if nothing is said.
_RECEIVE_WINDOW_MS: Final = 5000
_DAY_MS: Final = 86_400_000
#: 90 days at once at most. Windows overlap by a day, and the first ends a minute from now, should our clock be late.
_WINDOW_MS, _WINDOW_STEP_MS, _AHEAD_MS = 89 * _DAY_MS, 88 * _DAY_MS, 60_000
_WINDOWED: Final = ("planorder/list/orders", "trackorder/list/orders")
_YEAR_OLD: Final = "plan and trailing orders of contracts that were made more than 352 days ago"
_SPOT_STOPS: Final = "stop orders on spot (made on the web): the venue has no request that lists them"
#: Rights of a key, each with READ beside WRITE.
_SPOT_RIGHT, _CONTRACT_RIGHT, _WITHDRAWAL = "SPOT_DEAL_WRITE", "CONTRACT_DEAL_WRITE", "SPOT_WITHDRAW_WRITE"
#: Hedge mode, and one-way.
_MODES: Final = {"1": True, "2": False}


class MexcProfile(PlainProfile):
    """What is peculiar about MEXC."""

    exchange = "mexc"
    settle_coins = words.SETTLE_COINS
    sandboxes = False
    budgets = _BUDGETS

    def __init__(self, options: VenueOptions | None = None) -> None:
        super().__init__(options)
        names = self.usual_slices if options is None or options.slices is None else options.slices
        on_spot, on_contracts = "spot" in names, any(name != "spot" for name in names)
        unverified = ((_SPOT_STOPS, on_spot), (_YEAR_OLD, on_contracts))
        self.unverified = tuple(text_ for text_, concerned in unverified if concerned)
        needed = ((_SPOT_RIGHT, on_spot), (_CONTRACT_RIGHT, on_contracts))
        #: What a key needs for the slices that are configured.
        self._rights = frozenset(right for right, concerned in needed if concerned)
        #: What closes each leg, as the last reads have shown it.
        self._legs: contracts.Legs = {}

    def ccxt_options(self) -> dict[str, Any]:
        """No broker's code."""
        return {"broker": None, "recvWindow": _RECEIVE_WINDOW_MS}

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """Without the header for a broker's code; with what only the instance knows: its key, and the time."""

        class Mexc(plain):  # type: ignore[misc]
            def sign(
                self,
                path: str,
                api: Any = ("public",),  # noqa: ANN401
                method: str = "GET",
                params: Any = None,  # noqa: ANN401
            ) -> dict[str, Any]:
                given = {} if params is None else params
                if path == "apiKeyInfo":
                    given = {**given, "accessKey": self.apiKey}
                if path in _WINDOWED and contracts.WINDOW in given:
                    given = dict(given)
                    end = int(self.nonce()) + _AHEAD_MS - _WINDOW_STEP_MS * given.pop(contracts.WINDOW)
                    given |= {"start_time": end - _WINDOW_MS, "end_time": end}
                signed: dict[str, Any] = super().sign(path, api, method, given)
                headers = signed.get("headers") or {}
                signed["headers"] = {name: value for name, value in headers.items() if name != "source"}
                return signed

        return Mexc

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path, address and body."""
        return effect_of(request)

    # Markets and prices

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """All symbols of spot, or all contracts."""
        return (spot.market_call() if kind is MarketKind.SPOT else contracts.market_call(),)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Markets of the kind."""
        if kind is MarketKind.SPOT:
            return spot.market_rules(exchange, answer)
        return contracts.market_rules(exchange, kind, answer)

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """Book tickers."""
        return spot.quote_calls(book, symbols, whole=whole)

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        return spot.quotes(book, symbols, call, answer)

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """By the kind of slice."""
        return contracts.reads() if part.derivative else spot.reads()

    def more(self, call: Call, answer: Answer) -> Call | None:
        """Lists of orders on contracts have pages."""
        return contracts.more(call, answer)

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Legs with a size."""
        return contracts.positions(part, book, answer, self._legs)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Resting orders of one book."""
        if part.derivative:
            return contracts.orders(part, book, answer, trigger=trigger)
        return spot.orders(part, book, answer)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Coins of the slice's wallet."""
        read = contracts.balances if part.derivative else spot.balances
        return read(part, exchange, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Margin in use by positions must be explained by those that are listed."""
        if part.derivative:
            contracts.corroborate(part, answer, positions)

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """What is plainly nothing, and triggers where there are none."""
        if not part.derivative and getattr(step, "trigger", False):
            return "trigger orders on spot are made, and cancelled, on the web alone"
        return super().obstacle(step, part)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each portion of many orders to cancel, and each book."""
        return spot.of_step(step) if kind is MarketKind.SPOT else contracts.of_step(step, self._legs)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done with the venue's own id."""
        kind = MarketKind.SPOT if step.slice == "spot" else MarketKind.LINEAR
        return judgements.accepted(step, answer, kind)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the code."""
        return judgements.refused(step, reply)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By origClientOrderId."""
        return spot.order_call(step)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself."""
        return spot.exists(step, answer)

    def never_existed(self, reply: Reply) -> bool:
        """Order does not exist."""
        return reply.code in UNKNOWN and (reply.status or 0) < 500

    def probe_call(self, step: CancelOrders, kind: MarketKind) -> Call:
        """A cancel by an id that was given to no order; on spot by a client id, as ids have a form there."""
        return spot.probe_call(step) if kind is MarketKind.SPOT else contracts.of_step(step, self._legs)[0]

    # Answers that are no answers

    def reply(self, status: int | None, body: Answer) -> Reply:
        """A code, in either interface's envelope."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights, address or account."""
        return reply.code in DENIED

    def limited(self, reply: Reply) -> bool:
        """429, as status or code; 510 of futures."""
        return reply.status == 429 or reply.code in LIMITED

    def clock_is_off(self, reply: Reply) -> bool:
        """Outside of the window."""
        return reply.code in CLOCK

    # Around it

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Orders, positions and assets of contracts."""
        return streams.streams(layout)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """There is one host."""
        return (words.asked_on_spot(spot.TIME, Effect.READ),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"serverTime": 1645539742000}``."""
        return time_ms(decimal(row(answer, "time"), "serverTime"))

    def key_calls(self) -> tuple[Call, ...]:
        """Rights, and the position mode where there are contracts."""
        mode = (words.asked(contracts.MODE, Effect.READ),) if _CONTRACT_RIGHT in self._rights else ()
        return (words.asked_on_spot(spot.KEY, Effect.READ), *mode)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """``GET /api/v3/apiKeyInfo``, and ``{"data": 1}`` of hedge mode."""
        if call.endpoint == contracts.MODE:
            told = {"positionMode": words.data_of(answer, "mode")}
            return KeyFacts(hedged=words.word(told, "positionMode", _MODES))
        key = row(answer, "key")
        rights = frozenset(each.strip().upper() for each in text(key, "permissions").split(","))
        bound = key.get("ipWhiteList")
        return KeyFacts(
            may_trade=self._rights <= rights,
            may_withdraw=_WITHDRAWAL in rights,
            bound_to_addresses=bool(bound) if isinstance(bound, str | list) else None,
        )
