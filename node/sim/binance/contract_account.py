"""Positions, margin balances and modes of the two futures products."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from node.sim.accounts import Position
from node.sim.admission import available_margin
from node.sim.binance.calls import Call
from node.sim.binance.errors import BinanceError
from node.sim.binance.numbers import amount, price, quantity
from node.sim.binance.order_views import LEG
from node.sim.market import ZERO, Market, MarketStatus, Product
from node.sim.orders import Leg
from node.sim.settlement import unrealised

MAINTENANCE_RATE = Decimal("0.025")
MAX_NOTIONAL = "20000000"
MAX_LEVERAGE = 20


def position_risk_v3(call: Call) -> list[dict[str, Any]]:
    """``GET /fapi/v3/positionRisk``: only symbols with a position or an open order."""
    symbol = call.optional_symbol()
    ordered = {order.terms.market.symbol for order in call.account.open_orders.values()}
    shown = (
        position
        for position in _rows(call, symbol)
        if position.quantity or (position.market.symbol in ordered and position.leg in _legs(call))
    )
    return [_risk_v3(call, position) for position in shown]


def position_risk_v2(call: Call) -> list[dict[str, Any]]:
    """``GET /fapi/v2/positionRisk``: every symbol."""
    return [_risk_v2(call, position) for position in _rows(call, call.optional_symbol())]


def coin_margined_position_risk(call: Call) -> list[dict[str, Any]]:
    """``GET /dapi/v1/positionRisk``: every symbol, or those of one pair."""
    pair = call.params.text("pair")
    shown = (p for p in _rows(call, None) if pair in ("", p.market.base + p.market.quote))
    return [_coin_margined_risk(call, position) for position in shown]


def account_v3(call: Call) -> dict[str, Any]:
    """``GET /fapi/v3/account``: positions that are open, assets that are held."""
    held = [view for view in _assets(call) if view["updateTime"]]
    positions = [_account_position(call, p) for p in _rows(call, None) if p.quantity]
    return {**_totals(held), "assets": held, "positions": positions}


def account_v2(call: Call) -> dict[str, Any]:
    """``GET /fapi/v2/account``: everything."""
    assets = _assets(call)
    return {
        **_rights(call),
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
        **_totals(assets),
        "assets": assets,
        "positions": [_account_position(call, position, full=True) for position in _rows(call, None)],
    }


def coin_margined_account(call: Call) -> dict[str, Any]:
    """``GET /dapi/v1/account``."""
    return {
        **_rights(call),
        "assets": _assets(call),
        "positions": [_account_position(call, position, full=True) for position in _rows(call, None)],
    }


def balance(call: Call) -> list[dict[str, Any]]:
    """``GET /fapi/v2/balance``, ``/fapi/v3/balance`` and ``/dapi/v1/balance``."""
    names = ("asset", "crossWalletBalance", "crossUnPnl", "availableBalance", "updateTime")
    return [
        {
            "accountAlias": "SgsR",
            "balance": view["walletBalance"],
            "maxWithdrawAmount": view["maxWithdrawAmount"],
            "withdrawAvailable": view["maxWithdrawAmount"],
            "marginAvailable": True,
            **{name: view[name] for name in names},
        }
        for view in _assets(call)
    ]


def leverage_bracket(call: Call) -> list[dict[str, Any]]:
    """``GET /fapi/v1/leverageBracket`` and ``GET /dapi/v2/leverageBracket``: one bracket for all."""
    unit = "notional" if call.product is Product.LINEAR else "qty"
    bracket = {
        "bracket": 1,
        "initialLeverage": MAX_LEVERAGE,
        f"{unit}Cap": int(MAX_NOTIONAL),
        f"{unit}Floor": 0,
        "maintMarginRatio": float(MAINTENANCE_RATE),
        "cum": 0.0,
    }
    return [{"symbol": listing.market.symbol, "brackets": [bracket]} for listing in call.listings()]


def change_leverage(call: Call) -> dict[str, Any]:
    """``POST …/leverage``: of a market; that it is so already is no error."""
    market, leverage = call.listing(call.params.required("symbol")).market, call.params.required_decimal("leverage")
    if not 1 <= leverage <= MAX_LEVERAGE or leverage != int(leverage):
        raise BinanceError(-4028, f"Leverage {leverage} is not valid")
    call.account.settings[market.key] = replace(call.account.position_settings(market), leverage=int(leverage))
    cap = "maxNotionalValue" if call.product is Product.LINEAR else "maxQty"
    return {"leverage": int(leverage), cap: str(int(MAX_NOTIONAL)), "symbol": market.symbol}


def position_mode(call: Call) -> dict[str, Any]:
    """``GET …/positionSide/dual``."""
    return {"dualSidePosition": call.hedged}


def change_position_mode(call: Call) -> dict[str, Any]:
    """``POST …/positionSide/dual``."""
    call.params.required("dualSidePosition")
    hedge = call.params.flag("dualSidePosition")
    call.attempt(lambda: call.core.set_hedge_mode(call.account, call.product, hedge=hedge))
    return {"code": 200, "msg": "success"}


def multi_assets_mode(_: Call) -> dict[str, Any]:
    """``GET /fapi/v1/multiAssetsMargin``: always single-asset."""
    return {"multiAssetsMargin": False}


def change_multi_assets_mode(call: Call) -> dict[str, Any]:
    """``POST /fapi/v1/multiAssetsMargin``: there is only the one mode."""
    call.params.required("multiAssetsMargin")
    if call.params.flag("multiAssetsMargin"):
        raise BinanceError(-4170, "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures")
    raise BinanceError(-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly")


def _legs(call: Call) -> tuple[Leg, ...]:
    return (Leg.LONG, Leg.SHORT) if call.hedged else (Leg.NET,)


def _rows(call: Call, symbol: str | None) -> Iterable[Position]:
    """Every leg of every symbol that this read shows; flat ones are made up."""
    account, legs = call.account, _legs(call)
    for (product, name), listing in call.core.listings.items():
        if product is not call.product or symbol not in (None, name) or not call.visible(listing.market):
            continue
        for leg in legs:
            position = account.positions.get((product, name, leg)) or Position(market=listing.market, leg=leg)
            if position.quantity or listing.status is not MarketStatus.DELISTED:
                yield position


def _margin(call: Call, position: Position) -> tuple[Decimal, Decimal]:
    """Mark price, and value of the position in its settlement asset, signed."""
    mark = call.core.listing(position.market).mark
    return mark, position.market.value(position.quantity, mark)


def _isolated_margin(call: Call, position: Position) -> Decimal:
    settings = call.account.position_settings(position.market)
    if not settings.isolated or not position.quantity:
        return ZERO
    mark, value = _margin(call, position)
    return abs(value) / settings.leverage + unrealised(position, mark)


def _entry(position: Position) -> str:
    return format(position.entry_price.quantize(Decimal("0.00000001")).normalize() + 0, "f")


def _common_risk(call: Call, position: Position) -> dict[str, Any]:
    market = position.market
    mark = call.core.listing(market).mark
    return {
        "symbol": market.symbol,
        "positionSide": LEG[position.leg],
        "positionAmt": quantity(market, position.quantity),
        "entryPrice": _entry(position) if position.quantity else "0.0",
        "breakEvenPrice": _entry(position) if position.quantity else "0.0",
        "markPrice": amount(mark),
        "unRealizedProfit": amount(unrealised(position, mark)),
        "liquidationPrice": "0",
        "isolatedMargin": _zero_or(_isolated_margin(call, position)),
        "isolatedWallet": _zero_or(_isolated_margin(call, position)),
        "updateTime": position.updated_ms,
    }


def _zero_or(number: Decimal) -> str:
    return amount(number) if number else "0"


def _risk_v3(call: Call, position: Position) -> dict[str, Any]:
    _, value = _margin(call, position)
    leverage = call.account.position_settings(position.market).leverage
    initial = amount(abs(value) / leverage)
    return {
        **_common_risk(call, position),
        "notional": amount(value),
        "marginAsset": position.market.settle,
        "initialMargin": initial,
        "maintMargin": amount(abs(value) * MAINTENANCE_RATE),
        "positionInitialMargin": initial,
        "openOrderInitialMargin": "0",
        "adl": 2 if position.quantity else 0,
        "bidNotional": "0",
        "askNotional": "0",
    }


def _margin_words(call: Call, market: Market) -> dict[str, Any]:
    settings = call.account.position_settings(market)
    return {
        "leverage": str(settings.leverage),
        "marginType": "isolated" if settings.isolated else "cross",
        "isAutoAddMargin": "false",
    }


def _risk_v2(call: Call, position: Position) -> dict[str, Any]:
    _, value = _margin(call, position)
    return {
        **_common_risk(call, position),
        **_margin_words(call, position.market),
        "notional": amount(value),
        "maxNotionalValue": MAX_NOTIONAL,
        "isolated": call.account.position_settings(position.market).isolated,
        "adlQuantile": 2 if position.quantity else 0,
    }


def _coin_margined_risk(call: Call, position: Position) -> dict[str, Any]:
    _, value = _margin(call, position)
    return {
        **_common_risk(call, position),
        **_margin_words(call, position.market),
        "maxQty": quantity(position.market, position.market.max_quantity),
        "notionalValue": amount(value),
    }


def _account_position(call: Call, position: Position, *, full: bool = False) -> dict[str, Any]:
    market = position.market
    mark, value = _margin(call, position)
    settings = call.account.position_settings(market)
    view = {
        "symbol": market.symbol,
        "positionSide": LEG[position.leg],
        "positionAmt": quantity(market, position.quantity),
        "unrealizedProfit": amount(unrealised(position, mark)),
        "isolatedMargin": _zero_or(_isolated_margin(call, position)),
        "notional" if call.product is Product.LINEAR else "notionalValue": amount(value),
        "isolatedWallet": _zero_or(_isolated_margin(call, position)),
        "initialMargin": amount(abs(value) / settings.leverage),
        "maintMargin": amount(abs(value) * MAINTENANCE_RATE),
        "updateTime": position.updated_ms,
    }
    if not full:
        return view
    return {
        **view,
        "positionInitialMargin": view["initialMargin"],
        "openOrderInitialMargin": "0",
        "leverage": str(settings.leverage),
        "isolated": settings.isolated,
        "entryPrice": price(market, position.entry_price),
        "breakEvenPrice": price(market, position.entry_price),
        "maxNotional" if call.product is Product.LINEAR else "maxQty": MAX_NOTIONAL,
        "bidNotional": "0",
        "askNotional": "0",
    }


def _assets(call: Call) -> list[dict[str, Any]]:
    coins = {listing.market.settle for listing in call.core.listings.values() if listing.market.product is call.product}
    return [_asset(call, coin) for coin in sorted(coins)]


def _asset(call: Call, asset: str) -> dict[str, Any]:
    account, wallet = call.account, str(call.product)
    held = account.wallets.get(wallet, {}).get(asset)
    total = held.total if held is not None else ZERO
    profit = margin = ZERO
    for position in account.open_positions(call.product):
        if position.market.settle == asset:
            mark, value = _margin(call, position)
            profit += unrealised(position, mark)
            margin += abs(value) / account.position_settings(position.market).leverage
    free = available_margin(account, wallet, asset, call.core.listing) if held is not None else ZERO
    return {
        "asset": asset,
        "walletBalance": amount(total),
        "unrealizedProfit": amount(profit),
        "marginBalance": amount(total + profit),
        "maintMargin": amount(margin * 10 * MAINTENANCE_RATE),
        "initialMargin": amount(total + profit - free),
        "positionInitialMargin": amount(margin),
        "openOrderInitialMargin": amount(total + profit - free - margin),
        "crossWalletBalance": amount(total),
        "crossUnPnl": amount(profit),
        "availableBalance": amount(max(ZERO, free)),
        "maxWithdrawAmount": amount(max(ZERO, min(free, total))),
        "marginAvailable": True,
        "updateTime": call.setup.clock.now_ms() if total else 0,
    }


def _totals(assets: list[dict[str, Any]]) -> dict[str, str]:
    names = {
        "totalInitialMargin": "initialMargin",
        "totalMaintMargin": "maintMargin",
        "totalWalletBalance": "walletBalance",
        "totalUnrealizedProfit": "unrealizedProfit",
        "totalMarginBalance": "marginBalance",
        "totalPositionInitialMargin": "positionInitialMargin",
        "totalOpenOrderInitialMargin": "openOrderInitialMargin",
        "totalCrossWalletBalance": "crossWalletBalance",
        "totalCrossUnPnl": "crossUnPnl",
        "availableBalance": "availableBalance",
        "maxWithdrawAmount": "maxWithdrawAmount",
    }
    # In single-asset mode the totals are those of USDT alone (Account Information V3).
    counted = [view for view in assets if view["asset"] == "USDT"]
    return {total: amount(sum((Decimal(view[name]) for view in counted), ZERO)) for total, name in names.items()}


def _rights(call: Call) -> dict[str, Any]:
    rights = call.key.rights if call.key is not None else None
    return {
        "feeTier": 0,
        "canTrade": rights is not None and rights.futures,
        "canDeposit": True,
        "canWithdraw": rights is not None and rights.withdrawals,
        "updateTime": 0,
    }
