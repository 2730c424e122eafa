"""Hyperliquid: from answers to positions, orders, balances, quotes and market rules. Pure and strict.

Field names: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint, .../perpetuals and
.../spot; numbers of markets by .../asset-ids; what wallets mean by .../trading/account-abstraction-modes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.profiles.hyperliquid_calls import TWAP, following, info
from node.venues.profiles.hyperliquid_ccxt import CARRIED
from node.venues.profiles.plain import exposure, listed_rules
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"B": Side.BUY, "A": Side.SELL}
_MARGINS: Final = {"cross": False, "isolated": True}
#: Of TWAP orders: what still trades, and what does not any more.
_RUNNING: Final = ("activated", "waitingForTrigger")
_ENDED: Final = ("finished", "terminated", "stopped", "error")
#: A TWAP order lasts a week at most, so that a history of longer than that has all that are running. How long the list
#: may be is not documented; other histories of the venue have 2000 rows.
_TWAP_LIST_MAX: Final = 2000
_TWAP_LIFE_S: Final = 8 * 86_400
#: Where perpetual markets of dexs begin, and how many each may have; likewise spot's.
_DEX_ASSETS: Final = (100_000, 10_000)
_SPOT_ASSETS: Final = 10_000
#: Most decimals of a price, less those of the market's sizes.
_PRICE_DECIMALS: Final = {MarketKind.LINEAR: 6, MarketKind.SPOT: 8}
#: In the quote coin; a position that is worth less may still be closed whole.
_LEAST_VALUE: Final = Decimal(10)


def told(answer: Answer, *kinds: str) -> tuple[Row, Answer]:
    """What was asked, and the venue's answer.

    Raises:
        VenueAnswerUnknown: it is no answer to a question of these *kinds*.
    """
    wrapped = row(answer, "answer")
    asked = row(wrapped.get("asked"), "asked")
    if asked.get("type") not in kinds:
        raise VenueAnswerUnknown(f"an answer to {asked.get('type')}")
    return asked, wrapped.get("answer")


@lru_cache(maxsize=8)
def dexs_of(book: MarketBook) -> tuple[str, ...]:
    """The builders' dexs in a list of markets."""
    return tuple(sorted({_dex(coin) for coin in book.by_id} - {""}))


def _dex(coin: str) -> str:
    return coin.partition(":")[0] if ":" in coin else ""


def of_spot(coin: str) -> bool:
    """Whether a coin is a spot pair ("PURR/USDC", "@107"), or an outcome ("#10"), which is traded like one."""
    return "/" in coin or coin.startswith(("@", "#", "+"))


# Lists of lists


def more(call: Call, answer: Answer) -> Call | None:
    """The next of a chain of lists: tokens, dexs, and then one list a dex.

    Raises:
        VenueAnswerUnknown: the list is of no known shape, or may go on where there is no asking further.
    """
    asked = row(call.params, "asked")
    carried = asked.get(CARRIED)
    _, document = told(answer, text(asked, "type"))
    if asked["type"] == "twapHistory":
        _whole(document)
    if carried is None:
        return None
    if asked["type"] == "spotMeta":
        return info("perpDexs", {**carried, "known": (), "tokens": _tokens(document)})
    if asked["type"] == "perpDexs":
        return following(carried, [(at, name) for at, name in _dexs(document) if name not in carried["known"]])
    return following(carried, carried["left"])


def _dexs(document: Answer) -> list[tuple[int, str]]:
    """``perpDexs``: each dex's place and name; the first has none, and is said as null."""
    if not isinstance(document, list) or not document or document[0] is not None:
        raise VenueAnswerUnknown("dexs: not a list that begins with the venue's own")
    named = [(at, text(row(entry, "dex"), "name")) for at, entry in enumerate(document) if entry is not None]
    return [(0, ""), *named]


def _tokens(document: Answer) -> dict[int, str]:
    """``spotMeta``: names by number."""
    listed = rows(row(document, "tokens").get("tokens"), "tokens")
    return {int(decimal(each, "index")): text(each, "name") for each in listed}


