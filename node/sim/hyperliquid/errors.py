"""Hyperliquid's words for trouble.

A refused action is HTTP 200 with ``{"status":"err","response":text}``; what is wrong with one order or cancel of a
batch stands in that one's place among the ``statuses`` of an answer that says ``ok``, with the asset's number behind
it. What cannot be read at all is HTTP 422 and plain text; an overloaded server answers 5xx.

Sources: "Error responses" and "Rate limits and user limits" of the documentation; the error table of ccxt 4.5.90; for
the exact texts of nonces, budgets and batches, published transcripts of the test network (MarcosACH/tickwright,
``docs/research``). Where no transcript was found the text is marked as assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.sim.refusals import Reason

NOT_FOUND_OR_ENDED: Final = "Order was never placed, already canceled, or filled."
IOC_MISSED: Final = "Order could not immediately match against any resting orders."
TOO_SMALL: Final = "Order must have minimum value of $10."
BAD_TRIGGER: Final = "Invalid TP/SL price."
BAD_TICK: Final = "Price must be divisible by tick size."
BAD_PRICE: Final = "Order has invalid price."
BAD_SIZE: Final = "Order has invalid size."
NO_SIZE: Final = "Order has zero size."
TOO_FAR: Final = "Order price cannot be more than 95% away from the reference price"
SPOT_REDUCES: Final = "Reduce-only is invalid for spot trading."
UNREADABLE: Final = "Failed to deserialize the JSON body into the target type"
OVERWEIGHT: Final = "Signed action over weight limit of 200."
#: Assumed. ``haltTrading`` of HIP-3 deployers and a delisting leave no order to be placed; the minutes after an upgrade
#: of the network, in which orders may rest and not trade, are another matter.
HALTED: Final = "Trading is halted for this asset."
TWAP_NOT_FOUND: Final = "TWAP was never placed, already canceled, or filled."

#: Of one order or one cancel; ``asset=N`` is put behind it.
OF_ORDER: Final[Mapping[Reason, str]] = {
    Reason.QUANTITY_ZERO: NO_SIZE,
    Reason.QUANTITY_BELOW_MINIMUM: TOO_SMALL,  # there is no other word for it
    Reason.QUANTITY_ABOVE_MAXIMUM: BAD_SIZE,
    Reason.QUANTITY_PRECISION: BAD_SIZE,
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: BAD_SIZE,
    Reason.PRICE_ZERO: BAD_PRICE,
    Reason.PRICE_PRECISION: BAD_TICK,
    Reason.COUNTERPARTY_PRICE: IOC_MISSED,  # a market order is an IOC: beyond its limit it meets nothing
    Reason.UNFILLABLE: IOC_MISSED,
    Reason.NOTIONAL_BELOW_MINIMUM: TOO_SMALL,
    Reason.INSUFFICIENT_BALANCE: "Insufficient spot balance",
    Reason.INSUFFICIENT_MARGIN: "Insufficient margin to place order.",
    Reason.POSITION_LIMIT: "Order would cause position to exceed margin tier limit at current leverage.",
    Reason.REDUCE_ONLY_REJECTED: "Reduce only order would increase position.",
    Reason.REDUCE_ONLY_CONFLICT: "Reduce only order would increase position.",
    Reason.POST_ONLY_CROSSES: "Post only order would have immediately matched, bbo was {bid}@{ask}.",
    Reason.TRIGGERS_IMMEDIATELY: BAD_TRIGGER,
    Reason.CLOSE_TRIGGER_EXISTS: BAD_TRIGGER,  # assumed
    Reason.DUPLICATE_CLIENT_ID: "Cloid already in use.",  # assumed
    Reason.UNKNOWN_ORDER: NOT_FOUND_OR_ENDED,
}

#: The same without an asset behind it.
_BARE: Final[Mapping[Reason, str]] = {
    Reason.PRICE_ABOVE_BAND: TOO_FAR,
    Reason.PRICE_BELOW_BAND: TOO_FAR,
    Reason.NOTIONAL_ABOVE_MAXIMUM: "Order value too large.",  # assumed
    Reason.MARKET_CLOSED: HALTED,
    Reason.UNKNOWN_SYMBOL: HALTED,
}

#: How orders that were refused stand in the history (info endpoint, "Query order status").
REJECTED_STATUS: Final[Mapping[Reason, str]] = {
    Reason.NOTIONAL_BELOW_MINIMUM: "minTradeNtlRejected",
    Reason.INSUFFICIENT_BALANCE: "insufficientSpotBalanceRejected",
    Reason.INSUFFICIENT_MARGIN: "perpMarginRejected",
    Reason.REDUCE_ONLY_REJECTED: "reduceOnlyRejected",
    Reason.REDUCE_ONLY_CONFLICT: "reduceOnlyRejected",
    Reason.POST_ONLY_CROSSES: "badAloPxRejected",
    Reason.UNFILLABLE: "iocCancelRejected",
    Reason.COUNTERPARTY_PRICE: "iocCancelRejected",
    Reason.TRIGGERS_IMMEDIATELY: "badTriggerPxRejected",
    Reason.POSITION_LIMIT: "perpMaxPositionRejected",
}


class HyperliquidError(Exception):
    """The whole request is refused. A *status* of 200 is the venue's own document; anything else is plain text."""

    def __init__(self, message: str, *, status: int = 200) -> None:
        self.message = message
        self.status = status
        super().__init__(message)


class OrderError(Exception):
    """One order or cancel of a batch is refused; *reason* says how the history calls it."""

    def __init__(self, message: str, reason: Reason) -> None:
        self.message = message
        self.reason = reason
        super().__init__(message)


def of_order(reason: Reason, asset: int, *, bid: str = "0.0", ask: str = "0.0") -> OrderError:
    """The core's refusal, as it stands among the statuses."""
    if reason in OF_ORDER:
        return OrderError(f"{OF_ORDER[reason].format(bid=bid, ask=ask)} asset={asset}", reason)
    return OrderError(_BARE.get(reason, f"Order rejected: {reason.value}."), reason)


def unknown_signer(signer: str) -> HyperliquidError:
    """Nobody here has such a key; a wrong signature looks like that too, with a stranger's address."""
    return HyperliquidError(f"User or API Wallet {signer} does not exist.")


def must_deposit(signer: str) -> HyperliquidError:
    """Only an owner may do that, and whoever signed holds nothing."""
    return HyperliquidError(f"Must deposit before performing actions. User: {signer}")


def unreadable(detail: str = "") -> HyperliquidError:
    """The body is not what it should be."""
    return HyperliquidError(f"{UNREADABLE}{': ' if detail else ''}{detail}", status=422)
