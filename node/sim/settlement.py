"""What a fill does to balances and positions."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from node.sim.accounts import Account, Position
from node.sim.market import ZERO, Market, Product
from node.sim.orders import Fill, Leg, Order, OrderTerms, Side

SMALLEST_AMOUNT = Decimal("0.00000001")


def settle_fill(account: Account, order: Order, quantity: Decimal, price: Decimal, trade_id: int, now_ms: int) -> None:
    """Trade *quantity* of *order* at *price*: move the money and remember the fill."""
    terms = order.terms
    if terms.market.is_contract:
        fee, fee_asset = _settle_contract(account, terms, quantity, price, now_ms), terms.market.settle
    else:
        fee, fee_asset = _settle_spot(account, terms, quantity, price)
    order.fills.append(Fill(trade_id=trade_id, quantity=quantity, price=price, fee=fee, fee_asset=fee_asset))
    order.filled += quantity
    order.updated_ms = now_ms


def hold(account: Account, order: Order) -> None:
    """Lock what a resting spot order would spend."""
    asset, amount = spending(order.terms, order.remaining, order.terms.price or _trigger_price(order.terms))
    balance = account.balance(order.terms.market.wallet, asset)
    order.held = min(amount, balance.free)
    balance.free -= order.held
    balance.locked += order.held


def release(account: Account, order: Order) -> None:
    """Give back what a spot order still holds."""
    if not order.held:
        return
    asset, _ = spending(order.terms, ZERO, ZERO)
    balance = account.balance(order.terms.market.wallet, asset)
    balance.locked -= order.held
    balance.free += order.held
    order.held = ZERO


def spending(terms: OrderTerms, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
    """Asset and amount that a spot order gives away."""
    if terms.side is Side.SELL:
        return terms.market.base, quantity
    return terms.market.quote, quantity * price


def unrealised(position: Position, mark: Decimal) -> Decimal:
    """Profit of an open position at *mark*, in the settlement asset."""
    if not position.quantity:
        return ZERO
    return position.market.profit(position.quantity, position.entry_price, mark)


def _trigger_price(terms: OrderTerms) -> Decimal:
    return (terms.trigger.price if terms.trigger is not None else None) or ZERO


def _settle_spot(account: Account, terms: OrderTerms, quantity: Decimal, price: Decimal) -> tuple[Decimal, str]:
    market = terms.market
    base, quote = account.balance(market.wallet, market.base), account.balance(market.wallet, market.quote)
    cost = quantity * price
    if terms.side is Side.BUY:
        fee = (quantity * market.fee_rate).quantize(SMALLEST_AMOUNT, ROUND_DOWN)
        quote.free -= cost
        base.free += quantity - fee
        return fee, market.base
    fee = (cost * market.fee_rate).quantize(SMALLEST_AMOUNT, ROUND_DOWN)
    base.free -= quantity
    quote.free += cost - fee
    return fee, market.quote


def _settle_contract(account: Account, terms: OrderTerms, quantity: Decimal, price: Decimal, now_ms: int) -> Decimal:
    market = terms.market
    position = account.position(market, terms.leg)
    change = terms.signed * quantity
    before, after = position.quantity, position.quantity + change
    profit = ZERO
    if before * change >= 0:
        position.entry_price = _average_entry(market, position, change, price)
    else:
        closed = min(abs(before), abs(change)).copy_sign(before)
        profit = market.profit(closed, position.entry_price, price)
        if before * after < 0:
            position.entry_price = price
            _count_flip(account, terms)
    position.quantity = after
    position.updated_ms = now_ms
    if not after:
        position.entry_price = ZERO
    fee = (market.value(quantity, price) * market.fee_rate).quantize(SMALLEST_AMOUNT, ROUND_DOWN)
    account.balance(market.wallet, market.settle).free += profit - fee
    return fee


def _average_entry(market: Market, position: Position, change: Decimal, price: Decimal) -> Decimal:
    if not position.quantity:
        return price
    total = position.quantity + change
    if market.product is Product.INVERSE:
        return total / (position.quantity / position.entry_price + change / price)
    return (position.quantity * position.entry_price + change * price) / total


def _count_flip(account: Account, terms: OrderTerms) -> None:
    counters = account.counters_of(terms.origin)
    if terms.leg is Leg.NET and counters is not None:
        counters.sign_flips += 1
