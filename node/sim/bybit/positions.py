"""Positions and their settings: mode, leverage, stops.

Source: the "Position" part of the V5 documentation. The margin mode is the account's, not the position's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from node.sim.accounts import Account, Position
from node.sim.bybit.calls import OPTIONS, Call
from node.sim.bybit.errors import BybitError, wrong
from node.sim.bybit.ids import nameless
from node.sim.bybit.market_data import find
from node.sim.bybit.numbers import plain, price, quantity
from node.sim.bybit.order_entry import LEGS
from node.sim.bybit.order_views import INDEX
from node.sim.bybit.pages import cursor, listed, page
from node.sim.market import ZERO, Market, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Leg, Order, OrderKind, OrderTerms, Side, TimeInForce, TriggerTerms
from node.sim.refusals import RefusalError
from node.sim.settlement import unrealised

PAGE_DEFAULT, PAGE_MOST = 20, 200
MAINTENANCE_RATE: Final = Decimal("0.005")
ONE_WAY, HEDGE = 0, 3
STOPS: Final = {"stopLoss": "StopLoss", "takeProfit": "TakeProfit"}


def position_list(call: Call) -> dict[str, Any]:
    """``GET /v5/position/list``: one symbol with a row a leg, open or not; or what is open of a settle coin."""
    product = call.product()
    if product is None:
        return listed(OPTIONS, [], "")
    if product is Product.SPOT:
        raise BybitError(10001, "Illegal category")
    symbol, coin = call.params.text("symbol"), call.params.text("settleCoin")
    if symbol:
        market = call.listing(product, symbol).market
        found = list(_legs(call.account, market)) if call.visible(market) else []
    elif product is Product.LINEAR and not coin:
        raise BybitError(10001, "Missing some parameters that must be filled in, symbol or settleCoin")
    else:
        found = [
            position
            for position in call.account.open_positions(product)
            if coin in ("", position.market.settle) and call.visible(position.market)
        ]
    found.sort(key=_name)
    rows, more = page(found, call.params, default=PAGE_DEFAULT, most=PAGE_MOST, name=_name)
    views = [position_view(call.core, call.account, position) for position in rows]
    return listed(str(product), views, cursor(rows, _name) if more else "")


def position_view(core: MatchingCore, account: Account, position: Position) -> dict[str, Any]:
    """A position. An empty one has no side."""
    market, size = position.market, position.quantity
    mark, leverage = core.listing(market).mark, account.position_settings(market).leverage
    worth = abs(market.value(size, mark))
    initial, maintenance = plain(worth / leverage), plain(worth * MAINTENANCE_RATE)
    stops = {name: _stop_price(account, position, word) for name, word in STOPS.items()}
    return {
        "positionIdx": INDEX[position.leg],
        "riskId": 1,
        "riskLimitValue": "20000000",
        "symbol": market.symbol,
        "side": ("Buy" if size > 0 else "Sell") if size else "",
        "size": quantity(market, abs(size)),
        "avgPrice": plain(position.entry_price) if size else "0",
        "positionValue": plain(abs(market.value(size, position.entry_price))) if size else "0",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if size else 0,
        "leverage": str(leverage),
        "breakEvenPrice": "",
        "positionBalance": "",
        "markPrice": price(market, mark),
        "liqPrice": "",
        "bustPrice": "",
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "positionIM": initial,
        "positionIMByMp": initial,
        "tpslMode": "Full",
        **stops,
        "trailingStop": "0",
        "unrealisedPnl": plain(unrealised(position, mark)),
        "curRealisedPnl": "0",
        "cumRealisedPnl": "0",
        "seq": position.updated_ms or -1,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "sessionAvgPrice": "",
        "createdTime": str(position.updated_ms),
        "updatedTime": str(position.updated_ms),
    }


def switch_mode(call: Call) -> dict[str, Any]:
    """``POST /v5/position/switch-mode`` of one symbol, or of all of a coin that have neither positions nor orders."""
    product, mode = call.traded(), call.params.integer("mode", -1)
    if mode not in (ONE_WAY, HEDGE):
        raise wrong("mode")
    hedge = mode == HEDGE
    if "symbol" in call.params:
        market = find(call, product).market
        _check_hedgeable(market)
        call.attempt(lambda: call.core.set_market_hedge_mode(call.account, market, hedge=hedge), market)
        return {}
    coin = call.params.required("coin")
    markets = [listing.market for listing in call.listings(product) if listing.market.settle == coin]
    able = [market for market in markets if not market.one_way]
    if not able:
        raise BybitError(110029, "Hedge mode is not supported for this symbol.")
    if all(call.account.is_hedged(market) is hedge for market in able):
        raise BybitError(110025, "Position mode is not modified")
    for market in able:
        try:
            call.core.set_market_hedge_mode(call.account, market, hedge=hedge)
        except RefusalError:
            continue
    return {}


def set_leverage(call: Call) -> dict[str, Any]:
    """``POST /v5/position/set-leverage``: the same for both sides."""
    market = find(call, call.traded()).market
    if not market.is_contract:
        raise wrong("category")
    leverage = call.params.decimal("buyLeverage")
    if leverage is None or leverage != call.params.decimal("sellLeverage") or not 1 <= leverage <= 100:
        raise wrong("buyLeverage")
    settings = call.account.position_settings(market)
    if settings.leverage == int(leverage):
        raise BybitError(110043, "Set leverage has not been modified.")
    call.account.settings[market.key] = replace(settings, leverage=int(leverage))
    return {}


def trading_stop(call: Call) -> dict[str, Any]:
    """``POST /v5/position/trading-stop``: stops of the whole position; 0 takes one away."""
    market = find(call, call.traded()).market
    leg = LEGS.get(call.params.integer("positionIdx", 0))
    if not market.is_contract or leg is None:
        raise wrong("positionIdx")
    if call.account.is_hedged(market) == (leg is Leg.NET):
        raise BybitError(10001, "position idx not match position mode")
    if call.params.text("tpslMode", "Full") != "Full" or "trailingStop" in call.params:
        raise BybitError(10001, "params error: only stops of the whole position are simulated")
    position = call.account.position(market, leg)
    if not position.quantity:
        raise BybitError(10001, "can not set tp/sl/ts for zero position")
    wanted = {name: at for name in STOPS if (at := call.params.decimal(name)) is not None}
    if not wanted:
        raise BybitError(34040, "not modified")
    for name, at in wanted.items():
        earlier = _stop(call.account, position, STOPS[name])
        if earlier is not None:
            call.cancel(earlier)
        if at:
            call.place(_stop_terms(call, position, STOPS[name], at))
    return {}


def _stop_terms(call: Call, position: Position, word: str, at: Decimal) -> OrderTerms:
    side = Side.SELL if position.quantity > 0 else Side.BUY
    return OrderTerms(
        market=position.market,
        side=side,
        kind=OrderKind.MARKET,
        client_id=nameless(),
        venue_type=word,
        time_in_force=TimeInForce.IOC,
        leg=position.leg,
        close_position=True,
        trigger=TriggerTerms(price=at, fires_at_or_above=(side is Side.BUY) == (word == "StopLoss")),
        origin=call.origin,
    )


def _check_hedgeable(market: Market) -> None:
    if market.one_way:
        raise BybitError(110029, "Hedge mode is not supported for this symbol.")


def _legs(account: Account, market: Market) -> Iterator[Position]:
    for leg in (Leg.LONG, Leg.SHORT) if account.is_hedged(market) else (Leg.NET,):
        yield account.positions.get((*market.key, leg)) or Position(market=market, leg=leg)


def _name(position: Position) -> str:
    return f"{position.market.symbol}|{INDEX[position.leg]}"


def _stop(account: Account, position: Position, word: str) -> Order | None:
    for order in account.open_orders.values():
        terms = order.terms
        same = terms.market is position.market and terms.leg is position.leg
        if same and terms.close_position and terms.venue_type == word:
            return order
    return None


def _stop_price(account: Account, position: Position, word: str) -> str:
    order = _stop(account, position, word)
    trigger = order.terms.trigger if order is not None else None
    return "" if trigger is None or not position.quantity else price(position.market, trigger.price or ZERO)
