"""What most venues have in common. A profile derives from this, and says only what is its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import MarketKind, MarketRules, OpenOrder, Position, PositionSide, SliceSnapshot
from node.domain.steps import (
    BuyToRepay,
    CancelOrders,
    CancelSymbol,
    ClosePosition,
    ConvertAsset,
    RepayDebt,
    SellSpot,
    Step,
)
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.conversion import Offer
from node.venues.lane import Budget
from node.venues.layout import Layout, Slice, SliceReads, resolve
from node.venues.markets import MarketBook
from node.venues.options import ACCOUNT, VenueOptions
from node.venues.stream import Stream

#: Requests must not be valid for longer: until then an order of unknown outcome counts as possible (LATE_ARRIVAL_NS).
RECEIVE_WINDOW_MAX_MS: Final = 10_000
#: In which market the permission probe is made, if it is listed.
_PROBE_SYMBOLS: Final = ("BTC/USDT:USDT", "BTC/USDC:USDC", "BTC/USD:BTC", "BTC/USDT", "BTC/USDC", "BTC/USD")
#: What is no time of this age, in milliseconds.
_TIMES_MS: Final = (1_000_000_000_000, 10_000_000_000_000)

_CANCELS: Final = (CancelOrders, CancelSymbol)
#: What can be done where.
_KINDS_OF_STEP: Final[Mapping[MarketKind, tuple[type, ...]]] = {
    MarketKind.SPOT: (*_CANCELS, SellSpot, ConvertAsset),
    MarketKind.MARGIN: (*_CANCELS, SellSpot, BuyToRepay, RepayDebt),
    MarketKind.LINEAR: (*_CANCELS, ClosePosition),
    MarketKind.INVERSE: (*_CANCELS, ClosePosition),
}


class PlainProfile:
    """Defaults of ``Profile``: no streams, no convert service, one kind of account, lists of one page."""

    #: ccxt's name of the venue.
    exchange: ClassVar[str]
    credentials: tuple[str, ...] = ("apiKey", "secret")
    #: Parts of a key that some accounts have besides.
    other_credentials: tuple[str, ...] = ()
    #: Slices that are covered unless configuration says otherwise, and those that it may name besides.
    usual_slices: ClassVar[tuple[str, ...]] = ("spot", "linear", "inverse")
    other_slices: ClassVar[tuple[str, ...]] = ()
    #: Coins that linear contracts settle in and that the slice may be narrowed to.
    settle_coins: ClassVar[tuple[str, ...]] = ()
    #: What ``options.account`` may say; the first is taken for granted where it says nothing. Empty: there is one kind.
    accounts: ClassVar[tuple[str, ...]] = ()
    #: Whether there is a test environment that ccxt knows.
    sandboxes: ClassVar[bool] = True
    made_for_it: bool = True
    budgets: Mapping[str, Budget] = {}
    books: Mapping[MarketKind, MarketBook] = {}
    unverified: tuple[str, ...] = ()
    #: The id of an order that cannot exist.
    probe_id: ClassVar[str] = "1"

    def __init__(self, options: VenueOptions | None = None) -> None:
        named = options.options.get(ACCOUNT) if options is not None else None
        self.account: str | None = named or next(iter(self.accounts), None)

    # Before anything is connected

    def objections(self, options: VenueOptions) -> list[str]:
        """Parts of the key that are missing or unknown, kinds of account and test environments that there are not,
        windows too long.
        """
        faults = [f"credentials: {name} is missing" for name in self.credentials if not options.credentials.get(name)]
        # What nobody reads may have been meant to say whose account it is; and ccxt takes any name for a setting.
        known = dict.fromkeys((*self.credentials, *self.other_credentials))
        unknown = sorted(options.credentials.keys() - known)
        faults += [f"credentials: {self.exchange} takes no {name!r}; it takes {', '.join(known)}" for name in unknown]
        account, window = options.options.get(ACCOUNT), options.options.get("recvWindow", 0)
        if account is not None and account not in self.accounts:
            right = f"one of {', '.join(map(repr, self.accounts))}" if self.accounts else "left out: there is one kind"
            faults.append(f"options.{ACCOUNT}: no {account!r} account of {self.exchange} is covered; it may be {right}")
        if options.sandbox and not self.sandboxes:
            faults.append(f"sandbox: {self.exchange} has no test environment")
        if not isinstance(window, int) or isinstance(window, bool) or window > RECEIVE_WINDOW_MAX_MS:
            faults.append(f"options.recvWindow: at most {RECEIVE_WINDOW_MAX_MS} (ms): until then an order may arrive")
        return faults

    def layout(self, configured: Collection[str] | None) -> Layout:
        """The slices named in the class."""
        return resolve(self.exchange, configured, self.usual_slices, self.other_slices, self.settle_coins)

    def build(self, options: VenueOptions, session: object) -> Ccxt:
        """ccxt's class with its hidden requests, broker ids and retries switched off by ``ccxt_options``."""
        given = {name: value for name, value in options.options.items() if name != ACCOUNT}
        exchange = self.ccxt_class(self.plain_class())(
            {
                **options.credentials,
                "session": session,
                "timeout": int(options.request_timeout_s * 1000),
                "options": {"maxRetriesOnFailure": 0, **self.ccxt_options(), **given},
            }
        )
        if options.sandbox:
            self.to_sandbox(exchange)
        return exchange

    def plain_class(self) -> Any:  # noqa: ANN401 - ccxt has no types
        """ccxt's class of that name. Not ccxt.pro's: its requests over WebSockets would pass no gate."""
        from ccxt import async_support

        return getattr(async_support, self.exchange)

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """The class itself, or one derived from it with endpoints that ccxt makes of several functions."""
        return plain

    def ccxt_options(self) -> dict[str, Any]:
        """What is pinned so that ccxt asks nothing on its own account and sends nothing of a broker's."""
        return {}

    def to_sandbox(self, exchange: Ccxt) -> None:
        """The venue's test environment."""
        exchange.set_sandbox_mode(True)

    # What a request may do: every venue's own

    def effect_of(self, request: Request) -> Effect | None:
        """Nothing is known."""
        raise NotImplementedError

    # Lists

    def details(self, part: Slice, book: MarketBook, snapshot: SliceSnapshot) -> tuple[Call, ...]:
        """The list of markets says it all."""
        return ()

    def detailed(self, kind: MarketKind, answer: Answer) -> MarketRules:
        """Never asked for."""
        raise NotImplementedError

    def reads(self, part: Slice) -> SliceReads:
        """Every venue's own."""
        raise NotImplementedError

    def reads_of(self, part: Slice, book: MarketBook) -> SliceReads:
        """The same whatever markets there are."""
        return self.reads(part)

    def more(self, call: Call, answer: Answer) -> Call | None:
        """One page."""
        return None

    def nothing(self, call: Call, reply: Reply) -> Answer | None:
        """A refusal is a refusal."""
        return None

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """The wallet says nothing that would bear out a list."""

    def tells_all(self, part: Slice) -> bool:
        """No venue's wallet is relied on for that without its own documentation."""
        return False

    def takes_nothing(self, part: Slice, answer: Answer) -> bool:
        """Never asked."""
        return False

    def kept_apart(self, part: Slice, answer: Answer) -> tuple[str, ...]:
        """The wallet says nothing of what is elsewhere."""
        return ()

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """Steps of another kind of wallet, and of nothing."""
        if not isinstance(step, _KINDS_OF_STEP[part.kind]):
            return f"{type(step).__name__} is nothing that can be done in {part.name!r}"
        amounts = (getattr(step, name, None) for name in ("contracts", "quantity", "amount"))
        if any(amount is not None and amount <= 0 for amount in amounts):
            return f"{type(step).__name__} of nothing"
        return "no order is named" if isinstance(step, CancelOrders) and not step.order_ids else None

    def closes_together(self, part: Slice) -> int:
        """Each has its own request."""
        return 1

    def close_call(self, steps: Sequence[ClosePosition], kind: MarketKind) -> Call:
        """Never asked for."""
        raise NotImplementedError

    def closed(self, steps: Sequence[ClosePosition], answer: Answer) -> Sequence[Judgement]:
        """Never asked."""
        raise NotImplementedError

    def converts(self, kind: MarketKind) -> bool:
        """There is no convert service that is used."""
        return False

    def offer_call(self, step: ConvertAsset) -> Call:
        """Never asked for."""
        raise NotImplementedError

    def offer(self, step: ConvertAsset, answer: Answer) -> Offer | Judgement:
        """Never asked for."""
        raise NotImplementedError

    def accept_call(self, offer: Offer) -> Call:
        """Never asked for."""
        raise NotImplementedError

    def conversion_call(self, offer: Offer) -> Call:
        """Never asked for."""
        raise NotImplementedError

    def conversion(self, answer: Answer) -> Judgement | None:
        """Never asked for."""
        raise NotImplementedError

    # Answers that are no answers

    def concerns_orders_only(self, reply: Reply) -> bool:
        """Too many requests are too many requests."""
        return False

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """The standard header (RFC 9110, section 10.2.3), in seconds, with 429."""
        value = headers.get("retry-after", "")
        named = value.isascii() and value.isdecimal() and len(value) <= 6
        return float(value) if reply.status == 429 and named else None

    def used(self, call: Call, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """The venue does not tell."""
        return None

    # Around it

    @property
    def doors(self) -> str | None:
        """None that the node could shut."""
        return None

    def door_calls(self) -> tuple[Call, ...]:
        """Never asked for."""
        return ()

    def open_doors(self, answer: Answer) -> tuple[Call, ...]:
        """Never asked for."""
        raise NotImplementedError

    def door_shut(self, answer: Answer) -> None:
        """Never asked for."""
        raise NotImplementedError

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """None that are listened to."""
        return ()

    def key_calls(self) -> tuple[Call, ...]:
        """The venue does not tell."""
        return ()

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Never asked for."""
        raise NotImplementedError

    def probe(self, layout: Layout, books: Mapping[MarketKind, MarketBook]) -> tuple[Step, Call] | None:
        """On a derivative market if the account has one: that is where the right to trade is missing most often."""
        for part in sorted(layout.slices, key=lambda part: not part.derivative):
            book = books.get(part.market_kind)
            rules = [rule for rule in book.by_symbol.values() if part.holds(rule.settle)] if book else []
            usual = [rule for rule in rules if rule.symbol in _PROBE_SYMBOLS]
            for rule in usual or [rule for rule in rules if rule.trading] or rules:
                step = CancelOrders(
                    slice=part.name,
                    symbol=rule.symbol,
                    market_id=rule.market_id,
                    order_ids=(self.probe_id,),
                    trigger=False,
                )
                return step, self.probe_call(step, part.kind)
        return None

    def probe_call(self, step: CancelOrders, kind: MarketKind) -> Call:
        """The cancel itself."""
        return self.calls(step, kind)[0]

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """Every venue's own."""
        raise NotImplementedError

    def clock_call_like(self, call: Call) -> Call:
        """There is one host, and one clock."""
        return self.clock_calls(self.layout(None))[0]

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """Every venue's own."""
        raise NotImplementedError


def time_ms(value: Decimal) -> float:
    """A venue's time in milliseconds.

    Raises:
        VenueAnswerUnknown: it is no time of this age.
    """
    if not _TIMES_MS[0] < value < _TIMES_MS[1]:
        raise VenueAnswerUnknown("the venue's time is no time of this age")
    return float(value)


def exposure(
    kind: MarketKind, side: PositionSide, contracts: Decimal, rules: MarketRules | None, mark: Decimal | None
) -> Decimal | None:
    """Of a position, signed, in base units; None where the market or its price is not known."""
    sign = 1 if side is PositionSide.LONG else -1
    if kind is MarketKind.LINEAR:
        return None if rules is None else sign * contracts * rules.contract_size
    return None if rules is None or not mark else sign * contracts * rules.contract_size / mark


def plain(value: Decimal) -> str:
    """The number's own digits, without an exponent."""
    return format(value, "f")


def listed_rules(market: Mapping[str, Any], kind: MarketKind, **own: Any) -> MarketRules:  # noqa: ANN401
    """A market as ccxt has parsed it (precision in steps), with what *own* says instead.

    Raises:
        VenueAnswerUnknown: it is no such market.
    """
    limits, precision = market.get("limits") or {}, market.get("precision") or {}
    amount, cost, at_market = (limits.get(name) or {} for name in ("amount", "cost", "market"))
    if not all(isinstance(market.get(name), str) for name in ("symbol", "id", "base", "quote")):
        raise VenueAnswerUnknown("a market without a name")
    values: dict[str, Any] = {
        "symbol": market["symbol"],
        "market_id": market["id"],
        "kind": kind,
        "base": market["base"],
        "quote": market["quote"],
        "settle": market["quote"] if kind is MarketKind.SPOT else market.get("settle") or market["quote"],
        "contract_size": _number(market.get("contractSize")) or Decimal(1),
        "quantity_step": _number(precision.get("amount")),
        "quantity_min": _number(amount.get("min")),
        "market_quantity_max": _number(at_market.get("max")) or _number(amount.get("max")),
        "limit_quantity_max": _number(amount.get("max")),
        "notional_min": _number(cost.get("min")),
        "notional_max": _number(cost.get("max")),
        "price_tick": _number(precision.get("price")),
        "trading": market.get("active") is not False,
    }
    return MarketRules(**(values | own))


def _number(value: object) -> Decimal | None:
    """Above zero, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() and number > 0 else None
