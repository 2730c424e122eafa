"""Reading a request: which call it is, whose, and about which market."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from node.sim.accounts import Account
from node.sim.b2prime.calls import Endpoint
from node.sim.b2prime.ids import IdKind, number_of
from node.sim.b2prime.venue_state import VenueState
from node.sim.fault_plan import Traits
from node.sim.faults import Intent
from node.sim.market import Product
from node.sim.venue import WireRequest

#: Never in the request journal.
SECRET = frozenset({"token", "apiKey", "access_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class B2primeRequest(WireRequest):
    """With what only this venue's requests have."""

    endpoint: Endpoint | None
    parts: tuple[str, ...]
    document: Mapping[str, Any] | None  # none: the body is no JSON object
    account: Account | None  # that the header names
    token: str


def read_request(
    state: VenueState,
    endpoints: Sequence[Endpoint],
    method: str,
    host: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
) -> B2primeRequest:
    """Read it, and judge nothing."""
    path, _, query = target.partition("?")
    named = dict(parse_qsl(query, keep_blank_values=True))
    text = body.decode("utf-8", "replace")
    document = _document(text)
    endpoint, parts = _route(endpoints, method, path)
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    token = bearer if scheme.lower() == "bearer" else named.get("access_token", "")
    holder = state.tokens.holder(token, state.now_ms) if token else None
    account = state.account(headers.get("accountId") or str((document or {}).get("accountId", "")))
    params = {name: value for name, value in {**named, **_flat(document or {})}.items() if name not in SECRET}
    symbols = _symbols(state, account, params, parts)
    upgrade = headers.get("Upgrade", "").lower() == "websocket"
    return B2primeRequest(
        method=method,
        host=host,
        path=path,
        query=query,
        body=text,
        headers=headers,
        params=params,
        signature="",
        key=holder[0] if holder is not None else None,
        traits=Traits(
            method=method,
            host=host,
            path=path,
            intent=Intent.STREAM if upgrade or endpoint is None else endpoint.intent,
            product=product_of(symbols),
            products=frozenset({Product.LINEAR}) if path.endswith("/bulk-close") else frozenset(),
            account=account.name if account is not None else None,
            symbols=symbols,
            sides=_sides(state, account, params, parts),
        ),
        endpoint=endpoint,
        parts=parts,
        document=document,
        account=account,
        token=token,
    )


def product_of(symbols: frozenset[str]) -> Product | None:
    """What kind of market they are, if they are of one kind."""
    kinds = {Product.SPOT if symbol.startswith("spot.") else Product.LINEAR for symbol in symbols}
    return kinds.pop() if len(kinds) == 1 else None


def _document(text: str) -> Mapping[str, Any] | None:
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if document is None:
        return {}
    return document if isinstance(document, dict) else None


def _route(endpoints: Sequence[Endpoint], method: str, path: str) -> tuple[Endpoint | None, tuple[str, ...]]:
    pieces = [unquote(piece) for piece in path.strip("/").split("/")]
    for endpoint in endpoints:
        parts = endpoint.match(method, pieces)
        if parts is not None:
            return endpoint, parts
    return None, ()


def _flat(document: Mapping[str, Any]) -> dict[str, str]:
    order = document.get("order")
    fields = {**document, **(order if isinstance(order, dict) else {})}
    return {name: str(value) for name, value in fields.items() if isinstance(value, str | int | float)}


def _sides(
    state: VenueState, account: Account | None, params: Mapping[str, str], parts: tuple[str, ...]
) -> frozenset[str]:
    """An order's; of a close the counter order's."""
    if "side" in params:
        return frozenset({params["side"].lower()})
    ticket = state.tickets.find(account, parts[0]) if account is not None and parts else None
    return frozenset() if ticket is None else frozenset({"sell" if ticket.lots > 0 else "buy"})


def _symbols(
    state: VenueState, account: Account | None, params: Mapping[str, str], parts: tuple[str, ...]
) -> frozenset[str]:
    named = params.get("marketId") or params.get("symbol")
    if named is not None:
        return frozenset({named})
    if account is None or not parts:
        return frozenset()
    order = account.orders.get(number_of(parts[0], IdKind.ORDER) or 0)
    if order is not None:
        return frozenset({order.terms.market.symbol})
    ticket = state.tickets.find(account, parts[0])
    return frozenset() if ticket is None else frozenset({ticket.market.symbol})
