"""One account at its exchange: ccxt's unified methods behind the node's own gate, lane and connections.

The order is fenced where it leaves: whatever comes before (a token, a signature, a new connection), the lock is asked
again in the same turn of the event loop that writes the request to its socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final, Protocol

import aiohttp
import structlog

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind
from node.domain.steps import Refusal
from node.errors import VenueDenied, VenueError, VenueLimited
from node.signals.orders import Draft, Traits, whole_if_whole
from node.signals.refusal import Code, Refused
from node.signals.symbols import Market, SymbolBook
from node.venues.call import Answer, Call, Reply
from node.venues.ccxt_client import CcxtClient
from node.venues.gate import NotPermitted
from node.venues.lane import Charge
from node.venues.options import VenueOptions
from node.venues.outcomes import Attempt, describe, refusal_of
from node.venues.pool import Pools
from node.venues.profiles.generic import GenericProfile

#: Markets are listed and delisted: how old the table may be.
MARKETS_AGE_MAX_S: Final = 3600.0
#: Between tries while the exchange does not tell its markets.
PREPARE_AGAIN_S: Final = 30.0
#: ccxt's option: set to false, the amount of a purchase would be taken for its cost.
_BY_COST: Final = "createMarketBuyOrderRequiresPrice"
_CHARGES: Final = (Charge(bucket="requests"),)
_ENDED_UNDONE: Final = ("canceled", "rejected", "expired")
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


#: Raises ``Refused`` where the order must not leave any more.
Fence = Callable[[], None]


@dataclass(slots=True)
class _Leaving:
    """An order on its way out."""

    fence: Fence
    left: bool = False


_leaving: ContextVar[_Leaving | None] = ContextVar("signal_leaving", default=None)


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


class SignalProfile(GenericProfile):
    """ccxt's unified methods at any exchange, and at B2PRIME through our own class for it."""

    @property
    def b2prime(self) -> bool:
        """Whether it is our own class."""
        return self.exchange == "b2prime"

    def plain_class(self) -> Any:  # noqa: ANN401 - ccxt has no types
        """Ours for B2PRIME, else ccxt's."""
        if self.b2prime:
            from node.venues.b2prime.exchange import b2prime

            return b2prime
        return super().plain_class()

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """With what alerts need as well."""
        base = super().ccxt_class(plain)
        return type(f"Signals{plain.__name__}", (_Signals, base), {})

    def objections(self, options: VenueOptions) -> list[str]:
        """B2PRIME has its host and account in its options."""
        faults = super().objections(options)
        if _BY_COST in options.options:
            faults.append(f"options.{_BY_COST}: alerts count in the base asset: leave it as ccxt has it")
        if self.b2prime:
            faults += [
                f"options.{name}: is missing" for name in ("hostname", "accountId") if not options.options.get(name)
            ]
        return faults

    def reply(self, status: int | None, body: Answer) -> Reply:
        """B2PRIME's errors have no documented body: the status is its word. (408 says nothing, 5xx neither.)"""
        if self.b2prime and status is not None and 400 <= status < 500 and status != 408:
            said = body if isinstance(body, dict) else {}
            words = next((said[name] for name in ("message", "detail", "title", "error") if said.get(name)), "")
            return Reply(status=status, code=str(status), message=str(words)[:200])
        return super().reply(status, body)

    def is_order(self, url: str, method: str) -> bool:
        """Whether a request may be the order itself."""
        if method.upper() == "GET":
            return False
        return "orders" in url if self.b2prime else True

    def traits(self, market: Market) -> Traits:
        """What can be asked for in one market."""
        if self.b2prime:
            contract = bool(market.get("contract"))
            return Traits(
                triggers=True,
                trigger_direction=False,
                protection="price" if contract else None,
                buys_in_base=True,
                day=True,
                fill_or_kill=True,
                leverage="order",
                b2prime=True,
            )
        kind = MarketKind.SPOT if market.get("spot") else MarketKind.LINEAR
        can = self.order_features(kind)
        force = can.get("timeInForce") or {}
        return Traits(
            triggers=bool(can.get("triggerPrice")),
            trigger_direction=bool(can.get("triggerDirection")),
            protection="triggerPrice" if can.get("attachedStopLossTakeProfit") else None,
            buys_in_base=not self._buys_by_cost(can),
            day=False,
            fill_or_kill=bool(force.get("FOK")),
            leverage="account" if self._has("setLeverage") else None,
        )

    def _buys_by_cost(self, can: Mapping[str, Any]) -> bool:
        """By the class's own option, which is where ccxt decides it; by its ``features`` where there is no option."""
        nested = self._ccxt.options.get("createOrder")
        for options in (self._ccxt.options, nested if isinstance(nested, dict) else {}):
            if _BY_COST in options:
                return bool(options[_BY_COST])
        return bool(can.get("marketBuyRequiresPrice"))

    def order_features(self, kind: MarketKind) -> dict[str, Any]:
        """ccxt's ``features`` of ``createOrder``."""
        found: Any = (self._ccxt.features or {}).get("spot" if kind is MarketKind.SPOT else "swap") or {}
        if kind is not MarketKind.SPOT:
            found = found.get(kind.value) or {}
        return dict(found.get("createOrder") or {})