def _whole(document: Answer) -> None:
    times = [decimal(each, "time") for each in rows(document, "TWAP orders")]
    if len(times) >= _TWAP_LIST_MAX and max(times) - min(times) < _TWAP_LIFE_S:
        raise VenueAnswerUnknown(f"TWAP orders: a list of {len(times)} may not be the whole")


# Perpetuals


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``clearinghouseState`` of one dex; there is one position a market, long or short."""
    asked, document = told(answer, "clearinghouseState")
    state = row(document, "state")
    row(state.get("marginSummary"), "margin")
    found = (_position(part, book, asked.get("dex", ""), entry) for entry in rows(state.get("assetPositions"), "list"))
    return tuple(position for position in found if position is not None)


def _position(part: Slice, book: MarketBook, dex: str, entry: Row) -> Position | None:
    if text(entry, "type") != "oneWay":
        raise VenueAnswerUnknown("a position that is not one-way")
    held = row(entry.get("position"), "position")
    coin, size = text(held, "coin"), decimal(held, "szi")
    margin = text(row(held.get("leverage"), "leverage"), "type")
    if margin not in _MARGINS or _dex(coin) != dex:
        raise VenueAnswerUnknown(f"a position in {coin[:20]} with {margin[:20]} margin, asked of dex {dex!r}")
    if size == 0:
        return None
    rules = book.by_id.get(coin)
    side = PositionSide.LONG if size > 0 else PositionSide.SHORT
    mark = abs(decimal(held, "positionValue") / size)
    return Position(
        slice=part.name,
        symbol=rules.symbol if rules else coin,
        market_id=coin,
        side=side,
        contracts=abs(size),
        isolated=_MARGINS[margin],
        mark_price=mark or None,
        base_exposure=exposure(MarketKind.LINEAR, side, abs(size), rules, mark),
    )


def corroborate(answer: Answer, positions: Collection[Position], *, unified: bool) -> None:
    """Hold one dex's state, which is read beside the positions, against them. Spot's holds prove nothing.

    Raises:
        VenueAnswerUnknown: it shows a position that was not listed; also one in a dex that is newer than our markets.
    """
    asked, document = told(answer, "clearinghouseState", "spotClearinghouseState", "perpDexs")
    if asked["type"] != "clearinghouseState":
        return
    state, dex = row(document, "state"), asked.get("dex", "")
    listed = {position.market_id for position in positions}
    for entry in rows(state.get("assetPositions"), "positions"):
        held = row(entry.get("position"), "position")
        if decimal(held, "szi") != 0 and text(held, "coin") not in listed:
            raise VenueAnswerUnknown(f"the account shows a position in {held['coin']} that was not listed")
    # For unified accounts the states of dexs say nothing that could be relied on but the positions.
    used = decimal(row(state.get("marginSummary"), "margin"), "totalNtlPos")
    if not unified and used > 0 and not any(_dex(coin) == dex for coin in listed):
        raise VenueAnswerUnknown(f"positions worth {used} are in dex {dex!r}, and none was listed")


# Orders


def orders(part: Slice, book: MarketBook, answer: Answer) -> tuple[OpenOrder, ...]:
    """``frontendOpenOrders`` of one dex, triggers among them, or ``twapHistory``; only what is of the slice's kind."""
    asked, document = told(answer, "frontendOpenOrders", "twapHistory", "perpDexs")
    if asked["type"] == "perpDexs":
        _dexs(document)
        return ()
    read = _twaps if asked["type"] == "twapHistory" else _resting
    found = read(part, book, document)
    return tuple(order for order in found if of_spot(order.market_id) is not part.derivative)


def _resting(part: Slice, book: MarketBook, document: Answer) -> list[OpenOrder]:
    """Children of an order that has not been filled are listed beside it once they exist by themselves."""
    return [_order(part, book, entry) for entry in rows(document, "open orders")]


def _order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    client = entry.get("cloid")
    size = decimal(entry, "sz")
    return OpenOrder(
        **_named(part, book, entry),
        order_id=text(entry, "oid"),
        client_order_id=client if isinstance(client, str) and client else None,
        # Of the position's size where it says none.
        remaining=None if size == 0 and flag(entry, "isPositionTpsl") else size,
        trigger=flag(entry, "isTrigger"),
        reduce_only=flag(entry, "reduceOnly"),
    )


