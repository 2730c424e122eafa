"""A request as it came: who signed it, and what fault rules and the journal can see of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.sim.fault_plan import Traits
from node.sim.faults import Intent
from node.sim.hyperliquid import exchange, info
from node.sim.hyperliquid.errors import HyperliquidError
from node.sim.hyperliquid.exchange import Signed
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.market import Product
from node.sim.venue import WireRequest

INFO, EXCHANGE = "/info", "/exchange"
INTENTS: Final = {
    "order": Intent.PLACE,
    "modify": Intent.PLACE,
    "batchModify": Intent.PLACE,
    "cancel": Intent.CANCEL,
    "cancelByCloid": Intent.CANCEL,
    "scheduleCancel": Intent.CANCEL,
    "twapOrder": Intent.PLACE,
    "twapCancel": Intent.CANCEL,
}


#: What one list shows of contracts and of spot.
OF_BOTH: Final = (Intent.ORDERS, Intent.TRIGGERS, Intent.ORDER)
BOTH: Final = frozenset({Product.LINEAR, Product.SPOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperliquidRequest(WireRequest):
    """A request with what its body says. *signed* is none if it is no action; *fault* says why one cannot be read."""

    document: Mapping[str, Any] | None = None
    signed: Signed | None = None
    fault: HyperliquidError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a request is for, in neutral words."""

    intent: Intent = Intent.OTHER
    also: frozenset[Intent] = frozenset()
    products: frozenset[Product] = frozenset()
    symbols: frozenset[str] = frozenset()
    sides: frozenset[str] = frozenset()


def read_request(
    state: VenueState, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes
) -> HyperliquidRequest:
    """Everything that can be said of a request before it is carried out."""
    path, _, query = target.partition("?")
    document = _document(body)
    signed, fault = None, None
    if path == EXCHANGE and document is not None:
        try:
            signed = exchange.identify(state, document)
        except HyperliquidError as error:
            fault = error
    said = document or {}
    account = signed.account if signed is not None else state.account(str(said.get("user", "")))
    streams = headers.get("Upgrade", "").lower() == "websocket"
    purpose = Purpose(intent=Intent.STREAM) if streams else _purpose(state, path, said)
    return HyperliquidRequest(
        method=method,
        host=host,
        path=path,
        query=query,
        body=body.decode("utf-8", "replace"),
        headers=headers,
        params=_params(said),
        signature=str(said.get("signature", "")),
        key=signed.key if signed is not None else None,
        traits=Traits(
            method=method,
            host=host,
            path=path,
            intent=purpose.intent,
            also=purpose.also,
            product=next(iter(purpose.products)) if len(purpose.products) == 1 else None,
            products=purpose.products,
            account=account.name if account is not None else None,
            symbols=purpose.symbols,
            sides=purpose.sides,
        ),
        document=document,
        signed=signed,
        fault=fault,
    )


def wires(action: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The orders or cancels that an action is about."""
    entries = action.get(exchange.OF_BATCH.get(str(action.get("type")), ""))
    if not isinstance(entries, list):
        entries = [action]
    found = [entry.get("order", entry.get("twap", entry)) for entry in entries if isinstance(entry, dict)]
    return [wire for wire in found if isinstance(wire, dict)]


def asset_of(wire: Mapping[str, Any]) -> object:
    """The asset's number, under either of its names."""
    return wire.get("a", wire.get("asset"))


def _purpose(state: VenueState, path: str, document: Mapping[str, Any]) -> Purpose:
    if path == INFO:
        return _purpose_of_read(state, document)
    action = document.get("action")
    if not isinstance(action, dict):
        return Purpose()
    parts = wires(action)
    markets = [market for market in (state.market(asset_of(wire)) for wire in parts) if market is not None]
    return Purpose(
        intent=INTENTS.get(str(action.get("type")), Intent.OTHER),
        products=frozenset(market.product for market in markets),
        symbols=frozenset(market.symbol for market in markets),
        sides=frozenset("buy" if wire["b"] else "sell" for wire in parts if "b" in wire),
    )


def _purpose_of_read(state: VenueState, document: Mapping[str, Any]) -> Purpose:
    found, listing = info.TYPES.get(str(document.get("type"))), state.coin(document.get("coin"))
    if found is None:
        return Purpose()
    if listing is not None:
        products = frozenset({listing.market.product})
    elif found.product is not None or (found.intent is Intent.ORDERS and document.get("dex")):
        products = frozenset({found.product or Product.LINEAR})
    else:
        products = BOTH if found.intent in OF_BOTH else frozenset()
    return Purpose(
        intent=found.intent,
        also=found.also,
        products=products,
        symbols=frozenset({listing.market.symbol} if listing is not None else ()),
    )


def _document(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _params(document: Mapping[str, Any]) -> dict[str, str]:
    """The body as the journal keeps it: an action's type and client ids beside the action itself."""
    action = document.get("action")
    if not isinstance(action, dict):
        return {name: str(value) for name, value in document.items()}
    params = {"type": str(action.get("type")), "nonce": str(document.get("nonce")), "action": json.dumps(action)}
    if document.get("vaultAddress") is not None:
        params["vaultAddress"] = str(document["vaultAddress"])
    cloids = [str(wire.get("c") or wire.get("cloid")) for wire in wires(action) if "c" in wire or "cloid" in wire]
    return params | ({"cloid": ",".join(cloids)} if cloids else {})
