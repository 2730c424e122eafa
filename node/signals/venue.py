"""One account at its exchange: ccxt's unified methods behind the fence, and the node's gate, lane and connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog

from node.domain.permission import Effect
from node.domain.steps import Refusal
from node.errors import VenueDenied, VenueError, VenueLimited
from node.signals.fence import Fence, fenced, passing
from node.signals.orders import Draft, Traits, whole_if_whole
from node.signals.profile import SignalProfile
from node.signals.refusal import Code, Refused
from node.signals.symbols import Market, SymbolBook
from node.venues.call import Answer, Call
from node.venues.ccxt_client import CcxtClient
from node.venues.gate import NotPermitted
from node.venues.lane import Charge
from node.venues.options import VenueOptions
from node.venues.outcomes import Attempt, describe, refusal_of
from node.venues.pool import Pools

#: Markets are listed and delisted: how old the table may be.
MARKETS_AGE_MAX_S: Final = 3600.0
#: Between tries while the exchange does not tell its markets.
PREPARE_AGAIN_S: Final = 30.0
_CHARGES: Final = (Charge(bucket="requests"),)
_ENDED: Final = ("canceled", "expired")
_TOO_MANY: Final = (418, 429)
_WORDS_MAX: Final = 200
_UNCHANGED: Final = ("110043", "not modified")
#: ccxt's words for the state of an order, in the words of the webhook's documentation.
_STATUS: Final = {
    "open": "Working",
    "closed": "Completed",
    "canceled": "Cancelled",
    "rejected": "Rejected",
    "expired": "Expired",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What the exchange has confirmed."""

    order_id: str
    status: str


class OrderUnknown(Exception):
    """The order may have been placed."""


class Exchange(Protocol):
    """What the desk asks of an account's exchange."""

    async def prepare(self, name: str) -> tuple[Market, Traits]:
        """The market of an alert's symbol. Raises Refused."""

    def rounded(self, symbol: str, amount: Decimal) -> Decimal:
        """The amount as the exchange would take it: rounded down to its step."""

    async def place(self, draft: Draft, client_order_id: str, fence: Fence) -> Placed:
        """Place an order, once.

        Raises:
            Refused: it was not placed.
            OrderUnknown: it may have been.
        """

    async def find(self, draft: Draft, client_order_id: str) -> Placed | None:
        """An order by the id that we gave it; None where that cannot be told."""


