"""Bybit V5: spot, linear and inverse contracts of one unified account.

Sources, fact by fact, in the modules of its parts; the documentation is https://bybit-exchange.github.io/docs/v5.
Unified accounts of both versions are covered. In version 1.0 inverse contracts have a wallet of their own: their
positions and orders are read, closed and cancelled, their collateral is not, and the account says so. Classic accounts
are not covered: Bybit has closed them, and documents their requests no more. Nor are options, spread orders, bots and
the funding wallet. A coin that is owed is given back from what is held of it; it is not bought.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, ConvertAsset, Refusal, RepayDebt, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.conversion import Offer
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import ACCOUNT, VenueOptions
from node.venues.profiles.bybit import answers, calls, convert, judgements, streams
from node.venues.profiles.bybit.effects import effect_of
from node.venues.profiles.bybit.refusals import RATE_LIMITED, clock_is_off, refusal_of
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import Row, decimal, row, text

#: Sites by where the account was opened (docs/v5/guide); ccxt's name for the choice.
_HOSTNAME: Final = "hostname"
_HOSTNAMES: Final = (
    *("bybit.com", "bytick.com", "bybit.nl", "bybit.tr", "bybit.kz", "bybitgeorgia.ge"),
    *("bybit.ae", "bybit.eu", "bybit.id", "manepa.jp"),
)
#: ccxt's name for demo trading: the other test environment, with the markets of the real one.
_DEMO: Final = "enableDemoTrading"
#: ``unifiedMarginStatus`` of docs/v5/enum.
_ACCOUNTS: Final = {"1": "classic", "3": "unified", "4": "unified", "5": "unified", "6": "unified"}
_VERSION_1: Final = ("3", "4")
#: What lets a key trade, by the names of docs/v5/user/apikey-info.
_TRADES: Final = (("Spot", "SpotTrade"), ("ContractTrade", "Order"), ("Derivatives", "DerivativesTrade"))
#: Limits of an account are counted in a rolling second; those of an address in five.
_ACCOUNT_WAIT_S: Final = 1.0
_ADDRESS_WAIT_S: Final = 5.0


class BybitProfile(PlainProfile):
    """What is peculiar about Bybit."""

    exchange = "bybit"
    settle_coins = calls.SETTLE_COINS
    accounts = ("unified",)
    budgets = calls.BUDGETS
    probe_id = calls.PROBE_ID

    def __init__(self, options: VenueOptions | None = None) -> None:
        super().__init__(options)
        given = options.options if options is not None else {}
        self._hostname = str(given.get(_HOSTNAME, _HOSTNAMES[0]))
        self._demo = given.get(_DEMO) is True

    def objections(self, options: VenueOptions) -> list[str]:
        """Classic accounts, sites that there are not, and a test environment that is not called one."""
        faults = super().objections(options)
        if options.options.get(ACCOUNT) == "classic":
            faults.append("options.account: Bybit has closed classic accounts; upgrade it to a unified one")
        if self._hostname not in _HOSTNAMES:
            faults.append(f"options.{_HOSTNAME}: {self._hostname!r} is none of {', '.join(_HOSTNAMES)}")
        if options.options.get(_DEMO, False) not in (True, False) or (self._demo and not options.sandbox):
            faults.append(f"options.{_DEMO}: true or false, and with sandbox = true only: it is a test environment")
        return faults

    def build(self, options: VenueOptions, session: object) -> Ccxt:
        """At the account's site."""
        exchange = super().build(options, session)
        exchange.hostname = self._hostname
        return exchange

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """Without the header that names a broker: ccxt sends its own where the option for it is empty."""

        def sign(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            signed = plain.sign(self, *args, **kwargs)
            (signed["headers"] or {}).pop("Referer", None)
            return signed

        return type("bybit", (plain,), {"sign": sign})

    def ccxt_options(self) -> dict[str, Any]:
        """No look for the kind of account before a first order."""
        return {
            "recvWindow": 5000,
            "enableUnifiedMargin": False,
            "enableUnifiedAccount": True,
            "unifiedMarginStatus": 6,
        }

    def to_sandbox(self, exchange: Ccxt) -> None:
        """The testnet, or demo trading where it is asked for. Each has keys of its own."""
        if self._demo:
            exchange.enable_demo_trading(True)
        else:
            exchange.set_sandbox_mode(True)

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and document."""
        return effect_of(request)

    # Lists

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """GET instruments-info."""
        return calls.market_calls(kind)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Filters as they are."""
        return answers.market_rules(exchange, kind, answer)

    def reads(self, part: Slice) -> SliceReads:
        """Orders twice, positions, wallet; linear for each settle coin."""
        return calls.reads(part)

    def more(self, call: Call, answer: Answer) -> Call | None:
        """By cursor."""
        return answers.following(call, answer)

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Rows with a size."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Active or conditional ones of one list."""
        return answers.orders(part, book, answer, trigger=trigger)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """All coins, on spot."""
        return answers.balances(part, exchange, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Unrealised profits must be explained by what is listed. Of orders the wallet tells nothing that options do
        not, too.
        """
        answers.corroborate(part, book, answer, positions)

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """What the wallet owes can be given back."""
        if isinstance(step, RepayDebt) and part.kind is MarketKind.SPOT:
            return None if step.amount > 0 else "RepayDebt of nothing"
        return super().obstacle(step, part)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each (or each ten) of many orders to cancel, or for each book of a sweep."""
        return calls.of_step(step, kind)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's own id or its word for "all cancelled"."""
        return judgements.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the code."""
        return judgements.refused(step, reply)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By orderLinkId."""
        return calls.order_call(step)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """A list with the order, or without any; nothing else can be relied on."""
        try:
            found = answers.listed(answer, "spot", "order")
        except VenueAnswerUnknown:
            return None
        if any(each.get("orderLinkId") == step.client_order_id and each.get("orderId") for each in found):
            return True
        return None if found else False

    def never_existed(self, reply: Reply) -> bool:
        """Order does not exist."""
        return reply.code in ("110001", "170213") and (reply.status or 0) < 500

    def converts(self, kind: MarketKind) -> bool:
        """The unified wallet."""
        return kind is MarketKind.SPOT

    def offer_call(self, step: ConvertAsset) -> Call:
        """POST quote-apply."""
        return convert.offer_call(step)

    def offer(self, step: ConvertAsset, answer: Answer) -> Offer | Judgement:
        """A price, and an id to accept it by."""
        return convert.offer(step, answer)

    def accept_call(self, offer: Offer) -> Call:
        """POST convert-execute."""
        return convert.accept_call(offer)

    def conversion_call(self, offer: Offer) -> Call:
        """GET convert-result-query."""
        return convert.conversion_call(offer)

    def conversion(self, answer: Answer) -> Judgement | None:
        """By exchangeStatus."""
        return convert.conversion(answer)

    # Answers that are no answers

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"retCode": 10001, "retMsg": "..."}``, mostly with HTTP 200."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights, address, region, or terms to agree to."""
        return _means(reply, Refusal.DENIED) or (reply.status == 401 and reply.code is None)

    def limited(self, reply: Reply) -> bool:
        """429, by status or code, and the account's limit of an endpoint."""
        return reply.status == 429 or reply.code == "429" or reply.code in RATE_LIMITED

    def concerns_orders_only(self, reply: Reply) -> bool:
        """The account's limit of an endpoint says nothing about the address."""
        return reply.code in RATE_LIMITED

    def clock_is_off(self, reply: Reply) -> bool:
        """Outside the receive window."""
        return clock_is_off(reply.code, reply.message)

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """A second for the account's limits.

        An address that has sent too much gets a 403 without a document, for ten minutes at least; but so does one that
        is not served at all, so that no more than the window of the limit is waited.
        """
        if reply.code in RATE_LIMITED:
            return _ACCOUNT_WAIT_S
        if reply.status == 403 and reply.code is None:
            return _ADDRESS_WAIT_S
        return super().retry_after_s(headers, reply)

    # Around it

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """One request each for a few, one for all of many."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        return calls.quote_calls(ids, whole=whole) if ids else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        return answers.quotes(book, symbols, call, answer)

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """The private stream."""
        environment = ("-demo" if self._demo else "-testnet") if sandbox else ""
        return streams.streams(layout, self._hostname, environment)

    def probe_call(self, step: CancelOrders, kind: MarketKind) -> Call:
        """By a client id."""
        return calls.probe_call(step.market_id, kind)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET time."""
        return (calls.clock_call(),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"timeSecond": "1688639403", "timeNano": "1688639403423213947"}``."""
        return time_ms(decimal(answers.result(answer, "time"), "timeNano") / 1_000_000)

    def key_calls(self) -> tuple[Call, ...]:
        """GET query-api and GET account/info."""
        return calls.key_calls()

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Rights and addresses, or the kind of account."""
        found = answers.result(answer, "key")
        if call.endpoint.endswith("AccountInfo"):
            status = text(found, "unifiedMarginStatus")
            if status not in _ACCOUNTS:
                raise VenueAnswerUnknown(f"unifiedMarginStatus is {status[:20]}")
            apart = ("inverse wallet (unified 1.0)",) if status in _VERSION_1 else ()
            return KeyFacts(account=_ACCOUNTS[status], opens=apart)
        rights = row(found.get("permissions"), "permissions")
        return KeyFacts(
            may_trade=text(found, "readOnly") == "0" and any(_may(rights, *each) for each in _TRADES),
            may_withdraw=text(found, "readOnly") == "0" and _may(rights, "Wallet", "Withdraw"),
            bound_to_addresses=_bound(found.get("ips")),
            opens=("options",) if _may(rights, "Options", "OptionsTrade") else (),
        )


def _means(reply: Reply, refusal: Refusal) -> bool:
    return reply.code is not None and refusal_of(reply.code, reply.message) is refusal


def _may(rights: Row, part: str, right: str) -> bool:
    named = rights.get(part, [])
    if not isinstance(named, list):
        raise VenueAnswerUnknown(f"permissions: {part} is no list")
    return right in named


def _bound(addresses: object) -> bool:
    """A key that works from everywhere names a star, or nothing."""
    if not isinstance(addresses, list):
        raise VenueAnswerUnknown("ips is no list")
    return bool(addresses) and "*" not in addresses
