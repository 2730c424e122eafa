"""A ccxt class whose methods and connections pass a guard first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from node.client.intent import Intent, camel_case, intent_of, orders_of, without_epoch

if TYPE_CHECKING:
    from node.client.guard import Guard

#: ccxt has no types of its own.
Anything = Any

#: Where an instance has its guard.
ATTRIBUTE: Final = "_sovereign_guard"


class _GuardedFetch:
    """``fetch`` of a guarded exchange: stays in the way also where somebody replaces it on the instance."""

    def __init__(self, own: Callable[..., Anything]) -> None:
        self._own = own
        self._waits = inspect.iscoroutinefunction(own)

    def __get__(self, exchange: Anything, _kind: type) -> Anything:
        if exchange is None:
            return self._own
        watch = _guard_of(exchange)
        inner = watch.replaced_fetch or self._own.__get__(exchange)

        def fetch(url: object, method: object = "GET", headers: Anything = None, body: Anything = None) -> Anything:
            watch.http(url, method, body)
            return inner(url, method, headers, body)

        async def fetch_later(
            url: object, method: object = "GET", headers: Anything = None, body: Anything = None
        ) -> Anything:
            watch.http(url, method, body)
            return await inner(url, method, headers, body)

        return fetch_later if self._waits else fetch

    def __set__(self, exchange: Anything, replacement: Callable[..., Anything]) -> None:
        _guard_of(exchange).replaced_fetch = replacement


_classes: dict[type, type] = {}


def guarded_class(kind: type) -> type:
    """The same class with its methods behind the guard."""
    if kind in _classes:
        return _classes[kind]
    members: dict[str, Anything] = {"fetch": _GuardedFetch(kind.fetch)}  # type: ignore[attr-defined]
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        intent = intent_of(name) if inspect.isfunction(method) else None
        if intent is Intent.ORDER and not {"symbol", "orders"} & inspect.signature(method).parameters.keys():
            continue  # a helper
        if intent is not None:
            members[name] = members[camel_case(name)] = _wrapped(method, name, intent)
    members["request"] = _wrapped_request(kind.request)  # type: ignore[attr-defined]
    if hasattr(kind, "watch_multiple") and hasattr(kind, "client"):
        members |= _sockets(kind)
    made = type(kind.__name__, (kind,), {**members, "__module__": kind.__module__, "__doc__": kind.__doc__})
    _classes[kind] = made
    return made


def _wrapped(method: Callable[..., Anything], name: str, intent: Intent) -> Callable[..., Anything]:
    signature = inspect.signature(method)

    def enter(exchange: Anything, args: tuple[Anything, ...], named: Mapping[str, Anything]) -> Anything:
        if intent is not Intent.ORDER:
            return _guard_of(exchange).call(intent, tuple, None), args, named
        args, named, epoch = without_epoch(args, named)
        orders = lambda: orders_of(name, signature, (exchange, *args), named)  # noqa: E731
        return _guard_of(exchange).call(intent, orders, epoch), args, named

    if inspect.iscoroutinefunction(method):

        async def later(self: Anything, *args: Anything, **named: Anything) -> Anything:
            scope, args, named = enter(self, args, named)
            with scope:
                return await method(self, *args, **named)

        made: Callable[..., Anything] = later
    else:

        def now(self: Anything, *args: Anything, **named: Anything) -> Anything:
            scope, args, named = enter(self, args, named)
            with scope:
                return method(self, *args, **named)

        made = now
    made.__name__, made.__doc__ = name, method.__doc__
    made.__signature__ = signature  # type: ignore[attr-defined]
    return made


def _wrapped_request(method: Callable[..., Anything]) -> Callable[..., Anything]:
    """``request``, which the endpoints' own methods are made of: it may be given an epoch too."""
    if inspect.iscoroutinefunction(method):

        async def later(self: Anything, *args: Anything, **named: Anything) -> Anything:
            args, named, epoch = without_epoch(args, named)
            with _guard_of(self).under(epoch):
                return await method(self, *args, **named)

        return later

    def now(self: Anything, *args: Anything, **named: Anything) -> Anything:
        args, named, epoch = without_epoch(args, named)
        with _guard_of(self).under(epoch):
            return method(self, *args, **named)

    return now


def _sockets(kind: Anything) -> dict[str, Callable[..., Anything]]:
    """What ccxt.pro sends by."""

    def client(self: Anything, url: object) -> Anything:
        return _guard_of(self).cover(kind.client(self, url))

    def watch(
        self: Anything,
        url: Anything,
        message_hash: Anything,
        message: Anything = None,
        *args: Anything,
        **named: Anything,
    ) -> Anything:
        _guard_of(self).expect(message, message_hash)
        return kind.watch(self, url, message_hash, message, *args, **named)

    def watch_multiple(
        self: Anything,
        url: Anything,
        message_hashes: Anything,
        message: Anything = None,
        *args: Anything,
        **named: Anything,
    ) -> Anything:
        _guard_of(self).expect(message, None)
        return kind.watch_multiple(self, url, message_hashes, message, *args, **named)

    return {"client": client, "watch": watch, "watch_multiple": watch_multiple}


def _guard_of(exchange: Anything) -> Guard:
    watch: Guard = vars(exchange)[ATTRIBUTE]
    return watch