class SignalVenue:
    """Implements ``Exchange``. Create it inside the running event loop."""

    def __init__(self, name: str, options: VenueOptions, pools: Pools, symbols: dict[str, str]) -> None:
        self._name = name
        self._profile = SignalProfile(options)
        self._client = CcxtClient(options, self._profile, pools)
        self._client.send = fenced(self._client.send, self._profile.is_order)
        self._named = symbols
        self._book: SymbolBook | None = None
        self._preparing = asyncio.Lock()
        #: Why it cannot take orders yet; None: it can.
        self.obstacle: str | None = "its markets are not known yet"

    async def run(self) -> None:
        """Know the markets and the venue's clock before the first alert, and keep them fresh, for ever."""
        while True:
            try:
                await self._load(anew=self._book is not None)
            except Refused as refused:
                self._not_loaded(refused.message)
                await asyncio.sleep(PREPARE_AGAIN_S)
            except Exception:
                # Whatever one exchange says, the others' accounts go on.
                log.exception("signals_markets_not_understood", account=self._name)
                self._not_loaded("its markets were not understood")
                await asyncio.sleep(PREPARE_AGAIN_S)
            else:
                await asyncio.sleep(MARKETS_AGE_MAX_S)

    async def prepare(self, name: str) -> tuple[Market, Traits]:
        """The market of an alert's symbol, with everything that an order needs."""
        if self._book is None:
            await self._load(anew=False)
        assert self._book is not None  # noqa: S101  (loaded, or refused)
        market = await self._ask("signals_market", {"symbol": self._book.find(name)})
        return market, self._profile.traits(market)

    def rounded(self, symbol: str, amount: Decimal) -> Decimal:
        """By ccxt's own rounding; zero where nothing is left."""
        try:
            return Decimal(self._client.ccxt.amount_to_precision(symbol, float(amount)))
        except self._client.faults:  # ccxt's word for an amount below the step
            return Decimal(0)

    async def place(self, draft: Draft, client_order_id: str, fence: Fence) -> Placed:
        """Set the leverage where that is a request of its own, then place the order."""
        if draft.leverage is not None:
            await self._set_leverage(draft.symbol, draft.leverage, fence)
        with passing(fence) as passage:
            attempt = await self._client.attempt(_order_call(draft, self._params(draft, client_order_id)))
        if type(attempt.error).__name__ == "InvalidNonce":
            await self._measure_clock()
        if attempt.error is not None and not passage.written:
            raise self._not_sent(attempt, handed_over=passage.handed_over)
        if attempt.error is not None and passage.followed:  # the order itself was answered, and not refused
            raise OrderUnknown(self._client.scrub(describe(attempt.error)))
        return self._judged(draft, attempt)

    async def find(self, draft: Draft, client_order_id: str) -> Placed | None:
        """Where the exchange keeps our ids."""
        if self._profile.b2prime or not self._client.ccxt.has.get("fetchOrder"):
            return None
        params = {"clientOrderId": client_order_id, **({"trigger": True} if draft.trigger else {})}
        call = Call(
            endpoint="unified_order",
            effect=Effect.READ,
            params={"symbol": draft.symbol, "params": params},
            charges=_CHARGES,
        )
        attempt = await self._client.attempt(call)
        found = attempt.answer
        if attempt.error is not None or not isinstance(found, dict) or not found.get("id"):
            return None
        return _placed(found, draft) if found.get("clientOrderId") == client_order_id else None

    async def close(self) -> None:
        """Stop what is under way; connections belong to the pools."""
        await self._client.close()

    def _not_loaded(self, reason: str) -> None:
        """An older table still serves."""
        if self._book is None:
            self.obstacle = reason
        log.warning("signals_markets_not_loaded", account=self._name, reason=reason)

    def _params(self, draft: Draft, client_order_id: str) -> dict[str, Any]:
        if self._profile.b2prime:  # no client ids: the comment, where the alert has none, finds the order again
            return {"comment": client_order_id, **draft.params}
        return {"clientOrderId": client_order_id, **draft.params}

    async def _load(self, *, anew: bool) -> None:
        async with self._preparing:
            if self._book is not None and not anew:
                return
            markets = await self._ask("signals_markets", {"anew": anew})
            self._book = SymbolBook(markets, self._named)
            self.obstacle = None
            await self._measure_clock()
            log.info("signals_markets_loaded", account=self._name, markets=len(markets))

    async def _measure_clock(self) -> None:
        if not self._client.ccxt.has.get("fetchTime"):
            return
        try:
            await self._client.warm(Call(endpoint="unified_time", effect=Effect.READ, charges=_CHARGES), 1)
        except VenueError as error:
            log.warning("signals_clock_not_measured", account=self._name, reason=str(error))

    async def _ask(self, endpoint: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - ccxt's structures
        try:
            return await self._client.ask(Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=_CHARGES))
        except VenueDenied as error:
            raise Refused(Code.ORDER_REFUSED, f"the exchange refuses the account's key: {error}") from None
        except VenueError as error:
            raise Refused(Code.VENUE_UNAVAILABLE, f"the exchange cannot be asked: {error}") from None

    async def _set_leverage(self, symbol: str, leverage: Decimal, fence: Fence) -> None:
        """Raises Refused: the order that needs it does not follow."""
        params = {"leverage": whole_if_whole(leverage), "symbol": symbol}
        with passing(fence) as passage:
            attempt = await self._client.attempt(
                Call(endpoint="signals_leverage", effect=Effect.OPEN, params=params, charges=_CHARGES)
            )
        error, wire = attempt.error, attempt.wire
        if error is None or (passage.written and _is_so_already(error)):
            return
        if isinstance(error, Refused):
            raise error
        if not passage.handed_over and wire.sent_ns is None:
            words = self._client.scrub(str(error))[:_WORDS_MAX]
            raise Refused(Code.BAD_LEVERAGE, f"leverage: ccxt does not set it, nothing was placed: {words}")
        reply = self._profile.reply(wire.status, wire.document())
        if refusal_of(error, reply) is None:
            reason = self._client.scrub(describe(error))
            raise Refused(Code.VENUE_UNAVAILABLE, f"the leverage may not have been set, nothing was placed: {reason}")
        told = self._client.scrub(f"{reply.code} {reply.message}".strip())
        raise Refused(Code.BAD_LEVERAGE, f"leverage: the exchange refuses it, nothing was placed: {told}")

    def _not_sent(self, attempt: Attempt, *, handed_over: bool) -> Refused:
        """Not a byte of the order was written: whatever went wrong, nothing was placed."""
        error = attempt.error
        if isinstance(error, Refused):
            return error
        if isinstance(error, NotPermitted):
            return Refused(Code.NOT_PERMITTED, str(error))
        if handed_over or attempt.wire.sent_ns is not None or isinstance(error, VenueLimited):
            return Refused(Code.VENUE_UNAVAILABLE, f"the order was not sent: {self._client.scrub(describe(error))}")
        # ccxt itself would not: its words, which carry no address yet.
        words = self._client.scrub(str(error))[:_WORDS_MAX]
        return Refused(Code.NOT_SUPPORTED, f"ccxt does not send the order: {words}")

    def _judged(self, draft: Draft, attempt: Attempt) -> Placed:
        """What is known of an order that was written.

        Raises:
            Refused: the exchange's own word for it that nothing was placed, or that nothing came of it.
            OrderUnknown: everything else.
        """
        error, wire = attempt.error, attempt.wire
        if error is None:
            return _placed_or_ended(attempt.answer, draft)
        if isinstance(error, NotPermitted) and wire.status == HTTPStatus.UNAUTHORIZED:
            # 401 says that nothing was done; its repetition with a new token was not let out.
            raise Refused(Code.VENUE_UNAVAILABLE, "the exchange wants a new token: send the alert again")
        reply = self._profile.reply(wire.status, wire.document())
        refusal = None if isinstance(error, NotPermitted) else refusal_of(error, reply)
        if wire.status in _TOO_MANY or refusal is not None:
            told = self._client.scrub(f"{reply.code or wire.status} {reply.message}".strip())
            hint = " (insufficient funds)" if refusal is Refusal.INSUFFICIENT else ""
            raise Refused(Code.ORDER_REFUSED, f"the exchange refuses the order: {told}{hint}")
        raise OrderUnknown(self._client.scrub(describe(error)))


