"""No body, however wrong, is anything but an alert or a refusal; and what passes is what was said."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from node.signals.alert import Side, read_alert, read_message
from node.signals.refusal import Refused

FIELDS = (
    *("apiKey", "accountId", "symbol", "side", "quantity", "orderType", "price", "stopPrice", "leverage"),
    *("takeProfit", "stopLoss", "timeInForce", "comment", "deduplicationId", "more"),
)
PLAUSIBLE: dict[str, Any] = {
    "apiKey": "k",
    "accountId": "main",
    "symbol": "perp.btc_usdt",
    "side": "buy",
    "quantity": "1",
}
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-10, max_value=10**6).map(str)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=300),
    NUMBERS,
    st.sampled_from(
        ["market", "limit", "stop", "stop_limit", "buy", "sell", "gtc", "day", "spot.btc_usdt", "NaN", "1e5"]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_a_refusal(body: bytes) -> None:
    """Nothing else is raised."""
    with suppress(Refused):
        read_message(body)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_any_document_is_an_alert_or_a_refusal(changes: dict[str, Any]) -> None:
    """What passes has a positive quantity, the prices that its kind needs, and a stop on the right side."""
    try:
        alert = read_alert(read_message(json.dumps({**PLAUSIBLE, **changes}).encode()).fields)
    except Refused:
        return
    assert alert.quantity > 0
    assert (alert.price is not None) == alert.order_type.has_price
    assert (alert.stop_price is not None) == alert.order_type.waits
    if alert.take_profit is not None and alert.stop_loss is not None:
        assert (alert.take_profit > alert.stop_loss) == (alert.side is Side.BUY)
    said = changes.get("quantity")
    assert alert.quantity == Decimal(str(PLAUSIBLE["quantity"] if said is None else said))
