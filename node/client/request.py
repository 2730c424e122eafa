"""What a request to an exchange can do, told from the request alone. Whatever it is not sure of may add risk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

#: Decoded JSON, and parameters of the same shape.
Data = Any

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_DEPTH_MAX: Final = 12
#: Hyperliquid's numbers of spot pairs, and of what builders' exchanges trade.
_HYPERLIQUID_SPOT: Final = 10_000
_HYPERLIQUID_DEXES: Final = 100_000
_HYPERLIQUID_NAMES: Final = frozenset({"a", "b", "p", "s", "r"})

#: Words of paths and messages that place, enlarge or move something, whatever stands beside them.
_ACTING: Final = frozenset(
    [
        "add",
        "amend",
        "borrow",
        "broadcast",
        "buy",
        "create",
        "edit",
        "execute",
        "modify",
        "move",
        "new",
        "place",
        "replace",
        "reverse",
        "sell",
        "send",
        "submit",
        "transfer",
        "withdraw",
        "withdrawal",
    ]
)
_CANCELLING: Final = frozenset(
    ["cancel", "cancelall", "cancelallafter", "cancelallorders", "countdown", "delete", "kill", "remove"]
)
_ORDERS: Final = frozenset(
    [
        "order",
        "orders",
        "algo",
        "algos",
        "trigger",
        "trigger",
        "plan",
        "stop",
        "trailing",
        "twap",
        "batchorders",
        "allopenorders",
        "openorders",
        "orderlist",
        "algoorder",
        "algoopenorders",
        "oco",
        "strategy",
    ]
)
#: Of GETs: listings of withdrawals and transfers are named like the deed. These are not.
_ACTING_GETS: Final = frozenset(["broadcast", "buy", "create", "edit", "execute", "move", "sell", "set", "submit"])
_ONLY_RPC: Final = frozenset({"deribit", "coinbaseinternational", "dydx"})
_READ_WORDS: Final = frozenset(
    [
        "get",
        "fetch",
        "list",
        "query",
        "history",
        "histories",
        "info",
        "detail",
        "details",
        "status",
        "open",
        "closed",
        "pending",
        "records",
        "requests",
        "search",
    ]
)

_REDUCING_NAMES: Final = frozenset(
    {"reduceonly", "closeonly", "closeorder", "closeposition", "close", "isclose", "reduce"}
)
#: ccxt's classes of these venues do not know the flag: it goes out as it was given, and who knows who reads it there.
READS_OVER_REDUCE_ONLY: Final = frozenset(
    ["bigone", "bitstamp", "bullish", "coinbaseinternational", "cryptocom", "gemini", "onetrading", "whitebit"]
)
_LEG_NAMES: Final = frozenset({"positionside", "posside", "positiondirection", "holdside"})
_SIDE_NAMES: Final = frozenset({"side", "orderside", "direction", "action"})
_CLOSING_LEGS: Final = frozenset({("long", "sell"), ("short", "buy")})
_CLOSE_VERBS: Final = frozenset({"close", "closelong", "closeshort", "close_long", "close_short"})
_SIZE_NAMES: Final = frozenset({"amount", "size", "sz", "qty", "quantity", "vol", "volume", "quoteorderqty", "funds"})
#: Stop loss and take profit of a position.
_BITGET_PLANS: Final = frozenset({"pos_loss", "pos_profit", "loss_plan", "profit_plan"})
#: What makes a sale on spot more than a sale of what is held.
_BORROWING_NAMES: Final = frozenset(
    {
        "sideeffecttype",
        "leverage",
        "isleverage",
        "marginmode",
        "margin",
        "autoborrow",
        "loan",
        "ordermargin",
        "marginborrow",
    }
)
_BORROWING_WORDS: Final = frozenset({"margin", "cross", "isolated"})
#: Words of hosts, paths and categories where there are contracts alone.
_CONTRACT_WORDS: Final = frozenset(
    [
        "contract",
        "contracts",
        "derivatives",
        "dapi",
        "fapi",
        "futures",
        "inverse",
        "linear",
        "mix",
        "perp",
        "perpetual",
        "swap",
        "um",
        "cm",
    ]
)
_INSTRUMENT_NAMES: Final = frozenset(
    {"symbol", "instid", "instrumentname", "contract", "contractcode", "market", "pair", "productid", "currencypair"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it is about to leave, over HTTP."""

    method: str
    host: str
    path: str
    #: Query and body together: a mapping, or a list of what each says.
    data: Data

    @property
    def all_words(self) -> frozenset[str]:
        """The words of the whole path; of "cancel" also where it is written together with another."""
        said = set(words(self.path))
        return frozenset(said | {"cancel" for each in said if each.startswith("cancel") or each.endswith("cancel")})

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the path's last two segments."""
        return words("/".join(self.path.rstrip("/").split("/")[-2:]))


