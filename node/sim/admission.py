"""Whether an order is taken: the checks of a venue's order gateway, in the order venues make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from node.sim.accounts import Account
from node.sim.catalogue import price_of
from node.sim.market import ZERO, Listing, Market, MarketStatus
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Origin, Side, TimeInForce
from node.sim.refusals import Reason, RefusalError
from node.sim.settlement import spending, unrealised

ListingOf = Callable[[Market], Listing]


@dataclass(slots=True, kw_only=True)
class HouseRules:
    """What differs between venues, accounts and days."""

    #: Refuse a close while resting orders already cover the position; otherwise it is taken.
    reduce_only_conflict_refused: bool = False
    #: Resting reduce-only orders end with their position.
    reduce_only_expires: bool = True
    #: Refuse a reduction that is larger than its position; otherwise a net one is cut to it.
    reduction_must_fit: bool = False
    #: Post-only orders that would trade are taken, and end at once; so are fill-or-kill orders that cannot trade.
    crossing_cancels: bool = False
    #: As in unified accounts: what a spot order lacks is borrowed without limit, and what it brings in repays.
    auto_borrow: bool = False
    #: What a conversion gives, as a fraction of the market's price.
    conversion_ratio: Decimal = Decimal("0.998")


def admit(account: Account, terms: OrderTerms, listing_of: ListingOf, rules: HouseRules) -> Decimal:
    """Check an order and say for which quantity it is taken.

    Raises:
        RefusalError: it is not taken.
    """
    listing = listing_of(terms.market)
    if listing.status is MarketStatus.DELISTED:
        raise RefusalError(Reason.UNKNOWN_SYMBOL)
    if listing.status is not MarketStatus.TRADING:
        raise RefusalError(Reason.MARKET_CLOSED)
    quantity = wanted_quantity(terms, listing)
    if not terms.close_position:
        _check_quantity(terms, quantity)
    _check_price(terms, listing)
    _check_leg(account, terms)
    _check_client_id(account, terms)
    if terms.market.is_contract:
        quantity = _check_reduction(account, terms, quantity, rules)
    if not terms.only_reduces:
        _check_notional(terms, quantity, listing)
    if terms.trigger is not None:
        _check_trigger(account, terms, listing)
    elif terms.market.is_contract:
        _check_margin(account, terms, quantity, listing_of)
    if not terms.market.is_contract and (terms.holds or terms.trigger is None):
        _check_balance(account, terms, quantity, listing, rules)
    if not rules.crossing_cancels:
        _check_crossing(terms, listing)
    return quantity


def wanted_quantity(terms: OrderTerms, listing: Listing) -> Decimal:
    """What the order asks for; a spot buy by cost is turned into base units at the ask."""
    if terms.quantity is not None:
        return terms.quantity
    if terms.quote_quantity is not None:
        price = listing.ask if terms.side is Side.BUY else listing.bid
        return terms.market.whole_steps(terms.quote_quantity / price)
    return ZERO


def exposure_added(account: Account, terms: OrderTerms, quantity: Decimal) -> Decimal:
    """How many contracts the order could add to a position, or open on the other side."""
    if not terms.market.is_contract or terms.only_reduces:
        return ZERO
    before = account.quantity(terms.market, terms.leg)
    after = before + terms.signed * quantity
    return abs(after) if before * after < 0 else max(ZERO, abs(after) - abs(before))


def shortfall(account: Account, terms: OrderTerms, quantity: Decimal, listing: Listing) -> Decimal:
    """What a spot order would give away beyond what is free; zero for contracts."""
    if terms.market.is_contract:
        return ZERO
    price = terms.price or terms.trigger_price or listing.ask
    asset, amount = spending(terms, quantity, price)
    return max(ZERO, amount - account.balance(terms.market.wallet, asset).free)


def count_acceptance(account: Account, terms: OrderTerms, quantity: Decimal, lacking: Decimal) -> None:
    """Enter an order that was taken into the counters; *lacking* is what it gives away beyond what is free."""
    counters = account.counters_of(terms.origin)
    if counters is None or terms.origin is Origin.TRIGGER:  # counted when the conditional order was taken
        return
    counters.orders_placed += 1
    counters.buys += not terms.market.is_contract and terms.side is Side.BUY
    counters.borrows += lacking > 0
    counters.oversold += lacking > 0 and terms.side is Side.SELL
    counters.exposure_increases += exposure_added(account, terms, quantity) > 0


def crosses(terms: OrderTerms, listing: Listing) -> bool:
    """Whether the order trades at once."""
    if terms.kind is OrderKind.MARKET or terms.price is None:
        return True
    return terms.price >= listing.ask if terms.side is Side.BUY else terms.price <= listing.bid


def available_margin(account: Account, wallet: str, asset: str, listing_of: ListingOf) -> Decimal:
    """What of a wallet's asset is not bound by positions and entry orders."""
    total = account.balance(wallet, asset).free
    for position in account.open_positions():
        market = position.market
        if market.wallet != wallet or market.settle != asset:
            continue
        mark = listing_of(market).mark
        margin = abs(market.value(position.quantity, mark)) / account.position_settings(market).leverage
        total += unrealised(position, mark) - margin
    for order in account.open_orders.values():
        market = order.terms.market
        if market.wallet == wallet and market.settle == asset and market.is_contract and order.terms.price:
            added = exposure_added(account, order.terms, order.remaining)
            total -= market.value(added, order.terms.price) / account.position_settings(market).leverage
    return total


