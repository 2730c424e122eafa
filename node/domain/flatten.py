"""From balances to base currency: what FLATTEN sells, converts and repays, and what has to stay. Pure.

Sales first, by the venue's order books; then what no order can sell, by its convert service; debts last of all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from typing import Final, TypeVar

from node.domain.plan import EXACT_DIGITS, protection_price, round_to
from node.domain.result import Residue
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Side
from node.domain.steps import BalanceStep, BuyToRepay, ConvertAsset, OrderIds, RepayDebt, SellSpot, SpotOrder

AnOrder = TypeVar("AnOrder", bound=SpotOrder)

#: Over which currency a second hop goes: the deepest books on every venue, best known first.
BRIDGES: Final = ("BTC", "USDT", "USDC", "ETH", "FDUSD", "BNB", "EUR", "USD")
#: Venues keep balances and debts to eight decimals.
AMOUNT_STEP: Final = Decimal("0.00000001")
#: A purchase pays its fee in what is bought, and the debt has to be covered all the same.
FEE_MARGIN: Final = Decimal("0.002")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best prices of one spot market."""

    symbol: str
    bid: Decimal
    ask: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenTerms:
    """What to sell into, and what to leave."""

    base_currency: str
    keep: frozenset[str] = frozenset()
    #: In base currency: what is worth less is dust, if the venue's minimum forbids its sale.
    min_value: Decimal = Decimal(5)
    max_slippage: Decimal = Decimal("0.05")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How an asset becomes base currency: the markets to sell on, one after the other."""

    hops: tuple[MarketRules, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A balance that should become base currency, or a debt, and what can be done about it now."""

    balance: Balance
    route: Route | None
    #: Of everything held, in base currency, at a fresh price; None where it cannot be priced.
    value: Decimal | None
    #: Of what is owed, likewise.
    debt_value: Decimal | None = None
    step: BalanceStep | None = None

    def residue(self, terms: FlattenTerms) -> Residue:
        """What it counts as if nothing more is done about it. What is owed weighs like what is held: both must be
        small, and known to be small.
        """
        worth = [self.value] if self.balance.total and self.balance.asset != terms.base_currency else []
        worth += [self.debt_value] if self.balance.debt else []
        known = [value for value in worth if value is not None]
        return Residue.DUST if len(known) == len(worth) and sum(known) < terms.min_value else Residue.UNSELLABLE


