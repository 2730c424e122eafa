"""Gate: from answers to positions, orders, quotes, market rules and wallets. Pure and strict.

Field names: https://www.gate.com/docs/developers/apiv4/en, and the models of Gate's own clients
(github.com/gate/gateapi-python, docs/Position.md, FuturesOrder.md, FuturesPriceTriggeredOrder.md, TrailOrder.md,
Order.md, SpotPriceTriggeredOrder.md, Contract.md, CurrencyPair.md, FuturesAccount.md, UnifiedBalance.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.profiles.gate import calls
from node.venues.profiles.plain import exposure
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_LEGS: Final = {"dual_long": PositionSide.LONG, "dual_short": PositionSide.SHORT}
#: Contracts that may be closed: those about to be delisted still take orders that reduce.
_CLOSABLE: Final = ("trading", "delisting")
#: Markets that can be sold on.
_SELLABLE: Final = ("tradable", "sellable")


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET /futures/{settle}/positions``; legs without size are left out."""
    found = [_position(part, book, entry) for entry in rows(answer, "positions")]
    held = [each for each in found if each is not None]
    if len({each.key for each in held}) != len(held):
        raise VenueAnswerUnknown("two positions of one leg: positions that are split are not covered")
    return tuple(held)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    market_id, size, mode = text(entry, "contract"), decimal(entry, "size"), text(entry, "mode")
    if mode != "single" and mode not in _LEGS:
        raise VenueAnswerUnknown(f"mode is {mode[:20]}")
    if size == 0:
        return None
    side = PositionSide.LONG if size > 0 else PositionSide.SHORT
    if _LEGS.get(mode, side) is not side:
        raise VenueAnswerUnknown(f"a {mode} position of {size}")
    rules, mark = book.by_id.get(market_id), positive(entry, "mark_price")
    return Position(
        slice=part.name,
        # An unlisted market is no reason to overlook what is held there.
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        side=side,
        contracts=abs(size),
        hedged=mode in _LEGS,
        isolated=_isolated(entry),
        mark_price=mark,
        base_exposure=exposure(part.kind, side, abs(size), rules, mark),
    )


def _isolated(entry: Row) -> bool:
    named = entry.get("pos_margin_mode")
    if named in ("isolated", "cross"):
        return bool(named == "isolated")
    return decimal(entry, "leverage") != 0  # 0 means cross margin


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """Open orders of one book: spot's by pair, futures' in a row; triggers priced, trailing or chasing."""
    if part.kind is MarketKind.SPOT:
        if trigger:
            return tuple(_spot_trigger(part, book, entry) for entry in rows(answer, "price orders"))
        pairs = rows(answer, "open orders")
        listed = [entry for pair in pairs for entry in rows(pair.get("orders"), "open orders of a pair")]
        return tuple(_spot_order(part, book, entry) for entry in listed)
    if not trigger:
        return tuple(_contract_order(part, book, entry) for entry in rows(answer, "open orders"))
    if isinstance(answer, list):
        return tuple(_contract_trigger(part, book, entry) for entry in rows(answer, "price orders"))
    return tuple(_auto_order(part, book, entry) for entry in calls.listed_autoorders(answer))


def _spot_order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    return _order(
        part,
        book,
        market_id=text(entry, "currency_pair"),
        order_id=text(entry, "id"),
        label=entry.get("text"),
        side=_side(entry),
        remaining=decimal(entry, "left"),
    )