def pooled_margin(account: Account, wallet: str, asset: str, listing_of: ListingOf) -> Decimal:
    """What of a whole wallet is not bound, debts deducted, at catalogue prices and in units of *asset*."""
    held = account.wallets.get(wallet, {})
    coins = {*held, *(position.market.settle for position in account.open_positions())}
    total = ZERO
    for coin in coins:
        owed = held[coin].owed if coin in held else ZERO
        total += (available_margin(account, wallet, coin, listing_of) - owed) * _worth(coin)
    return total / _worth(asset)


def _worth(coin: str) -> Decimal:
    try:
        return price_of(coin)
    except LookupError:
        return ZERO  # nobody would take it


def _check_quantity(terms: OrderTerms, quantity: Decimal) -> None:
    market = terms.market
    if quantity <= 0:
        raise RefusalError(Reason.QUANTITY_ZERO)
    if quantity % market.step:
        raise RefusalError(Reason.QUANTITY_PRECISION)
    if quantity < market.min_quantity:
        raise RefusalError(Reason.QUANTITY_BELOW_MINIMUM)
    if quantity > market.max_quantity:
        raise RefusalError(Reason.QUANTITY_ABOVE_MAXIMUM)
    if terms.kind is OrderKind.MARKET and quantity > market.max_market_quantity:
        raise RefusalError(Reason.MARKET_QUANTITY_ABOVE_MAXIMUM)


def _check_price(terms: OrderTerms, listing: Listing) -> None:
    market = terms.market
    triggers = (trigger.price for trigger in (terms.trigger, terms.other_trigger) if trigger is not None)
    for price in (terms.price, *triggers):
        if price is not None and price <= 0:
            raise RefusalError(Reason.PRICE_ZERO)
        if price is not None and price % market.tick_at(price):
            raise RefusalError(Reason.PRICE_PRECISION)
    if terms.price is None or terms.trigger is not None:
        return
    if terms.side is Side.BUY and terms.price > listing.mark * market.band_up:
        raise RefusalError(Reason.PRICE_ABOVE_BAND)
    if terms.side is Side.SELL and terms.price < listing.mark * market.band_down:
        raise RefusalError(Reason.PRICE_BELOW_BAND)


def _check_leg(account: Account, terms: OrderTerms) -> None:
    if not terms.market.is_contract:
        return
    if account.is_hedged(terms.market) == (terms.leg is Leg.NET):
        raise RefusalError(Reason.POSITION_SIDE_MISMATCH)


