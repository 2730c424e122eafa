"""Deribit: inverse (BTC, ETH) and linear (USDC, USDT) futures of one account or subaccount.

Not covered: options and spot. Their positions and orders are in the same lists and are left out; the account says so.
Spot could be sold, but here orders are GET requests, which aiohttp sends again where a kept connection turns out to be
dead: that is harmless only where the venue bounds the order, and nothing bounds a sale.

Sources: https://docs.deribit.com/api-reference, its articles on rate limits, errors, access scope and authentication,
and https://support.deribit.com/hc/en-us/articles/25944767530269-Market-Order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Judgement, Reply, Request
from node.venues.lane import Budget, Charge
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.deribit import answers, streams
from node.venues.profiles.deribit.refusals import DENIED as DENIED_NAMES
from node.venues.profiles.deribit.refusals import LIMITED, name_of, refusal_of, stale
from node.venues.profiles.plain import PlainProfile, plain, time_ms
from node.venues.stream import Stream
from node.venues.strict import decimal, row, text

#: By subaccount: 100 requests at once and 20 more a second; 20 orders at once and 5 more a second (the lowest tier).
#: https://docs.deribit.com/articles/rate-limits. (get_instruments has a limit of its own, one in ten seconds and five
#: at once, which markets that are asked for once a minute at most do not come near.)
_BUDGETS: Final = {
    "requests": Budget(units=100, interval_s=5.0),
    "orders": Budget(units=20, interval_s=4.0),
    #: Per address; the number is not documented, taken for the same.
    "public": Budget(units=100, interval_s=5.0),
}
_READ: Final = (Charge(bucket="requests", per_key=True),)
_ORDER: Final = (Charge(bucket="orders", per_key=True),)
#: Credits come back within a second; a request without one ends the session.
_REFILL_S: Final = 1.0
_PREFIX: Final = "/api/v2/"
_UNDERSTOOD_NOT: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)


class DeribitProfile(PlainProfile):
    """What is peculiar about Deribit."""

    exchange = "deribit"
    usual_slices = ("linear", "inverse")
    budgets = _BUDGETS
    #: Of the form of an id, and far from being reached.
    probe_id: ClassVar[str] = "BTC-999999999999"

    def layout(self, configured: Collection[str] | None) -> Layout:
        """Names also what the lists show and no slice covers."""
        found = super().layout(configured)
        return replace(found, not_covered=(*found.not_covered, "options", "spot"))

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """With a clock that is corrected by the venue's, and a request for the scope of the key."""
        return type("Deribit", (_Deribit, plain), {})

    # Markets

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """public/get_instruments: every future, of whatever coin."""
        return (
            Call(
                endpoint="publicGetGetInstruments",
                effect=Effect.READ,
                params={"currency": "any", "kind": "future"},
                charges=(Charge(bucket="public"),),
            ),
        )

    def market_rules(self, exchange: Any, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:  # noqa: ANN401
        """Those of one kind."""
        return answers.market_rules(exchange, kind, answer)

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """Nothing is sold on spot."""
        return ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Never asked for."""
        return {}

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """One list of orders, in which those with a trigger are, one of positions, and the wallet by coin.

        The lists are of all coins and kinds, and have no pages.
        """
        return SliceReads(
            orders=(_read("privateGetGetOpenOrders", type="all"),),
            positions=(_read("privateGetGetPositions", currency="any"),),
            balances=(_read("privateGetGetAccountSummaries"),),
        )

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Net positions: there is no hedge mode, and margin is the account's."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """All of the slice's; each says itself whether it waits for a trigger."""
        return answers.orders(part, book, answer)

    def balances(self, part: Slice, exchange: Any, answer: Answer) -> tuple[Balance, ...]:  # noqa: ANN401
        """Coins of the slice's contracts."""
        return answers.balances(part, exchange, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Deltas and margins must be explained by what is listed."""
        answers.corroborate(part, book, answer, positions, orders)

    # Steps

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request each; orders are cancelled by id, whatever book they are in."""
        match step:
            case ClosePosition():
                return (_close(step),)
            case CancelOrders():
                return tuple(_cancel("privateGetCancel", order_id=order_id) for order_id in step.order_ids)
            case CancelSymbol():
                which = "trigger_all" if step.trigger else "all"
                return (_cancel("privateGetCancelAllByInstrument", instrument_name=step.market_id, type=which),)
            case _:
                return ()

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's id, or its count of what was cancelled."""
        try:
            found = answers.result(answer, "answer")
            if isinstance(step, CancelSymbol):
                counted = isinstance(found, int | float) and not isinstance(found, bool) and found >= 0
                return Judgement(outcome=Outcome.DONE) if counted else _UNDERSTOOD_NOT
            if isinstance(step, CancelOrders):
                return _of_cancel(step, row(found, "order"))
            return _of_order(row(row(found, "order").get("order"), "order"))
        except VenueAnswerUnknown:
            return _UNDERSTOOD_NOT

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the error's name alone: ccxt goes by the numbers. A server error (5xx) may have been executed."""
        if reply.code is None:
            return None
        refusal, message = refusal_of(step, reply.message), f"{reply.code} {reply.message}"
        if refusal is None or (reply.status or 0) >= 500:
            return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
        if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
            return Judgement(outcome=Outcome.DONE, message=message)
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=stale(reply.message))

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """Never asked for."""
        raise NotImplementedError

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """Never asked for."""
        return None

    def never_existed(self, reply: Reply) -> bool:
        """Never asked for."""
        return False

    # Answers that are no answers

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"error": {"code": 10009, "message": "not_enough_funds", "data": {"reason": "..."}}}``."""
        nothing = Reply(status=status, code=None, message="")
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, dict) or (status is not None and 300 <= status < 400):
            return nothing
        code, message, data = error.get("code"), error.get("message"), error.get("data")
        if not isinstance(code, int) or isinstance(code, bool) or not isinstance(message, str):
            return nothing
        reason = data.get("reason") if isinstance(data, dict) else None
        said = f"{message}: {reason}" if isinstance(reason, str) else message
        return Reply(status=status, code=str(code), message=said)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, scope or account; not a timestamp."""
        return reply.code is not None and name_of(reply.message) in DENIED_NAMES and not stale(reply.message)

    def limited(self, reply: Reply) -> bool:
        """10028, and the matching engine's queue."""
        return reply.status == 429 or (reply.code is not None and name_of(reply.message) in LIMITED)

    def clock_is_off(self, reply: Reply) -> bool:
        """A denial that names the timestamp."""
        return reply.code is not None and stale(reply.message)

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """It names no time: until some credits are back."""
        named = super().retry_after_s(headers, reply)
        return named if named is not None else _REFILL_S if self.limited(reply) else None

    # What a request may do

    def effect_of(self, request: Request) -> Effect | None:
        """By the method's name; all of them are GET requests."""
        if request.method != "GET" or request.body or not request.path.startswith(_PREFIX):
            return None
        name = request.path.removeprefix(_PREFIX)
        if name in ("private/buy", "private/sell"):
            plain_type = request.params.get("type") in ("market", "limit")
            # Orders that are placed by the way have bounds of their own.
            linked = any(each in request.params for each in ("linked_order_type", "otoco_config"))
            closes = request.params.get("reduce_only") == "true" and plain_type and not linked
            return Effect.CLOSE if closes else Effect.OPEN
        if name == "public/auth":
            return Effect.READ if request.params.get("grant_type") == "client_signature" else None
        return _EFFECTS.get(name)

    # Around it

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Changes of orders and positions."""
        return streams.streams(layout, sandbox=sandbox)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """public/get_time."""
        return (Call(endpoint="publicGetGetTime", effect=Effect.READ, charges=(Charge(bucket="public"),)),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"result": 1583922446019}``."""
        return time_ms(decimal(row(answer, "time"), "result"))

    def key_calls(self) -> tuple[Call, ...]:
        """public/auth: a token has the key's scope. It is not used for anything else."""
        return (Call(endpoint="key_scope", effect=Effect.READ, charges=(Charge(bucket="public"),)),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """``"scope": "account:read trade:read_write wallet:read connection"``."""
        scopes = text(row(answers.result(answer, "scope"), "scope"), "scope").split()
        return KeyFacts(may_trade=_may(scopes, "trade"), may_withdraw=_may(scopes, "wallet"), hedged=False)


class _Deribit:
    """Before ccxt's own class in the order of resolution."""

    def milliseconds(self) -> int:
        """Requests are signed with this, and refused where it is far off."""
        own: Any = super()
        return int(own.milliseconds()) - int(getattr(self, "options", {}).get("timeDifference") or 0)

    async def key_scope(self, _params: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Log in by a signature, for the scope that is in the answer."""
        own: Any = self
        return await own.publicGetAuth(streams.login(own))


_EFFECTS: Final = {
    "public/get_time": Effect.READ,
    "public/get_instruments": Effect.READ,
    "public/get_currencies": Effect.READ,
    "private/get_open_orders": Effect.READ,
    "private/get_positions": Effect.READ,
    "private/get_account_summaries": Effect.READ,
    "private/cancel": Effect.CANCEL,
    "private/cancel_all_by_instrument": Effect.CANCEL,
}


def _read(endpoint: str, **params: str) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=_READ)


def _cancel(endpoint: str, **params: str) -> Call:
    return Call(endpoint=endpoint, effect=Effect.CANCEL, params=params, charges=_ORDER)


def _close(step: ClosePosition) -> Call:
    """Reduce-only, in whatever mode. What a market order does not get within the price band stays as a limit order, as
    reduce-only as itself, and is cancelled like any other.
    """
    params = {
        "instrument_name": step.market_id,
        "amount": plain(step.contracts),
        "type": "market",
        "reduce_only": "true",
        "label": step.client_order_id,
    }
    if step.limit_price is not None:
        params |= {"type": "limit", "price": plain(step.limit_price), "time_in_force": "immediate_or_cancel"}
    side = step.side.closing_side.value.capitalize()
    return Call(endpoint=f"privateGet{side}", effect=Effect.CLOSE, params=params, charges=_ORDER)


def _of_cancel(step: CancelOrders, order: Mapping[str, Any]) -> Judgement:
    """The order as it is now; one with a trigger may still be called untriggered."""
    if order.get("order_id") not in step.order_ids:
        return _UNDERSTOOD_NOT
    state = order.get("order_state")
    if state == "filled":
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.UNKNOWN_ORDER, message="the order is filled")
    if state in ("cancelled", "untriggered"):
        return Judgement(outcome=Outcome.DONE)
    return Judgement(
        outcome=Outcome.AMBIGUOUS, message=f"the order is {state!r:.20} after its cancellation", strange=True
    )


def _of_order(order: Mapping[str, Any]) -> Judgement:
    """An order that ended without doing anything was refused by the market."""
    text(order, "order_id")
    state = str(order.get("order_state", ""))[:20]
    filled: Decimal | None = decimal(order, "filled_amount") if "filled_amount" in order else None
    if state in ("cancelled", "rejected") and not filled:
        refusal = Refusal.UNFILLED if state == "cancelled" else Refusal.OTHER
        message = f"the order ended {state} without a fill"
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, filled=filled)
    return Judgement(outcome=Outcome.DONE, filled=filled if filled or state == "filled" else None)


def _may(scopes: Collection[str], what: str) -> bool | None:
    """None: the scope does not speak of it."""
    named = [scope for scope in scopes if scope.startswith(f"{what}:")]
    return f"{what}:read_write" in named if named else None
