"""OKX: the words that its requests, answers and streams have in common. Pure.

Kinds of account: https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-account-configuration (acctLv).
Names of instruments: .../#overview-general-info (instFamily and uly).
"""

from __future__ import annotations

from typing import Final

from node.domain.snapshot import MarketKind, PositionSide
from node.errors import VenueAnswerUnknown
from node.venues.strict import Row, row, rows, text

#: Kinds of account, by acctLv. "spot" and "futures" sell spot for cash; the other two from a wallet that can owe.
SPOT, FUTURES, MULTI, PORTFOLIO = "spot", "futures", "multi-currency", "portfolio"
ACCOUNTS: Final = {"1": SPOT, "2": FUTURES, "3": MULTI, "4": PORTFOLIO}
#: In these a spot order's tdMode is "cross", and a coin's balance may be negative.
CAN_OWE: Final = frozenset({MULTI, PORTFOLIO})

#: instType: what belongs to the slices of spot, what to those of contracts, and what to none of ours.
SPOT_TYPES: Final = ("SPOT", "MARGIN")
CONTRACT_TYPES: Final = ("SWAP", "FUTURES")
FOREIGN_TYPES: Final = ("OPTION", "EVENTS")

LEGS: Final = {"long": PositionSide.LONG, "short": PositionSide.SHORT}
#: The position side of accounts in net (one-way) mode; orders on spot may leave it out.
NET: Final = "net"

#: Every kind of algo order, as the list of pending ones has to be asked for: one by one, except for the first two.
ALGO_TYPES: Final = ("conditional,oco", "trigger", "move_order_stop", "chase", "iceberg", "smart_iceberg", "twap")
#: Chases are of contracts only.
SPOT_ALGO_TYPES: Final = tuple(name for name in ALGO_TYPES if name != "chase")


def rows_of(answer: object, what: str) -> list[Row]:
    """The rows of ``{"code": "0", "msg": "", "data": [...]}``; none are none only if the venue says success.

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    document = row(answer, what)
    code = text(document, "code")
    if code != "0":
        raise VenueAnswerUnknown(f"{what}: code {code[:10]} with a success")
    return rows(document.get("data"), what)


def only_row(answer: object, what: str) -> Row:
    """The one row of an answer that has one.

    Raises:
        VenueAnswerUnknown: it has none, or several.
    """
    found = rows_of(answer, what)
    if len(found) != 1:
        raise VenueAnswerUnknown(f"{what}: {len(found)} rows instead of one")
    return found[0]


def instrument_type(entry: Row) -> str:
    """A row's instType.

    Raises:
        VenueAnswerUnknown: it is none that is known, and could be anybody's.
    """
    kind = text(entry, "instType")
    if kind not in (*SPOT_TYPES, *CONTRACT_TYPES, *FOREIGN_TYPES):
        raise VenueAnswerUnknown(f"instType is {kind[:20]}")
    return kind


def kind_by_name(inst_id: str) -> MarketKind:
    """Of a contract that is not listed: those in plain dollars are margined in coin (BTC-USD-SWAP), BTC-USD_UM-SWAP
    and all others in what they are quoted in.
    """
    return MarketKind.INVERSE if inst_id.split("-")[1:2] == ["USD"] else MarketKind.LINEAR


def settle_by_name(inst_id: str) -> str | None:
    """What such a contract settles in, where its name says so."""
    parts = inst_id.split("-")
    if len(parts) < 3:
        return None
    return parts[0] if parts[1] == "USD" else parts[1]
