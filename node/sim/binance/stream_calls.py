"""The HTTP side of user data streams: listen keys and listen tokens."""

from __future__ import annotations

from typing import Any

from node.sim.binance.calls import Call
from node.sim.binance.errors import BinanceError
from node.sim.binance.streams import KEY_LIFE_MS, TOKEN_LIFE_MS, BinanceStreams, Ticket
from node.sim.market import Product


def create_listen_key(call: Call) -> dict[str, Any]:
    """``POST …/listenKey``: a key, or the one there is for another hour."""
    streams = _streams(call)
    ticket = streams.current(call.product, call.account.name)
    if ticket is None:
        ticket = streams.issue(call.product, call.account.name)
    return _extended(call, ticket)


def extend_listen_key(call: Call) -> dict[str, Any]:
    """``PUT …/listenKey``: another hour; -1125 if there is none."""
    return _extended(call, _current(call))


def close_listen_key(call: Call) -> dict[str, Any]:
    """``DELETE …/listenKey``: nothing more comes."""
    _streams(call).revoke(_current(call))
    return {}


def create_listen_token(call: Call) -> dict[str, Any]:
    """``POST /sapi/v1/userListenToken``: for a subscription to the margin stream, up to a day long."""
    if call.params.flag("isIsolated"):
        raise BinanceError(-11001, "Isolated margin account does not exist.")
    if Product.MARGIN not in call.account.wallets:
        raise BinanceError(-3003, "Margin account does not exist.")
    life_ms = min(call.params.integer("validity") or TOKEN_LIFE_MS, TOKEN_LIFE_MS)
    ticket = _streams(call).issue(Product.MARGIN, call.account.name, life_ms)
    return {"token": ticket.name, "expirationTime": ticket.expires_ms}


def _current(call: Call) -> Ticket:
    ticket = _streams(call).current(call.product, call.account.name)
    if ticket is None:
        raise BinanceError(-1125, "This listenKey does not exist.")
    return ticket


def _extended(call: Call, ticket: Ticket) -> dict[str, Any]:
    ticket.expires_ms = _streams(call).now_ms + KEY_LIFE_MS
    return {"listenKey": ticket.name}


def _streams(call: Call) -> BinanceStreams:
    if call.streams is None:
        raise BinanceError(-1000, "An unknown error occurred while processing the request.")
    return call.streams
