"""B2PRIME (the B2TRADER platform): spot, CFDs and perpetual contracts of one account, hedging or netting.

What the node asks of ``node.venues.b2prime.exchange`` and makes of the answers. There is no request for open orders or
positions: each look is the first message of a fresh subscription, and silence is unknown. There are no reduce-only
orders: positions are closed by their identifiers, whatever kind the account is. What is inferred about the venue is an
option with a safe default (``endpoints.OPTIONS`` for the class, ``configuration.OWN`` for the profile).

Sources: https://api-docs.b2prime.com (settings, trading, websocket-api); for the same platform under another brand,
https://api-docs.b2trader.b2broker.com.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.plan import round_to
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Refusal, SellSpot, SpotOrder, Step
from node.errors import VenueAnswerUnknown, VenueDenied
from node.venues.b2prime import configuration, hints, judgements, readings, webhook_keys
from node.venues.b2prime.charges import BUDGETS, ONE
from node.venues.b2prime.closing import Closing
from node.venues.b2prime.effects import effect_of
from node.venues.b2prime.readings import Details
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import ACCOUNT, VenueOptions
from node.venues.profiles.plain import PlainProfile, plain, time_ms
from node.venues.stream import Stream
from node.venues.strict import decimal, flag, row, rows, text

#: Either kind of account is closed the same way.
_ANY_KIND: Final = "hedging or netting"
_HEDGING: Final = "hedging"
#: serverTime is whole seconds: the middle of it is as near as can be.
_HALF_SECOND_MS: Final = 500.0


def _read(endpoint: str, **params: Any) -> Call:  # noqa: ANN401 - JSON
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=ONE)


def _first(stream: str, **params: Any) -> Call:  # noqa: ANN401 - JSON
    return _read("firstItem", stream=stream, **params)


class B2primeProfile(PlainProfile):
    """What is peculiar about B2PRIME."""

    exchange = "b2prime"
    credentials = ("token",)
    usual_slices = ("spot", "linear")
    accounts = (_HEDGING, "netting")
    sandboxes = False
    budgets = BUDGETS
    unverified = ("stop orders that wait for their price: the venue has no list of them",)
    #: Of the form of an identifier, made at the beginning of time.
    probe_id: ClassVar[str] = "00000000000000000000000000"

    def __init__(
        self, options: VenueOptions | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(options)
        self._given = dict(options.options) if options is not None else {}
        self._named = self._given.get(ACCOUNT)
        self.account = self._named or _ANY_KIND
        self._now = now
        #: As the venue says; before that it makes no difference, for a position is closed by its identifier anyway.
        self._hedging = self._named != "netting"
        self._closing = Closing(whole=self._option("wholeClose"))
        #: By market: its details, and what was asked for it last.
        self._details: dict[str, Details] = {}
        self._asks: dict[str, Decimal] = {}

    def _option(self, name: str) -> Any:  # noqa: ANN401 - as configured
        return self._given.get(name, configuration.ALL[name])

    # Before anything is connected

    def objections(self, options: VenueOptions) -> list[str]:
        """Besides the usual: the broker's host and the account must be named, and no option that nobody reads."""
        return super().objections(options) + configuration.faults(options.options)

    def build(self, options: VenueOptions, session: object) -> Ccxt:
        """Our own class; a stream's first message may take as long as any answer."""
        from node.venues.b2prime.bounded import bounded
        from node.venues.b2prime.exchange import b2prime

        timeout_ms = int(options.request_timeout_s * 1000)
        ours = {*configuration.OWN, ACCOUNT}
        given = {name: value for name, value in options.options.items() if name not in ours}
        return bounded(b2prime)(
            {
                **options.credentials,
                "session": session,
                "timeout": timeout_ms,
                "options": {"maxRetriesOnFailure": 0, "firstMessageTimeout": timeout_ms, **given},
            }
        )

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and body."""
        return effect_of(request, revokes=self._option("revokeWebhookKeys"))

    # Markets

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """One list of all."""
        return (_read("privateGetFrontofficeApiV6Markets"),)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Names alone: steps, lots and hours are in each market's details."""
        return readings.listed(kind, answer)

    def details(self, part: Slice, book: MarketBook, snapshot: SliceSnapshot) -> tuple[Call, ...]:
        """Of the markets that something is held in, or could be sold in."""
        if part.derivative:
            wanted = {position.market_id for position in snapshot.positions}
        else:
            wanted = _markets_out_of({balance.asset for balance in snapshot.balances or ()}, book)
        return tuple(_read("privateGetFrontofficeApiV6MarketsMarketId", marketId=each) for each in sorted(wanted))

    def detailed(self, kind: MarketKind, answer: Answer) -> MarketRules:
        """Steps and lots; its hours are remembered, to say when a market that refuses opens, and its price band."""
        details = readings.detailed(kind, answer, self._now())
        self._details[details.rules.market_id] = details
        return details.rules

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """One list of orders and one of positions; contracts are borne out by the margin in use."""
        if part.derivative:
            return SliceReads(
                orders=(_first("orders"),), positions=(_first("positions"),), balances=(_first("margin"),)
            )
        return SliceReads(orders=(_first("orders"),), balances=(_first("balances"),))

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """By market and side; by which identifiers they are closed is remembered."""
        legs = readings.positions(part, book, answer, hedging=self._hedging)
        self._closing.saw(legs)
        return legs

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Those of the slice."""
        return readings.orders(part, book, answer)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """One wallet for all: reported once, with spot."""
        if part.derivative:
            readings.margin_in_use(answer)
            return ()
        return readings.balances(part, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Margin in use must be explained by positions."""
        if part.derivative:
            readings.margin_explained(readings.margin_in_use(answer), positions, orders)

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """A position is closed by an identifier that must have been seen."""
        reason = super().obstacle(step, part)
        if reason is not None:
            return reason
        if isinstance(step, CancelSymbol):
            return "there is no request for all orders of a market"
        if isinstance(step, ClosePosition) and not self._closing.knows(step):
            return "no position of this market and side was listed"
        return None

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request an order, and one a position of a leg."""
        match step:
            case ClosePosition():
                return self._closing.calls(step)
            case CancelOrders():
                return tuple(_cancel(order_id) for order_id in step.order_ids)
            case SellSpot():
                return (_sale(step, self._within_band(step)),)
            case _:
                return ()

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """A close that was taken outside of its market's hours has not been carried out."""
        return judgements.accepted(step, answer, self._shut(step))

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By status alone: the form of errors is not documented."""
        judged = judgements.refused(step, reply, self._shut(step), self._option("unknownOrderStatus"))
        if judged is not None and judged.refusal is Refusal.OTHER and self._too_small(step):
            return replace(judged, refusal=Refusal.TOO_SMALL)
        return judged

    def _too_small(self, step: Step) -> bool:
        """Whether a close is of less than an order may be: what the venue means by it is nowhere said."""
        book = self.books.get(MarketKind.LINEAR)
        rules = book.by_id.get(step.market_id) if book is not None and isinstance(step, ClosePosition) else None
        least = rules.quantity_min if rules is not None else None
        return isinstance(step, ClosePosition) and least is not None and step.contracts < least

    def _shut(self, step: Step) -> str | None:
        """What there is to say of a market whose calendar has it closed now; None: it has not, or there is none."""
        details, now = self._details.get(getattr(step, "market_id", "")), self._now()
        hours = details.hours if details is not None else None
        if hours is None or hours.is_open(now) is not False:
            return None
        opens = hours.next_open(now)
        when = f"the next session begins at {opens:%Y-%m-%dT%H:%M:%SZ}" if opens else "no session follows within a year"
        return f"the market is closed by its calendar; {when}"

    # Answers that are no answers

    def reply(self, status: int | None, body: Answer) -> Reply:
        """The status is the venue's word where it is a 4xx; the body, of whatever form, gives the words."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Token, rights or account."""
        return reply.status in (401, 403)

    def limited(self, reply: Reply) -> bool:
        """Too many requests."""
        return reply.status == 429

    def clock_is_off(self, reply: Reply) -> bool:
        """Requests carry no time."""
        return False

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """The standard header, or the moment that alerts' answers name (Unix seconds)."""
        named = super().retry_after_s(headers, reply)
        return named if named is not None else judgements.reset_in_s(reply, headers, self._now().timestamp())

    # Spot

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """One subscription to the top of all books that are asked for."""
        wanted = sorted(book.by_symbol[each].market_id for each in symbols if each in book.by_symbol)
        return (_first("quotes", markets=wanted),) if wanted else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and asks."""
        asked = call.params["markets"] if isinstance(call.params, Mapping) else ()
        found = readings.quotes(book, symbols, asked, answer)
        self._asks |= {book.by_symbol[symbol].market_id: quote.ask for symbol, quote in found.items()}
        return found

    def _within_band(self, step: SellSpot) -> Decimal:
        """The price, or the lowest one that the market's band allows: what is below it is refused without a reason."""
        details, ask = self._details.get(step.market_id), self._asks.get(step.market_id)
        if details is None or details.deviation is None or ask is None:
            return step.limit_price
        floor = round_to(ask * (1 - details.deviation), details.rules.price_tick, up=True)
        return max(step.limit_price, floor)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """There is no request for one order, nor an identifier of ours: the list of open ones has to do."""
        return _first("orders")

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """Whether a sale of that market is under way.

        One that trades at once or not at all and is in no list has ended: what it did is in the balance, which is all
        that the next one can spend.
        """
        try:
            return readings.sells(answer, step.market_id)
        except VenueAnswerUnknown:
            return None

    def never_existed(self, reply: Reply) -> bool:
        """Nothing says so."""
        return False

    # Around it

    @property
    def doors(self) -> str | None:
        """Webhook keys, where configuration says so: TradingView sends alerts with them straight to the broker."""
        return webhook_keys.WHAT if self._option("revokeWebhookKeys") else None

    def door_calls(self) -> tuple[Call, ...]:
        """List webhook keys."""
        return (webhook_keys.LISTING,)

    def open_doors(self, answer: Answer) -> tuple[Call, ...]:
        """One revocation a key."""
        return webhook_keys.revocations(answer)

    def door_shut(self, answer: Answer) -> None:
        """Revoked, by the venue's own word."""
        webhook_keys.revoked(answer)

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Open orders, positions and balances, as hints."""
        return hints.streams(layout, self._given.get("hostname", ""), self._given.get("accountId", ""))

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """Get server info."""
        return (_read("privateGetFrontofficeApiV3Info"),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"serverTime": "1764617438", "serverTimeZone": "+00:00"}``."""
        return time_ms(decimal(row(answer, "server info"), "serverTime") * 1000) + _HALF_SECOND_MS

    def key_calls(self) -> tuple[Call, ...]:
        """Get accounts."""
        return (_read("privateGetFrontofficeApiV3Accounts"),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Which kind the account is. What the token may do is not told.

        Raises:
            VenueDenied: the account is not this user's, or copies another and no option allows that.
        """
        wanted = self._given.get("accountId")
        found = [each for each in rows(answer, "accounts") if text(each, "accountId") == wanted]
        if not found:
            raise VenueDenied("options.accountId is none of the accounts that this token opens")
        kind = text(found[0], "accountType").lower()
        if kind not in self.accounts:
            raise VenueAnswerUnknown(f"accountType is {kind[:20]}")
        copies = found[0].get("isCopyTradingAccount") is not None and flag(found[0], "isCopyTradingAccount")
        if copies and not self._option("copyTradingAccount"):
            raise VenueDenied(
                "the account copies another, and what a close does to it is not documented: options.copyTradingAccount"
                " = true says that it is wanted all the same"
            )
        self._hedging = kind == _HEDGING
        return KeyFacts(account=kind if self._named else _ANY_KIND, hedged=self._hedging)


def _markets_out_of(assets: set[str], book: MarketBook) -> set[str]:
    """Spot markets that *assets* can be sold in, and those that what they bring can be sold in."""
    found: set[str] = set()
    for _ in range(2):
        wanted = [rules for rules in book.by_id.values() if rules.base in assets]
        found |= {rules.market_id for rules in wanted}
        assets = {rules.quote for rules in wanted}
    return found


def _cancel(order_id: str) -> Call:
    return Call(
        endpoint="privateDeleteFrontofficeApiV3OrdersOrderId",
        effect=Effect.CANCEL,
        params={"orderId": order_id},
        charges=ONE,
        order_ids=(order_id,),
    )


def _sale(step: SellSpot, price: Decimal) -> Call:
    """At this price or better, at once; there is no identifier of ours, so that it travels as a comment."""
    order = {
        "marketId": step.market_id,
        "side": "Sell",
        "orderType": "Limit",
        "timeInForce": "Ioc",
        "requestedAmount": plain(step.quantity),
        "requestedPrice": plain(price),
        "comment": step.client_order_id,
    }
    return Call(endpoint="privatePostFrontofficeApiV3Orders", effect=Effect.CLOSE, params={"order": order}, charges=ONE)