def read_request(url: object, method: object, body: object) -> Request:
    """Take a request apart. Nothing raises: what cannot be read has no data, and shows nothing."""
    parts = urlsplit(str(url))
    data: list[Data] = [_decoded(dict(parse_qsl(parts.query, keep_blank_values=True)))]
    if isinstance(body, bytes | bytearray):
        body = bytes(body).decode("utf-8", "replace")
    if isinstance(body, str) and body:
        if body.lstrip().startswith(("{", "[")):
            data.append(_json(body))
        else:
            data.append(_decoded(dict(parse_qsl(body, keep_blank_values=True))))
    elif isinstance(body, Mapping):
        data.append(dict(body))
    known = [each for each in data if each]
    if len(known) > 1 and all(isinstance(each, dict) for each in known):
        known = [{name: value for each in known for name, value in each.items()}]
    return Request(
        method=str(method).upper(),
        host=parts.hostname or "",
        path=unquote(parts.path),
        data=known[0] if len(known) == 1 else known,
    )


def words(text: str) -> tuple[str, ...]:
    """The words of a name, in lower case: ``cancelBatch_orders`` is cancel, batch, orders."""
    return tuple(each.lower() for each in _WORD.findall(text))


def looks(request: Request, venue: str) -> bool:
    """Whether it only looks, by itself."""
    if request.method not in ("GET", "HEAD"):
        return False
    last = words(request.path.rstrip("/").rsplit("/", 1)[-1])
    if venue in _ONLY_RPC:
        return not (set(last) & (_ACTING | _ACTING_GETS | {"close", "change", "toggle", "reset", "remove"})) or last[
            :1
        ] == ("get",)
    return not last or last[0] not in _ACTING_GETS


def acts(request: Request) -> bool:
    """Whether it says that it places or moves something: the second look at what should only read or cancel."""
    if request.method == "GET":
        return False
    if request.path.rstrip("/").endswith("/exchange"):
        return True  # hyperliquid and those like it: one address for everything that is done
    said = request.all_words
    if said & _ACTING & set(request.words) and not said & (_READ_WORDS | _CANCELLING):
        return True
    told = dict(_pairs(request.data, 0))
    trades = any(str(told.get(name, "")).lower() in ("buy", "sell", "bid", "ask") for name in (*_SIDE_NAMES, "type"))
    return trades and bool(told.keys() & _SIZE_NAMES) and not said & _CANCELLING


def cancels(request: Request) -> bool:
    """Whether it cancels orders and does nothing else."""
    said = request.all_words
    if said & (_ACTING - {"submit", "send"}) or any("replace" in each or "amend" in each for each in said):
        return False
    if request.method == "DELETE":
        return bool(said & (_ORDERS | _CANCELLING)) or "order" in request.path.lower()
    if request.path.rstrip("/").endswith("/exchange"):
        action = request.data.get("action") if isinstance(request.data, Mapping) else None
        return isinstance(action, Mapping) and action.get("type") in ("cancel", "cancelByCloid", "scheduleCancel")
    return bool(said & _CANCELLING)


def closes(request: Request) -> bool:
    """Whether its own name says that it closes positions."""
    last = words(request.path.rstrip("/").rsplit("/", 1)[-1])
    return "close" in last and "order" not in last and not set(request.words) & (_ACTING - {"submit"})


def ends_with_positions(request: Request) -> bool:
    """Whether its address is that of positions: what closing them may be, if that is what was asked for."""
    last = words(request.path.rstrip("/").rsplit("/", 1)[-1])
    return bool(set(last) & {"position", "positions"}) and not set(request.words) & _ACTING


def each_reduces(data: Data, venue: str) -> bool:
    """Whether every order in it can only make a position smaller, if it is on a contract."""
    orders = list(_orders(data))
    return bool(orders) and all(_reduces(order, venue) for order in orders)


