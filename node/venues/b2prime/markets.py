"""The venue's markets in ccxt's terms. Pure functions over the venue's JSON.

The document has defects of its own (https://api-docs.b2prime.com/rest-api/settings): its example spells ``charge``
with a Cyrillic first letter, and calls a perpetual market ``Perpetual`` where the list of values says ``Perp``. Which
of the two is on the wire is not known: both are understood.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

#: ``charge``, and the example's spelling with U+0441.
_CHARGE: Final = ("charge", "\u0441harge")
_KINDS: Final = {"spot": "spot", "cfd": "cfd", "perp": "perp", "perpetual": "perp"}


def kind(row: dict[str, Any]) -> str:
    """ "spot", "cfd" or "perp".

    Raises:
        ValueError: it is none of them.
    """
    named = str(row.get("type")).lower()
    if named not in _KINDS:
        raise ValueError(f"no such type of market: {named[:20]!r}")
    return _KINDS[named]


def assets(row: dict[str, Any]) -> tuple[str, str]:
    """Base and quote: by the details, else by the documented form of the identifier, ``type.base_quote``.

    Raises:
        ValueError: neither is there.
    """
    base, quote = row.get("baseAssetId"), row.get("quoteAssetId")
    if isinstance(base, str) and isinstance(quote, str) and base and quote:
        return base, quote
    base, _, quote = str(row.get("marketId")).partition(".")[2].rpartition("_")
    if not base or not quote:
        raise ValueError("a market without base and quote")
    return base, quote


def symbol(market_kind: str, base: str, quote: str) -> str:
    """A unified symbol. A pair may be listed as a CFD and as a perpetual: the CFD's name says that it is one."""
    return {"spot": f"{base}/{quote}", "perp": f"{base}/{quote}:{quote}", "cfd": f"{base}/{quote}:{quote}-CFD"}[
        market_kind
    ]


def steps(row: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """Step of the amount (base units on spot, lots elsewhere) and of the price; None where the details do not say."""
    price = _scale(row.get("priceScale"))
    if kind(row) == "spot":
        return _scale(row.get("amountScale")), price
    return number(row, "lotStep") or number(row, "minLotAmount"), number(row, "tickSize") or price


def limits(row: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """Smallest and largest amount of an order, in the order's own units."""
    largest = number(row, "maxBaseAmount")
    if kind(row) == "spot":
        return number(row, "minAmount"), largest
    lots, size = number(row, "maxLotAmount"), number(row, "lotSize")
    by_base = largest / size if largest and size else None
    return number(row, "minLotAmount"), min((each for each in (lots, by_base) if each is not None), default=None)


def leverage_tiers(row: dict[str, Any]) -> list[tuple[Decimal | None, int]]:
    """Largest notional in the root asset (None: no limit) and leverage; one tier where leverage is fixed.

    Raises:
        ValueError: the profile is not of the documented shape.
    """
    profile = row.get("leverageProfile")
    if profile is None:
        return []
    leverage = profile.get("leverage") if isinstance(profile, dict) else None
    if not isinstance(leverage, dict):
        raise ValueError("a leverage profile without leverage")
    if leverage.get("tiers") is None:
        return [(None, _whole(leverage, "maxLeverage"))]
    return [(number(tier, "maxNotionalValueInRAT"), _whole(tier, "maxLeverage")) for tier in _rows(leverage, "tiers")]


def commission(row: dict[str, Any]) -> dict[str, Any] | None:
    """``{type, charge, assetId, minimum, groupId, tiers: [(from this volume in the root asset, size)]}``.

    Raises:
        ValueError: the settings are not of the documented shape.
    """
    settings = row.get("commissionSettings")
    if settings is None:
        return None
    charge = next((settings[name] for name in _CHARGE if isinstance(settings, dict) and name in settings), None)
    if not isinstance(charge, dict):
        raise ValueError("commission settings without a charge")
    tiers = [(number(tier, "minTradingVolumeInRAT") or Decimal(0), number(tier, "size")) for tier in _tiers(charge)]
    return {
        "type": settings.get("type"),
        "charge": charge.get("type"),
        "assetId": charge.get("assetId"),
        "minimum": number(charge, "minCommissionInRAT"),
        "groupId": settings.get("dynamicCommissionGroupId"),
        "tiers": tiers,
    }


def number(row: dict[str, Any], name: str) -> Decimal | None:
    """A field that is a number, in JSON or as text; None where it is absent.

    Raises:
        ValueError: it is there and no number.
    """
    value = row.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{name} is no number")
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name} is no number") from None
    if not found.is_finite():
        raise ValueError(f"{name} is no number")
    return found


def _tiers(charge: dict[str, Any]) -> list[dict[str, Any]]:
    return [charge] if charge.get("tiers") is None else _rows(charge, "tiers")


def _rows(source: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = source[name]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{name} is no list of objects")
    return entries


def _whole(row: dict[str, Any], name: str) -> int:
    value = number(row, name)
    if value is None or value != int(value):
        raise ValueError(f"{name} is no whole number")
    return int(value)


def _scale(digits: object) -> Decimal | None:
    return Decimal(1).scaleb(-digits) if isinstance(digits, int) and not isinstance(digits, bool) else None
