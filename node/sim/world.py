"""Turns a scenario into a running matching core."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from node.sim.accounts import Account, PositionSettings
from node.sim.market import Listing, Market, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Origin, Side, TriggerTerms
from node.sim.scenarios import AccountSeed, MarketName, OrderSeed, PositionSeed, TriggerAction, TriggerSeed


@dataclass(slots=True)
class SimClock:
    """The venue's wall clock, which a fault may set wrong."""

    offset_ms: int = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as the venue believes."""
        return time.time_ns() // 1_000_000 + self.offset_ms


#: A venue's word for a conditional market order, and the book it rests in.
TriggerWords = Callable[[Market, TriggerAction], tuple[str, Book]]


def build_world(
    listings: Iterable[Listing], accounts: Iterable[AccountSeed], clock: SimClock, trigger_words: TriggerWords
) -> MatchingCore:
    """Set up markets and accounts. Nothing of it shows in the safety counters."""
    core = MatchingCore(listings, now_ms=clock.now_ms)
    for seed in accounts:
        account = core.accounts[seed.name] = Account(name=seed.name)
        _seed_account(core, account, seed, trigger_words)
    return core


def find_market(core: MatchingCore, name: MarketName) -> Market:
    """The venue's market for a venue-neutral name. Where margin is no product of its own, spot stands for it.

    Raises:
        LookupError: the venue does not list it.
    """
    if name.product is Product.MARGIN and all(product is not Product.MARGIN for product, _ in core.listings):
        name = replace(name, product=Product.SPOT)
    for listing in core.listings.values():
        market = listing.market
        if (market.product, market.base, market.quote) != (name.product, name.base, name.quote):
            continue
        if (market.expiry_ms is not None) == name.dated:
            return market
    if name.product is Product.MARGIN:  # a unified account borrows on its spot pairs
        return find_market(core, replace(name, product=Product.SPOT))
    raise LookupError(f"no market for {name}")


def select_markets(core: MatchingCore, selector: str) -> list[Market]:
    """Markets named by ``SYMBOL``, ``product/SYMBOL`` or ``product:BASE/QUOTE``, contracts first.

    The last form is the same at every venue; ``-dated`` behind it names the contract that expires.

    Raises:
        LookupError: there is none.
    """
    kind, colon, pair = selector.partition(":")
    if colon:
        base, _, quote = pair.removesuffix("-dated").partition("/")
        if kind not in list(Product):
            raise LookupError(f"no product {kind}")
        dated = pair.endswith("-dated")
        return [find_market(core, MarketName(product=Product(kind), base=base, quote=quote, dated=dated))]
    product, _, symbol = selector.rpartition("/")
    found = [
        listing.market for (kind, name), listing in core.listings.items() if name == symbol and product in ("", kind)
    ]
    if not found:
        raise LookupError(f"no market {selector}")
    return sorted(found, key=lambda market: not market.is_contract)


def _seed_account(core: MatchingCore, account: Account, seed: AccountSeed, trigger_words: TriggerWords) -> None:
    if seed.hedge:
        account.hedge_mode |= {Product.LINEAR, Product.INVERSE}
    wallets = {listing.market.product: listing.market.wallet for listing in core.listings.values()}
    wallets.setdefault(Product.MARGIN, wallets[Product.SPOT])
    for product, asset, amount in seed.balances:  # products may share a wallet
        account.balance(wallets.get(product, wallets[Product.SPOT]), asset).free += amount
    for debt in seed.debts:
        owing = account.balance(wallets.get(debt.product, wallets[Product.SPOT]), debt.asset)
        owing.borrowed, owing.interest = debt.borrowed, debt.interest
    for position in seed.positions:
        _seed_position(core, account, position)
    numbers = itertools.count(1)
    for order in seed.orders:
        core.place(account, _limit_terms(core, account, order, f"seed-{next(numbers)}"))
    for trigger in seed.triggers:
        core.place(account, _trigger_terms(core, account, trigger, f"seed-{next(numbers)}", trigger_words))


def _seed_position(core: MatchingCore, account: Account, seed: PositionSeed) -> None:
    market = find_market(core, seed.market)
    leg = _leg(account, market, opens=seed.quantity > 0)
    position = account.position(market, leg)
    position.quantity += market.whole_steps(seed.quantity / market.contract_size)  # both sides, where there is one net
    position.entry_price = market.whole_ticks(core.listing(market).mark * seed.entry_factor)
    position.updated_ms = core.now_ms()
    account.settings[market.key] = PositionSettings(leverage=10, isolated=seed.isolated)


def _leg(account: Account, market: Market, *, opens: bool) -> Leg:
    if not account.is_hedged(market):
        return Leg.NET
    return Leg.LONG if opens else Leg.SHORT


def _side(quantity: Decimal | int) -> Side:
    return Side.BUY if quantity > 0 else Side.SELL


def _limit_terms(core: MatchingCore, account: Account, seed: OrderSeed, client_id: str) -> OrderTerms:
    market = find_market(core, seed.market)
    hedged = account.is_hedged(market)
    return OrderTerms(
        market=market,
        side=_side(seed.quantity),
        kind=OrderKind.LIMIT,
        client_id=client_id,
        venue_type="LIMIT",
        quantity=market.whole_steps(abs(seed.quantity) / market.contract_size),
        price=market.whole_ticks(core.listing(market).mark * seed.price_factor),
        leg=_leg(account, market, opens=(seed.quantity > 0) != seed.reduce_only),
        reduce_only=seed.reduce_only and not hedged,
        origin=Origin.SEED,
    )


def _trigger_terms(
    core: MatchingCore, account: Account, seed: TriggerSeed, client_id: str, trigger_words: TriggerWords
) -> OrderTerms:
    market = find_market(core, seed.market)
    venue_type, book = trigger_words(market, seed.action)
    side = _side(seed.quantity if seed.quantity is not None else seed.sign)
    closes = seed.action is not TriggerAction.ENTRY
    whole = None if seed.quantity is None else market.whole_steps(abs(seed.quantity) / market.contract_size)
    hedged = account.is_hedged(market)
    return OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.MARKET,
        client_id=client_id,
        venue_type=venue_type,
        quantity=whole,
        leg=_leg(account, market, opens=(side is Side.BUY) != closes),
        reduce_only=closes and whole is not None and not hedged,
        close_position=whole is None,
        trigger=TriggerTerms(
            price=market.whole_ticks(core.listing(market).mark * seed.trigger_factor),
            fires_at_or_above=(side is Side.BUY) == (seed.action is not TriggerAction.TAKE_PROFIT),
        ),
        book=book,
        origin=Origin.SEED,
    )
