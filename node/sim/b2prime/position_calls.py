"""Closing positions, and their take-profit and stop-loss prices.

A close is acknowledged with the position's identifier alone and carried out by a counter order a moment later. What
happens outside a market's sessions is not documented: it is a switch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from node.sim.b2prime.calls import Call, amount, optional_amount, word
from node.sim.b2prime.errors import bad_request, not_found, of_reason
from node.sim.b2prime.numbers import text
from node.sim.b2prime.tickets import Ticket
from node.sim.market import ZERO
from node.sim.refusals import Reason, RefusalError

MODES = {"AllPositions": 0, "PositivePnl": 1, "NegativePnl": -1}
TRIGGER_TYPES = {"Price": 0, "Rate": 0, "Points": 0, "Pnl": 0}


def close(call: Call) -> dict[str, Any]:
    """Close one position, or so many of its lots."""
    ticket = _ticket(call)
    lots = optional_amount(call.body, "closePositionLotAmount")
    if lots is not None:
        if lots > abs(ticket.lots):
            raise bad_request("The lots to close exceed the position.")
        if lots % ticket.market.step and lots != abs(ticket.lots):
            raise of_reason(Reason.QUANTITY_PRECISION, call.state.switches)
    _check_open(call, ticket)
    if call.effects.refuse_market_orders:
        raise of_reason(Reason.COUNTERPARTY_PRICE, call.state.switches)
    _close_later(call, ticket, lots)
    return {"positionId": ticket.position_id}


def bulk_close(call: Call) -> dict[str, Any]:
    """Close all positions, those in profit, or those in loss."""
    sign = MODES[word(call.body, "mode", MODES)]
    chosen = [each for each in call.state.tickets.of(call.account) if sign == 0 or _profit(call, each) * sign > 0]
    if call.state.switches.close_when_shut == "refuse":
        chosen = [each for each in chosen if call.state.trades(each.market)]
    for ticket in chosen[call.state.switches.bulk_close_skips :]:
        if not call.effects.refuse_market_orders:
            _close_later(call, ticket, None)
    return {"status": "accepted", "positionIds": [each.position_id for each in chosen]}


def set_triggers(call: Call) -> dict[str, Any]:
    """Set take profit and stop loss; what is left out or null is removed (inferred)."""
    ticket = _ticket(call)
    profit, loss = call.body.get("takeProfit"), call.body.get("stopLoss")
    ticket.take_profit = amount(profit, "price") if isinstance(profit, dict) else None
    if isinstance(loss, dict):
        call.state.tickets.set_stop(ticket, amount(loss, "price"), trailing=loss.get("isTrailing") is True)
    else:
        call.state.tickets.set_stop(ticket, None, trailing=False)
    return {"positionId": ticket.position_id}


def trigger_data(call: Call) -> dict[str, Any]:
    """What a take profit or a stop loss would be in every way of saying it."""
    ticket = _ticket(call)
    return {
        name: _said_in_all_ways(ticket, call.body[name], gains=name == "takeProfit")
        for name in ("takeProfit", "stopLoss")
        if isinstance(call.body.get(name), dict)
    }


def _said_in_all_ways(ticket: Ticket, trigger: Mapping[str, Any], *, gains: bool) -> dict[str, str]:
    kind, size = word(trigger, "triggerType", TRIGGER_TYPES), amount(trigger, "triggerSize")
    worth = abs(ticket.lots) * ticket.market.contract_size
    moves = {"Rate": ticket.open_price * size, "Points": size * ticket.market.tick, "Pnl": size / worth}
    direction = (1 if ticket.lots > 0 else -1) * (1 if gains else -1)
    price = size if kind == "Price" else ticket.open_price + direction * moves[kind]
    move = abs(price - ticket.open_price)
    return {
        "price": text(price),
        "rate": text(move / ticket.open_price),
        "points": text(move / ticket.market.tick),
        "pnl": text(move * worth),
    }


def _ticket(call: Call) -> Ticket:
    ticket = call.state.tickets.find(call.account, call.path[0])
    if ticket is None:
        raise not_found("position")
    return ticket


def _check_open(call: Call, ticket: Ticket) -> None:
    if call.state.switches.close_when_shut == "refuse" and not call.state.trades(ticket.market):
        raise of_reason(Reason.MARKET_CLOSED, call.state.switches)


def _close_later(call: Call, ticket: Ticket, lots: Decimal | None) -> None:
    state, account, fraction = call.state, call.account, call.effects.fill_fraction

    def act() -> None:
        wanted = min(lots or abs(ticket.lots), abs(ticket.lots))
        if wanted and state.trades(ticket.market):
            with contextlib.suppress(RefusalError):  # acknowledged, and nothing comes of it
                state.close(account, ticket, wanted, call.origin, fill_fraction=fraction)

    state.later(state.switches.close_delay_ms, act)


def _profit(call: Call, ticket: Ticket) -> Decimal:
    mark = call.state.core.listing(ticket.market).mark
    return ticket.profit(abs(ticket.lots), mark) or ZERO
