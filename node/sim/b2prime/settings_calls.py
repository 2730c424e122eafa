"""Accounts, assets, markets, favourites, collateral and the clock: the settings page of the documentation."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from node.sim.accounts import Account, Balance
from node.sim.b2prime.calls import Call
from node.sim.b2prime.errors import bad_request, not_found
from node.sim.b2prime.ids import account_id, public_account_id
from node.sim.b2prime.markets import ROOT, WALLET, MarketFacts, asset_id, market_facts, type_of
from node.sim.b2prime.numbers import moment_of, text
from node.sim.b2prime.venue_state import MARGIN_RATIOS, VenueState
from node.sim.catalogue import COINS, OFF_THE_BOOK, STABLE
from node.sim.market import ZERO, Listing, Market, MarketStatus, Product

COMMISSION_GROUP = "01J8ZB2PR1MEC0MM1SS10N0001"
CYRILLIC_CHARGE = "сharge"  # noqa: RUF001 - the first letter is U+0441, as on the documentation's page
_ZONES = (
    "Africa/Abidjan",
    "Africa/Algiers",
    "America/Chicago",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Europe/London",
    "UTC",
)


def accounts(call: Call) -> list[dict[str, Any]]:
    """All accounts of the user."""
    return [
        {
            "accountId": account_id(account.name),
            "publicAccountId": public_account_id(account.name),
            "accountName": account.name,
            "accountType": "Hedging" if Product.LINEAR in account.hedge_mode else "Netting",
            "totalBalanceInRAT": text(_worth(call.state, account)),
            "isCopyTradingAccount": False,
        }
        for account in call.state.core.accounts.values()
    ]


def assets(_: Call) -> list[dict[str, Any]]:
    """What balances may be held in."""
    names = {**STABLE, **COINS, **OFF_THE_BOOK, "EUR": 0, "XAU": 0, "US500": 0, "AAPL": 0}
    return [{"assetId": asset_id(each), "assetName": each, "isRootAsset": each == ROOT} for each in names]


def markets(call: Call) -> list[dict[str, Any]]:
    """What is listed, in short."""
    query = call.query
    rows = []
    for listing in call.state.core.listings.values():
        market = listing.market
        facts, favourite = market_facts()[market.symbol], market.symbol in call.state.favourites
        group = COMMISSION_GROUP if facts.dynamic_commission else ""
        if listing.status is MarketStatus.DELISTED or query.get("categoryId"):  # there are no categories
            continue
        if query.get("isFavorite", "").lower() == "true" and not favourite:
            continue
        if query.get("dynamicCommissionGroupId", group) != group:
            continue
        kind = type_of(market)
        rows.append(
            {
                "marketId": market.symbol,
                "displayName": facts.display_name,
                "fullName": facts.full_name,
                "type": call.state.switches.perpetual_type if kind == "Perp" else kind,
                "subtype": facts.subtype,
                "isFavorite": favourite,
            }
        )
    return rows


def market(call: Call) -> dict[str, Any]:
    """One market in full."""
    found = _listing(call, call.path[0]).market
    facts, contract = market_facts()[found.symbol], found.is_contract
    perpetual = type_of(found) == "Perp"
    return {
        "marketId": found.symbol,
        "displayName": facts.display_name,
        "fullName": facts.full_name,
        "baseAssetId": asset_id(found.base),
        "quoteAssetId": asset_id(found.quote),
        "minAmount": None if contract else text(found.min_quantity),
        "maxBaseAmount": text(found.max_quantity * found.contract_size),
        "minQuoteAmount": text(found.min_notional),
        "priceDeviation": text(facts.deviation),
        "priceScale": max(2, _digits(found.tick)),
        "amountScale": None if contract else max(0, _digits(found.step)),
        "type": type_of(found),
        "subtype": facts.subtype if contract else "Cash",
        "swapSettings": None if perpetual or not contract else _swap(),
        "lotSize": int(found.contract_size) if contract else None,
        "minLotAmount": text(found.min_quantity) if contract else None,
        "maxLotAmount": int(found.max_quantity) if contract else None,
        "tickSize": text(found.tick) if contract else None,
        "lotStep": text(found.step) if contract else None,
        "slippageRate": text(facts.slippage),
        "calendar": dict(call.state.calendar(found)),
        "fundingStartTime": "00:00:00" if perpetual else None,
        "fundingIntervalInHours": 8 if perpetual else None,
        "leverageProfile": _leverage(facts) if contract else None,
        "commissionSettings": _commission(call.state, found, facts),
        "isFavorite": found.symbol in call.state.favourites,
    }


def add_favourite(call: Call) -> dict[str, Any]:
    """Mark a market."""
    call.state.favourites.add(_listing(call, call.body.get("marketId")).market.symbol)
    return {}


def remove_favourite(call: Call) -> dict[str, Any]:
    """Unmark a market."""
    call.state.favourites.discard(_listing(call, call.body.get("marketId")).market.symbol)
    return {}


def margin_assets(call: Call) -> dict[str, Any]:
    """What can be collateral, and what of it is."""
    held = call.account.wallets.get(WALLET, {})
    names = {**MARGIN_RATIOS, **{asset: ZERO for asset in held if asset not in MARGIN_RATIOS}}
    return {
        "assets": [
            {
                "assetId": asset_id(asset),
                "assetName": asset,
                "available": text(held.get(asset, Balance()).free),
                "total": text(held.get(asset, Balance()).total),
                "marginRatio": text(ratio),
                "isSelected": ratio > 0 and (call.account.name, asset) not in call.state.deselected,
            }
            for asset, ratio in names.items()
        ]
    }


def select_margin_asset(call: Call) -> dict[str, Any]:
    """Let an asset count as collateral."""
    asset = _asset(call)
    if asset not in MARGIN_RATIOS:
        raise bad_request("Only assets with a margin ratio above zero can be selected.")
    call.state.deselected.discard((call.account.name, asset))
    return {}


def disable_margin_asset(call: Call) -> dict[str, Any]:
    """Let an asset not count as collateral."""
    call.state.deselected.add((call.account.name, _asset(call)))
    return {}


def info(call: Call) -> dict[str, Any]:
    """The clock."""
    return {"serverTime": str(call.state.now_ms // 1000), "serverTimeZone": "+00:00"}


def time_zones(call: Call) -> list[dict[str, Any]]:
    """Zones with their present offsets."""
    now = moment_of(call.state.now_ms)
    return [_zone(name, now.astimezone(ZoneInfo(name)).utcoffset() or timedelta()) for name in _ZONES]


def _zone(name: str, offset: timedelta) -> dict[str, Any]:
    minutes = offset // timedelta(minutes=1)
    sign, clock = "-" if minutes < 0 else "", f"{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    city = name.rpartition("/")[2].replace("_", " ")
    return {
        "id": name,
        "offset": f"{sign}{clock}:00",
        "offsetInMinutes": minutes,
        "shortLabel": name,
        "label": f"(UTC{sign or '+'}{clock}) {city}",
    }


def _worth(state: VenueState, account: Account) -> Decimal:
    return sum((held.total * state.rate(asset) for asset, held in account.wallets.get(WALLET, {}).items()), ZERO)


def _listing(call: Call, market_id: object) -> Listing:
    if not isinstance(market_id, str) or not market_id:
        raise bad_request("The field 'marketId' is required.")
    listing = call.state.listing(market_id)
    if listing is None:
        raise not_found("market")
    return listing


def _asset(call: Call) -> str:
    asset = call.path[0].upper()
    if asset not in {each["assetName"] for each in assets(call)}:
        raise not_found("asset")
    return asset


def _digits(step: Decimal) -> int:
    return -int(step.normalize().as_tuple().exponent)


def _swap() -> dict[str, Any]:
    return {
        "type": "FixPerLot",
        "shortPositionSettings": {"size": "-0.5", "assetId": asset_id(ROOT)},
        "longPositionSettings": {"size": "-1.2", "assetId": asset_id(ROOT)},
    }


def _leverage(facts: MarketFacts) -> dict[str, Any]:
    if not facts.tiers:
        leverage: dict[str, Any] = {"useOnlyMaxLeverage": facts.only_max_leverage, "maxLeverage": facts.max_leverage}
        return {"leverageType": "Fixed", "leverage": leverage}
    tiers = [{"maxLeverage": most, "maxNotionalValueInRAT": upto} for most, upto in facts.tiers]
    return {
        "leverageType": "Dynamic",
        "leverage": {"useOnlyMaxLeverage": facts.only_max_leverage, "tiers": tiers},
    }


def _commission(state: VenueState, found: Market, facts: MarketFacts) -> dict[str, Any]:
    size = text(found.fee_rate)
    if facts.dynamic_commission:
        tiers = [
            {"size": size, "minTradingVolumeInRAT": "0"},
            {"size": text(found.fee_rate / 2), "minTradingVolumeInRAT": "1000000"},
        ]
        charge: dict[str, Any] = {"type": "Percent", "tiers": tiers, "minCommissionInRAT": "0"}
    else:
        charge = {"type": "Percent", "assetId": asset_id(found.quote), "size": size, "minCommissionInRAT": None}
    return {
        "type": "Dynamic" if facts.dynamic_commission else "Fixed",
        CYRILLIC_CHARGE if state.switches.cyrillic_charge else "charge": charge,
        "dynamicCommissionGroupId": COMMISSION_GROUP if facts.dynamic_commission else None,
    }
