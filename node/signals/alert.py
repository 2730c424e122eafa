"""An alert as TradingView sends it: bytes in, checked values out. Pure.

TradingView cannot sign, and says ``application/json`` or ``text/plain`` depending on how its message reads: the bytes
count, not what the header calls them. What is not known is refused: a misspelt ``stopLoss`` must not be dropped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from node.signals.refusal import Code, Refused

COMMENT_LENGTH_MAX: Final = 256
DEDUPLICATION_LENGTH_MAX: Final = 128
_KEY_LENGTH_MAX: Final = 256
_ACCOUNT_LENGTH_MAX: Final = 64
_SYMBOL: Final = re.compile(r"(spot|cfd|perp)\.[a-z0-9._-]{1,60}")
_DIGITS_MAX: Final = 18
_DECIMAL: Final = re.compile(r"\d{1,18}(\.\d{1,18})?|\.\d{1,18}", re.ASCII)
#: People read it on terminals.
_ONE_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]*")
_FIELDS: Final = (
    *("apiKey", "accountId", "symbol", "side", "quantity", "orderType", "price", "stopPrice", "leverage"),
    *("takeProfit", "stopLoss", "timeInForce", "comment", "deduplicationId"),
)


class Side(StrEnum):
    """Which way."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """What kind of order."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"  # at market once the stop price is reached
    STOP_LIMIT = "stop_limit"

    @property
    def has_price(self) -> bool:
        """Whether it has a limit."""
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def waits(self) -> bool:
        """Whether it waits for its stop price."""
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)


