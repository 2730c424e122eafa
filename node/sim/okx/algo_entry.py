"""Reads the parameters of ``trade/order-algo``: ``conditional``, ``oco``, ``trigger`` and ``move_order_stop``.

Source: "Place algo order" of the API v5 documentation. Algo orders freeze nothing and are checked again when they fire.
Their client id is ``algoClOrdId``; a ``clOrdId``, which ccxt sends instead, is given back and names nothing. Trigger
prices are compared with the mark price, whatever ``triggerPxType`` says; a callback in price is taken as a rate.
"""

from __future__ import annotations

from decimal import Decimal

from node.sim.market import Listing
from node.sim.okx.calls import Call
from node.sim.okx.errors import OkxError, empty, wrong
from node.sim.okx.order_entry import check_mode, extras, read_client_id, read_leg, read_side, reads_reduce_only
from node.sim.okx.params import Params
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Side, TriggerTerms

TYPES = ("conditional", "oco", "trigger", "move_order_stop")
MARKET_PRICE = Decimal(-1)
_TOO_LATE = {
    ("tp", Side.BUY): ("51277", "TP trigger price cannot be higher than the last price."),
    ("sl", Side.BUY): ("51278", "SL trigger price cannot be lower than the last price."),
    ("tp", Side.SELL): ("51279", "TP trigger price cannot be lower than the last price."),
    ("sl", Side.SELL): ("51280", "SL trigger price cannot be higher than the last price."),
}


def read_algo(call: Call, row: Params) -> OrderTerms:
    """One algo order.

    Raises:
        OkxError: its parameters are not taken.
    """
    listing = call.listing(row)
    market, side, word = listing.market, read_side(row), row.required("ordType")
    if word not in TYPES:
        raise wrong("ordType")
    trigger, other, price = _triggers(row, listing, side, word)
    leg = read_leg(call, row, market)
    reduce_only = reads_reduce_only(call, row, market) if market.is_contract else False
    whole = _closes_all(call, row, word, leg, reduce_only=reduce_only, contract=market.is_contract)
    size = row.decimal("sz")
    if not whole and (size is None or size <= 0):
        raise wrong("sz") if "sz" in row else empty("sz")
    terms = OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.MARKET if price is None else OrderKind.LIMIT,
        client_id=read_client_id(call, row, "algoClOrdId", Book.ALGO),
        venue_type=word,
        quantity=None if whole else size,
        price=price,
        leg=leg,
        reduce_only=reduce_only and leg is Leg.NET and not whole,
        close_position=whole,
        borrows=not market.is_contract and call.mode.auto_loan,
        repays=not market.is_contract and not call.mode.single,
        trigger=trigger,
        other_trigger=other,
        book=Book.ALGO,
        origin=call.origin,
        extras=extras(row, "tdMode", "tag", "tgtCcy", "clOrdId", "cxlOnClosePos", "callbackRatio", "callbackSpread"),
    )
    if market.is_contract or not call.mode.single:  # for spot, cash and cross are both taken below multi-currency
        check_mode(call, row, terms)
    return terms


def _triggers(
    row: Params, listing: Listing, side: Side, word: str
) -> tuple[TriggerTerms, TriggerTerms | None, Decimal | None]:
    if word == "move_order_stop":
        return _trailing(row, listing, side), None, None
    if word == "trigger":
        at = row.required_decimal("triggerPx")
        return TriggerTerms(price=at, fires_at_or_above=at > listing.mark), None, _price(row, "orderPx")
    stop, profit = (_stop(row, listing, side, kind) for kind in ("sl", "tp"))
    if word == "oco" and (stop is None or profit is None):
        raise empty("slTriggerPx" if stop is None else "tpTriggerPx")
    if stop is not None:  # a conditional order with both is a stop-loss, and nothing else
        return stop, profit if word == "oco" else None, _price(row, "slOrdPx")
    if profit is None:
        raise empty("slTriggerPx")
    return profit, None, _price(row, "tpOrdPx")


def _stop(row: Params, listing: Listing, side: Side, kind: str) -> TriggerTerms | None:
    at = row.decimal(f"{kind}TriggerPx")
    if at is None:
        return None
    rises = (side is Side.BUY) == (kind == "sl")
    if (listing.mark >= at) if rises else (listing.mark <= at):
        raise OkxError(*_TOO_LATE[kind, side])
    return TriggerTerms(price=at, fires_at_or_above=rises)


def _trailing(row: Params, listing: Listing, side: Side) -> TriggerTerms:
    rate, spread = row.decimal("callbackRatio"), row.decimal("callbackSpread")
    if (rate is None) == (spread is None):
        raise OkxError("50015", "Either parameter callbackRatio or callbackSpread is required")
    rate = rate if rate is not None else (spread or Decimal(0)) / listing.mark
    if not Decimal("0.001") <= rate <= 1:
        raise OkxError("51257", "Trailing stop order callback rate error. The callback rate should be 0.1%< x<=100%.")
    return TriggerTerms(
        price=None, fires_at_or_above=side is Side.BUY, callback_rate=rate, activation_price=row.decimal("activePx")
    )


def _price(row: Params, name: str) -> Decimal | None:
    price = row.required_decimal(name)
    return None if price == MARKET_PRICE else price


def _closes_all(call: Call, row: Params, word: str, leg: Leg, *, reduce_only: bool, contract: bool) -> bool:
    if "closeFraction" not in row:
        return False
    if row.text("closeFraction") != "1":
        raise wrong("closeFraction")
    if not contract:
        raise OkxError("51327", "closeFraction is only available for futures and perpetual swaps")
    if word not in ("conditional", "oco") or any(row.text(name, "-1") != "-1" for name in ("slOrdPx", "tpOrdPx")):
        raise OkxError("51330", "closeFraction is only available for stop market orders")
    if leg is Leg.NET and not reduce_only:
        raise OkxError("51328", "closeFraction is only available for reduceOnly orders")
    if call.mode.level == "4":
        raise wrong("closeFraction")
    return True