def on_contracts(request: Request, is_contract: Callable[[str], bool | None]) -> bool:
    """Whether it is about contracts alone: reduce-only means nothing on spot, and some venues read over it.

    *is_contract* tells it of a market's id or symbol; None where it is one by one name and not by another.
    """
    named = [str(value) for name, value in _pairs(request.data, 0) if name in _INSTRUMENT_NAMES]
    told = [is_contract(each) for each in named]
    if not told or None in told:
        category = [
            str(value) for name, value in _pairs(request.data, 0) if name in ("category", "producttype", "insttype")
        ]
        return False not in told and bool(
            set(words(" ".join((request.host, request.path, *category)))) & _CONTRACT_WORDS
        )
    return False not in told


def sells_what_is_held(data: Data) -> bool:
    """Whether every order in it is a sale, and nothing in it borrows."""
    said = list(_pairs(data, 0))
    sides = [
        str(value).lower()
        for name, value in said
        if name in _SIDE_NAMES or (name == "type" and value in ("sell", "buy"))
    ]
    borrowing = any(
        (
            name in _BORROWING_NAMES
            and value not in (False, 0, "0", "false", "FALSE", "NO_SIDE_EFFECT", "cash", "spot", None)
        )
        or (name == "tdmode" and value != "cash")
        or (name in ("account", "accounttype", "wallettype", "ordertype") and set(words(str(value))) & _BORROWING_WORDS)
        for name, value in said
    )
    return bool(sides) and all(side in ("sell", "ask") for side in sides) and not borrowing


def _orders(data: Data) -> Iterator[Mapping[str, Data]]:
    """Every mapping that says what to trade, with those attached to it; the whole where there is none."""
    if isinstance(data, list):
        for each in data:
            yield from _orders(each)
    if not isinstance(data, Mapping):
        return
    inner = [each for each in data.values() if isinstance(each, list | Mapping) and _holds_orders(each)]
    if _is_order(data) or not inner:
        yield data
    for each in inner:
        yield from _orders(each)


def _is_order(data: Mapping[str, Data]) -> bool:
    names = {_name(key) for key, value in data.items() if not isinstance(value, list | Mapping)}
    return bool(names & (_SIDE_NAMES | _SIZE_NAMES)) or names >= _HYPERLIQUID_NAMES


def _holds_orders(data: Data) -> bool:
    """Whether there is an order in it, at any depth; a list of mappings may be nothing else."""
    if isinstance(data, list):
        return any(isinstance(each, Mapping) for each in data)
    return isinstance(data, Mapping) and (_is_order(data) or any(_holds_orders(each) for each in data.values()))


def _reduces(order: Mapping[str, Data], venue: str) -> bool:
    said = {_name(key): value for key, value in order.items()}
    if any(name in _REDUCING_NAMES and _yes(value) for name, value in said.items()):
        return venue not in READS_OVER_REDUCE_ONLY
    if venue == "hyperliquid":
        asset = said.get("a")
        spot = not isinstance(asset, int) or _HYPERLIQUID_SPOT <= asset < _HYPERLIQUID_DEXES
        return said.get("r") is True and not spot
    if venue == "mexc":
        return str(said.get("side")) in ("2", "4") and "vol" in said
    if any(str(said.get(name, "")).lower() in _CLOSE_VERBS for name in ("tradeside", "offset", "autosize", "open")):
        return True
    if str(said.get("side", "")).lower() in ("sell_close", "buy_close"):
        return True
    if venue == "bitget" and said.get("plantype") in _BITGET_PLANS:
        return True
    if venue == "digifinex":
        return "size" in said and str(said.get("type")) in ("3", "4")
    legs = [str(said[name]).lower() for name in _LEG_NAMES if name in said]
    sides = [str(said[name]).lower() for name in _SIDE_NAMES if name in said]
    if venue == "bybit" and (said.get("positionidx"), *sides) in ((1, "sell"), (2, "buy"), ("1", "sell"), ("2", "buy")):
        return True
    return len(legs) == 1 and len(sides) == 1 and (legs[0], sides[0]) in _CLOSING_LEGS


def _pairs(data: Data, depth: int) -> Iterator[tuple[str, Data]]:
    """Every name with its value, at any depth."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield _name(key), value
            yield from _pairs(value, depth + 1)
    elif isinstance(data, list):
        for each in data:
            yield from _pairs(each, depth + 1)


def _name(key: object) -> str:
    return str(key).replace("_", "").replace("-", "").lower()


def _yes(value: Data) -> bool:
    return value is True or str(value).lower() in ("true", "yes", "1")


def _decoded(form: Mapping[str, str]) -> dict[str, Data]:
    """A form's values, with JSON inside them read."""
    return {key: _json(value) if value[:1] in ("{", "[") else value for key, value in form.items()}


def _json(text: str) -> Data:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
