"""From balances to sales: what FLATTEN sells, by which route, and what cannot be sold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from node.domain.plan import protection_price, round_to
from node.domain.snapshot import Balance, MarketKind, MarketRules, Side
from node.domain.steps import OrderIds, SellSpot

#: In which currency a second hop is looked for first: the deepest books on every venue.
BRIDGES = ("BTC", "USDT", "USDC", "ETH", "FDUSD", "BNB", "EUR", "USD")


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
    """A balance that should become base currency, and what can be done about it."""

    balance: Balance
    route: Route | None
    #: In base currency, at a fresh price; None where it cannot be priced.
    value: Decimal | None
    sale: SellSpot | None


def route_of(asset: str, terms: FlattenTerms, markets: Iterable[MarketRules]) -> Route | None:
    """The shortest way of selling *asset* into base currency: direct, else over one bridge that is not kept."""
    spot = {(rule.base, rule.quote): rule for rule in markets if rule.kind is MarketKind.SPOT and rule.trading}
    direct = spot.get((asset, terms.base_currency))
    if direct:
        return Route(hops=(direct,))
    for bridge in BRIDGES:
        first, second = spot.get((asset, bridge)), spot.get((bridge, terms.base_currency))
        if first and second and bridge not in terms.keep:
            return Route(hops=(first, second))
    return None


def to_sell(balances: Iterable[Balance], terms: FlattenTerms) -> list[Balance]:
    """The balances that FLATTEN is about: neither base currency nor kept, and not empty."""
    return [
        balance
        for balance in balances
        if balance.asset != terms.base_currency and balance.asset not in terms.keep and balance.total > 0
    ]


def plan_sales(
    balances: Iterable[Balance],
    terms: FlattenTerms,
    markets: Mapping[str, MarketRules],
    quotes: Mapping[str, Quote],
    *,
    ids: OrderIds,
    levels: Mapping[str, int],
) -> list[Holding]:
    """What to do with every balance that should go.

    At most one sale an asset: the next one needs a fresh read. ``levels`` says per asset how often its price
    protection was too narrow.
    """
    return [
        _holding(balance, route_of(balance.asset, terms, markets.values()), terms, quotes, ids, levels)
        for balance in to_sell(balances, terms)
    ]


def _holding(
    balance: Balance,
    route: Route | None,
    terms: FlattenTerms,
    quotes: Mapping[str, Quote],
    ids: OrderIds,
    levels: Mapping[str, int],
) -> Holding:
    value = _value(balance.total, route, quotes)
    if route is None or value is None:
        return Holding(balance=balance, route=route, value=value, sale=None)
    market = route.hops[0]
    slippage = terms.max_slippage * 2 ** levels.get(balance.asset, 0)
    price = protection_price(quotes[market.symbol].bid, Side.SELL, slippage, market.price_tick)
    quantity = min(balance.free, market.limit_quantity_max or balance.free)
    quantity = round_to(quantity, market.quantity_step, up=False)
    if not _sellable(quantity, price, market):
        return Holding(balance=balance, route=route, value=value, sale=None)
    sale = SellSpot(
        slice=balance.slice,
        symbol=market.symbol,
        market_id=market.market_id,
        asset=balance.asset,
        quantity=quantity,
        limit_price=price,
        client_order_id=ids.client_order_id(balance.slice, market.symbol, "sale", 0),
    )
    return Holding(balance=balance, route=route, value=value, sale=sale)


def _sellable(quantity: Decimal, price: Decimal, market: MarketRules) -> bool:
    if quantity <= 0 or price <= 0 or (market.quantity_min and quantity < market.quantity_min):
        return False
    return not market.notional_min or quantity * price >= market.notional_min


def _value(quantity: Decimal, route: Route | None, quotes: Mapping[str, Quote]) -> Decimal | None:
    if route is None:
        return None
    value = quantity
    for market in route.hops:
        quote = quotes.get(market.symbol)
        if quote is None or quote.bid <= 0:
            return None
        value *= quote.bid
    return value
