"""Hyperliquid: the exact requests, as data.

Reads are POST /info, actions POST /exchange:
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint (and .../perpetuals, .../spot),
.../exchange-endpoint, .../asset-ids, .../tick-and-lot-size, .../rate-limits-and-user-limits. ``twapHistory`` is in no
page of the venue's; its shape is that of the WebSocket's userTwapHistory (.../websocket/subscriptions).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import Side
from node.domain.steps import CancelOrders, ClosePosition, SellSpot, SpotOrder, Step
from node.venues.call import Call
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice, SliceReads
from node.venues.profiles.hyperliquid_ccxt import CARRIED
from node.venues.profiles.plain import plain

#: Weight of an address a minute. What an account may send depends on what it has traded and is not known; the venue's
#: refusal for it closes the account's own buckets and nothing else, cancels apart because they are allowed for longer.
BUDGETS: Final = {"ip": Budget(units=1200), "orders": Budget(units=1000), "cancels": Budget(units=1000)}

#: Weights other than 20.
_WEIGHTS: Final = {
    **dict.fromkeys(("l2Book", "clearinghouseState", "spotClearinghouseState", "orderStatus", "exchangeStatus"), 2),
    "userRole": 60,
}
#: The venue takes more; an action of 40 weighs 2.
CANCEL_BATCH: Final = 100
#: Orders have numbers; what is cancelled as a TWAP order has this before its own.
TWAP: Final = "twap-"
#: The largest whole number of JSON's that every reader takes: no order will ever have it.
PROBE_ID: Final = str(2**53 - 1)
#: Prices have at most so many significant figures, unless they are whole numbers.
_FIGURES: Final = 5


def info(kind: str, carried: Mapping[str, Any] | None = None, **params: Any) -> Call:  # noqa: ANN401 - JSON
    """One POST /info; *carried* stays here and comes back with the answer."""
    along = {} if carried is None else {CARRIED: carried}
    return Call(
        endpoint="askInfo",
        effect=Effect.READ,
        params={"type": kind, **params, **along},
        charges=(Charge(bucket="ip", units=_WEIGHTS.get(kind, 20)),),
    )


def of_dex(kind: str, user: str, dex: str, carried: Mapping[str, Any] | None = None) -> Call:
    """One list of a group of perpetual markets; the first has no name, and its list of orders has spot's as well."""
    return info(kind, carried, user=user, **({"dex": dex} if dex else {}))


def reads(part: Slice, user: str, dexs: Sequence[str], *, all_dexs: bool) -> SliceReads:
    """What shows a slice. Triggers rest among the orders; TWAP orders in a list of their own.

    With *all_dexs* each look asks as well which dexs there are, and shows those that are newer than *dexs*.
    """
    twaps = (info("twapHistory", user=user),)
    if not part.derivative:
        return SliceReads(
            triggers=twaps,
            orders=(of_dex("frontendOpenOrders", user, ""),),
            balances=(info("spotClearinghouseState", user=user),),
        )

    def every(kind: str, *, newest: bool) -> tuple[Call, ...]:
        listed = tuple(of_dex(kind, user, dex) for dex in ("", *dexs))
        carried = {"then": kind, "user": user, "known": ("", *dexs)}
        return (*listed, info("perpDexs", carried)) if newest and all_dexs else listed

    return SliceReads(
        triggers=twaps,
        orders=every("frontendOpenOrders", newest=True),
        positions=every("clearinghouseState", newest=False),
        # The same again beside the positions: what is in a dex that is not known yet contradicts them.
        balances=every("clearinghouseState", newest=True),
    )


def market_calls() -> tuple[Call, ...]:
    """Perpetuals: tokens for the names of what is margined in, then the dexs, then each dex's markets."""
    return (info("spotMeta", {"then": "meta"}),)


