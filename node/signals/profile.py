"""What can be asked of an account's exchange: ccxt's unified methods, and at B2PRIME our own class's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from node.domain.snapshot import MarketKind
from node.signals.orders import Traits
from node.signals.symbols import Market
from node.venues.call import Answer, Reply
from node.venues.options import VenueOptions
from node.venues.profiles.generic import GenericProfile

#: ccxt's option: set to false, the amount of a purchase would be taken for its cost.
_BY_COST: Final = "createMarketBuyOrderRequiresPrice"
#: Deribit places orders with GET, and so do classes that were made after it.
_ORDERS_BY_GET: Final = ("buy", "sell")


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
        path = urlsplit(url).path
        if method.upper() == "GET":
            return path.rpartition("/")[2] in _ORDERS_BY_GET
        return "orders" in path if self.b2prime else True

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