def _order_call(draft: Draft, params: dict[str, Any]) -> Call:
    values = {
        "symbol": draft.symbol,
        "type": draft.type,
        "side": draft.side.value,
        "amount": str(draft.amount),
        "price": None if draft.price is None else str(draft.price),
        "params": params,
    }
    return Call(endpoint="unified_place", effect=Effect.OPEN, params=values, charges=_CHARGES)


def _placed_or_ended(answer: Answer, draft: Draft) -> Placed:
    if not isinstance(answer, dict) or not answer.get("id"):
        raise OrderUnknown("the exchange's answer shows no order id")
    status, filled = answer.get("status"), answer.get("filled")
    if (status == "rejected" and not filled) or (status in _ENDED and filled == 0):
        raise Refused(Code.ORDER_REFUSED, f"the exchange ended the order, and nothing came of it: {_STATUS[status]}")
    return _placed(answer, draft)


def _placed(answer: dict[str, Any], draft: Draft) -> Placed:
    status = _STATUS.get(str(answer.get("status")), "Pending")
    return Placed(
        order_id=str(answer["id"]),
        status="WaitingForActivation" if draft.trigger and status in ("Working", "Pending") else status,
    )


def _is_so_already(error: Exception) -> bool:
    """Not every class has ccxt's word for it."""
    return type(error).__name__ == "NoChange" or any(word in str(error).lower() for word in _UNCHANGED)