def _check_client_id(account: Account, terms: OrderTerms) -> None:
    earlier = account.by_client_id.get((terms.market.key, terms.book, terms.client_id))
    if earlier is not None and earlier.is_open:
        raise RefusalError(Reason.DUPLICATE_CLIENT_ID)


def _check_reduction(account: Account, terms: OrderTerms, quantity: Decimal, rules: HouseRules) -> Decimal:
    if not terms.only_reduces:
        return quantity
    held = account.quantity(terms.market, terms.leg)
    reducible = abs(held) if held * terms.signed < 0 else ZERO
    if terms.trigger is not None:
        return quantity  # judged when it fires
    must_fit = terms.leg is not Leg.NET or rules.reduction_must_fit
    if not reducible or (must_fit and quantity > reducible):
        raise RefusalError(Reason.REDUCE_ONLY_REJECTED)
    if rules.reduce_only_conflict_refused and _resting_reduction(account, terms) + quantity > reducible:
        raise RefusalError(Reason.REDUCE_ONLY_CONFLICT)
    return min(quantity, reducible)


def _resting_reduction(account: Account, terms: OrderTerms) -> Decimal:
    resting = account.resting(terms.market.product, terms.market.symbol, Book.ORDERS)
    same = (o for o in resting if o.terms.only_reduces and o.terms.side is terms.side and o.terms.leg is terms.leg)
    return sum((order.remaining for order in same if not order.waits_for_trigger), ZERO)


def _check_notional(terms: OrderTerms, quantity: Decimal, listing: Listing) -> None:
    price = terms.price or terms.trigger_price or listing.mark
    worth, most = terms.market.notional(quantity, price), terms.market.max_notional
    if worth < terms.market.min_notional:
        raise RefusalError(Reason.NOTIONAL_BELOW_MINIMUM)
    if most is not None and terms.price is not None and worth > most:
        raise RefusalError(Reason.NOTIONAL_ABOVE_MAXIMUM)


def _check_trigger(account: Account, terms: OrderTerms, listing: Listing) -> None:
    for trigger in (terms.trigger, terms.other_trigger):
        if trigger is None or trigger.price is None:
            continue
        reached = listing.mark >= trigger.price if trigger.fires_at_or_above else listing.mark <= trigger.price
        if reached:
            raise RefusalError(Reason.TRIGGERS_IMMEDIATELY)
    if terms.close_position:
        for order in account.resting(terms.market.product, terms.market.symbol, terms.book):
            other = order.terms
            same = other.side is terms.side and other.leg is terms.leg and other.venue_type == terms.venue_type
            if other.close_position and same:
                raise RefusalError(Reason.CLOSE_TRIGGER_EXISTS)


def _check_margin(account: Account, terms: OrderTerms, quantity: Decimal, listing_of: ListingOf) -> None:
    market = terms.market
    added = exposure_added(account, terms, quantity)
    if not added:
        return
    held = abs(account.quantity(market, terms.leg))
    if market.max_position is not None and held + added > market.max_position:
        raise RefusalError(Reason.POSITION_LIMIT)
    price = terms.price or listing_of(market).mark
    needed = market.value(added, price) / account.position_settings(market).leverage
    pools = market.pools_margin and not account.position_settings(market).isolated
    available = pooled_margin if pools else available_margin
    if needed > available(account, market.wallet, market.settle, listing_of):
        raise RefusalError(Reason.INSUFFICIENT_MARGIN)


def _check_balance(account: Account, terms: OrderTerms, quantity: Decimal, listing: Listing, rules: HouseRules) -> None:
    if shortfall(account, terms, quantity, listing) and not (rules.auto_borrow or terms.borrows):
        raise RefusalError(Reason.INSUFFICIENT_BALANCE)


def _check_crossing(terms: OrderTerms, listing: Listing) -> None:
    if terms.time_in_force is TimeInForce.POST_ONLY and terms.trigger is None and crosses(terms, listing):
        raise RefusalError(Reason.POST_ONLY_CROSSES)
    if terms.time_in_force is TimeInForce.FOK and not crosses(terms, listing):
        raise RefusalError(Reason.UNFILLABLE)
