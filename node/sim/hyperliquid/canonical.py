"""Actions in the form in which the venue hashes them.

The venue reads an action into records of its own and packs those again, so that only one order of the fields, one way
to write a number and lower-case addresses lead to the signer's own address; anything else leads to a stranger's.
Source: "Signing" (common mistakes) in the documentation; the order of fields is that of hyperliquid-python-sdk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.sim.hyperliquid.numbers import decimal, plain

_ORDERS: Mapping[str, tuple[str, ...]] = {
    "order": ("type", "orders", "grouping", "builder"),
    "cancel": ("type", "cancels"),
    "cancelByCloid": ("type", "cancels"),
    "modify": ("type", "oid", "order"),
    "batchModify": ("type", "modifies"),
    "scheduleCancel": ("type", "time"),
    "twapOrder": ("type", "twap"),
    "twapCancel": ("type", "a", "t"),
    "updateLeverage": ("type", "asset", "isCross", "leverage"),
    "setReferrer": ("type", "code"),
    "reserveRequestWeight": ("type", "weight"),
}
_ORDER = ("a", "b", "p", "s", "r", "t", "c")
_TRIGGER = ("isMarket", "triggerPx", "tpsl")
_TWAP = ("a", "b", "s", "r", "m", "t")
_CANCELS = {"cancel": ("a", "o"), "cancelByCloid": ("asset", "cloid")}
KINDS = frozenset(_ORDERS)


def canonical(action: Mapping[str, Any]) -> dict[str, Any]:
    """The action as the venue packs it; fields that it does not know are gone.

    Raises:
        KeyError, TypeError, AttributeError: it is not shaped like an action of its type.
    """
    kind = action["type"]
    result = _in_order(action, _ORDERS[kind])
    if kind == "order":
        result["orders"] = [_order(order) for order in action["orders"]]
        if result.get("builder") is not None:
            result["builder"] = {"b": str(action["builder"]["b"]).lower(), "f": action["builder"]["f"]}
    elif kind == "twapOrder":
        result["twap"] = _in_order(action["twap"], _TWAP) | {"s": _number(action["twap"]["s"])}
    elif kind in _CANCELS:
        result["cancels"] = [_in_order(cancel, _CANCELS[kind]) for cancel in action["cancels"]]
    elif kind == "modify":
        result["order"] = _order(action["order"])
    elif kind == "batchModify":
        result["modifies"] = [{"oid": one["oid"], "order": _order(one["order"])} for one in action["modifies"]]
    return result


def _order(order: Mapping[str, Any]) -> dict[str, Any]:
    result = _in_order(order, _ORDER)
    result["p"], result["s"] = _number(order["p"]), _number(order["s"])
    if "trigger" in order["t"]:
        trigger = _in_order(order["t"]["trigger"], _TRIGGER)
        trigger["triggerPx"] = _number(trigger["triggerPx"])
        result["t"] = {"trigger": trigger}
    else:
        result["t"] = {"limit": {"tif": order["t"]["limit"]["tif"]}}
    return result


def _in_order(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _number(text: object) -> object:
    value = decimal(text)
    return text if value is None else plain(value)
