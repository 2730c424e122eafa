"""Bitget: what its error codes say about an order, where they say it for certain.

https://www.bitget.com/api-doc/common/error-code/restapi and https://www.bitget.com/api-doc/uta/error-code/restapi;
24056 and 43118 also in the examples of single endpoints, 40084 and 40085 as the venue answers them. A code that is not
here proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.domain.steps import Refusal

#: Time-outs and errors inside, after which nobody knows; and client ids that are known: an earlier attempt arrived.
UNCERTAIN: Final = frozenset(
    {"40010", "40015", "40725", "40910", "43059", "45001", "50010", "50031", "25000", "25001", "25003"}
    | {"40786", "43118", "45034", "50060", "25212"}
)

#: Our timestamp is older than 30 seconds, or none.
CLOCK: Final = frozenset({"40004", "40005", "40008", "40078", "40911"})

#: Too many requests, of an address or of an account.
LIMITED: Final = frozenset({"429", "25004", "30007"})

#: An order of that id is not there (any more).
UNKNOWN: Final = frozenset(
    {"22001", "24056", "25204", "31007", "40109", "40768", "40819", "43001", "43020", "43025", "45057", "80011"}
)

#: Key, signature, rights, address, region; and an account of the other kind.
DENIED: Final = frozenset(
    {"40000", "40001", "40002", "40003", "40006", "40009", "40011", "40012", "40013", "40014", "40016", "40018"}
    | {"40022", "40023", "40025", "40026", "40031", "40035", "40036", "40037", "40038", "40040", "40041", "40068"}
    | {"40084", "40085", "40099", "40100", "40101", "40111", "40301", "40916", "49003", "22010", "25620"}
)

_TABLE: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(UNKNOWN, Refusal.UNKNOWN_ORDER),
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(CLOCK, Refusal.OTHER),
    # No position, or one that other orders stand for: 45006 without, 40757 with less than the order's size.
    **dict.fromkeys(("22002", "25227", "25601", "40709", "40757", "40838", "43029"), Refusal.NOTHING_TO_REDUCE),
    **dict.fromkeys(("43043", "45003", "45005", "45006"), Refusal.NOTHING_TO_REDUCE),
    # Beyond the price limits, at a risky price, and market orders that are not taken now.
    **dict.fromkeys(("22006", "22007", "22008", "22009", "22046", "22047", "25205", "25206"), Refusal.PRICE_BAND),
    **dict.fromkeys(("40815", "40816", "40820", "40821", "40824", "41117", "43008", "43009"), Refusal.PRICE_BAND),
    **dict.fromkeys(("43039", "43040", "50016", "50017", "50018", "50021", "50046", "50047"), Refusal.PRICE_BAND),
    **dict.fromkeys(("43007", "43038", "43041", "45103", "45104", "45112", "45113", "50015"), Refusal.QUANTITY),
    **dict.fromkeys(("13008", "22034", "25611", "43006", "43010", "43027", "43037"), Refusal.TOO_SMALL),
    **dict.fromkeys(("43042", "45110", "45111", "45114", "50014", "50019"), Refusal.TOO_SMALL),
    **dict.fromkeys(("22004", "22056", "25013", "25101", "25102", "25104", "25105", "25108"), Refusal.MARKET_CLOSED),
    **dict.fromkeys(("40308", "40309", "40844", "40845", "41113", "41114", "43115"), Refusal.MARKET_CLOSED),
    **dict.fromkeys(("43119", "43120", "50025", "50026", "50027", "50028", "50030"), Refusal.MARKET_CLOSED),
    **dict.fromkeys(("25202", "25203", "40711", "40712", "40754", "40798", "40800"), Refusal.INSUFFICIENT),
    **dict.fromkeys(("43012", "45002", "50020"), Refusal.INSUFFICIENT),
    # Parameters: the request was looked at, and no more.
    **dict.fromkeys(("40017", "400172", "40019", "40020", "40034", "40053", "40072", "40102"), Refusal.OTHER),
    **dict.fromkeys(("40304", "40305", "40306", "40402", "40409", "40706", "40724", "40774"), Refusal.OTHER),
    **dict.fromkeys(("40787", "40808", "40811", "40812", "40813", "40891", "40924"), Refusal.OTHER),
    **dict.fromkeys(("41101", "41103", "43011", "43028", "45035", "45115", "45123"), Refusal.OTHER),
    **dict.fromkeys(("22005", "22038", "25100", "25200", "25201", "25244", "25610", "40716"), Refusal.OTHER),
    # Too many open orders.
    **dict.fromkeys(("40723", "40761", "43005", "43128", "45118", "50048", "25599"), Refusal.OTHER),
}

#: Where one code serves several cases: the first piece that occurs in the message decides.
_BY_MESSAGE: Final[Mapping[str, tuple[tuple[str, Refusal], ...]]] = {
    # "The order amount exceeds the balance", or the maximum that can be opened
    "40762": (("balance", Refusal.INSUFFICIENT), ("", Refusal.QUANTITY)),
    **dict.fromkeys(
        ("25207", "25208"),
        (
            ("less", Refusal.TOO_SMALL),
            ("min", Refusal.TOO_SMALL),
            ("max", Refusal.QUANTITY),
            ("exceed", Refusal.QUANTITY),
            ("greater", Refusal.QUANTITY),
            ("", Refusal.OTHER),
        ),
    ),
}
#: Of orders in a batch of which only the message is told.
_UNKNOWN_WORDS: Final = ("not exist", "notexist", "no order")


def refusal_of(code: str, message: str) -> Refusal | None:
    """What a code says for certain; None: the order may have been placed."""
    if code in UNCERTAIN:
        return None
    for piece, refusal in _BY_MESSAGE.get(code, ()):
        if piece in message.lower():
            return refusal
    return _TABLE.get(code)


def refusal_in_batch(code: str, message: str) -> Refusal | None:
    """The same of one order in a batch: some name no code."""
    if code:
        return refusal_of(code, message)
    gone = any(piece in message.lower() for piece in _UNKNOWN_WORDS)
    return Refusal.UNKNOWN_ORDER if gone else None
