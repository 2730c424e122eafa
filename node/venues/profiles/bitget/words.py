"""Bitget: the words that the requests and answers of both kinds of account have in common. Pure.

Product types, sides and modes: https://www.bitget.com/api-doc/contract/intro and /api-doc/uta/intro.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind, MarketRules, PositionSide, Side
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SpotOrder
from node.errors import VenueAnswerUnknown
from node.venues.call import Call
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice
from node.venues.strict import Row, row, rows, text

#: ``options.account``: separate wallets and the second API, or the unified trading account and the third.
CLASSIC, UNIFIED = "classic", "unified"
#: What linear contracts settle in, each a product type of its own.
SETTLE_COINS: Final = ("USDT", "USDC")
COIN_FUTURES: Final = "COIN-FUTURES"
SUCCESS: Final = "00000"
#: Rows of a page, by default and at most.
PAGE: Final = 100
#: Batches take 20 (40306) or 50 orders: what is right for all of them.
CANCEL_BATCH: Final = 20

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
LEGS: Final = {"long": PositionSide.LONG, "short": PositionSide.SHORT}
#: Position modes, and margin modes.
HEDGED: Final = {"hedge_mode": True, "one_way_mode": False}
ISOLATED: Final = {"isolated": True, "crossed": False}
#: Given to no order: ours are eighteen letters and digits.
PROBE_ID: Final = "sovereign-node-probe"

#: All requests of one address in a minute (https://www.bitget.com/api-doc/common/intro, rate limits).
ADDRESS: Final = "address"
ADDRESS_BUDGET: Final = Budget(units=6000)


def asked(endpoint: str, effect: Effect, params: Mapping[str, Any] | list[dict[str, str]] | None = None) -> Call:
    """A request that Bitget counts per account (UID) and second, each endpoint by itself."""
    charges = (Charge(bucket=ADDRESS), Charge(bucket=endpoint, per_key=True))
    return Call(endpoint=endpoint, effect=effect, params=params or {}, charges=charges)


def budgets(rates: Mapping[str, int]) -> dict[str, Budget]:
    """Requests a second, by endpoint."""
    return {endpoint: Budget(units=rate, interval_s=1.0) for endpoint, rate in rates.items()}


def products(part: Slice) -> tuple[str, ...]:
    """The product types that a slice of contracts is made of."""
    if part.kind is MarketKind.INVERSE:
        return (COIN_FUTURES,)
    return tuple(f"{coin}-FUTURES" for coin in SETTLE_COINS if part.settle in (None, coin))


def margin_coin(step: ClosePosition | CancelOrders | CancelSymbol, kind: MarketKind) -> str:
    """What a step's market is margined in: by the symbol, which names it, or (of a market that is not listed any more)
    by the venue's own name: USDC's are BTCPERP, coin-margined ones BTCUSD.
    """
    named = step.symbol.partition(":")[2].partition("-")[0]
    if named:
        return named
    if kind is MarketKind.LINEAR:
        return "USDC" if step.market_id.endswith("PERP") else "USDT"
    return step.market_id.partition("USD")[0] or step.market_id


def product(step: ClosePosition | CancelOrders | CancelSymbol, kind: MarketKind) -> str:
    """The product type of a step's market."""
    return COIN_FUTURES if kind is MarketKind.INVERSE else f"{margin_coin(step, kind)}-FUTURES"


def symbol_of(rules: MarketRules | None, market_id: str, coin: str) -> str:
    """Our name of a market in which a position is margined in *coin*.

    Coin-margined contracts can be margined in several coins, and are then so many positions: an order has to say which.
    """
    if rules is None:
        return market_id  # no reason to overlook what is held there
    return rules.symbol.replace(f":{rules.settle}", f":{coin}", 1) if coin != rules.settle else rules.symbol


def order_refs(order_ids: Collection[str]) -> list[tuple[str, ...]]:
    """Ids in portions of a batch."""
    ids = tuple(order_ids)
    return [ids[start : start + CANCEL_BATCH] for start in range(0, len(ids), CANCEL_BATCH)]


# Answers: {"code": "00000", "msg": "success", "requestTime": ..., "data": ...}


def data_of(answer: object, what: str) -> Any:  # noqa: ANN401 - JSON
    """What a success carries.

    Raises:
        VenueAnswerUnknown: it is something else than a success with data.
    """
    document = row(answer, what)
    code = text(document, "code")
    if code != SUCCESS or "data" not in document:
        raise VenueAnswerUnknown(f"{what}: code {code[:10]}" + ("" if "data" in document else ", and no data"))
    return document["data"]


def list_of(answer: object, name: str) -> list[Row]:
    """A list inside the data. Bitget writes null for an empty one, but names it.

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    inner = row(data_of(answer, name), name)
    if name not in inner:
        raise VenueAnswerUnknown(f"there is no {name}")
    return [] if inner[name] is None else rows(inner[name], name)


def rows_of(answer: object, what: str) -> list[Row]:
    """Data that is a list.

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    return rows(data_of(answer, what), what)


def word(source: Row, name: str, words: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the words mean
    """A field that is one of several words, in whichever case.

    Raises:
        VenueAnswerUnknown: it is another.
    """
    value = text(source, name).lower()
    if value not in words:
        raise VenueAnswerUnknown(f"{name} is {value[:20]}")
    return words[value]


def says_yes(source: Row, name: str) -> bool:
    """Whether a flag says so; what does not say so, does not."""
    value = source.get(name)
    return value is True or (isinstance(value, str) and value.lower() == "yes")


def coin_of(source: Row, name: str) -> str:
    """A coin, as the venue writes it in most places."""
    return text(source, name).upper()


def client_id(entry: Row) -> str | None:
    """An order's client id, if it has one."""
    value = entry.get("clientOid")
    return value if isinstance(value, str) and value else None


def immediate(step: SpotOrder) -> dict[str, str]:
    """What every order on spot says in the same words."""
    return {"symbol": step.market_id, "side": "sell", "orderType": "limit"}
