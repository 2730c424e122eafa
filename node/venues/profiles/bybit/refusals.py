"""Bybit V5: what its error codes say about a request, where they say it for certain.

Source: https://bybit-exchange.github.io/docs/v5/error (its tables "UTA", "Spot Trade", "Spot Margin Trade", "Asset" and
"Convert Small Balances"). A code that is not here proves nothing: ccxt's own table counts some of them as refusals that
say the opposite (110072 and 170141: the client id is known already; 170146: timed out).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.domain.steps import Refusal

#: Documented, and either "unknown" in several wordings or a sign that an earlier request arrived.
UNCERTAIN: Final = frozenset(
    {
        "429",  # high server load
        "10000",  # Server Timeout
        "10014",  # Invalid duplicate request
        "10016",  # Server error
        "110072",  # OrderLinkedID is duplicate
        "170001",  # Internal error
        "170007",  # Timeout waiting for response from backend server
        "170032",  # Network error
        "170035",  # Submitted to the system for processing
        "170141",  # Duplicate clientOrderId
        "170146",  # Order creation timeout
        "170147",  # Order cancellation timeout
        "170149",  # Create order failed
        "170150",  # Cancel order failed
        "170212",  # Cancel order request processing
        "170234",  # System Error
        "176014",  # Repeated repayment requests
        "34022001",  # System error
        "34022003",
        "34022038",  # Repayment is in progress
        "790000",  # system error of the convert service
    }
)

#: Our timestamp, at the gateway.
CLOCK: Final = frozenset({"10002"})

#: Counted for this account and endpoint only.
RATE_LIMITED: Final = frozenset({"10006", "170005", "170222"})

_DENIED: Final = (
    *("10003", "10004", "10005", "10007", "10008", "10009", "10010", "10024", "10027", "10028", "33004", "-2015"),
    "100028",  # cannot be accessed by unified account users
    "110069",  # institutional loan customers may not trade
    "110088",  # upgrade to the unified account to trade
    "110123",  # trading terms have to be agreed to
    "110124",  # cooling-off period
    "110125",
    "110132",  # not in this region
    "170209",
    "170241",  # risk disclosure has to be confirmed
    "182200",  # upgrade first
    "3100197",  # banned for the time of an upgrade
)
_PRICE_BAND: Final = (
    "30208",  # above the maximum buying price
    "30209",  # below the minimum selling price
    "110003",  # outside the allowable range
    "110118",  # no price of a market order: little liquidity
    "110120",  # and 110121: the price limitation
    "110121",
    *("170132", "170133", "170192", "170193", "170194", "170195", "170196", "170371", "170372"),
)
_QUANTITY: Final = ("170124", "170198", "170200", "170229", "170341", "170381", "170382")
_TOO_SMALL: Final = ("110094", "170136", "170140")
_MARKET_CLOSED: Final = (
    "110063",  # settlement in progress
    "110066",  # currently not allowed
    "110074",  # not live
    "110095",  # call auction
    "110098",
    "110103",  # post-only orders for now
    "110137",  # reduce-only window before a settlement: suspended all the same
    "170151",  # not open yet
    "170157",  # not available for API trading
)
_INSUFFICIENT: Final = (
    *("110004", "110006", "110007", "110012", "110014", "110044", "110045", "110051", "110052", "110053"),
    *("170033", "170131"),
)
_UNKNOWN_ORDER: Final = (
    "110001",  # Order does not exist
    "110008",  # completed or cancelled
    "110010",  # cancelled
    "170139",  # filled
    "170142",  # cancelled
    "170143",  # not on the order book
    "170190",  # the cancellation has been finished
    "170213",  # Order does not exist
)
#: Not placed, for whatever reason.
_OTHER: Final = (
    *("10001", "10002", "10017", "10029", "30228"),
    *("110005", "110009", "110011", "110018", "110019", "110020", "110021", "110022", "110023", "110029", "110032"),
    *("110039", "110040", "110042", "110049", "110050", "110057", "110067", "110068", "110070", "110080"),
    *("110085", "110086", "110087", "110089", "110090", "110092", "110093", "110100", "110101", "110102", "110104"),
    *("110105", "110106", "110107", "110115", "110131", "110135", "110136"),
    *("170031", "170036", "170037", "170105", "170115", "170116", "170117", "170121", "170130", "170134", "170137"),
    *("170144", "170145", "170148", "170159", "170201", "170210", "170217", "170218", "170219", "170220", "170221"),
    *("170223", "170224", "170226", "170227", "170344", "170346", "170348", "170358", "170359", "170810"),
)

#: Orders and cancellations.
TRADING: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(_OTHER, Refusal.OTHER),
    **dict.fromkeys(_DENIED, Refusal.DENIED),
    **dict.fromkeys(_PRICE_BAND, Refusal.PRICE_BAND),
    **dict.fromkeys(_QUANTITY, Refusal.QUANTITY),
    **dict.fromkeys(_TOO_SMALL, Refusal.TOO_SMALL),
    **dict.fromkeys(_MARKET_CLOSED, Refusal.MARKET_CLOSED),
    **dict.fromkeys(_INSUFFICIENT, Refusal.INSUFFICIENT),
    **dict.fromkeys(_UNKNOWN_ORDER, Refusal.UNKNOWN_ORDER),
    **dict.fromkeys(RATE_LIMITED, Refusal.RATE_LIMITED),
    # Of reduce-only orders: nothing is held on that side, or resting reduce-only orders stand for the whole size.
    "110017": Refusal.NOTHING_TO_REDUCE,
    "110034": Refusal.NOTHING_TO_REDUCE,  # There is no net position
    "110079": Refusal.OVERLOADED,  # the order is being processed and cannot be operated on, try again later
    "170191": Refusal.OVERLOADED,  # cannot cancel, try again later
}

#: Repayments and conversions.
WALLET: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(("10001", "10002", "10017"), Refusal.OTHER),
    **dict.fromkeys(_DENIED, Refusal.DENIED),
    "10006": Refusal.RATE_LIMITED,
    "176015": Refusal.INSUFFICIENT,
    "182101": Refusal.INSUFFICIENT,
    # Of debts: no such coin, nothing owed, too much or too little, failed, not without collateral or other repayments.
    **dict.fromkeys(
        ("34022010", "34022011", "34022014", "34022027", "34022034", "34022041", "34022044", "34022047"), Refusal.OTHER
    ),
    **dict.fromkeys(("34022048", "34022050", "34022051", "34022052", "34022053", "34022094"), Refusal.OTHER),
    "34022035": Refusal.OVERLOADED,  # not in the minutes around the hour in which interest is charged
    "34022049": Refusal.INSUFFICIENT,
    **dict.fromkeys(("176016", "176017", "176018", "176019", "176132", "182100", "182102", "182103"), Refusal.OTHER),
    "700005": Refusal.INSUFFICIENT,
    "700006": Refusal.TOO_SMALL,
    "700007": Refusal.QUANTITY,
    **dict.fromkeys(("700000", "700001", "700002", "700008", "700010", "700012", "700013", "700016"), Refusal.OTHER),
    "700021": Refusal.OVERLOADED,  # another conversion is under way, try again later
}

#: Codes that mean several things: the first matching piece of the message decides. For 10001 as users have met them:
#: https://github.com/bybit-exchange/pybit/issues/244 and .../168; the missing signature by ccxt's own note.
BY_MESSAGE: Final[Mapping[str, tuple[tuple[str, Refusal], ...]]] = {
    "10001": (
        ("exceeds maximum limit allowed", Refusal.QUANTITY),
        ("exceeds minimum limit allowed", Refusal.TOO_SMALL),
        ("sign params error", Refusal.DENIED),
    ),
    "-1": (("request expired", Refusal.OTHER),),
}


def refusal_of(code: str, message: str, table: Mapping[str, Refusal] = TRADING) -> Refusal | None:
    """What a code says for certain; None: the request may have been carried out."""
    for piece, refusal in BY_MESSAGE.get(code, ()):
        if piece.lower() in message.lower():
            return refusal
    return table.get(code)


def clock_is_off(code: str | None, message: str) -> bool:
    """Whether our timestamp was not accepted: by the gateway, or by an engine that the request has reached too late."""
    return code in CLOCK or (code == "-1" and "request expired" in message.lower())
