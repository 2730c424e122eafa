"""What was executed, by position and by order, and which positions were closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from node.sim.b2prime.calls import Call
from node.sim.b2prime.errors import bad_request
from node.sim.b2prime.markets import type_of
from node.sim.b2prime.numbers import Json, milliseconds
from node.sim.b2prime.tickets import Execution
from node.sim.b2prime.venue_state import order_id
from node.sim.b2prime.views import closed_position_row, execution_id, execution_row

#: Not documented: as much as fits on a page.
LIMIT_DEFAULT, LIMIT_MAX = 50, 500


def of_position(call: Call) -> dict[str, Any]:
    """Executions of one position."""
    chosen = _executions(call, lambda each: each.ticket.position_id == call.path[0])
    start, limit = _number(call.body, "offset", 0), _limit(call.body)
    return {"executions": [execution_row(each, of_order=False) for each in chosen[start : start + limit]]}


def of_positions(call: Call) -> dict[str, Any]:
    """Executions of several positions."""
    wanted = call.body.get("positionIds")
    if not isinstance(wanted, list):
        raise bad_request("The field 'positionIds' is required.")
    chosen = _executions(call, lambda each: each.ticket.position_id in wanted)
    return {"executions": [execution_row(each, of_order=False) for each in chosen[: _limit(call.body)]]}


def of_order(call: Call) -> dict[str, Any]:
    """Executions of one order, page by page."""
    position = call.body.get("positionId")

    def wanted(each: Execution) -> bool:
        return order_id(each.order) == call.path[0] and position in (None, each.ticket.position_id)

    return _page(call, _executions(call, wanted))


def of_pairs(call: Call) -> dict[str, Any]:
    """Executions of several orders, each in one position."""
    pairs = call.body.get("orderPositionPairs")
    if not isinstance(pairs, list) or not all(isinstance(each, dict) for each in pairs):
        raise bad_request("The field 'orderPositionPairs' is required.")
    wanted = {(each.get("orderId"), each.get("positionId")) for each in pairs}
    return _page(call, _executions(call, lambda each: (order_id(each.order), each.ticket.position_id) in wanted))


def closed_positions(call: Call) -> Json:
    """Orders that closed positions, the latest first."""
    body = call.body
    rows = [row for row, executions in closed(call.state.tickets.executions(call.account)) if _fits(body, executions)]
    rows.reverse()
    after = body.get("lastOrderId")
    ids = [row["orderId"] for row in rows]
    rows = rows[ids.index(after) + 1 :] if after in ids else rows
    page = rows[: _limit(body)]
    wrapper = call.state.switches.closed_positions_wrapper
    return page if wrapper is None else {wrapper: page}


def closed(executions: Iterable[Execution], digits: int = 3) -> list[tuple[dict[str, Any], list[Execution]]]:
    """Closing orders with their executions, oldest first."""
    together: dict[tuple[int, int], list[Execution]] = {}
    for each in executions:
        if not each.increases:
            together.setdefault((each.order.order_id, each.ticket.number), []).append(each)
    return [(closed_position_row(group, digits), group) for group in together.values()]


def _fits(body: Mapping[str, Any], executions: list[Execution]) -> bool:
    order, market = executions[0].order, executions[0].order.terms.market
    bounds = {"createdAt": order.created_ms, "closedAt": executions[-1].at_ms}
    for name, at_ms in bounds.items():
        low, high = milliseconds(body.get(f"{name}From")), milliseconds(body.get(f"{name}To"))
        if (low is not None and at_ms < low) or (high is not None and at_ms > high):
            return False
    return body.get("marketId") in (None, market.symbol) and body.get("marketType") in (None, type_of(market))


def _executions(call: Call, wanted: Callable[[Execution], bool]) -> list[Execution]:
    return [each for each in call.state.tickets.executions(call.account) if wanted(each)]


def _page(call: Call, chosen: list[Execution]) -> dict[str, Any]:
    after, limit = call.body.get("lastExecutionId"), _limit(call.body)
    ids = [execution_id(each) for each in chosen]
    chosen = chosen[ids.index(after) + 1 :] if after in ids else chosen
    rows = [execution_row(each, of_order=True) for each in chosen[:limit]]
    return {"executions": rows, "isExceeded": len(chosen) > limit}


def _limit(body: Mapping[str, Any]) -> int:
    return min(_number(body, "limit", LIMIT_DEFAULT), LIMIT_MAX)


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise bad_request(f"The field '{name}' must be a whole number.")
    return value
