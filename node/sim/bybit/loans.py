"""Borrowed coins: manual loans and their repayment. Debts stay until somebody repays: nothing repays by itself.

Sources: Manual Borrow, Manual Repay, Manual Repay Without Asset Conversion, Get Collateral Info, Get Status And
Leverage and Get Available Amount to Repay of the V5 documentation. Loans have a floating rate here, and are repaid
at once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from node.sim.accounts import Balance
from node.sim.bybit.account import holdings
from node.sim.bybit.calls import Call
from node.sim.bybit.errors import BybitError, wrong
from node.sim.bybit.markets import UNIFIED
from node.sim.bybit.numbers import plain
from node.sim.bybit.order_entry import is_isolated
from node.sim.catalogue import COINS, STABLE
from node.sim.market import ZERO

NOTHING_OWED: Final = (34022041, "Currently, your account has no borrowed coins. No repayments are needed.")
UNSUCCESSFUL: Final = (34022044, "Repayment unsuccessful.")
DONE: Final = {"resultStatus": "SU"}
BORROWABLE: Final = frozenset({*COINS, *STABLE} - {"USD", "WAN"})
MOST_BORROWED: Final = "1000000"


def borrow(call: Call) -> dict[str, Any]:
    """``POST /v5/account/borrow``."""
    coin, amount = call.params.required("coin"), call.params.decimal("amount")
    if coin not in BORROWABLE:
        raise BybitError(34022010, "The borrowed asset does not exist.")
    if amount is None or amount <= 0:
        raise BybitError(34022027, "Invalid request parameters.")
    if is_isolated(call):
        raise BybitError(34022036, "Please enable Margin Trading to continue.")
    call.core.treasury.borrow(call.account, UNIFIED, coin, amount, by=call.origin)
    return {"coin": coin, "amount": plain(amount)}


def repay_without_conversion(call: Call) -> dict[str, Any]:
    """``POST /v5/account/no-convert-repay``: out of the same coin. Without an amount: as much as there is."""
    coin = call.params.required("coin")
    debt = _debt(call, coin)
    amount = call.params.decimal("amount")
    if amount is None:
        amount = min(debt.owed, debt.free)
    elif amount > debt.owed or amount <= 0:
        raise BybitError(34022027, "Invalid request parameters.")
    if amount > debt.free or not amount:
        raise BybitError(*UNSUCCESSFUL)
    call.core.treasury.repay(call.account, UNIFIED, coin, amount, by=call.origin)
    return dict(DONE)


def repay(call: Call) -> dict[str, Any]:
    """``POST /v5/account/repay``: what the coin itself does not cover is paid by selling others, at the venue's price.

    Without an amount, and with an amount of zero, all of the coin's debt is paid; without a coin, all debts are.
    """
    amount = call.params.decimal("amount") or None
    if "coin" not in call.params:
        if amount is not None or call.params.text("repaymentType") != "ALL":
            raise BybitError(34022027, "Invalid request parameters.")
        owed = [name for name, held in call.account.wallets.get(UNIFIED, {}).items() if held.owed]
        if not owed:
            raise BybitError(*NOTHING_OWED)
        for name in owed:
            _repay_by_selling(call, name, _debt(call, name).owed)
        return dict(DONE)
    coin = call.params.text("coin")
    debt = _debt(call, coin)
    if amount is not None and (amount > debt.owed or amount < 0):
        raise BybitError(34022027, "Invalid request parameters.")
    _repay_by_selling(call, coin, amount or debt.owed)
    return dict(DONE)


def repayable(call: Call) -> dict[str, Any]:
    """``GET /v5/spot-margin-trade/repayment-available-amount``: what repaying without conversion could pay."""
    coin = call.params.required("currency")
    held = call.account.wallets.get(UNIFIED, {}).get(coin, Balance())
    return {"currency": coin, "lossLessRepaymentAmount": f"{min(held.free, held.owed):.8f}"}


def collateral_info(call: Call) -> dict[str, Any]:
    """``GET /v5/account/collateral-info``."""
    wanted = call.params.text("currency")
    held = call.account.wallets.get(UNIFIED, {})
    rows = []
    for name in sorted(BORROWABLE):
        if wanted in ("", name):
            borrowed = held.get(name, Balance()).borrowed
            rows.append(
                {
                    "currency": name,
                    "hourlyBorrowRate": "0.00000147",
                    "maxBorrowingAmount": MOST_BORROWED,
                    "freeBorrowingLimit": "0",
                    "freeBorrowAmount": "0",
                    "freeBorrowingAmount": "",
                    "borrowAmount": plain(borrowed),
                    "otherBorrowAmount": "0",
                    "availableToBorrow": plain(Decimal(MOST_BORROWED) - borrowed),
                    "borrowable": True,
                    "borrowUsageRate": "0",
                    "marginCollateral": True,
                    "collateralSwitch": True,
                    "collateralRatio": "0.95",
                }
            )
    return {"list": rows}


def margin_state(call: Call) -> dict[str, Any]:
    """``GET /v5/spot-margin-trade/state``: on in cross margin, off in isolated margin."""
    if is_isolated(call):
        return {"spotLeverage": "", "spotMarginMode": "0", "effectiveLeverage": ""}
    return {"spotLeverage": "10", "spotMarginMode": "1", "effectiveLeverage": "1"}


def _debt(call: Call, coin: str) -> Balance:
    if coin not in BORROWABLE:
        raise wrong("coin")
    held = call.account.wallets.get(UNIFIED, {}).get(coin)
    if held is None or not held.owed:
        raise BybitError(*NOTHING_OWED)
    return held


def _repay_by_selling(call: Call, coin: str, amount: Decimal) -> None:
    account, treasury = call.account, call.core.treasury
    held = holdings(call.core, account)
    lacking = max(ZERO, amount - held[coin].balance.free)
    ratio = call.core.rules.conversion_ratio
    richest = sorted(held, key=lambda name: held[name].balance.free * held[name].price, reverse=True)
    for name in richest:
        row = held[name]
        if not lacking or name == coin or not row.price or row.balance.owed or not row.balance.free:
            continue
        needed = lacking * held[coin].price / (row.price * ratio)
        gives = min(needed, row.balance.free)
        takes = lacking if gives == needed else gives * row.price * ratio / held[coin].price
        treasury.convert(account, name, gives, coin, takes, by=call.origin)
        lacking -= takes
    if lacking:
        raise BybitError(34022049, "Insufficient collateral balance.")
    treasury.repay(account, UNIFIED, coin, amount, by=call.origin)