def following(carried: Mapping[str, Any], dexs: Collection[tuple[int, str]]) -> Call | None:
    """The request for the first of *dexs* that are still to be asked."""
    if not dexs:
        return None
    (index, name), *left = dexs
    carried = {**carried, "index": index, "left": left}
    if carried["then"] == "meta":
        return info("meta", carried, **({"dex": name} if name else {}))
    return of_dex(carried["then"], carried["user"], name, carried)


def of_step(step: Step, asset: int | None, vault: str | None) -> tuple[Call, ...]:
    """The requests that carry out *step* in the market of number *asset*; none where there is no action for it."""
    match step:
        case ClosePosition():
            side = step.side.closing_side
            order = _order(asset, side, step.contracts, step.limit_price, step.client_order_id, reduces=True)
            return (_place(order, vault),)
        case SellSpot():
            # Nothing can be sold on spot but what is held.
            order = _order(asset, Side.SELL, step.quantity, step.limit_price, step.client_order_id, reduces=False)
            return (_place(order, vault),)
        case CancelOrders():
            return tuple(_cancels(step, asset, vault))
        case _:
            return ()


def _order(
    asset: int | None, side: Side, size: Decimal, price: Decimal | None, client_order_id: str, *, reduces: bool
) -> dict[str, Any]:
    """An immediate-or-cancel order: there are no others here. The order of its fields is part of what is signed."""
    return {
        "a": asset,
        "b": side is Side.BUY,
        "p": number(rounded(price or Decimal(0), side)),
        "s": number(size),
        "r": reduces,
        "t": {"limit": {"tif": "Ioc"}},
        "c": cloid(client_order_id),
    }


def _place(order: Mapping[str, Any], vault: str | None) -> Call:
    action = {"type": "order", "orders": [order], "grouping": "na"}
    return _action(action, Effect.CLOSE, "orders", 1, vault)


def _cancels(step: CancelOrders, asset: int | None, vault: str | None) -> Iterable[Call]:
    twaps = [order_id.removeprefix(TWAP) for order_id in step.order_ids if order_id.startswith(TWAP)]
    ids = [order_id for order_id in step.order_ids if not order_id.startswith(TWAP)]
    for start in range(0, len(ids), CANCEL_BATCH):
        named = [{"a": asset, "o": int(order_id)} for order_id in ids[start : start + CANCEL_BATCH]]
        yield _action({"type": "cancel", "cancels": named}, Effect.CANCEL, "cancels", len(named), vault)
    for twap in twaps:
        yield _action({"type": "twapCancel", "a": asset, "t": int(twap)}, Effect.CANCEL, "cancels", 1, vault)


def _action(action: Mapping[str, Any], effect: Effect, bucket: str, count: int, vault: str | None) -> Call:
    charges = (Charge(bucket="ip", units=1 + count // 40), Charge(bucket=bucket, units=count, per_key=True))
    of_vault = {"vaultAddress": vault} if vault else {}
    return Call(endpoint="sendAction", effect=effect, params={"action": action, **of_vault}, charges=charges)


def order_call(step: SpotOrder, user: str) -> Call:
    """One order by client id."""
    return info("orderStatus", user=user, oid=cloid(step.client_order_id))


def quote_calls(coins: Iterable[str]) -> tuple[Call, ...]:
    """One order book for each market: no list has bids and offers."""
    return tuple(info("l2Book", coin=coin) for coin in coins)


def cloid(client_order_id: str) -> str:
    """Our id in the venue's form: 128 bits in hexadecimal."""
    return f"0x{hashlib.sha256(client_order_id.encode()).hexdigest()[:32]}"


def number(value: Decimal) -> str:
    """Without zeros at its end: the venue signs what it reads, and writes none."""
    text = plain(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(price: Decimal, side: Side) -> Decimal:
    """The next price that the venue takes, never worse than *price*."""
    step = Decimal(1).scaleb(min(price.adjusted() - _FIGURES + 1, 0))
    return price.quantize(step, rounding=ROUND_CEILING if side is Side.SELL else ROUND_FLOOR)
