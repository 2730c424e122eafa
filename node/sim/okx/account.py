"""The trading account: settings and rights, balances, positions, and the debts of spot mode."""

from __future__ import annotations

from typing import Any

from node.sim.okx.account_views import balance_document, position_view, risk_document
from node.sim.okx.calls import Call, Rows
from node.sim.okx.errors import OkxError, unsupported, wrong
from node.sim.okx.markets import TRADING
from node.sim.okx.security import may_trade


def config(call: Call) -> Rows:
    """``GET /api/v5/account/config``: the account's modes, and what the key may do."""
    mode, rights = call.mode, call.key.rights if call.key is not None else None
    trades = call.key is not None and may_trade(call.key)
    permissions = [
        "read_only",
        *(["trade"] if trades else []),
        *(["withdraw"] if rights and rights.withdrawals else []),
    ]
    return [
        {
            "acctLv": mode.level,
            "acctStpMode": "cancel_maker",
            "autoLoan": mode.auto_loan,
            "ctIsoMode": "automatic",
            "enableSpotBorrow": False,
            "feeType": "0",
            "greeksType": "PA",
            "ip": "127.0.0.1" if rights is not None and rights.ip_restricted else "",
            "kycLv": "3",
            "label": "sim",
            "level": "Lv1",
            "levelTmp": "",
            "liquidationGear": "-1",
            "mainUid": mode.uid,
            "mgnIsoMode": "automatic",
            "opAuth": "0",
            "perm": ",".join(permissions),
            "posMode": "long_short_mode" if call.hedged else "net_mode",
            "roleType": "0",
            "settleCcy": "USDC",
            "settleCcyList": ["USD", "USDC"],
            "spotBorrowAutoRepay": False,
            "spotOffsetType": "",
            "spotRoleType": "0",
            "spotTraderInsts": [],
            "stgyType": "0",
            "traderInsts": [],
            "type": "0",
            "uid": mode.uid,
        }
    ]


def balance(call: Call) -> Rows:
    """``GET /api/v5/account/balance``."""
    return [balance_document(call.core, call.account, call.mode, call.params.words("ccy"))]


def positions(call: Call) -> Rows:
    """``GET /api/v5/account/positions``: open ones; with ``instId`` also past ones, with ``pos`` zero."""
    named = "instId" in call.params
    ids = call.params.words("posId")
    views = [
        position_view(call.core, call.account, position)
        for position in call.account.positions.values()
        if (position.quantity or named) and call.wanted(position.market)
    ]
    return [view for view in views if not ids or view["posId"] in ids]


def position_risk(call: Call) -> Rows:
    """``GET /api/v5/account/account-position-risk``: balances and positions of one moment."""
    wanted = call.params.text("instType")
    return [risk_document(call.core, call.account, call.mode, frozenset({wanted}) - {""})]


def set_position_mode(call: Call) -> Rows:
    """``POST /api/v5/account/set-position-mode``."""
    word = call.params.required("posMode")
    if word not in ("net_mode", "long_short_mode"):
        raise wrong("posMode")
    call.modes.set_hedged(call.account, hedge=word == "long_short_mode")
    return [{"posMode": word}]


def set_account_level(call: Call) -> Rows:
    """``POST /api/v5/account/set-account-level``."""
    level = call.params.required("acctLv")
    call.modes.set_level(call.account, level)
    return [{"acctLv": level}]


def set_auto_loan(call: Call) -> Rows:
    """``POST /api/v5/account/set-auto-loan``."""
    on = call.params.flag("autoLoan") if "autoLoan" in call.params else True
    call.modes.set_auto_loan(call.account, on=on)
    return [{"autoLoan": on}]


def manual_borrow_repay(call: Call) -> Rows:
    """``POST /api/v5/account/spot-manual-borrow-repay``: spot mode only; elsewhere debts are repaid by buying."""
    params = call.params
    asset, side, amount = params.required("ccy"), params.required("side"), params.required_decimal("amt")
    if side not in ("borrow", "repay"):
        raise wrong("side")
    if call.mode.level != "1":
        raise unsupported()
    if amount <= 0:
        raise wrong("amt")
    treasury, owed = call.core.treasury, call.account.balance(TRADING, asset).owed
    if side == "repay" and not owed:
        raise OkxError("59413", "You didn't borrow this crypto. No repayment needed.")
    if side == "repay":
        amount = min(amount, owed)  # the answer tells the actual amount
        call.attempt(lambda: treasury.repay(call.account, TRADING, asset, amount, by=call.origin))
    else:
        treasury.borrow(call.account, TRADING, asset, amount, by=call.origin)
    row: dict[str, Any] = {"ccy": asset, "side": side, "amt": str(amount)}
    return [row]
