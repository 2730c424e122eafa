"""The unified account: its wallet, its modes, what its key may do.

Sources: the "Account" and "User" parts of the V5 documentation. Totals are in USD.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from node.sim.accounts import Account, Balance
from node.sim.admission import exposure_added
from node.sim.bybit.calls import Call
from node.sim.bybit.errors import BybitError, wrong
from node.sim.bybit.markets import UNIFIED
from node.sim.bybit.numbers import plain
from node.sim.bybit.order_entry import is_isolated
from node.sim.bybit.positions import MAINTENANCE_RATE
from node.sim.catalogue import COINS, OFF_THE_BOOK, STABLE, price_of
from node.sim.market import ZERO, Market, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Origin
from node.sim.settlement import unrealised

UTA_2_PRO: Final = 6
MODES: Final = {"REGULAR_MARGIN": False, "ISOLATED_MARGIN": True}
CREATED: Final = "2024-01-05T10:00:00Z"
USER_ID: Final = 24_617_703


@dataclass(slots=True)
class Holding:
    """One coin of the wallet, with what contracts that settle in it bind and bring."""

    balance: Balance
    price: Decimal  # USD a piece; zero if nobody knows
    profit: Decimal = ZERO  # unrealised
    position_margin: Decimal = ZERO
    maintenance: Decimal = ZERO
    order_margin: Decimal = ZERO

    @property
    def equity(self) -> Decimal:
        """What is left of it when loans are paid back and contracts closed; interest counts once it is charged."""
        return self.balance.total - self.balance.borrowed + self.profit


def wallet_balance(call: Call) -> dict[str, Any]:
    """``GET /v5/account/wallet-balance``: coins that are held or owed, or those that are asked for."""
    if call.params.required("accountType") != "UNIFIED":
        raise BybitError(10001, "accountType only support UNIFIED.")
    visible = all(call.visible(listing.market) for listing in call.listings(Product.SPOT))
    coins = [name for name in call.params.text("coin").split(",") if name]
    return {"list": [wallet_view(call.core, call.account, coins, hidden=not visible)]}


def wallet_view(core: MatchingCore, account: Account, coins: list[str], *, hidden: bool = False) -> dict[str, Any]:
    """The account as the wallet topic shows it, too. With *coins*, only those, held or not."""
    held = holdings(core, account)
    rows = held.values()
    wealth = sum((row.balance.total * row.price for row in rows), ZERO)
    owed = sum((row.balance.borrowed * row.price for row in rows), ZERO)
    profit = sum((row.profit * row.price for row in rows), ZERO)
    initial = sum(((row.position_margin + row.order_margin) * row.price for row in rows), ZERO)
    maintenance = sum((row.maintenance * row.price for row in rows), ZERO)
    margin = wealth - owed + profit
    shown = coins or [
        name for name, row in held.items() if row.balance.total or row.balance.owed or row.position_margin
    ]
    rate = plain(initial / margin) if margin > 0 else "0"
    maintenance_rate = plain(maintenance / margin) if margin > 0 else "0"
    return {
        "accountType": "UNIFIED",
        "accountIMRate": rate,
        "accountIMRateByMp": rate,
        "accountMMRate": maintenance_rate,
        "accountMMRateByMp": maintenance_rate,
        "totalEquity": plain(margin),
        "totalWalletBalance": plain(wealth - owed),
        "totalMarginBalance": plain(margin),
        "totalAvailableBalance": plain(max(ZERO, margin - initial)),
        "totalPerpUPL": plain(profit),
        "totalInitialMargin": plain(initial),
        "totalInitialMarginByMp": plain(initial),
        "totalMaintenanceMargin": plain(maintenance),
        "totalMaintenanceMarginByMp": plain(maintenance),
        "accountLTV": "0",
        "coin": [] if hidden else [_coin(name, held.get(name) or _nothing(name)) for name in shown],
    }


def holdings(core: MatchingCore, account: Account) -> dict[str, Holding]:
    """Every coin of the wallet, and every coin that an open contract settles in."""
    prices = {
        listing.market.base: listing.mark
        for listing in core.listings.values()
        if listing.market.product is Product.SPOT and listing.market.quote == "USDT"
    }
    held = {
        name: Holding(balance, prices.get(name) or _price(name))
        for name, balance in sorted(account.wallets.get(UNIFIED, {}).items())
    }
    for position in account.open_positions():
        market, mark = position.market, core.listing(position.market).mark
        row = held.setdefault(market.settle, _nothing(market.settle))
        worth = abs(market.value(position.quantity, mark))
        row.profit += unrealised(position, mark)
        row.position_margin += worth / account.position_settings(market).leverage
        row.maintenance += worth * MAINTENANCE_RATE
    for market, added in _entries(account):
        row = held.setdefault(market.settle, _nothing(market.settle))
        row.order_margin += added / account.position_settings(market).leverage
    return held


def account_info(call: Call) -> dict[str, Any]:
    """``GET /v5/account/info``."""
    return {
        "marginMode": "ISOLATED_MARGIN" if is_isolated(call) else "REGULAR_MARGIN",
        "updatedTime": "1697078946000",
        "unifiedMarginStatus": UTA_2_PRO,
        "dcpStatus": "OFF",
        "timeWindow": 0,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


def set_margin_mode(call: Call) -> dict[str, Any]:
    """``POST /v5/account/set-margin-mode``: of the account, so of every market at once."""
    isolated = MODES.get(call.params.required("setMarginMode"))
    if isolated is None:
        raise wrong("setMarginMode")
    account = call.account
    for listing in call.core.listings.values():
        if listing.market.is_contract:
            settings = account.position_settings(listing.market)
            account.settings[listing.market.key] = replace(settings, isolated=isolated)
    return {"reasons": []}


def query_api(call: Call) -> dict[str, Any]:
    """``GET /v5/user/query-api``: what the key may do. A key that is bound to no address says ``*``.

    By the documentation one right is good for options and for USDC perpetuals. Here perpetuals do not ask for it.
    """
    key = call.key
    if key is None:
        raise BybitError(10003, "API key is invalid.")
    rights = key.rights
    wallet = ["AccountTransfer", "SubMemberTransfer", *(["Withdraw"] if rights.withdrawals else [])]
    return {
        "id": "13770661",
        "note": key.name,
        "apiKey": key.public,
        "readOnly": 0,
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"] if rights.futures else [],
            "Spot": ["SpotTrade"] if rights.spot else [],
            "Wallet": wallet,
            "Options": ["OptionsTrade"] if rights.options else [],
            "Derivatives": ["DerivativesTrade"] if rights.futures else [],
            "CopyTrading": [],
            "BlockTrade": [],
            "Exchange": ["ExchangeHistory"] if rights.convert else [],
            "NFT": [],
            "Affiliate": [],
            "Earn": [],
            "FiatP2P": [],
            "FiatBitPay": [],
        },
        "ips": ["127.0.0.1"] if rights.ip_restricted else ["*"],
        "type": 1,
        "deadlineDay": -2 if rights.ip_restricted else 83,
        "expiredAt": "1970-01-01T00:00:00Z" if rights.ip_restricted else "2030-01-01T00:00:00Z",
        "createdAt": CREATED,
        "unified": 0,
        "uta": 1,
        "userID": USER_ID + (key.role is Origin.ENGINE),
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_1",
        "kycRegion": "",
    }


def _coin(name: str, row: Holding) -> dict[str, Any]:
    balance = row.balance
    known = name in COINS or name in STABLE
    return {
        "coin": name,
        "equity": plain(row.equity),
        "usdValue": plain(row.equity * row.price),
        "walletBalance": plain(balance.total),
        "locked": plain(balance.locked),
        "spotHedgingQty": "0",
        "borrowAmount": plain(balance.borrowed + max(ZERO, -balance.total)),  # what contracts have lost is owed, too
        "accruedInterest": plain(balance.interest),
        "totalOrderIM": plain(row.order_margin),
        "totalPositionIM": plain(row.position_margin),
        "totalPositionMM": plain(row.maintenance),
        "unrealisedPnl": plain(row.profit),
        "cumRealisedPnl": "0",
        "bonus": "0",
        "marginCollateral": known,
        "collateralSwitch": known,
        "colRes": "0",
        "spotBorrow": plain(balance.borrowed),
        "free": "",
        "availableToWithdraw": "",
        "availableToBorrow": "",
    }


def _nothing(name: str) -> Holding:
    return Holding(Balance(), _price(name))


def _price(name: str) -> Decimal:
    return price_of(name) if name in COINS or name in STABLE or name in OFF_THE_BOOK else ZERO


def _entries(account: Account) -> Iterator[tuple[Market, Decimal]]:
    """Resting orders that would enlarge a position, and by what worth in the settle coin."""
    for order in account.open_orders.values():
        market, at = order.terms.market, order.terms.price
        if market.is_contract and at is not None and not order.waits_for_trigger:
            yield market, market.value(exposure_added(account, order.terms, order.remaining), at)
