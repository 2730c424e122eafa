"""From an alert and a market to the order that ccxt is asked to place. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from node.signals.alert import Alert, OrderType, Side, TimeInForce
from node.signals.refusal import Code, Refused
from node.signals.settings import OffStep
from node.signals.symbols import Market

#: The venue's own limit on the comment of an order.
B2PRIME_COMMENT_MAX: Final = 100
#: Where an order must say it, and the alert does not: nothing is borrowed.
LEVERAGE_UNSAID: Final = Decimal(1)
#: An amount of a symbol, as the exchange would take it.
Rounding = Callable[[str, Decimal], Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What an exchange can do, as ccxt says it (``features``), or as we know it."""

    triggers: bool
    #: Whether a trigger must be told from which side the price comes.
    trigger_direction: bool
    #: Where the price is in a take profit or stop loss that is part of the order itself; None: there is no such part.
    protection: str | None
    #: Whether a purchase at market is counted in the base asset on spot, as alerts count it.
    buys_in_base: bool
    day: bool
    fill_or_kill: bool
    #: ``order``: a field of the order. ``account``: set for the market before. None: not at all.
    leverage: str | None
    #: The order itself carries a comment, and one at market may be fill-or-kill: B2PRIME.
    b2prime: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One order, in ccxt's words and units."""

    symbol: str
    type: str
    side: Side
    #: Contracts (lots) or, on spot, base units.
    amount: Decimal
    price: Decimal | None
    #: To be set for the market before the order leaves.
    leverage: Decimal | None
    params: Mapping[str, Any] = field(default_factory=dict)
    trigger: bool = False


def draft(alert: Alert, market: Market, traits: Traits, *, rounded: Rounding, off_step: OffStep) -> Draft:
    """The order that an alert asks for.

    *rounded* gives an amount as the exchange would take it, rounded down to its step; zero where none is left.

    Raises:
        Refused: BAD_SYMBOL, BAD_QUANTITY, BAD_LEVERAGE or NOT_SUPPORTED.
    """
    params: dict[str, Any] = {}
    waits = alert.order_type.waits
    at_market = not alert.order_type.has_price
    if at_market and alert.side is Side.BUY and market.get("spot") and not traits.buys_in_base:
        words = (
            "the exchange counts purchases at market in the quote currency: send a limit order, with timeInForce ioc"
        )
        raise Refused(Code.NOT_SUPPORTED, f"orderType: {words}")
    if waits:
        if not traits.triggers:
            raise Refused(Code.NOT_SUPPORTED, f"orderType: the exchange takes no {alert.order_type.value} orders here")
        assert alert.stop_price is not None  # noqa: S101  (an alert that waits has one)
        params["triggerPrice"] = _plain(alert.stop_price)
        if traits.trigger_direction:
            params["triggerDirection"] = "ascending" if alert.side is Side.BUY else "descending"
    params |= _time_in_force(alert, traits)
    params |= _protection(alert, market, traits)
    if alert.comment and traits.b2prime:
        params["comment"] = alert.comment[:B2PRIME_COMMENT_MAX]
    leverage = _leverage(alert, traits)
    if traits.leverage == "order" and market.get("contract"):
        params["leverage"] = whole_if_whole(leverage or LEVERAGE_UNSAID)
    return Draft(
        symbol=str(market["symbol"]),
        type="limit" if alert.order_type.has_price else "market",
        side=alert.side,
        amount=_amount(alert, market, rounded, off_step),
        price=alert.price,
        leverage=leverage if traits.leverage == "account" else None,
        params=params,
        trigger=waits,
    )


def _amount(alert: Alert, market: Market, rounded: Rounding, off_step: OffStep) -> Decimal:
    size = Decimal(1)
    if market.get("contract"):
        if not market.get("linear"):
            raise Refused(Code.BAD_SYMBOL, "symbol: inverse contracts are not counted in the base asset")
        size = _number(market.get("contractSize")) or Decimal(1)
    wanted = alert.quantity / size
    amount = rounded(str(market["symbol"]), wanted)
    if amount <= 0 or (amount != wanted and off_step is OffStep.REFUSE):
        step = _number((market.get("precision") or {}).get("amount"))
        told = f": a multiple of {_plain(step * size)}" if step is not None and step < 1_000_000 else ""
        raise Refused(Code.BAD_QUANTITY, f"quantity: the market does not take it{told}")
    limits = market.get("limits") or {}
    least, most = (_number((limits.get("amount") or {}).get(name)) for name in ("min", "max"))
    if least is not None and amount < least:
        raise Refused(Code.BAD_QUANTITY, f"quantity: below the market's minimum of {_plain(least * size)}")
    if most is not None and amount > most:
        raise Refused(Code.BAD_QUANTITY, f"quantity: above the market's maximum of {_plain(most * size)}")
    return amount


def _time_in_force(alert: Alert, traits: Traits) -> dict[str, Any]:
    wanted, limited = alert.time_in_force, alert.order_type.has_price
    if wanted is TimeInForce.DAY and not (traits.day and limited):
        raise Refused(Code.NOT_SUPPORTED, "timeInForce: the exchange has no such day orders")
    if wanted is TimeInForce.FOK and not traits.fill_or_kill:
        raise Refused(Code.NOT_SUPPORTED, "timeInForce: the exchange has no fill-or-kill here")
    if not limited and alert.order_type is OrderType.MARKET and wanted is TimeInForce.FOK and not traits.b2prime:
        raise Refused(Code.NOT_SUPPORTED, "timeInForce: a market order takes what is there: not fill-or-kill")
    # An order at market is immediate by its nature: the usual word is no wish, and would be refused by many.
    if not limited and wanted in (TimeInForce.GTC, TimeInForce.IOC):
        return {}
    return {"timeInForce": wanted.value.upper()}


def _protection(alert: Alert, market: Market, traits: Traits) -> dict[str, Any]:
    wanted = {"takeProfit": alert.take_profit, "stopLoss": alert.stop_loss}
    given = {name: price for name, price in wanted.items() if price is not None}
    if not given:
        return {}
    if not market.get("contract") or traits.protection is None:
        raise Refused(
            Code.NOT_SUPPORTED, f"{next(iter(given))}: the exchange takes none with an order here, and none is left out"
        )
    return {name: {traits.protection: _plain(price)} for name, price in given.items()}


def _leverage(alert: Alert, traits: Traits) -> Decimal | None:
    if alert.leverage is None:
        return None
    if traits.leverage is None:
        raise Refused(Code.NOT_SUPPORTED, "leverage: ccxt cannot set it at this exchange")
    if alert.leverage < 1:
        raise Refused(Code.BAD_LEVERAGE, "leverage: below 1")
    return alert.leverage


def whole_if_whole(number: Decimal) -> int | float:
    """As JSON is to carry it."""
    return int(number) if number == int(number) else float(number)


def _number(value: object) -> Decimal | None:
    """Above zero, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() and number > 0 else None


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
