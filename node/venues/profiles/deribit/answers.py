"""Deribit: from answers to positions, orders, balances and market rules. Pure and strict.

Fields: https://docs.deribit.com/api-reference (private/get_positions, private/get_open_orders,
private/get_account_summaries, public/get_instruments). What a name says of its instrument:
https://docs.deribit.com/articles/json-rpc-overview (naming).
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_LEGS: Final = {"buy": PositionSide.LONG, "sell": PositionSide.SHORT}
#: Of orders that are listed as open.
_WAITING: Final = "untriggered"
_OPEN: Final = ("open", _WAITING, "triggered")
#: Kinds of instruments, of a position. Combinations of futures are traded, and held as their legs.
_COVERED: Final = ("future", "future_combo")
_NOT_COVERED: Final = ("option", "option_combo", "spot")
#: Coins that inverse contracts are margined in; the others of a wallet are reported with the linear contracts.
_INVERSE_COINS: Final = ("BTC", "ETH")
#: Differences of this size are rounding: no instrument trades in less.
_ROUNDING: Final = Decimal("1E-8")


class Family(StrEnum):
    """What an instrument's name says of it."""

    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"
    SPOT = "spot"


def family(name: str) -> Family:
    """``BTC-PERPETUAL``, ``BTC_USDC-27DEC24``, ``BTC-FS-27DEC24_PERP``; ``BTC-27DEC24-60000-C``; ``BTC_USDC``.

    What is not known to be an option is taken for a future, lest it be overlooked.
    """
    parts = name.split("-")
    if len(parts) == 1:
        return Family.SPOT
    single_option = len(parts) >= 4 and parts[-1] in ("C", "P")
    # Combinations are named by their strategy; of futures there is one: the spread.
    combination = len(parts) >= 3 and parts[1].isalpha() and parts[1] != "FS"
    if single_option or combination:
        return Family.OPTION
    return Family.LINEAR if "_" in parts[0] else Family.INVERSE


def coin_of(name: str, book: MarketBook) -> str:
    """In which coin a future settles, by the market or else by its name."""
    rules = book.by_id.get(name)
    base, _, quote = name.partition("-")[0].partition("_")
    return rules.settle if rules else quote or base


def result(answer: Answer, what: str) -> Any:  # noqa: ANN401 - JSON
    """What is inside the JSON-RPC envelope.

    Raises:
        VenueAnswerUnknown: there is no envelope, or no result in it.
    """
    document = row(answer, what)
    if document.get("error") is not None or document.get("result") is None:
        raise VenueAnswerUnknown(f"{what}: no result")
    return document["result"]


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``private/get_positions``; empty ones are left out."""
    found = (_position(part, book, entry) for entry in rows(result(answer, "positions"), "positions"))
    return tuple(position for position in found if position is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    name, kind = text(entry, "instrument_name"), text(entry, "kind")
    if kind in _NOT_COVERED:
        return None
    if kind not in _COVERED:
        raise VenueAnswerUnknown(f"kind is {kind[:20]}")
    rules = book.by_id.get(name)
    if (rules.kind.value if rules else family(name).value) != part.kind.value:
        return None
    size = decimal(entry, "size")
    if part.kind is MarketKind.LINEAR:
        # ``size`` of a linear contract is its worth: orders are in coins, as ``size_currency`` is.
        worth, size = size, decimal(entry, "size_currency")
        if (worth == 0) != (size == 0):
            raise VenueAnswerUnknown("size and size_currency do not agree")
    if size == 0:
        return None
    side = _LEGS.get(text(entry, "direction"))
    if side is None or (size < 0 and side is PositionSide.LONG):
        raise VenueAnswerUnknown("direction does not agree with the size")
    mark = positive(entry, "mark_price")
    return Position(
        slice=part.name,
        symbol=rules.symbol if rules else name,
        market_id=name,
        side=side,
        contracts=abs(size),
        mark_price=mark,
        base_exposure=_exposure(part.kind, side, abs(size), mark),
    )


def _exposure(kind: MarketKind, side: PositionSide, size: Decimal, mark: Decimal | None) -> Decimal | None:
    """Sizes are in coins (linear) or in USD (inverse), whatever one contract is."""
    signed = size if side is PositionSide.LONG else -size
    if kind is MarketKind.LINEAR:
        return signed
    return None if mark is None else signed / mark


def orders(part: Slice, book: MarketBook, answer: Answer) -> tuple[OpenOrder, ...]:
    """``private/get_open_orders``: one list of all kinds of instruments and orders, those with a trigger among them."""
    found = (_order(part, book, entry) for entry in rows(result(answer, "open orders"), "open orders"))
    return tuple(order for order in found if order is not None)


def _order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder | None:
    name = text(entry, "instrument_name")
    rules = book.by_id.get(name)
    if (rules.kind.value if rules else family(name).value) != part.kind.value:
        return None
    side, state = _SIDES.get(text(entry, "direction")), text(entry, "order_state")
    if side is None or state not in _OPEN:
        raise VenueAnswerUnknown(f"an order with direction {entry['direction']!r:.20} and state {state[:20]}")
    label = entry.get("label")
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else name,
        market_id=name,
        order_id=text(entry, "order_id"),
        client_order_id=label if isinstance(label, str) and label else None,
        side=side,
        remaining=_remaining(entry),
        trigger=state == _WAITING,
        reduce_only=flag(entry, "reduce_only"),
    )


def _remaining(entry: Row) -> Decimal | None:
    """None where the order is one of a pair that has no amount of its own."""
    if entry.get("amount") is None:
        return None
    return decimal(entry, "amount") - (decimal(entry, "filled_amount") if "filled_amount" in entry else Decimal(0))


def _summaries(answer: Answer) -> list[Row]:
    return rows(row(result(answer, "account"), "account").get("summaries"), "summaries")


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``private/get_account_summaries``: one wallet, each coin told in one slice. A negative balance is a debt."""
    found = []
    for entry in _summaries(answer):
        coin = str(exchange.safe_currency_code(text(entry, "currency")))
        total, available = decimal(entry, "balance"), decimal(entry, "available_funds")
        if (coin in _INVERSE_COINS) is not (part.kind is MarketKind.INVERSE) or total == 0:
            continue
        if total < 0:
            found.append(Balance(slice=part.name, asset=coin, free=Decimal(0), debt=-total))
            continue
        # What is available counts unrealised profit and, with cross collateral, the other coins.
        free = min(max(available, Decimal(0)), total)
        found.append(Balance(slice=part.name, asset=coin, free=free, locked=total - free))
    return tuple(found)