def _spot_trigger(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    put = row(entry.get("put"), "put")
    return _order(
        part,
        book,
        market_id=text(entry, "market"),
        order_id=text(entry, "id"),
        label=put.get("text"),
        side=_side(put),
        remaining=decimal(put, "amount"),
        trigger=True,
    )


def _contract_order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    closes_all = flag(entry, "is_close")
    size, left = decimal(entry, "size"), decimal(entry, "left")
    return _order(
        part,
        book,
        market_id=text(entry, "contract"),
        order_id=text(entry, "id"),
        label=entry.get("text"),
        side=_direction(size, entry.get("auto_size"), closes_all=closes_all),
        remaining=None if closes_all and size == 0 else abs(left),
        reduce_only=closes_all or flag(entry, "is_reduce_only"),
    )


def _contract_trigger(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    initial = row(entry.get("initial"), "initial")
    # Where both are there, ``amount`` (which may have decimals) is what counts.
    size = decimal(initial, "size" if initial.get("amount") in (None, "", "0") else "amount")
    closes_all = size == 0 or flag(initial, "is_close")
    # "close-long-position", "plan-close-short-position" and the like.
    kind = str(entry.get("order_type") or "")
    named = next((f"close_{side}" for side in ("long", "short") if f"close-{side}-" in kind), initial.get("auto_size"))
    return _order(
        part,
        book,
        market_id=text(initial, "contract"),
        order_id=text(entry, "id_string" if entry.get("id_string") else "id"),
        label=initial.get("text"),
        side=_direction(size, named, closes_all=closes_all),
        remaining=None if size == 0 else abs(size),
        trigger=True,
        reduce_only=closes_all or flag(initial, "is_reduce_only"),
    )


#: What only one of two kinds of order has that look alike otherwise.
_TRAILS: Final = ("price_offset", "activation_price")
_CHASES: Final = ("chase_price", "price_limit")


def _auto_order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    """A trailing or a chasing order."""
    trails, chases = (any(name in entry for name in names) for names in (_TRAILS, _CHASES))
    if trails == chases:
        raise VenueAnswerUnknown("an order that neither trails nor chases")
    which = calls.TRAIL if trails else calls.CHASE
    amount = decimal(entry, "amount")
    return _order(
        part,
        book,
        market_id=text(entry, "contract"),
        order_id=f"{which}:{text(entry, 'id')}",
        label=entry.get("text"),
        side=_direction(amount, None, closes_all=False),
        remaining=abs(amount),
        trigger=True,
        reduce_only=flag(entry, "reduce_only"),
    )


def _direction(size: Decimal, closes: object, *, closes_all: bool) -> Side:
    """Of an order for contracts. One that closes "the position" may say nothing of a side: it is then taken for a sale,
    which at worst has it cancelled before the position is closed.
    """
    if size != 0:
        return Side.BUY if size > 0 else Side.SELL
    if not closes_all:
        raise VenueAnswerUnknown("an order for nothing")
    return Side.BUY if closes == "close_short" else Side.SELL


def _side(entry: Row) -> Side:
    side = text(entry, "side")
    if side not in _SIDES:
        raise VenueAnswerUnknown(f"side is {side[:20]}")
    return _SIDES[side]


def _order(
    part: Slice,
    book: MarketBook,
    *,
    market_id: str,
    order_id: str,
    label: object,
    side: Side,
    remaining: Decimal | None,
    trigger: bool = False,
    reduce_only: bool = False,
) -> OpenOrder:
    rules = book.by_id.get(market_id)
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=order_id,
        client_order_id=label.removeprefix(calls.TEXT_PREFIX) if isinstance(label, str) and label else None,
        side=side,
        remaining=remaining,
        trigger=trigger,
        reduce_only=reduce_only,
    )


def quotes(book: MarketBook, symbols: Collection[str], answer: Answer, *, by_name: str | None) -> dict[str, Quote]:
    """``GET /spot/tickers``; a market without bids or offers has no quote. Asked by name, it has a row."""
    wanted = frozenset(symbols) & book.by_symbol.keys()
    found: dict[str, Quote] = {}
    told: set[str] = set()
    for entry in rows(answer, "tickers"):
        market_id = text(entry, "currency_pair")
        told.add(market_id)
        rules = book.by_id.get(market_id)
        bid, ask = positive(entry, "highest_bid"), positive(entry, "lowest_ask")
        if rules is not None and rules.symbol in wanted and bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    if by_name is not None and by_name not in told:
        raise VenueAnswerUnknown(f"no quote of {by_name}")
    return found


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET /spot/currency_pairs`` or ``GET /futures/{settle}/contracts``, coins named by ccxt."""
    listed = rows(answer, "markets")
    if kind is MarketKind.SPOT:
        return tuple(_pair(exchange, entry) for entry in listed)
    return tuple(_contract(exchange, kind, entry) for entry in listed)


def _pair(exchange: Ccxt, entry: Row) -> MarketRules:
    base, quote = (str(exchange.safe_currency_code(text(entry, name))) for name in ("base", "quote"))
    largest = positive(entry, "max_base_amount")
    return MarketRules(
        symbol=f"{base}/{quote}",
        market_id=text(entry, "id"),
        kind=MarketKind.SPOT,
        base=base,
        quote=quote,
        settle=quote,
        quantity_step=_digits(entry, "amount_precision"),
        quantity_min=positive(entry, "min_base_amount"),
        market_quantity_max=positive(entry, "market_order_max_stock") or largest,
        limit_quantity_max=largest,
        notional_min=positive(entry, "min_quote_amount"),
        notional_max=positive(entry, "max_quote_amount"),
        price_tick=_digits(entry, "precision"),
        trading=text(entry, "trade_status") in _SELLABLE,
    )


def _digits(entry: Row, name: str) -> Decimal:
    """A step, told as the number of digits behind the point."""
    digits = decimal(entry, name)
    if digits != digits.to_integral_value() or not 0 <= digits <= 30:
        raise VenueAnswerUnknown(f"{name} is {digits}")
    return Decimal(1).scaleb(-int(digits))


def _contract(exchange: Ccxt, kind: MarketKind, entry: Row) -> MarketRules:
    market_id = text(entry, "name")
    base_id, _, quote_id = market_id.rpartition("_")
    base, quote = (str(exchange.safe_currency_code(each)) for each in (base_id, quote_id))
    settle = base if kind is MarketKind.INVERSE else quote
    largest, least = positive(entry, "order_size_max"), positive(entry, "order_size_min")
    # Which step contracts have that can be split, Gate does not say; orders are for what the venue itself has named.
    split = flag(entry, "enable_decimal") if "enable_decimal" in entry else False
    return MarketRules(
        symbol=f"{base}/{quote}:{settle}",
        market_id=market_id,
        kind=kind,
        base=base,
        quote=quote,
        settle=settle,
        # BTC_USD is worth one dollar a contract, and says 0.
        contract_size=positive(entry, "quanto_multiplier") or Decimal(1),
        quantity_step=least if split else Decimal(1),
        quantity_min=least,
        market_quantity_max=positive(entry, "market_order_size_max") or largest,
        limit_quantity_max=largest,
        price_tick=positive(entry, "order_price_round"),
        trading=str(entry.get("status", "trading")) in _CLOSABLE and not _gone(entry),
    )


def _gone(entry: Row) -> bool:
    """``in_delisting`` with nobody holding anything: the contract is no more."""
    delisting = flag(entry, "in_delisting") if "in_delisting" in entry else False
    return delisting and positive(entry, "position_size") is None


def balances(part: Slice, exchange: Ccxt, answer: Answer, *, account: str) -> tuple[Balance, ...]:
    """``GET /spot/accounts``, ``GET /unified/accounts``, or (of classic accounts) ``GET /futures/{settle}/accounts``.

    The coins of a unified account are reported in the spot slice, where they can be sold, and nowhere else.
    """
    if part.kind is not MarketKind.SPOT:
        found = [] if account == calls.UNIFIED else [_collateral(part, exchange, row(answer, "account"))]
    elif account == calls.UNIFIED:
        wallet = row(row(answer, "unified account").get("balances"), "balances")
        found = [_shared(part, exchange, coin, row(entry, "balance")) for coin, entry in wallet.items()]
    else:
        found = [_own(part, exchange, entry) for entry in rows(answer, "spot accounts")]
    return tuple(each for each in found if each.total != 0 or each.debt != 0)


def _own(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    asset = str(exchange.safe_currency_code(text(entry, "currency")))
    return Balance(slice=part.name, asset=asset, free=decimal(entry, "available"), locked=decimal(entry, "locked"))


def _shared(part: Slice, exchange: Ccxt, coin: str, entry: Row) -> Balance:
    """What is borrowed, and what a negative balance owes."""
    named = [name for name in ("borrowed", "negative_liab") if name in entry]
    owed = sum((decimal(entry, name) for name in named), Decimal(0))
    total_owed = decimal(entry, "total_liab") if "total_liab" in entry else Decimal(0)
    return Balance(
        slice=part.name,
        asset=str(exchange.safe_currency_code(coin)),
        free=max(decimal(entry, "available"), Decimal(0)),
        locked=max(decimal(entry, "freeze"), Decimal(0)),
        debt=max(owed, total_owed, Decimal(0)),
    )


def _collateral(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    """A negative balance is a debt. What is available includes bonuses, which are no one's to take."""
    total, available = decimal(entry, "total"), decimal(entry, "available")
    asset = str(exchange.safe_currency_code(text(entry, "currency").upper()))
    if total < 0:
        return Balance(slice=part.name, asset=asset, free=Decimal(0), debt=-total)
    free = min(max(available, Decimal(0)), total)
    return Balance(slice=part.name, asset=asset, free=free, locked=total - free)


#: Margin that positions alone take, and that which may be of orders, too.
_OF_POSITIONS: Final = ("position_margin", "position_initial_margin", "isolated_position_margin")
_OF_ORDERS: Final = ("order_margin", "cross_order_margin")
_OF_BOTH: Final = ("cross_initial_margin",)


def corroborate(
    part: Slice, answer: Answer, positions: Collection[Position], orders: Collection[OpenOrder] | None
) -> None:
    """Hold a futures wallet against the lists that were read with it. Wallets are one a settle coin.

    Raises:
        VenueAnswerUnknown: margin is in use that no list has shown, or positions are split, which is not covered.
    """
    if part.kind is MarketKind.SPOT:
        return
    account = row(answer, "account")
    if account.get("position_mode") == "dual_plus":
        raise VenueAnswerUnknown("the account splits positions, which is not covered")
    settle = str(account.get("currency", "")).lower()
    held = [each for each in positions if calls.settle_of(each.market_id) == settle]
    resting = [each for each in orders or () if calls.settle_of(each.market_id) == settle and not each.trigger]
    _explained(account, settle, _OF_POSITIONS, "position", listed=bool(held))
    if orders is not None:
        _explained(account, settle, _OF_ORDERS, "order", listed=bool(resting))
        _explained(account, settle, _OF_BOTH, "position or order", listed=bool(held or resting))


def _explained(account: Mapping[str, Any], settle: str, names: Collection[str], what: str, *, listed: bool) -> None:
    for name in names:
        if not listed and name in account and decimal(account, name) > 0:
            raise VenueAnswerUnknown(f"{name} of {account[name]} {settle}, and no {what} was listed for it")