class _Signals:
    """ccxt's unified methods as endpoints, each with one dictionary."""

    async def signals_markets(self: Any, params: dict[str, Any]) -> list[Any]:
        """All markets; anew if so told."""
        return list((await self.load_markets(bool(params.get("anew")))).values())

    async def signals_market(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """One market, with everything that an order needs: nothing more has to be asked in between."""
        if hasattr(self, "market_with_details"):
            await self.authorize()
            return await self.market_with_details(params["symbol"])
        await self.load_markets()
        return self.market(params["symbol"])

    async def signals_leverage(self: Any, params: dict[str, Any]) -> dict[str, Any]:
        """Of one market."""
        await self.set_leverage(params["leverage"], params["symbol"])
        return {"done": True}


class SignalVenue:
    """Implements ``Exchange``. Create it inside the running event loop."""

    def __init__(self, name: str, options: VenueOptions, pools: Pools, symbols: dict[str, str]) -> None:
        self._name = name
        self._profile = SignalProfile(options)
        self._client = CcxtClient(options, self._profile, pools)
        self._client.send = self._fenced(self._client.send)
        self._named = symbols
        self._book: SymbolBook | None = None
        self._book_at_s = 0.0
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
        with _on_its_way(fence) as leaving:
            if draft.leverage is not None:
                await self._set_leverage(draft)
                leaving.left = False
            attempt = await self._client.attempt(_order_call(draft, self._params(draft, client_order_id)))
        return self._judged(draft, attempt, left=leaving.left)

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

    async def _set_leverage(self, draft: Draft) -> None:
        """Raises Refused: the order that needs it does not follow."""
        assert draft.leverage is not None  # noqa: S101  (the caller has looked)
        call = Call(
            endpoint="signals_leverage",
            effect=Effect.OPEN,
            params={"leverage": whole_if_whole(draft.leverage), "symbol": draft.symbol},
            charges=_CHARGES,
        )
        attempt = await self._client.attempt(call)
        if isinstance(attempt.error, Refused):
            raise attempt.error
        if attempt.error is not None and not _is_so_already(attempt.error):
            reply = self._profile.reply(attempt.wire.status, attempt.wire.document())
            if refusal_of(attempt.error, reply) is None:
                reason = self._client.scrub(describe(attempt.error))
                raise Refused(
                    Code.VENUE_UNAVAILABLE, f"the leverage may not have been set, nothing was placed: {reason}"
                )
            told = self._client.scrub(f"{reply.code} {reply.message}".strip())
            raise Refused(Code.BAD_LEVERAGE, f"leverage: the exchange refuses it, nothing was placed: {told}")

    def _judged(self, draft: Draft, attempt: Attempt, *, left: bool) -> Placed:
        error = attempt.error
        if isinstance(error, Refused):
            raise error
        if error is None:
            answer = attempt.answer
            if not isinstance(answer, dict) or not answer.get("id"):
                raise OrderUnknown("the exchange's answer shows no order id")
            if answer.get("status") in _ENDED_UNDONE and not answer.get("filled"):
                raise Refused(Code.ORDER_REFUSED, f"the exchange ended the order: {_STATUS[answer['status']]}")
            return _placed(answer, draft)
        reason = self._client.scrub(describe(error))
        if isinstance(error, VenueLimited):
            raise Refused(Code.VENUE_UNAVAILABLE, str(error))
        if isinstance(error, NotPermitted) and not left:
            raise Refused(Code.NOT_PERMITTED, str(error))
        if isinstance(error, NotPermitted) and attempt.wire.status == HTTPStatus.UNAUTHORIZED:
            # 401 says that nothing was done; its repetition with a new token was not let out.
            raise Refused(Code.VENUE_UNAVAILABLE, "the exchange wants a new token: send the alert again")
        if not left:
            code = Code.NOT_SUPPORTED if attempt.wire.sent_ns is None else Code.VENUE_UNAVAILABLE
            raise Refused(code, f"the order was not sent: {reason}")
        reply = self._profile.reply(attempt.wire.status, attempt.wire.document())
        if attempt.wire.status in (418, 429) or refusal_of(error, reply) is not None:
            told = self._client.scrub(f"{reply.code or attempt.wire.status} {reply.message}".strip())
            raise Refused(Code.ORDER_REFUSED, f"the exchange refuses the order: {told}{_hint(error, reply)}")
        if attempt.wire.sent_ns is None:
            raise Refused(Code.VENUE_UNAVAILABLE, f"the exchange cannot be reached: {reason}")
        raise OrderUnknown(reason)

    def _fenced(self, send: Callable[..., Any]) -> Callable[..., Any]:
        async def fenced(url: str, method: str, headers: Any, body: Any) -> Any:  # noqa: ANN401 - ccxt's own
            leaving = _leaving.get()
            if leaving is not None:
                leaving.fence()
                leaving.left = leaving.left or self._profile.is_order(url, method)
            return await send(url, method, headers, body)

        return fenced


@contextmanager
def _on_its_way(fence: Fence) -> Iterator[_Leaving]:
    leaving = _Leaving(fence)
    token = _leaving.set(leaving)
    try:
        yield leaving
    finally:
        _leaving.reset(token)


def fence_trace() -> aiohttp.TraceConfig:
    """Asks the fence once more when the connection is there: making one can take longer than a lock.

    aiohttp calls back immediately before it writes the head of a request, together with its body; what is raised here
    ends the request, and closes the connection with nothing written.
    """

    async def about_to_be_written(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        leaving = _leaving.get()
        if leaving is not None:
            leaving.fence()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(about_to_be_written)
    return config


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


def _placed(answer: dict[str, Any], draft: Draft) -> Placed:
    status = _STATUS.get(str(answer.get("status")), "Pending")
    return Placed(
        order_id=str(answer["id"]),
        status="WaitingForActivation" if draft.trigger and status in ("Working", "Pending") else status,
    )


def _is_so_already(error: Exception) -> bool:
    """Not every class has ccxt's word for it."""
    return type(error).__name__ == "NoChange" or any(word in str(error).lower() for word in _UNCHANGED)


def _hint(error: Exception, reply: Reply) -> str:
    return " (insufficient funds)" if refusal_of(error, reply) is Refusal.INSUFFICIENT else ""
