"""What an account holds, in Hyperliquid's JSON.

Sources: "Perpetuals" and "Spot" of the info endpoint's documentation; recorded answers of hyperliquid-python-sdk's
tests. Every dex has a state of its own. The dexs here share their collateral (the account's "dex abstraction" is on),
so that a builder's dex holds just what its positions need.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from node.sim.accounts import Account, Position
from node.sim.admission import available_margin
from node.sim.hyperliquid.markets import DEXS, TOKEN_BY_ASSET, TOKEN_NUMBERS, dex_of, max_leverage
from node.sim.hyperliquid.numbers import SIX_PLACES, number
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.market import ZERO, Product
from node.sim.settlement import unrealised

ABSTRACTION = "dexAbstraction"


def clearinghouse_state(
    state: VenueState, account: Account | None, dex: str, hidden: tuple[str, ...]
) -> dict[str, Any]:
    """Positions and margin of one dex; an address that nobody has holds nothing. What is *hidden* still has margin."""
    positions = [] if account is None else _positions(account, dex)
    used = sum((_margin(state, account, position) for position in positions), ZERO) if account is not None else ZERO
    profit = sum((_profit(state, position) for position in positions), ZERO)
    total, free = used, ZERO
    collateral = next(each.collateral for each in DEXS if each.name == dex)
    if account is not None and not dex:
        total = account.balance(Product.LINEAR, collateral).total + profit
        free = max(ZERO, available_margin(account, Product.LINEAR, collateral, state.core.listing))
    cross = [each for each in positions if account is not None and not account.position_settings(each.market).isolated]
    apart = used - (sum((_margin(state, account, each) for each in cross), ZERO) if account is not None else ZERO)
    return {
        "marginSummary": _summary(state, positions, total, used),
        "crossMarginSummary": _summary(state, cross, total - apart, used - apart),
        "crossMaintenanceMarginUsed": number(used / 2, SIX_PLACES),
        "withdrawable": number(free, SIX_PLACES),
        "assetPositions": [
            _position(state, account, position)
            for position in positions
            if account is not None and not state.hidden(position.market, hidden)
        ],
        "time": state.now_ms,
    }


def spot_state(account: Account | None, *, hidden: bool = False) -> dict[str, Any]:
    """The spot wallet: ``total`` includes what resting orders hold."""
    wallet = account.wallets.get(Product.SPOT, {}) if account is not None and not hidden else {}
    return {
        "balances": [
            {
                "coin": TOKEN_BY_ASSET[asset].name,
                "token": TOKEN_NUMBERS[asset],
                "total": number(balance.total),
                "hold": number(balance.locked),
                "entryNtl": "0.0",
            }
            for asset, balance in wallet.items()
            if balance.total
        ]
    }


def _summary(state: VenueState, positions: list[Position], total: Decimal, used: Decimal) -> dict[str, str]:
    values = [_value(state, position) for position in positions]
    return {
        "accountValue": number(total, SIX_PLACES),
        "totalNtlPos": number(sum((abs(value) for value in values), ZERO), SIX_PLACES),
        "totalRawUsd": number(total - sum(values, ZERO), SIX_PLACES),
        "totalMarginUsed": number(used, SIX_PLACES),
    }


def _positions(account: Account, dex: str) -> list[Position]:
    return [each for each in account.open_positions(Product.LINEAR) if dex_of(each.market) == dex]


def _value(state: VenueState, position: Position) -> Decimal:
    return position.market.value(position.quantity, state.core.listing(position.market).mark)


def _profit(state: VenueState, position: Position) -> Decimal:
    return unrealised(position, state.core.listing(position.market).mark)


def _margin(state: VenueState, account: Account, position: Position) -> Decimal:
    settings = account.position_settings(position.market)
    margin = abs(_value(state, position)) / settings.leverage
    return max(ZERO, margin + _profit(state, position)) if settings.isolated else margin


def _position(state: VenueState, account: Account, position: Position) -> dict[str, Any]:
    market, settings = position.market, account.position_settings(position.market)
    margin, profit = _margin(state, account, position), _profit(state, position)
    leverage: dict[str, Any] = {"type": "cross", "value": settings.leverage}
    if settings.isolated:
        raw = margin - _value(state, position)
        leverage = {"type": "isolated", "value": settings.leverage, "rawUsd": number(raw, SIX_PLACES)}
    return {
        "type": "oneWay",
        "position": {
            "coin": market.symbol,
            "szi": number(position.quantity),
            "leverage": leverage,
            "entryPx": number(position.entry_price),
            "positionValue": number(abs(_value(state, position)), SIX_PLACES),
            "unrealizedPnl": number(profit, SIX_PLACES),
            "returnOnEquity": number(profit / margin if margin else ZERO),
            "liquidationPx": None,
            "marginUsed": number(margin, SIX_PLACES),
            "maxLeverage": max_leverage(market),
            "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
        },
    }