class TimeInForce(StrEnum):
    """How long it rests."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is wanted. Prices are in the market's quote currency."""

    account: str
    #: In lower case: ``spot.``, ``cfd.`` or ``perp.``, and the pair.
    symbol: str
    side: Side
    #: In units of the base asset; positive.
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    stop_price: Decimal | None = None
    leverage: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A body that could be read: whose it claims to be, and what else is in it."""

    api_key: str = field(repr=False)
    deduplication_id: str | None
    fields: Mapping[str, Any]
    #: Of everything but the key: equal for a message that was sent twice.
    digest: bytes


def read_message(body: bytes) -> Message:
    """Take a body apart: only what is needed to recognise its sender is looked at.

    Raises:
        Refused: BAD_REQUEST.
    """
    try:
        document = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_each_once, parse_float=Decimal, parse_constant=_no_number
        )
    except (ValueError, ArithmeticError, RecursionError):  # a number may be beyond any Decimal
        raise _bad("the body is no JSON object, or names a field twice") from None
    if not isinstance(document, dict):
        raise _bad("the body is no JSON object")
    given = {name: value for name, value in document.items() if value is not None}
    unknown = sorted(given.keys() - set(_FIELDS))
    if unknown:
        raise _bad(f"a field is not known: {_shown(unknown[0])}")
    api_key = _text(given, "apiKey", _KEY_LENGTH_MAX)
    same = _text(given, "deduplicationId", DEDUPLICATION_LENGTH_MAX) if "deduplicationId" in given else None
    rest = {name: value for name, value in given.items() if name != "apiKey"}
    content = json.dumps(rest, sort_keys=True, default=str, ensure_ascii=True).encode()
    return Message(api_key=api_key, deduplication_id=same, fields=rest, digest=hashlib.sha256(content).digest())


def read_alert(fields: Mapping[str, Any]) -> Alert:
    """What the fields of a message ask for.

    Raises:
        Refused: BAD_REQUEST, BAD_SYMBOL, BAD_QUANTITY, BAD_PRICE, MISSING_PRICE, BAD_LEVERAGE.
    """
    account = _text(fields, "accountId", _ACCOUNT_LENGTH_MAX)
    symbol = str(fields.get("symbol", "")).lower() if isinstance(fields.get("symbol"), str) else ""
    if _SYMBOL.fullmatch(symbol) is None:
        raise Refused(Code.BAD_SYMBOL, "symbol: not spot., cfd. or perp. and a pair, like spot.btc_usdt")
    kind = OrderType(_word(fields, "orderType", OrderType, OrderType.MARKET))
    price, stop_price = (_number(fields, name, Code.BAD_PRICE) for name in ("price", "stopPrice"))
    for name, needed, value in (("price", kind.has_price, price), ("stopPrice", kind.waits, stop_price)):
        if needed and value is None:
            raise Refused(Code.MISSING_PRICE, f"{name}: a {kind.value} order needs one")
    quantity = _number(fields, "quantity", Code.BAD_QUANTITY)
    if quantity is None:
        raise Refused(Code.BAD_QUANTITY, "quantity: is missing")
    leverage = _number(fields, "leverage", Code.BAD_LEVERAGE)
    if leverage is not None and symbol.startswith("spot."):
        raise Refused(Code.BAD_LEVERAGE, "leverage: there is none on spot")
    side = Side(_word(fields, "side", Side, None))
    take_profit, stop_loss = (_number(fields, name, Code.BAD_PRICE) for name in ("takeProfit", "stopLoss"))
    _require_order(side, stop_loss, price if kind.has_price else None, take_profit)
    return Alert(
        account=account,
        symbol=symbol,
        side=side,
        quantity=quantity,
        order_type=kind,
        # A template may carry prices for every kind of order; those that this one has no use for mean nothing.
        price=price if kind.has_price else None,
        stop_price=stop_price if kind.waits else None,
        leverage=leverage,
        take_profit=take_profit,
        stop_loss=stop_loss,
        time_in_force=TimeInForce(_word(fields, "timeInForce", TimeInForce, TimeInForce.GTC)),
        comment=_text(fields, "comment", COMMENT_LENGTH_MAX, empty=True) or None if "comment" in fields else None,
    )


def _require_order(side: Side, stop_loss: Decimal | None, price: Decimal | None, take_profit: Decimal | None) -> None:
    """Exchanged, the two would end a position the moment it is there.

    Raises:
        Refused: BAD_PRICE.
    """
    upwards = [each for each in (stop_loss, price, take_profit) if each is not None]
    wanted = sorted(set(upwards), reverse=side is Side.SELL)
    if upwards != wanted:
        order = "stopLoss, price, takeProfit"
        raise Refused(Code.BAD_PRICE, f"{order}: not {'rising' if side is Side.BUY else 'falling'} with a {side.value}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(_word: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError("not a number")


def _text(fields: Mapping[str, Any], name: str, most: int, *, empty: bool = False) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or (not value and not empty):
        raise _bad(f"{name}: is missing, or no text")
    if len(value) > most or _ONE_LINE.fullmatch(value) is None:
        raise _bad(f"{name}: not one line of at most {most} characters")
    return value


def _word(fields: Mapping[str, Any], name: str, words: type[StrEnum], usual: StrEnum | None) -> str:
    value = fields.get(name, usual)
    if not isinstance(value, str) or value.lower() not in list(words):
        raise _bad(f"{name}: one of {', '.join(words)}")
    return value.lower()


def _number(fields: Mapping[str, Any], name: str, code: Code) -> Decimal | None:
    """A positive decimal, as text or as a JSON number; no exponents, which no chart writes on purpose."""
    value = fields.get(name)
    if value is None:
        return None
    text = value
    if isinstance(value, Decimal) and abs(value.adjusted()) <= _DIGITS_MAX:
        text = format(value, "f")
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    if not isinstance(text, str) or _DECIMAL.fullmatch(text) is None:
        raise Refused(code, f"{name}: no decimal number")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Refused(code, f"{name}: no decimal number") from None
    if number <= 0:
        raise Refused(code, f"{name}: not above zero")
    return number


def _shown(name: str) -> str:
    return repr(name[:32])


def _bad(message: str) -> Refused:
    return Refused(Code.BAD_REQUEST, message)