def _twaps(part: Slice, book: MarketBook, document: Answer) -> list[OpenOrder]:
    """Those that go on trading by themselves: each has a row for everything that has become of it."""
    running: dict[str, OpenOrder] = {}
    ended: set[str] = set()
    for entry in rows(document, "TWAP orders"):
        status = text(row(entry.get("status"), "TWAP status"), "status")
        if status not in (*_RUNNING, *_ENDED):
            raise VenueAnswerUnknown(f"a TWAP order is {status[:20]}")
        if status == "error" and entry.get("twapId") is None:
            continue  # never began
        number, state = text(entry, "twapId"), row(entry.get("state"), "TWAP order")
        if status in _ENDED:
            ended.add(number)
            continue
        running[number] = OpenOrder(
            **_named(part, book, state),
            order_id=f"{TWAP}{number}",
            client_order_id=None,
            remaining=max(decimal(state, "sz") - decimal(state, "executedSz"), Decimal(0)),
            trigger=True,
            reduce_only=flag(state, "reduceOnly"),
        )
    return [order for number, order in running.items() if number not in ended]


def _named(part: Slice, book: MarketBook, entry: Row) -> dict[str, Any]:
    coin, side = text(entry, "coin"), text(entry, "side")
    if side not in _SIDES:
        raise VenueAnswerUnknown(f"side is {side[:20]}")
    rules = book.by_id.get(coin)
    return {
        "slice": part.name,
        "symbol": rules.symbol if rules else coin,
        "market_id": coin,
        "side": _SIDES[side],
    }


# Wallets


def balances(part: Slice, exchange: Ccxt, answer: Answer, *, unified: bool) -> tuple[Balance, ...]:
    """``spotClearinghouseState``: spot's tokens, and for unified accounts all there is.

    Otherwise the perpetuals have a wallet of US dollars of their own, and each builder's dex one of the coin that it is
    margined in: those are not reported.
    """
    asked, document = told(answer, "spotClearinghouseState", "clearinghouseState", "perpDexs")
    if asked["type"] == "perpDexs":
        _dexs(document)
        return ()
    state = row(document, "state")
    if asked["type"] == "spotClearinghouseState":
        found = [_balance(part, exchange, entry) for entry in rows(state.get("balances"), "balances")]
        return tuple(each for each in found if each.total != 0 or each.debt != 0)
    total = decimal(row(state.get("marginSummary"), "margin"), "accountValue")
    if unified or asked.get("dex") or total == 0:
        return ()
    if total < 0:
        return (Balance(slice=part.name, asset="USDC", free=Decimal(0), debt=-total),)
    free = min(max(decimal(state, "withdrawable"), Decimal(0)), total)
    return (Balance(slice=part.name, asset="USDC", free=free, locked=total - free),)


