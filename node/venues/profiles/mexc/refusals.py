"""MEXC: what its error codes say about an order, where they say it for certain.

Futures: https://www.mexc.com/api-docs/futures/error-code. Spot: https://www.mexc.com/api-docs/spot-v3/general-info
(error code). No number that is here means one thing in one interface and another in the other. A code that is not here
proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.domain.steps import Refusal

#: Errors inside and time-outs, after which nobody knows; and repeated requests: an earlier one arrived.
UNCERTAIN: Final = frozenset({"500", "501", "503", "504", "603", "9999", "20002"})

#: Our timestamp is too old, or from the future (ten seconds; on spot what recvWindow says).
CLOCK: Final = frozenset({"513", "10073", "700003"})

#: Too many requests, in the address's name or the account's.
LIMITED: Final = frozenset({"429", "510", "2037"})

#: An order of that id is not there (any more), or has ended.
UNKNOWN: Final = frozenset({"-2011", "-2013", "30026", "2040", "2041", "5002"})

#: Key, signature, rights, address, account.
DENIED: Final = frozenset(
    {"401", "402", "403", "406", "511", "602", "701", "702", "703", "704", "1000", "6001"}
    | {"10001", "10072", "30018", "30020", "60005", "70011", "140002"}
    | {"700001", "700002", "700006", "700007"}
)

_TABLE: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(UNKNOWN, Refusal.UNKNOWN_ORDER),
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(CLOCK, Refusal.OTHER),
    # 2009: no position, or closed; 2008: other orders stand for it.
    **dict.fromkeys(("2008", "2009"), Refusal.NOTHING_TO_REDUCE),
    **dict.fromkeys(("2003", "2004", "2007", "2032", "2033", "30010", "30087"), Refusal.PRICE_BAND),
    "30025": Refusal.UNFILLED,
    **dict.fromkeys(("2028", "30003", "30029"), Refusal.QUANTITY),
    **dict.fromkeys(("30002", "88013"), Refusal.TOO_SMALL),
    # Contract or symbol is not there, not open, or not for such orders.
    **dict.fromkeys(("1001", "1002", "6005"), Refusal.MARKET_CLOSED),
    **dict.fromkeys(("-1121", "10007", "30000", "30014", "30016", "30021", "30028"), Refusal.MARKET_CLOSED),
    **dict.fromkeys(("2005", "2018", "10101", "30004", "30005", "88015"), Refusal.INSUFFICIENT),
    # Parameters and quantities that are wrong in some way: the request was looked at, and no more.
    **dict.fromkeys(("600", "601", "1004", "2001", "2002", "2006", "2011", "2013"), Refusal.OTHER),
    **dict.fromkeys(("2014", "2015", "2016", "2021", "2022", "2029"), Refusal.OTHER),
    **dict.fromkeys(("400", "-1128", "10095", "10096", "10097", "10102", "30001", "30019"), Refusal.OTHER),
    **dict.fromkeys(("30027", "30032", "30041", "700004", "700005", "700008", "700013"), Refusal.OTHER),
}


def refusal_of(code: str) -> Refusal | None:
    """What a code says for certain; None: the order may have been placed."""
    return None if code in UNCERTAIN else _TABLE.get(code)
