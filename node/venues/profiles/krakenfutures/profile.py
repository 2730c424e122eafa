"""Kraken Futures: linear (multi-collateral: PF_, FF_) and inverse (single-collateral: PI_, FI_) contracts.

https://docs.kraken.com/api/docs/futures-api/trading (order management, account information), .../guides/futures-rest
and .../guides/futures-rate-limits. One position a contract: there is no hedge mode, and leverage preferences are not
touched. Stops rest in the same list as other orders and are cancelled like them. Not covered: the spot exchange, which
has accounts, keys and a profile of its own; options and RFQs, which only test environments have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.lane import Budget, Charge
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.krakenfutures import answers, judgements, streams
from node.venues.profiles.krakenfutures.effects import effect_of
from node.venues.profiles.plain import PlainProfile, plain, time_ms
from node.venues.stream import Stream
from node.venues.strict import row, text

_BUCKET: Final = "derivatives"
#: .../guides/futures-rate-limits: what a request costs; public ones are free. A batch costs nine and one an order.
_COSTS: Final = {"sendorder": 10, "cancelorder": 10, "batchorder": 9, "cancelallorders": 25}
_READ_COST: Final = 2
#: Whose status tells the time: listed since there are linear contracts.
_CLOCK_SYMBOL: Final = "PF_XBTUSD"
_FULL: Final = "FULL_ACCESS"
#: Ranges of addresses that exclude nobody.
_ANYWHERE: Final = ("0.0.0.0/0", "::/0")


class KrakenFuturesProfile(PlainProfile):
    """What is peculiar about Kraken Futures."""

    exchange = "krakenfutures"
    usual_slices = ("linear", "inverse")
    #: "Clients can spend up to 500 every 10 seconds"; the error speaks of "the calling IP address".
    budgets: Mapping[str, Budget] = {_BUCKET: Budget(units=500, interval_s=10.0)}
    #: Orders have random UUIDs of version 4.
    probe_id = "00000000-0000-1000-8000-000000000000"

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """The class with the endpoint that shows a key's rights, which ccxt does not have."""
        return _with_key_check(plain)

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and parameters."""
        return effect_of(request)

    # Markets

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """GET instruments: contracts of both kinds."""
        return (Call(endpoint="publicGetInstruments", effect=Effect.READ),)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Those of one kind, named as ccxt names them."""
        return answers.market_rules(exchange, kind, answer)

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """There are no spot markets."""
        return ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Never asked for."""
        raise NotImplementedError

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """Lists of everything, stops among the orders; no pages."""
        return SliceReads(
            orders=(_read("privateGetOpenorders"),),
            positions=(_read("privateGetOpenpositions"),),
            balances=(_read("privateGetAccounts"),),
        )

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Those of the slice's kind."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Those of the slice's kind."""
        return answers.orders(part, book, answer)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Multi-collateral and holding wallet (linear), or the single-collateral wallets (inverse)."""
        return answers.balances(part, exchange, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Wallets name contracts, and margin in use."""
        answers.corroborate(part, answer, positions, orders)

    # Steps

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request; many cancels in batches."""
        match step:
            case ClosePosition():
                return (_close(step),)
            case CancelSymbol():
                return (_do("cancelallorders", Effect.CANCEL, {"symbol": step.market_id}),)
            case CancelOrders() if len(step.order_ids) == 1:
                return (_do("cancelorder", Effect.CANCEL, {"order_id": step.order_ids[0]}),)
            case CancelOrders():
                ids, size = step.order_ids, judgements.BATCH
                return tuple(_cancel_batch(ids[start : start + size]) for start in range(0, len(ids), size))
            case _:
                return ()

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """``result: success`` means that the request was understood; what became of it is in a ``status``."""
        return judgements.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the error's name."""
        return judgements.refused(reply)

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"result": "error", "error": "apiLimitExceeded"}``."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature or account; and any error with the statuses for it."""
        return judgements.denied(reply)

    def limited(self, reply: Reply) -> bool:
        """By the address's budget."""
        return reply.status == 429 or reply.code == judgements.LIMIT

    def clock_is_off(self, reply: Reply) -> bool:
        """Requests carry no time, and no nonce."""
        return False

    # Spot orders: there are none

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """Never asked for."""
        raise NotImplementedError

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """Never asked for."""
        raise NotImplementedError

    def never_existed(self, reply: Reply) -> bool:
        """Never asked for."""
        raise NotImplementedError

    # Around it

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Orders and fills."""
        return (streams.stream(layout, sandbox=sandbox),)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET instruments/{symbol}/status: the shortest answer with the venue's time."""
        params = {"symbol": _CLOCK_SYMBOL}
        return (Call(endpoint="publicGetInstrumentsSymbolStatus", effect=Effect.READ, params=params),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"serverTime": "2020-08-27T17:03:33.196Z"}``."""
        said = text(row(answer, "time"), "serverTime")
        try:
            moment = datetime.fromisoformat(said)
        except ValueError:
            raise VenueAnswerUnknown("serverTime is no time") from None
        if moment.tzinfo is None:
            raise VenueAnswerUnknown("serverTime has no zone")
        return time_ms(Decimal(str(moment.timestamp())) * 1000)

    def key_calls(self) -> tuple[Call, ...]:
        """GET api-keys/v3/check, of the authentication service."""
        return (Call(endpoint="authGetApiKeysV3Check", effect=Effect.READ),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """``general`` trades; ``transfer`` moves coins out of this account (to spot and other wallets of its owner)."""
        found = row(answer, "key")
        rights = row(found.get("permissions"), "permissions")
        blocks = found.get("allowedCidrBlocks")
        bound = bool(blocks) and not any(block in _ANYWHERE for block in blocks) if isinstance(blocks, list) else None
        return KeyFacts(
            may_trade=text(rights, "general") == _FULL,
            may_withdraw=text(rights, "transfer") == _FULL,
            bound_to_addresses=bound,
            hedged=False,
        )


def _read(endpoint: str) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, charges=(Charge(bucket=_BUCKET, units=_READ_COST),))


def _do(path: str, effect: Effect, params: Mapping[str, Any], extra_cost: int = 0) -> Call:
    charges = (Charge(bucket=_BUCKET, units=_COSTS[path] + extra_cost),)
    return Call(endpoint=f"privatePost{path.capitalize()}", effect=effect, params=params, charges=charges)


def _close(step: ClosePosition) -> Call:
    """``mkt`` is immediate-or-cancel within one per cent of the market: what is beyond is the next round's."""
    pricing = {"orderType": "mkt"}
    if step.limit_price is not None:
        pricing = {"orderType": "ioc", "limitPrice": _digits(step.limit_price)}
    params = {
        **pricing,
        "symbol": step.market_id,
        "side": step.side.closing_side.value,
        "size": _digits(step.contracts),
        "reduceOnly": "true",
        "cliOrdId": step.client_order_id,
    }
    return _do("sendorder", Effect.CLOSE, params)


