"""Orders, positions and executions as they are written on the wire.

Sources: the answers of cancelling, of the account streams and of the history calls in the B2TRADER documentation. What
it does not show of CFD orders (lots, leverage) is added: unknown fields must be ignored anyway.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from node.sim.accounts import Account
from node.sim.b2prime.ids import IdKind, ulid
from node.sim.b2prime.markets import asset_id, base_amount, market_facts, type_of
from node.sim.b2prime.numbers import instant, text, text_or_null
from node.sim.b2prime.tickets import Execution, Ticket
from node.sim.b2prime.venue_state import VenueState, order_id
from node.sim.market import ZERO
from node.sim.orders import Book, Order, OrderKind, OrderStatus


def status_of(state: VenueState, order: Order) -> str:
    """Its status in the venue's words."""
    terms = order.terms
    if terms.book is Book.ALGO:
        if order.is_open:
            return "WaitingForActivation"
        words = {OrderStatus.FINISHED: "Activated", OrderStatus.REJECTED: "Rejected"}
        return words.get(order.status, "Cancelled")
    if order.is_open:
        return "Working" if order.filled or terms.kind is OrderKind.MARKET else "Pending"
    if state.reasons.get(order.order_id) == "Expired":
        return "Expired"
    return {OrderStatus.FILLED: "Completed", OrderStatus.REJECTED: "Rejected"}.get(order.status, "Cancelled")


def order_view(state: VenueState, order: Order) -> dict[str, Any]:
    """An order as calls answer it."""
    terms, market = order.terms, order.terms.market
    view: dict[str, Any] = {
        "marketId": market.symbol,
        "marketDisplayName": market_facts()[market.symbol].display_name,
        "orderId": order_id(order),
        "orderType": terms.kind.value.capitalize(),
        "side": terms.side.value.capitalize(),
        "status": status_of(state, order),
        "source": terms.extras.get("source", "Manual"),
        "timeInForce": terms.extras.get("timeInForce", "Gtc"),
        "commission": text(sum((fill.fee for fill in order.fills), ZERO)),
        "requestedAmount": text(base_amount(market, order.quantity)),
        "remainingAmount": text(base_amount(market, order.remaining)),
        "requestedPrice": text_or_null(terms.price),
        "executionPrice": text(order.average_price),
        "createdAt": instant(order.created_ms),
        "updatedAt": instant(order.updated_ms),
        "cancellationDate": terms.extras.get("cancellationDate"),
        "rejectDetails": None,
        "comment": terms.extras.get("comment"),
    }
    if market.is_contract:
        view |= {"requestedLotAmount": text(order.quantity), "leverage": int(terms.extras.get("leverage", "1"))}
    return view


def stop_order_view(state: VenueState, order: Order) -> dict[str, Any]:
    """A stop order as calls answer it."""
    view = order_view(state, order)
    wanted = (
        "orderId marketId marketDisplayName orderType side requestedPrice requestedAmount timeInForce status createdAt"
        " updatedAt cancellationDate"
    )
    return {**{name: view[name] for name in wanted.split()}, "activationPrice": text_or_null(order.terms.trigger_price)}


def open_order_row(state: VenueState, account: Account, order: Order, digits: int) -> dict[str, Any]:
    """A row of the stream of open orders; amounts are base units."""
    view, terms, market = order_view(state, order), order.terms, order.terms.market
    wanted = "orderId timeInForce status source side orderType requestedAmount remainingAmount requestedPrice"
    return {
        "marketId": market.symbol,
        "marketType": type_of(market),
        "marketDisplayName": view["marketDisplayName"],
        "marketFullName": market_facts()[market.symbol].full_name or "",
        **{name: view[name] for name in wanted.split()},
        "reason": terms.extras.get("reason", "Trader"),
        "executionPrice": view["executionPrice"],
        "createdAt": instant(order.created_ms, digits),
        "updatedAt": instant(order.updated_ms, digits),
        "cancellationDate": view["cancellationDate"],
        "commissionAssetId": asset_id(market.quote),
        "commissionAmount": view["commission"],
        "leverage": int(terms.extras.get("leverage") or account.position_settings(market).leverage),
        "fillFactor": text(order.filled / order.quantity) if order.quantity else "0",
        "takeProfit": _price(terms.extras.get("takeProfit")),
        "stopLoss": _price(terms.extras.get("stopLoss"), trailing=terms.extras.get("trailing") == "true"),
    }