def corroborate(
    part: Slice,
    book: MarketBook,
    answer: Answer,
    positions: Collection[Position],
    orders: Collection[OpenOrder] | None,
) -> None:
    """Hold each coin's summary against the lists: its delta by index and, where it is no other coin's, its margin.

    Where the summary shows options, nothing can be told: their deltas and margins are in the same figures.

    Raises:
        VenueAnswerUnknown: it shows what no list has shown.
    """
    listed = {_base(each.market_id) for each in positions}
    market_ids = [each.market_id for each in positions] + [each.market_id for each in orders or ()]
    coins = {coin_of(market_id, book) for market_id in market_ids}
    for entry in _summaries(answer):
        coin = text(entry, "currency")
        if (coin in _INVERSE_COINS) is not (part.kind is MarketKind.INVERSE) or _has_options(entry):
            continue
        deltas = row(entry.get("delta_total_map") or {}, "delta_total_map")
        for index in sorted(deltas):
            if abs(decimal(deltas, index)) > _ROUNDING and _base(index) not in listed:
                raise VenueAnswerUnknown(f"the account shows a delta of {deltas[index]} in {index}: no position listed")
        # With cross collateral every coin shows the margin of all.
        own = str(entry.get("margin_model", "")).startswith("segregated") and entry.get("spot_reserve") in (None, 0)
        if orders is not None and own and decimal(entry, "initial_margin") > _ROUNDING and coin not in coins:
            raise VenueAnswerUnknown(f"{entry['initial_margin']} {coin} are in use as margin, and nothing was listed")


def _has_options(entry: Row) -> bool:
    names = ("options_value", "options_delta", "options_gamma", "options_vega", "options_theta")
    return any(decimal(entry, name) != 0 for name in names if entry.get(name) is not None)


def _base(name: str) -> str:
    """Of an instrument (``BTC-PERPETUAL``, ``BTC_USDC-PERPETUAL``) or an index (``btc_usd``)."""
    return name.partition("-")[0].partition("_")[0].upper()


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``public/get_instruments``: the futures of one kind, named as ccxt does."""
    found = [_rules(exchange, entry) for entry in rows(result(answer, "instruments"), "instruments")]
    return tuple(rules for rules in found if rules.kind is kind)


def _rules(exchange: Ccxt, entry: Row) -> MarketRules:
    base, quote, settle = (
        str(exchange.safe_currency_code(text(entry, name)))
        for name in ("base_currency", "counter_currency", "settlement_currency")
    )
    symbol = f"{base}/{quote}:{settle}"
    if text(entry, "settlement_period") != "perpetual":
        symbol += f"-{exchange.yymmdd(int(decimal(entry, 'expiration_timestamp')), '')}"
    return MarketRules(
        symbol=symbol,
        market_id=text(entry, "instrument_name"),
        kind=MarketKind.LINEAR if settle == quote else MarketKind.INVERSE,
        base=base,
        quote=quote,
        settle=settle,
        # Amounts are multiples of the least one, in coins (linear) or USD (inverse).
        quantity_step=positive(entry, "min_trade_amount"),
        quantity_min=positive(entry, "min_trade_amount"),
        price_tick=_tick(entry),
        trading=flag(entry, "is_active") and entry.get("state", "open") == "open",
    )


def _tick(entry: Row) -> Decimal | None:
    """The largest: ticks grow with the price, each a multiple of the one before."""
    steps = rows(entry.get("tick_size_steps") or [], "tick_size_steps")
    ticks = [positive(each, "tick_size") for each in (entry, *steps)]
    return max((tick for tick in ticks if tick is not None), default=None)