def _balance(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    total, hold = decimal(entry, "total"), decimal(entry, "hold")
    debt = positive(entry, "borrowed") or Decimal(0)
    asset = _coin(exchange, text(entry, "coin"))
    if total < 0:
        return Balance(slice=part.name, asset=asset, free=Decimal(0), debt=max(debt, -total))
    # Held for orders; for unified accounts also as margin, by more than there is while it loses.
    locked = min(max(hold, Decimal(0)), total)
    return Balance(slice=part.name, asset=asset, free=total - locked, locked=locked, debt=debt)


def _coin(exchange: Ccxt, name: str) -> str:
    """A token by the name that ccxt's markets have for it: UBTC is BTC."""
    code = str(exchange.safe_currency_code(name))
    return str(exchange.options["spotCurrencyMapping"].get(code, code))


# Markets


def quotes(book: MarketBook, symbols: Collection[str], answer: Answer) -> dict[str, Quote]:
    """``l2Book``: a market without bids or offers has no quote; null is a market that there is not."""
    asked, document = told(answer, "l2Book")
    found, levels = row(document, "order book"), row(document, "order book").get("levels")
    if text(found, "coin") != asked["coin"] or not isinstance(levels, list) or len(levels) != 2:
        raise VenueAnswerUnknown("not the order book that was asked for")
    rules = book.by_id.get(asked["coin"])
    bids, asks = (rows(side, "levels") for side in levels)
    if rules is None or rules.symbol not in symbols or not bids or not asks:
        return {}
    quote = Quote(symbol=rules.symbol, bid=decimal(bids[0], "px"), ask=decimal(asks[0], "px"))
    if not 0 < quote.bid <= quote.ask:
        raise VenueAnswerUnknown(f"{rules.symbol}: bid {quote.bid}, ask {quote.ask}")
    return {rules.symbol: quote}


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``spotMeta``, and for perpetuals the chain of ``more``: symbols by ccxt, numbers by the place in the list."""
    asked, document = told(answer, "spotMeta", "perpDexs", "meta")
    if kind is MarketKind.SPOT:
        return _distinct(_spot_markets(exchange, document))
    if asked["type"] == "meta":
        return _distinct(_perpetuals(exchange, asked[CARRIED], document))
    (_dexs if asked["type"] == "perpDexs" else _tokens)(document)
    return ()


def _perpetuals(exchange: Ccxt, carried: Mapping[str, Any], document: Answer) -> list[MarketRules]:
    meta, dex = row(document, "markets"), int(carried["index"])
    first, room = _DEX_ASSETS
    offset = first + room * dex if dex else 0
    token = carried["tokens"].get(int(decimal(meta, "collateralToken"))) if "collateralToken" in meta else "USDC"
    if token is None:
        raise VenueAnswerUnknown("markets margined in a token that is not listed")
    found: list[MarketRules] = []
    for at, entry in enumerate(rows(meta.get("universe"), "markets")):
        named = {"baseId": str(offset + at), "collateralTokenName": token}
        market = exchange.parse_market({**entry, **named})
        found.append(_rules(market, MarketKind.LINEAR, text(entry, "name"), offset + at, decimal(entry, "szDecimals")))
    return found


def _spot_markets(exchange: Ccxt, document: Answer) -> list[MarketRules]:
    meta = row(document, "markets")
    tokens = {decimal(each, "index"): each for each in rows(meta.get("tokens"), "tokens")}
    found: list[MarketRules] = []
    for entry in rows(meta.get("universe"), "markets"):
        base, quote = (tokens.get(Decimal(number)) for number in _pair(entry))
        if base is None or quote is None:
            continue  # as ccxt does: its test environment lists pairs of tokens that there are not
        names = {"base": _coin(exchange, text(base, "name")), "quote": _coin(exchange, text(quote, "name"))}
        market = {"symbol": f"{names['base']}/{names['quote']}", "id": entry.get("name"), **names}
        asset = _SPOT_ASSETS + int(decimal(entry, "index"))
        found.append(_rules(market, MarketKind.SPOT, text(entry, "name"), asset, decimal(base, "szDecimals")))
    return found


def _pair(entry: Row) -> Sequence[int]:
    pair = entry.get("tokens")
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(number, int) for number in pair):
        raise VenueAnswerUnknown("a spot market without its two tokens")
    return pair


def _rules(market: Mapping[str, Any], kind: MarketKind, coin: str, asset: int, decimals: Decimal) -> MarketRules:
    """Sizes and prices by .../tick-and-lot-size. Five significant figures are the request's business: no tick has them.

    What is delisted is not traded; whether a builder has halted a market is nowhere to be read.
    """
    return listed_rules(
        market,
        kind,
        market_id=coin,
        number=asset,
        quantity_step=Decimal(1).scaleb(-int(decimals)),
        quantity_min=None,
        notional_min=_LEAST_VALUE,
        price_tick=Decimal(1).scaleb(min(int(decimals) - _PRICE_DECIMALS[kind], 0)),
        market_orders=False,
        sweeps=False,
    )


def _distinct(found: list[MarketRules]) -> tuple[MarketRules, ...]:
    """Symbols are in capitals, coins need not be: of two alike the later keeps the venue's own name."""
    by_symbol: dict[str, MarketRules] = {}
    for rule in found:
        symbol = rule.symbol if rule.symbol not in by_symbol else rule.market_id
        by_symbol[symbol] = replace(rule, symbol=symbol)
    return tuple(by_symbol.values())
