"""Holds the node's verdicts against what the simulated venue itself says. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

Document = dict[str, Any]

#: Counters of the venue that must not have moved: a position changed its sign, a request made one larger, a purchase.
SAFETY_COUNTERS = ("sign_flips", "exposure_increases", "buys")


def disagreements(result: Document, venue: Document, lock_file: Document) -> list[str]:
    """What of an ending is not borne out by the venue and by the lock file; empty if all is."""
    found = [
        f"the venue counted {venue['counters'][name]} {name}" for name in SAFETY_COUNTERS if venue["counters"][name]
    ]
    if result["state"] != "done":
        found.append(f"the command ended as {result['state']}: {_reasons(result)}")
    found += _lock(result, lock_file)
    if result["action"] in ("CLOSE_ALL", "FLATTEN"):
        found += _flat(venue)
    if result["action"] == "FLATTEN":
        found += _balances(result, venue)
    return found


def remains(venue: Document) -> list[tuple[str, str]]:
    """What is left at the venue, for people."""
    rows = [(f"position {each['symbol']}", str(each["quantity"])) for each in venue["positions"]]
    rows += [(f"order {each['symbol']}", each["status"]) for each in (*venue["orders"], *venue["algo_orders"])]
    for wallet, assets in venue["balances"].items():
        rows += [(f"{asset} in {wallet}", _plain(_total(held))) for asset, held in assets.items()]
    return rows


def _reasons(result: Document) -> str:
    return ", ".join(f"{error['code']} {error['message']}" for error in result["errors"]) or "no reason given"


def _lock(result: Document, lock_file: Document) -> list[str]:
    told, shown = result.get("lock"), {key: lock_file[key] for key in ("locked", "epoch")}
    wanted = result["action"] != "UNLOCK"
    if told != shown or shown["locked"] is not wanted:
        return [f"the result says lock {told}, the lock file {shown}"]
    return []


def _flat(venue: Document) -> list[str]:
    left = {name: len(venue[name]) for name in ("positions", "orders", "algo_orders") if venue[name]}
    return [f"the venue still has {count} {name}" for name, count in left.items()]


def _balances(result: Document, venue: Document) -> list[str]:
    """Every balance that is reported is what the venue has, and everything it has is reported, except base."""
    reported = {(each["slice"], each["asset"]): Decimal(each["after"] or 0) for each in result["balances"]}
    held = {
        (wallet, asset): _total(each) for wallet, assets in venue["balances"].items() for asset, each in assets.items()
    }
    found = []
    for place in sorted(reported.keys() | held.keys()):
        if place[1] == "USDT":
            continue
        said, has = reported.get(place, Decimal(0)), held.get(place, Decimal(0))
        if abs(said - has) > Decimal("1e-8"):  # the venue shows eight decimals
            found.append(f"{place[1]} in {place[0]}: reported {said}, at the venue {has}")
    return found


def _total(held: Document) -> Decimal:
    return Decimal(held["free"]) + Decimal(held["locked"])


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
