"""When a conditional order fires."""

from __future__ import annotations

from decimal import Decimal

from node.sim.orders import Order, TriggerTerms


def reached(order: Order, mark: Decimal) -> bool:
    """Whether *mark* fires a waiting order; a trailing one remembers the best price it saw."""
    other = order.terms.other_trigger
    return _reached(order, order.terms.trigger, mark) or (other is not None and _reached(order, other, mark))


def _reached(order: Order, trigger: TriggerTerms | None, mark: Decimal) -> bool:
    if trigger is None:
        return False
    if trigger.callback_rate is None:
        if trigger.price is None:
            return False
        return mark >= trigger.price if trigger.fires_at_or_above else mark <= trigger.price
    if order.best_price is None:
        started = trigger.activation_price is None or (
            mark <= trigger.activation_price if trigger.fires_at_or_above else mark >= trigger.activation_price
        )
        order.best_price = mark if started else None
        return False
    if trigger.fires_at_or_above:  # a trailing buy follows the low
        order.best_price = min(order.best_price, mark)
        return mark >= order.best_price * (1 + trigger.callback_rate)
    order.best_price = max(order.best_price, mark)
    return mark <= order.best_price * (1 - trigger.callback_rate)
