"""Balances and positions of the trading account in OKX's JSON, for requests and streams alike.

Of a coin: ``cashBal`` is what is there, negative where it was borrowed and spent; ``liab`` the debt, ``eq`` the
equity with unrealised profit, ``availBal`` what orders may give away. Futures mode has no debts. Fields of things
that are not simulated are empty, or zero where the documentation shows a zero.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from node.sim.accounts import Account, Position
from node.sim.admission import available_margin
from node.sim.catalogue import price_of
from node.sim.market import ZERO, Product
from node.sim.matching import MatchingCore
from node.sim.okx.markets import TRADING, instrument_type
from node.sim.okx.modes import AccountMode
from node.sim.okx.numbers import money, plain
from node.sim.okx.order_views import stop_kind
from node.sim.orders import Book, Leg
from node.sim.settlement import unrealised

MAINTENANCE_RATE = Decimal("0.004")
FIRST_POSITION_ID = 1_752_810_569_801_498_626
_NO_GREEKS = tuple(f"{name}{kind}" for name in ("delta", "gamma", "theta", "vega") for kind in ("BS", "PA"))
_NOT_OF_CONTRACTS = (
    "baseBal", "baseBorrowed", "baseInterest", "bizRefId", "bizRefType", "clSpotInUseAmt", "hedgedPos", "liab",
    "liabCcy", "maxSpotInUseAmt", "nonSettleAvgPx", "optVal", "pendingCloseOrdLiabVal", "posCcy", "quoteBal",
    "quoteBorrowed", "quoteInterest", "settledPnl", "spotInUseAmt", "spotInUseCcy",
)  # fmt: skip
_EMPTY_DETAILS = (
    "accAvgPx", "autoLendStatus", "clSpotInUseAmt", "imr", "maxSpotInUse", "mgnRatio", "mmr", "notionalLever",
    "openAvgPx", "rewardBal", "spotBal", "spotInUseAmt", "spotUpl", "spotUplRatio", "totalPnl", "totalPnlRatio",
)  # fmt: skip


def usd_price(core: MatchingCore, asset: str) -> Decimal:
    """Price of an asset in USD; zero if it has none."""
    listing = core.listings.get((Product.SPOT, f"{asset}-USDT"))
    if listing is not None:
        return listing.mark
    try:
        return price_of(asset)
    except LookupError:
        return ZERO


def balance_document(
    core: MatchingCore, account: Account, mode: AccountMode, assets: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """``account/balance``: the totals, and the coins of *assets*, or all that are not zero."""
    held = account.wallets.get(TRADING, {})
    settled = {position.market.settle for position in account.open_positions()}
    names = [name for name in sorted(held.keys() | settled) if not assets or name in assets]
    details = [_detail(core, account, mode, name) for name in names]
    details = [detail for detail in details if Decimal(detail["eq"]) or detail["liab"] not in ("", "0")]
    total = sum((Decimal(detail["eqUsd"]) for detail in details), ZERO)
    notional = sum((_worth_usd(core, position) for position in account.open_positions()), ZERO)
    multi = not mode.single
    now = str(core.now_ms())
    return {
        "adjEq": money(total) if multi else "",
        "availEq": money(total) if multi else "",
        "borrowFroz": "0" if multi else "",
        "delta": "",
        "deltaLever": "",
        "deltaNeutralStatus": "0",
        "details": details,
        "imr": money(notional / 10) if multi else "",
        "isoEq": "0",
        "mgnRatio": money(total / (notional * MAINTENANCE_RATE)) if multi and notional else "",
        "mmr": money(notional * MAINTENANCE_RATE) if multi else "",
        "notionalUsd": money(notional) if multi else "",
        "notionalUsdForBorrow": "0" if multi else "",
        "notionalUsdForFutures": "0" if multi else "",
        "notionalUsdForOption": "0" if multi else "",
        "notionalUsdForSwap": money(notional) if multi else "",
        "ordFroz": "0" if multi else "",
        "totalEq": money(total),
        "uTime": now,
        "upl": "0" if multi else "",
    }


def risk_document(
    core: MatchingCore, account: Account, mode: AccountMode, types: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """``account/account-position-risk``: every coin, and the positions of some types of instrument, or of all."""
    balance = balance_document(core, account, mode)
    shown = [each for each in account.open_positions() if not types or instrument_type(each.market) in types]
    return {
        "adjEq": balance["adjEq"],
        "balData": [{name: detail[name] for name in ("ccy", "disEq", "eq")} for detail in balance["details"]],
        "posData": [_position_at_risk(core, account, position) for position in shown],
        "ts": str(core.now_ms()),
    }


def _position_at_risk(core: MatchingCore, account: Account, position: Position) -> dict[str, Any]:
    view, market = position_view(core, account, position), position.market
    names = (
        "baseBal", "ccy", "instId", "instType", "mgnMode", "notionalUsd", "pos", "posCcy", "posId", "posSide",
        "quoteBal",
    )  # fmt: skip
    notional = abs(market.value(position.quantity, core.listing(market).mark))
    return {**{name: view[name] for name in names}, "notionalCcy": money(notional)}


def changed_position(core: MatchingCore, account: Account, position: Position) -> dict[str, Any]:
    """One position of the channel ``balance_and_position``."""
    view = position_view(core, account, position)
    names = (
        "avgPx", "ccy", "instId", "instType", "mgnMode", "nonSettleAvgPx", "pos", "posCcy", "posId", "posSide",
        "settledPnl", "tradeId", "uTime",
    )  # fmt: skip
    return {name: view[name] for name in names}


def position_view(core: MatchingCore, account: Account, position: Position) -> dict[str, Any]:
    """One position of ``account/positions``, also a flat one."""
    market, settings = position.market, account.position_settings(position.market)
    mark, flat = core.listing(market).mark, not position.quantity
    value = abs(market.value(position.quantity, mark))
    profit, margin = unrealised(position, mark), value / settings.leverage
    sign = abs if position.leg is not Leg.NET else (lambda number: number)
    return {
        **dict.fromkeys((*_NO_GREEKS, *_NOT_OF_CONTRACTS), ""),
        "adl": "" if flat else "1",
        "availPos": "",
        "avgPx": "" if flat else money(position.entry_price),
        "bePx": "" if flat else money(position.entry_price),
        "cTime": str(position.updated_ms),
        "ccy": market.settle,
        "closeOrderAlgo": [] if flat else _closing_algos(account, position),
        "fee": "0",
        "fundingFee": "0",
        "idxPx": plain(mark),
        "imr": "" if settings.isolated or flat else money(margin),
        "instId": market.symbol,
        "instType": instrument_type(market),
        "interest": "",
        "last": plain(mark),
        "lever": str(settings.leverage),
        "liqPenalty": "0",
        "liqPx": "",
        "margin": money(margin) if settings.isolated and not flat else "",
        "markPx": plain(mark),
        "mgnMode": "isolated" if settings.isolated else "cross",
        "mgnRatio": "" if flat else "25",
        "mmr": "" if flat else money(value * MAINTENANCE_RATE),
        "notionalUsd": "" if flat else money(_worth_usd(core, position)),
        "pnl": "0",
        "pos": plain(sign(position.quantity)),
        "posId": position_id(account, position),
        "posSide": position.leg.value,
        "realizedPnl": "0",
        "tradeId": "",
        "uTime": str(position.updated_ms),
        "upl": "" if flat else money(profit),
        "uplLastPx": "" if flat else money(profit),
        "uplRatio": "" if flat else money(profit / margin),
        "uplRatioLastPx": "" if flat else money(profit / margin),
        "usdPx": money(usd_price(core, market.settle)),
    }


def position_id(account: Account, position: Position) -> str:
    """``posId``, which a leg keeps."""
    key = (position.market.product, position.market.symbol, position.leg)
    return str(FIRST_POSITION_ID + list(account.positions).index(key))


def _worth_usd(core: MatchingCore, position: Position) -> Decimal:
    market = position.market
    return abs(market.notional(position.quantity, core.listing(market).mark))


def _closing_algos(account: Account, position: Position) -> list[dict[str, str]]:
    rows = []
    for order in account.resting(position.market.product, position.market.symbol, Book.ALGO):
        if not order.terms.close_position or order.terms.leg is not position.leg:
            continue
        row = {"algoId": str(order.order_id), "closeFraction": "1"}
        row |= {f"{kind}TriggerPx{suffix}": "" for kind in ("sl", "tp") for suffix in ("", "Type")}
        for trigger in (order.terms.trigger, order.terms.other_trigger):
            if trigger is not None:
                kind = stop_kind(order, trigger)
                row |= {f"{kind}TriggerPx": plain(trigger.price), f"{kind}TriggerPxType": "last"}
        rows.append(row)
    return rows


def _detail(core: MatchingCore, account: Account, mode: AccountMode, asset: str) -> dict[str, Any]:
    held = account.balance(TRADING, asset)
    profits = {False: ZERO, True: ZERO}
    margins = {False: ZERO, True: ZERO}
    for position in account.open_positions():
        if position.market.settle == asset:
            settings, mark = account.position_settings(position.market), core.listing(position.market).mark
            profits[settings.isolated] += unrealised(position, mark)
            margins[settings.isolated] += abs(position.market.value(position.quantity, mark)) / settings.leverage
    bound = held.total - available_margin(account, TRADING, asset, core.listing) + profits[False] + profits[True]
    free = max(ZERO, min(held.free, held.total - bound))
    # A loan taken by hand lies beside its debt; what was borrowed and spent at once is a negative balance.
    cash = held.total if held.total or not held.owed else -held.owed
    equity = held.total - held.owed + profits[False] + profits[True]
    owes = not mode.single or bool(held.owed)
    return {
        **dict.fromkeys(_EMPTY_DETAILS, ""),
        "autoLendMtAmt": "0",
        "availBal": money(free),
        "availEq": money(max(ZERO, free + min(ZERO, profits[False]))) if mode.level != "1" else "",
        "borrowFroz": "0" if owes else "",
        "cashBal": money(cash),
        "ccy": asset,
        "colBorrAutoConversion": "0",
        "colRes": "0",
        "collateralEnabled": False,
        "collateralRestrict": False,
        "crossLiab": money(held.owed) if owes else "",
        "disEq": money(equity * usd_price(core, asset)),
        "eq": money(equity),
        "eqUsd": money(equity * usd_price(core, asset)),
        "fixedBal": "0",
        "frozenBal": money(max(ZERO, held.locked + bound)),
        "frpType": "0",
        "interest": money(held.interest) if owes else "",
        "isoEq": money(margins[True] + profits[True]),
        "isoLiab": "0" if owes else "",
        "isoUpl": money(profits[True]),
        "liab": money(held.owed) if owes else "",
        "maxLoan": "0" if owes else "",
        "ordFrozen": money(held.locked),
        "smtSyncEq": "0",
        "spotCopyTradingEq": "0",
        "spotIsoBal": "0",
        "stgyEq": "0",
        "twap": "0",
        "uTime": str(core.now_ms()),
        "upl": money(profits[False]),
        "uplLiab": "0" if owes else "",
    }
