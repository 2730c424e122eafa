"""What a fill does to balances and positions."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from node.sim.accounts import Account, Balance, Position
from node.sim.market import ZERO, Market, Product
from node.sim.orders import Fill, Leg, Order, OrderTerms, Side

SMALLEST_AMOUNT = Decimal("0.00000001")


def settle_fill(
    account: Account,
    order: Order,
    quantity: Decimal,
    price: Decimal,
    *,
    trade_id: int,
    now_ms: int,
    repays: bool = False,
) -> None:
    """Trade *quantity* of *order* at *price*: move the money and remember the fill.

    What a spot order lacks becomes a debt; it was admitted knowing that. *repays* pays debts with what it brings in.
    """
    terms, profit = order.terms, ZERO
    if terms.market.is_contract:
        fee, profit = _settle_contract(account, terms, quantity, price, now_ms)
        fee_asset = terms.market.settle
    else:
        fee, fee_asset = _settle_spot(account, terms, quantity, price, repays=repays)
    order.fills.append(
        Fill(trade_id=trade_id, quantity=quantity, price=price, fee=fee, fee_asset=fee_asset, profit=profit)
    )
    order.filled += quantity
    order.updated_ms = now_ms


def hold(account: Account, order: Order) -> None:
    """Lock what a resting spot order would spend."""
    asset, amount = spending(order.terms, order.remaining, order.terms.price or order.terms.trigger_price or ZERO)
    balance = account.balance(order.terms.market.wallet, asset)
    order.held = min(amount, balance.free)
    balance.free -= order.held
    balance.locked += order.held


def release(account: Account, order: Order) -> None:
    """Give back what a spot order still holds."""
    if not order.held:
        return
    balance = account.balance(order.terms.market.wallet, order.terms.gives)
    balance.locked -= order.held
    balance.free += order.held
    order.held = ZERO


def spending(terms: OrderTerms, quantity: Decimal, price: Decimal) -> tuple[str, Decimal]:
    """Asset and amount that a spot order gives away."""
    return terms.gives, quantity if terms.side is Side.SELL else quantity * price


def unrealised(position: Position, mark: Decimal) -> Decimal:
    """Profit of an open position at *mark*, in the settlement asset."""
    if not position.quantity:
        return ZERO
    return position.market.profit(position.quantity, position.entry_price, mark)


def _settle_spot(
    account: Account, terms: OrderTerms, quantity: Decimal, price: Decimal, *, repays: bool
) -> tuple[Decimal, str]:
    market = terms.market
    base, quote = account.balance(market.wallet, market.base), account.balance(market.wallet, market.quote)
    cost = quantity * price
    if terms.side is Side.BUY:
        fee = (quantity * market.fee_rate).quantize(SMALLEST_AMOUNT, ROUND_DOWN)
        _exchange(quote, cost, base, quantity - fee, repays=repays)
        return fee, market.base
    fee = (cost * market.fee_rate).quantize(SMALLEST_AMOUNT, ROUND_DOWN)
    _exchange(base, quantity, quote, cost - fee, repays=repays)
    return fee, market.quote


def _exchange(given: Balance, gives: Decimal, taken: Balance, takes: Decimal, *, repays: bool) -> None:
    given.borrow(max(ZERO, gives - given.free))
    given.free -= gives
    taken.free += takes
    if repays:
        taken.repay(min(takes, taken.owed))


def _settle_contract(
    account: Account, terms: OrderTerms, quantity: Decimal, price: Decimal, now_ms: int
) -> tuple[Decimal, Decimal]:
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
    return fee, profit


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