#: Spot markets, by what is sold in them and for what.
Pairs = Mapping[tuple[str, str], MarketRules]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotMarket:
    """The spot side of a venue at one moment, as far as flattening needs it."""

    pairs: Pairs
    quotes: Mapping[str, Quote]
    #: Whether the venue has a convert service for this wallet.
    converts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What earlier rounds taught about assets."""

    #: How often an asset's price protection was doubled, because it was too narrow; negative: halved.
    levels: Mapping[str, int]
    #: Assets of which nothing more is sold or bought.
    refused: Collection[str] = ()
    #: Assets that the convert service was asked for: once is enough.
    converted: Collection[str] = ()
    #: Assets whose debts the venue would not take back.
    unrepayable: Collection[str] = ()
    #: The most of an asset that one order may be about, where the venue refused a larger one.
    largest: Mapping[str, Decimal] = field(default_factory=dict)


NO_PAST: Final = Past(levels={})


def spot_pairs(markets: Iterable[MarketRules]) -> Pairs:
    """The markets that balances can be sold in."""
    return {(rule.base, rule.quote): rule for rule in markets if rule.kind is MarketKind.SPOT}


def routes_of(asset: str, terms: FlattenTerms, pairs: Pairs) -> tuple[Route, ...]:
    """The ways of selling *asset* into base currency: direct, then over each bridge that is not kept.

    Over markets that do not trade only where there is no other way: what is known of that may be old, and a sale that
    the venue refuses for it is tried again.
    """
    direct = pairs.get((asset, terms.base_currency))
    found = [Route(hops=(direct,))] if direct else []
    for bridge in BRIDGES:
        first, second = pairs.get((asset, bridge)), pairs.get((bridge, terms.base_currency))
        if first and second and bridge not in terms.keep:
            found.append(Route(hops=(first, second)))
    trading = [route for route in found if all(market.trading for market in route.hops)]
    return tuple(trading or found)


def to_settle(balances: Iterable[Balance], terms: FlattenTerms) -> list[Balance]:
    """The balances that FLATTEN is about: what is neither base currency nor kept, and whatever is owed."""
    return [
        balance
        for balance in balances
        if balance.debt > 0
        or (balance.asset != terms.base_currency and balance.asset not in terms.keep and balance.total > 0)
    ]


def symbols_to_price(balances: Iterable[Balance], terms: FlattenTerms, pairs: Pairs) -> set[str]:
    """The markets whose prices a plan for *balances* needs."""
    symbols: set[str] = set()
    for balance in to_settle(balances, terms):
        symbols |= {market.symbol for route in routes_of(balance.asset, terms, pairs) for market in route.hops}
        inverted = pairs.get((terms.base_currency, balance.asset))
        symbols |= {inverted.symbol} if inverted else set()
        direct = pairs.get((balance.asset, terms.base_currency)) if balance.debt > 0 else None
        symbols |= {direct.symbol} if direct else set()
    return symbols


def plan_flatten(
    balances: Sequence[Balance],
    resting: Iterable[OpenOrder],
    terms: FlattenTerms,
    market: SpotMarket,
    *,
    ids: OrderIds,
    past: Past = NO_PAST,
) -> list[Holding]:
    """What to do with every balance that should go, and every debt.

    At most one step an asset: the next one needs a fresh read. Nothing is sold that is owed in the same coin, nor what
    a resting order could still trade. Debts wait until nothing is left to be sold.
    """
    traded = {coin for order in resting for coin in order.symbol.split("/")}
    settled = [_valued(balance, terms, market) for balance in to_settle(balances, terms)]

    def leaving(holding: Holding) -> Holding:
        asset = holding.balance.asset
        wanted = asset != terms.base_currency and asset not in terms.keep and asset not in traded
        step = _sale_or_conversion(holding, terms, market, ids, past) if wanted else None
        return replace(holding, step=step)

    planned = [leaving(holding) for holding in settled]
    if any(holding.step for holding in planned) or traded & {holding.balance.asset for holding in settled}:
        return planned
    return list(_with_repayments(planned, balances, terms, market, ids, past))


def _valued(balance: Balance, terms: FlattenTerms, market: SpotMarket) -> Holding:
    routes = routes_of(balance.asset, terms, market.pairs)
    # A market without a bid is no way out: the next best that has one is.
    priced = next((route for route in routes if _price(route, market.quotes)), None)
    price = _price(priced, market.quotes) if priced else _inverted_price(balance.asset, terms, market)
    if balance.asset == terms.base_currency:
        price = Decimal(1)
    return Holding(
        balance=balance,
        route=priced or (routes[0] if routes else None),
        value=None if price is None else balance.total * price,
        debt_value=None if price is None else balance.debt * price,
    )


def _sale_or_conversion(
    holding: Holding, terms: FlattenTerms, market: SpotMarket, ids: OrderIds, past: Past
) -> SellSpot | ConvertAsset | None:
    asset = holding.balance.asset
    if asset in past.refused or holding.value is None:
        return None
    return _sale(holding, terms, market, ids, past) or _conversion(holding, terms, market, past)


def _sale(holding: Holding, terms: FlattenTerms, market: SpotMarket, ids: OrderIds, past: Past) -> SellSpot | None:
    balance = holding.balance
    if holding.route is None or holding.route.hops[0].symbol not in market.quotes:
        return None
    rules = holding.route.hops[0]
    price = protection_price(
        market.quotes[rules.symbol].bid, Side.SELL, _slippage(balance.asset, terms, past), rules.price_tick
    )
    quantity = _whole(_spare(balance), price, rules, past.largest.get(balance.asset))
    if not acceptable(quantity, price, rules):
        return None
    order_id = ids.client_order_id(balance.slice, rules.symbol, "sale", 0)
    return _order(SellSpot, balance, rules, quantity, price, order_id)


def _conversion(holding: Holding, terms: FlattenTerms, market: SpotMarket, past: Past) -> ConvertAsset | None:
    """Of what no order can sell; only at a price that can be held against the market's."""
    balance = holding.balance
    quantity = round_to(_spare(balance), AMOUNT_STEP, up=False)
    possible = market.converts and balance.asset not in past.converted and balance.locked == 0
    if not possible or quantity <= 0 or not holding.value:
        return None
    worth = holding.value * quantity / balance.total
    return ConvertAsset(
        slice=balance.slice,
        asset=balance.asset,
        into=terms.base_currency,
        quantity=quantity,
        least_received=round_to(worth * (1 - terms.max_slippage), AMOUNT_STEP, up=True),
    )