def _cancel_batch(order_ids: tuple[str, ...]) -> Call:
    """ccxt puts the parameters into ``json=`` as they are."""
    batch = [{"order": "cancel", "order_id": order_id} for order_id in order_ids]
    return _do("batchorder", Effect.CANCEL, {"batchOrder": batch}, len(order_ids))


def _digits(value: Decimal) -> str:
    """Numbers come as JSON's and in whole contracts as ``8000.0``: go back without the empty places."""
    digits = plain(value)
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _with_key_check(plain_class: Any) -> Any:  # noqa: ANN401 - ccxt has no types
    from ccxt.base.types import Entry

    def describe(self: Any) -> Any:  # noqa: ANN401
        hosts = {"api": "https://futures.kraken.com/api/auth/", "test": "https://demo-futures.kraken.com/api/auth/"}
        paths = {"api-keys/v3/check": {"cost": 1}}
        return self.deep_extend(
            plain_class.describe(self),
            {
                "urls": {name: {"auth": address} for name, address in hosts.items()},
                "api": {"auth": {"get": paths}},
                "options": {
                    "access": {"auth": {"GET": dict.fromkeys(paths, "private")}},
                    "versions": {"auth": {"GET": dict.fromkeys(paths, "v1")}},
                },
            },
        )

    entry = Entry("api-keys/v3/check", ["auth"], "GET", {"cost": 1})
    return type(plain_class.__name__, (plain_class,), {"describe": describe, "authGetApiKeysV3Check": entry})