def position_row(state: VenueState, ticket: Ticket, digits: int) -> dict[str, Any]:
    """A row of the stream of open positions."""
    market, mark = ticket.market, state.core.listing(ticket.market).mark
    facts, rate, lots = market_facts()[market.symbol], state.rate(market.settle), abs(ticket.lots)
    profit = ticket.profit(lots, mark) * rate
    percent = profit / state.used_margin(ticket) * 100
    return {
        "positionId": ticket.position_id,
        "marketId": market.symbol,
        "marketType": type_of(market),
        "marketDisplayName": facts.display_name,
        "marketFullName": facts.full_name or "",
        "createdAt": instant(ticket.created_ms, digits),
        "updatedAt": instant(ticket.updated_ms, digits),
        "side": "Buy" if ticket.lots > 0 else "Sell",
        "status": "Open",
        "leverage": ticket.leverage,
        "positionLotAmount": text(lots),
        "positionPriceInRAT": text(market.value(lots, mark) * rate),
        "rateToRAT": text(rate),
        "usedMarginInRAT": text(state.used_margin(ticket)),
        "openPrice": text(ticket.open_price),
        "currentMarketPrice": text(mark),
        "unrealizedPnlDayInRAT": text(profit),
        "unrealizedPnlDayPercent": text(percent),
        "unrealizedPnlTotalInRAT": text(profit),
        "unrealizedPnlTotalPercent": text(percent),
        "takeProfit": _price(text_or_null(ticket.take_profit)),
        "stopLoss": _price(text_or_null(ticket.stop_loss), trailing=ticket.trailing_distance is not None),
        "positionModifier": "None",
    }


def execution_row(execution: Execution, *, of_order: bool) -> dict[str, Any]:
    """A row of a history of executions; those of orders tell more."""
    order, market = execution.order, execution.order.terms.market
    commissions = [{"assetId": asset_id(market.settle), "amount": text(execution.fee)}]
    row: dict[str, Any] = {
        "positionId": execution.ticket.position_id,
        "orderId": order_id(order),
        "side": order.terms.side.value.capitalize(),
        "reason": order.terms.extras.get("reason", "Trader"),
        "createdAt": instant(execution.at_ms),
        "executionId": execution_id(execution),
        "baseAmount": text(base_amount(market, execution.quantity)),
        "executionPrice": text(execution.price),
        "commissionAmountInRAT": text(execution.fee),
        "commissions": commissions,
    }
    if of_order:
        row |= {"realizedPnlInRAT": text(execution.profit), "positionSizeIncreased": execution.increases}
    return row


def closed_position_row(executions: list[Execution], digits: int = 3) -> dict[str, Any]:
    """An order that closed a position, or a part of it; *executions* are its own in that position."""
    first = executions[0]
    order, market = first.order, first.order.terms.market
    facts = market_facts()[market.symbol]
    closed: Decimal = sum((each.quantity for each in executions), ZERO)
    return {
        "marketId": market.symbol,
        "marketType": type_of(market),
        "marketDisplayName": facts.display_name,
        "marketFullName": facts.full_name or "",
        "orderId": order_id(order),
        "positionId": first.ticket.position_id,
        "orderType": order.terms.kind.value.capitalize(),
        "timeInForce": order.terms.extras.get("timeInForce", "Gtc"),
        "side": order.terms.side.value.capitalize(),
        "positionCloseLotAmount": text(closed),
        "reason": order.terms.extras.get("reason", "Trader"),
        "realizedPnlInRAT": text(sum((each.profit for each in executions), ZERO)),
        "openPrice": text(first.ticket.open_price),
        "executionPrice": text(order.average_price),
        "createdAt": instant(order.created_ms, digits),
        "closedAt": instant(executions[-1].at_ms, digits),
    }


def execution_id(execution: Execution) -> str:
    """As it is called on the wire."""
    return ulid(IdKind.EXECUTION, execution.number, execution.at_ms)


def _price(price: str | None, *, trailing: bool | None = None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {"price": price} if trailing is None else {"price": price, "isTrailing": trailing}
