"""Binance: what its error codes say about an order, where they say it for certain.

Sources: https://developers.binance.com/docs/binance-spot-api-docs/errors,
https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code, and the same of COIN-M;
https://developers.binance.com/docs/margin_trading/error-code for everything under /sapi, where numbers below -3000 mean
other things than on the futures venues. A code that is not here proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.domain.steps import Refusal

#: "Execution status unknown", in several wordings. -4116: the client order id is known, so an earlier attempt arrived.
UNCERTAIN: Final = frozenset({"-1000", "-1001", "-1006", "-1007", "-1010", "-4116"})

#: Our timestamp, at the gateway and at the matching engine.
CLOCK: Final = frozenset({"-1021", "-5028"})

#: Of the trading engines and gateways that all products share.
_GENERAL: Final[Mapping[str, Refusal]] = {
    "-2011": Refusal.UNKNOWN_ORDER,  # Unknown order sent
    "-2013": Refusal.UNKNOWN_ORDER,  # Order does not exist
    "-1003": Refusal.RATE_LIMITED,
    "-1015": Refusal.RATE_LIMITED,  # Too many new orders
    "-1008": Refusal.OVERLOADED,  # throttled by system-level protection
    "-1002": Refusal.DENIED,
    "-1022": Refusal.DENIED,  # signature
    "-2008": Refusal.DENIED,
    "-2014": Refusal.DENIED,
    "-2015": Refusal.DENIED,
    "-1021": Refusal.OTHER,
    **dict.fromkeys(("-1100", "-1101", "-1102", "-1103", "-1104", "-1105", "-1106", "-1111", "-1114"), Refusal.OTHER),
    **dict.fromkeys(("-1115", "-1116", "-1117", "-1118", "-1119", "-1121", "-1128", "-1130", "-1014"), Refusal.OTHER),
}

#: Spot, and the futures venues.
TRADING: Final[Mapping[str, Refusal]] = {
    **_GENERAL,
    "-2022": Refusal.NOTHING_TO_REDUCE,  # ReduceOnly Order is rejected
    "-2024": Refusal.NOTHING_TO_REDUCE,  # Position is not sufficient
    "-4112": Refusal.NOTHING_TO_REDUCE,  # the same on COIN-M
    "-4118": Refusal.NOTHING_TO_REDUCE,  # existing open orders cover the position
    "-2020": Refusal.PRICE_BAND,  # Unable to fill
    "-4002": Refusal.PRICE_BAND,  # price greater than max price
    "-4013": Refusal.PRICE_BAND,  # price less than min price
    "-4016": Refusal.PRICE_BAND,  # higher than mark price multiplier cap
    "-4024": Refusal.PRICE_BAND,  # lower than mark price multiplier floor
    "-4113": Refusal.PRICE_BAND,  # the same on COIN-M
    "-4131": Refusal.PRICE_BAND,  # the best counterparty price is outside PERCENT_PRICE
    "-4005": Refusal.QUANTITY,  # quantity greater than max quantity
    "-4003": Refusal.TOO_SMALL,  # quantity less than zero
    "-4004": Refusal.TOO_SMALL,  # quantity less than min quantity
    "-4164": Refusal.TOO_SMALL,  # notional
    "-4022": Refusal.MARKET_CLOSED,  # wrong market status
    "-4108": Refusal.MARKET_CLOSED,  # the symbol is delivering, delivered, settling or closed
    "-4140": Refusal.MARKET_CLOSED,  # invalid symbol status
    "-4141": Refusal.MARKET_CLOSED,  # Symbol is closed
    "-4056": Refusal.DENIED,
    "-2018": Refusal.INSUFFICIENT,
    "-2019": Refusal.INSUFFICIENT,
    "-4050": Refusal.INSUFFICIENT,
    "-4051": Refusal.INSUFFICIENT,
    "-2021": Refusal.OTHER,  # would immediately trigger
    "-2023": Refusal.OTHER,  # in liquidation
    "-2025": Refusal.OTHER,  # too many open orders
    "-2026": Refusal.OTHER,  # order type not supported with reduce-only
    "-4014": Refusal.OTHER,  # price not a multiple of the tick
    "-4023": Refusal.OTHER,  # quantity not a multiple of the step
    "-4061": Refusal.OTHER,  # position side does not match the account's mode
    "-4062": Refusal.OTHER,  # reduce-only conflict
    "-4120": Refusal.OTHER,  # this type belongs to the algo endpoint
    "-5028": Refusal.OTHER,
}

#: Cross margin. -3044 (System busy) says nothing for certain; nor do numbers that no page lists (-3067, -11015).
MARGIN: Final[Mapping[str, Refusal]] = {
    **_GENERAL,
    "-3002": Refusal.OTHER,  # We don't have this asset
    "-3003": Refusal.OTHER,  # Margin account does not exist
    "-3004": Refusal.DENIED,  # Trade not allowed
    "-3006": Refusal.OTHER,  # borrowing: never ours
    "-3007": Refusal.OVERLOADED,  # a loan or repayment is under way; some 100 ms, says its page
    "-3008": Refusal.OTHER,
    "-3010": Refusal.OTHER,  # Repay not allowed
    "-3015": Refusal.OTHER,  # Repay amount exceeds borrow amount, or would leave too little of it
    "-3016": Refusal.TOO_SMALL,  # Repay amount less than minimum repay amount
    "-3021": Refusal.OTHER,  # not allowed to trade this trading pair
    "-3022": Refusal.DENIED,  # trading is banned
    "-3023": Refusal.OTHER,  # not under the current margin level
    "-3024": Refusal.OTHER,  # The unpaid debt is too small after this repayment
    "-3026": Refusal.OTHER,  # Your input param is invalid
    "-3027": Refusal.OTHER,  # Not a valid margin asset
    "-3028": Refusal.OTHER,  # Not a valid margin pair
    "-3036": Refusal.OTHER,  # This account is not allowed to repay
    "-3037": Refusal.OVERLOADED,  # PNL is clearing. Wait a second
    "-3041": Refusal.INSUFFICIENT,  # Balance is not enough
    "-3045": Refusal.OTHER,  # The system doesn't have enough asset now
}

#: Convert documents no codes of its own but that of an expired quote (345231, at Binance Pay, the same service).
CONVERT: Final[Mapping[str, Refusal]] = {**_GENERAL, "345231": Refusal.OTHER}

#: Codes that Binance uses for several things: the first matching piece of the message decides.
BY_MESSAGE: Final[Mapping[str, tuple[tuple[str, Refusal], ...]]] = {
    "-1013": (
        ("PERCENT_PRICE", Refusal.PRICE_BAND),  # and PERCENT_PRICE_BY_SIDE
        ("LOT_SIZE", Refusal.QUANTITY),  # and MARKET_LOT_SIZE
        ("MAX_POSITION", Refusal.QUANTITY),
        ("NOTIONAL", Refusal.TOO_SMALL),  # and MIN_NOTIONAL
        ("market is closed", Refusal.MARKET_CLOSED),
        ("", Refusal.OTHER),
    ),
    "-2010": (
        ("insufficient balance", Refusal.INSUFFICIENT),
        ("market is closed", Refusal.MARKET_CLOSED),
        ("rest api trading is not enabled", Refusal.DENIED),
        ("this action is disabled on this account", Refusal.DENIED),
        ("", Refusal.OTHER),
    ),
    "-1130": (
        ("fromAmount", Refusal.TOO_SMALL),  # or too large: convert's bounds of an asset
        ("", Refusal.OTHER),
    ),
    "-2011": (
        ("market is closed", Refusal.MARKET_CLOSED),
        ("unknown order", Refusal.UNKNOWN_ORDER),
        ("was not found", Refusal.UNKNOWN_ORDER),
        ("", Refusal.OTHER),
    ),
}


def uncertain(code: str, message: str) -> bool:
    """Whether the venue itself says that it does not know, or that it knows the order already."""
    return code in UNCERTAIN or "duplicate order" in message.lower()


def refusal_of(code: str, message: str, table: Mapping[str, Refusal] = TRADING) -> Refusal | None:
    """What a code says for certain; None: the order may have been placed."""
    if uncertain(code, message):
        return None
    for piece, refusal in BY_MESSAGE.get(code, ()):
        if piece.lower() in message.lower():
            return refusal
    return table.get(code)
