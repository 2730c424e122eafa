"""A ccxt exchange that adds no exposure while its account is locked.

Two nets, one behind the other. The unified methods say what is wanted: an order is looked at before anything happens,
and reads, cancels and closes are marked as such. Behind them every request is looked at as it leaves, over HTTP and
over WebSockets, whoever made it: a unified method, an endpoint's own method, ``request`` or ``fetch``. What neither
recognises as harmless counts as adding risk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from node.client import message, request
from node.client.engine_lock import EngineLock, EngineLocked
from node.client.guarded_class import ATTRIBUTE, Anything, guarded_class
from node.client.intent import Intent, Order

Exchange = TypeVar("Exchange")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """The unified call that a request is made for."""

    guard: Guard
    intent: Intent
    #: The lock's when the order was decided.
    epoch: int | None = None
    orders: tuple[Order, ...] = ()


_scope: ContextVar[_Scope | None] = ContextVar("sovereign_node_scope", default=None)


def guard(exchange: Exchange, lock: EngineLock, *, base_currency: str | None = None) -> Exchange:
    """Guard a ccxt exchange (``ccxt``, ``ccxt.async_support`` or ``ccxt.pro``), in place, and return it.

    While *lock* forbids new risk, whatever could add exposure raises ``EngineLocked`` and is not sent: orders and edits
    of orders, transfers, withdrawals, loans, and everything unknown. Reads, cancels, closes and reduce-only orders of
    contracts pass; with *base_currency* so do spot sales into it, which nothing is borrowed for.

    An order carries the epoch of the lock under which it was decided: that of ``with lock.permit()``, or one named in
    ``params={"lock_epoch": …}`` (it is taken out again), else that of the moment of the call. If the lock has another
    epoch when the request leaves, it is refused, even if the account is unlocked by then.

    Raises:
        TypeError: it is not a ccxt exchange.
        ValueError: it is guarded already.
    """
    kind = type(exchange)
    if not all(callable(getattr(kind, name, None)) for name in ("fetch", "request", "sign", "create_order")):
        raise TypeError(f"not a ccxt exchange: {kind.__name__}")
    if hasattr(exchange, ATTRIBUTE):
        raise ValueError("this exchange is guarded already")
    inner = vars(exchange).pop("fetch", None)
    watch = Guard(exchange, lock, base_currency)
    vars(exchange)[ATTRIBUTE] = watch
    exchange.__class__ = guarded_class(kind)
    if inner is not None:
        exchange.fetch = inner  # type: ignore[attr-defined]
    for client in (getattr(exchange, "clients", None) or {}).values():
        watch.cover(client)
    return exchange


class Guard:
    """Decides on everything that one exchange is asked for."""

    def __init__(self, exchange: Anything, lock: EngineLock, base_currency: str | None) -> None:
        self._exchange = exchange
        self._lock = lock
        self._base_currency = base_currency
        #: What waits for a connection, and who waits for its answer.
        self._waiting: dict[int, tuple[object, object]] = {}
        #: What somebody has put in place of the exchange's own method.
        self.replaced_fetch: Callable[..., Anything] | None = None

    # Unified methods

    @contextmanager
    def call(self, intent: Intent, orders: Callable[[], tuple[Order, ...]], epoch: int | None) -> Iterator[None]:
        """Everything that one unified method does.

        Raises:
            EngineLocked: it is an order that could add exposure.
        """
        outer = self._scope()
        if intent is not Intent.READ and outer is not None and outer.intent in (Intent.ORDER, Intent.CLOSE):
            yield  # part of a call that has been looked at
            return
        scope = _Scope(guard=self, intent=intent)
        if intent is Intent.ORDER:
            scope = self._order(orders(), epoch)
        token = _scope.set(scope)
        try:
            yield
        finally:
            _scope.reset(token)

    @contextmanager
    def under(self, epoch: int | None) -> Iterator[None]:
        """Requests that carry an epoch of their own, if one is given."""
        if epoch is None:
            yield
            return
        token = _scope.set(_Scope(guard=self, intent=Intent.NONE, epoch=epoch))
        try:
            yield
        finally:
            _scope.reset(token)

    def _order(self, orders: tuple[Order, ...], epoch: int | None) -> _Scope:
        epoch = self._lock.permitted_epoch if epoch is None else epoch
        state = self._lock.state()
        if epoch is None and not state.locked:
            epoch = state.epoch
        if self._objection(epoch) and not all(order.may_reduce(self._base_currency) for order in orders):
            self.admit(epoch, "an order")
        return _Scope(guard=self, intent=Intent.ORDER, epoch=epoch, orders=orders)

    # What leaves

    def http(self, url: object, method: object, body: object) -> None:
        """Look at a request.

        Raises:
            EngineLocked: it must not leave.
        """
        scope = self._scope()
        epoch = self._epoch(scope)
        if self._objection(epoch) is None:
            return
        asked = request.read_request(url, method, body)
        if not self._harmless(asked, scope):
            self.admit(epoch, f"{asked.method} {asked.path}")

    def _harmless(self, asked: request.Request, scope: _Scope | None) -> bool:
        """Whether a request cannot add exposure."""
        intent = scope.intent if scope is not None else None
        if intent in (Intent.READ, Intent.CANCEL):
            return not request.acts(asked) or (intent is Intent.CANCEL and request.cancels(asked))
        if intent is Intent.REPAY or request.looks(asked, self._exchange.id):
            return True
        if request.closes(asked):
            return True
        if scope is not None and intent is Intent.ORDER:
            if scope.orders and all(self._is_spot_sale(order) for order in scope.orders):
                return request.sells_what_is_held(asked.data) and "margin" not in request.words(asked.path)
            contracts = bool(scope.orders) and all(self.is_contract(order.symbol) for order in scope.orders)
            return contracts and not any(order.edits for order in scope.orders) and self._reduces(asked)
        if intent is Intent.CLOSE:
            return asked.method == "DELETE" or request.ends_with_positions(asked) or self._reduces(asked)
        return request.cancels(asked) or (self._reduces(asked) and self._new_contract_order(asked))

    def _reduces(self, asked: request.Request) -> bool:
        return request.each_reduces(asked.data, self._exchange.id)

    def _new_contract_order(self, asked: request.Request) -> bool:
        """Amendments may not take the flag that they carry."""
        changed = set(asked.words) & {"amend", "edit", "modify", "replace", "transfer", "withdraw", "borrow"}
        return asked.method == "POST" and not changed and request.on_contracts(asked, self.is_contract)

    def message(self, sent: object, scope: _Scope | None = None) -> None:
        """Look at a message to a WebSocket.

        Raises:
            EngineLocked: it must not leave.
        """
        scope = scope or self._scope()
        epoch = self._epoch(scope)
        if self._objection(epoch) is None:
            return
        asked = message.read_message(sent)
        intent = scope.intent if scope is not None else None
        if message.housekeeping(asked) or (
            intent in (Intent.READ, Intent.CANCEL, Intent.REPAY) and not message.acts(asked)
        ):
            return
        if message.cancels(asked):
            return
        if scope is not None and intent is Intent.ORDER and scope.orders:
            if all(self._is_spot_sale(order) for order in scope.orders):
                if request.sells_what_is_held(asked):
                    return
            elif all(self.is_contract(order.symbol) and not order.edits for order in scope.orders) and (
                request.each_reduces(asked, self._exchange.id)
            ):
                return
        self.admit(epoch, "a message")

    # WebSockets

    def cover(self, client: Anything) -> Anything:
        """Look at everything that a connection sends from now on."""
        if getattr(client, ATTRIBUTE, None) is None:
            send = client.send
            setattr(client, ATTRIBUTE, self)

            async def guarded_send(sent: object) -> Anything:
                _, waiting = self._waiting.pop(id(sent), (None, None))
                try:
                    self.message(sent)
                except EngineLocked as refusal:
                    if waiting is None:
                        raise
                    # ccxt ends the connection, and all that is watched on it, where sending raises.
                    client.reject(refusal, waiting)
                    return None
                return await send(sent)

            client.send = guarded_send
        return client

    def expect(self, sent: object, waiting: object) -> None:
        """Look at a message before it waits for its connection.

        Raises:
            EngineLocked: it must not leave.
        """
        if sent is None:
            return
        self.message(sent)
        scope = self._scope()
        if scope is not None and scope.intent is Intent.ORDER:
            self._waiting[id(sent)] = (sent, waiting)

    # The lock

    def admit(self, epoch: int | None, what: str) -> None:
        """Let new risk pass.

        Raises:
            EngineLocked: not now, or not any more.
        """
        objection = self._objection(epoch)
        if objection is not None:
            raise EngineLocked(f"{what} was not sent: {objection}", epoch=self._lock.state().epoch)

    def _objection(self, epoch: int | None) -> str | None:
        state = self._lock.state()
        if state.locked:
            return f"the account is locked ({state.reason or 'no reason given'})"
        if epoch is not None and epoch != state.epoch:
            return f"it was decided under epoch {epoch} of the lock, which is at {state.epoch} now"
        return None

    def _epoch(self, scope: _Scope | None) -> int | None:
        return scope.epoch if scope is not None and scope.epoch is not None else self._lock.permitted_epoch

    def _scope(self) -> _Scope | None:
        scope = _scope.get()
        return scope if scope is not None and scope.guard is self else None

    # Markets

    def is_contract(self, name: str) -> bool | None:
        """Whether a symbol or a venue's id is a contract's; None where both kinds have it."""
        exchange = self._exchange
        found = (exchange.markets or {}).get(name)
        if found is not None:
            return bool(found.get("contract"))
        same = (exchange.markets_by_id or {}).get(name) or []
        kinds = {bool(market.get("contract")) for market in (same if isinstance(same, list) else [same])}
        return kinds.pop() if len(kinds) == 1 else (None if kinds else False)

    def _is_spot_sale(self, order: Order) -> bool:
        """Into base currency, of what is held."""
        market = (self._exchange.markets or {}).get(order.symbol)
        return (
            self._base_currency is not None
            and market is not None
            and bool(market.get("spot"))
            and market.get("quote") == self._base_currency
            and order.side == "sell"
            and not order.edits
        )