def _with_repayments(
    holdings: Iterable[Holding],
    balances: Iterable[Balance],
    terms: FlattenTerms,
    market: SpotMarket,
    ids: OrderIds,
    past: Past,
) -> Iterator[Holding]:
    """Debts in other coins first: base currency is what they are bought with."""
    found = list(holdings)
    base = next((balance for balance in balances if balance.asset == terms.base_currency), None)
    budget = base.free if base else Decimal(0)
    steps: dict[str, BalanceStep | None] = {}
    for holding in found:
        asset = holding.balance.asset
        if holding.balance.debt <= 0 or asset == terms.base_currency or asset in past.unrepayable:
            continue
        steps[asset] = _repayment(holding.balance)
        if steps[asset] is None and asset not in past.refused:
            purchase = _purchase(holding, budget, terms, market, ids, past)
            budget -= purchase.quantity * purchase.limit_price if purchase else 0
            steps[asset] = purchase
    if not any(steps.values()) and base and base.debt > 0 and base.asset not in past.unrepayable:
        steps[base.asset] = _repayment(base)
    for holding in found:
        yield replace(holding, step=holding.step or steps.get(holding.balance.asset))


def _repayment(balance: Balance) -> RepayDebt | None:
    amount = round_to(min(balance.free, balance.debt), AMOUNT_STEP, up=False)
    return RepayDebt(slice=balance.slice, asset=balance.asset, amount=amount) if amount > 0 else None


def _purchase(
    holding: Holding, budget: Decimal, terms: FlattenTerms, market: SpotMarket, ids: OrderIds, past: Past
) -> BuyToRepay | None:
    balance = holding.balance
    rules = market.pairs.get((balance.asset, terms.base_currency))
    quote = market.quotes.get(rules.symbol) if rules else None
    if rules is None or quote is None or quote.ask <= 0:
        return None
    price = protection_price(quote.ask, Side.BUY, _slippage(balance.asset, terms, past), rules.price_tick)
    if price <= 0:
        return None
    wanted = round_to(balance.debt * (1 + FEE_MARGIN), rules.quantity_step, up=True)
    affordable = round_to(min(wanted, budget / price), AMOUNT_STEP, up=False)
    quantity = _whole(affordable, price, rules, past.largest.get(balance.asset))
    if not acceptable(quantity, price, rules):
        return None
    order_id = ids.client_order_id(balance.slice, rules.symbol, "cover", 0)
    return _order(BuyToRepay, balance, rules, quantity, price, order_id)


def _order(
    kind: type[AnOrder], balance: Balance, rules: MarketRules, quantity: Decimal, price: Decimal, order_id: str
) -> AnOrder:
    return kind(
        slice=balance.slice,
        symbol=rules.symbol,
        market_id=rules.market_id,
        asset=balance.asset,
        quantity=quantity,
        limit_price=price,
        client_order_id=order_id,
    )


def _spare(balance: Balance) -> Decimal:
    """What may leave: what is free, less what is owed in the same coin and will be given back."""
    with localcontext(prec=EXACT_DIGITS):
        return max(balance.free - balance.debt, Decimal(0))


def _whole(quantity: Decimal, price: Decimal, rules: MarketRules, largest: Decimal | None) -> Decimal:
    """At most the venue's maxima and *largest*, a multiple of its step."""
    limits = [limit for limit in (rules.market_quantity_max, rules.limit_quantity_max, largest) if limit]
    if rules.notional_max and price > 0:
        limits.append(round_to(rules.notional_max / price, AMOUNT_STEP, up=False))
    return round_to(min([quantity, *limits]), rules.quantity_step, up=False)


def acceptable(quantity: Decimal, price: Decimal, rules: MarketRules) -> bool:
    """Whether an order is as large as the venue's own rules want it."""
    if quantity <= 0 or price <= 0 or (rules.quantity_min and quantity < rules.quantity_min):
        return False
    return not rules.notional_min or quantity * price >= rules.notional_min


def _slippage(asset: str, terms: FlattenTerms, past: Past) -> Decimal:
    factor: Decimal = Decimal(2) ** past.levels.get(asset, 0)
    return terms.max_slippage * factor


def _price(route: Route, quotes: Mapping[str, Quote]) -> Decimal | None:
    """Base currency for one unit, at the bids; None where a bid is missing."""
    price = Decimal(1)
    for market in route.hops:
        quote = quotes.get(market.symbol)
        if quote is None or quote.bid <= 0:
            return None
        price *= quote.bid
    return price


def _inverted_price(asset: str, terms: FlattenTerms, market: SpotMarket) -> Decimal | None:
    """Base currency for one unit of what base currency is quoted in (USDT, if USDC is base): it cannot be sold for
    base, only used to buy it; but it has a price, and the convert service takes it.
    """
    rules = market.pairs.get((terms.base_currency, asset))
    quote = market.quotes.get(rules.symbol) if rules else None
    return Decimal(1) / quote.ask if quote and quote.ask > 0 else None
