"""B2PRIME's hubs as hints: what a message says, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.errors import VenueAnswerUnknown
from node.venues.b2prime import hints
from node.venues.layout import resolve
from node.venues.stream import Heard, Stream
from tests.support.b2prime import ACCOUNT, HOST
from tests.support.b2prime_venue import order, position

LAYOUT = resolve("b2prime", None, ("spot", "linear"))
PING = '{"type": 6}\x1e'


def account() -> Stream:
    """The hub of orders and positions, greeted."""
    stream, _ = hints.streams(LAYOUT, HOST, ACCOUNT)
    assert stream.hear({}) == Heard(confirmed=True)
    return stream


def item(number: str, document: Any) -> dict[str, Any]:
    """An item of a subscription."""
    return {"type": 2, "invocationId": number, "item": document}


def orders(*rows: Any) -> dict[str, Any]:
    """Of open orders."""
    return item("0", list(rows))


def positions(*rows: Any) -> dict[str, Any]:
    """Of open positions."""
    return item("1", {"item": list(rows)})


def test_a_hub_is_greeted_and_asked_for_what_it_has_of_the_account() -> None:
    """The token is in the address, as documented; nothing but spot is asked where nothing else is covered."""
    stream, wallet = hints.streams(LAYOUT, HOST, ACCOUNT)
    assert stream.url({"accessToken": "a b"}) == f"wss://{HOST}/frontoffice/ws/v4/account?access_token=a+b"
    assert wallet.url({"accessToken": "JWT"}) == f"wss://{HOST}/frontoffice/ws/v3/account?access_token=JWT"
    said = [json.loads(text.removesuffix("\x1e")) for text in stream.hello(None, None)]
    assert said == [
        {"protocol": "json", "version": 1},
        {"type": 4, "invocationId": "0", "target": "OpenOrders", "arguments": [ACCOUNT]},
        {"type": 4, "invocationId": "1", "target": "OpenPositions", "arguments": [ACCOUNT]},
    ]
    assert [json.loads(each[:-1]) for each in wallet.hello(None, None)][1]["target"] == "FullBalance"
    spot, _ = hints.streams(resolve("b2prime", ("spot",), ("spot", "linear")), HOST, ACCOUNT)
    assert (len(spot.hello(None, None)), spot.slices) == (2, ("spot",))


def test_a_hub_that_hangs_up_on_who_is_silent_for_half_a_minute_is_talked_to_more_often() -> None:
    """Whatever it tells meanwhile."""
    for stream in hints.streams(LAYOUT, HOST, ACCOUNT):
        assert (stream.ping, stream.separator) == (PING, "\x1e")
        assert stream.talk_every_s is not None
        assert stream.talk_every_s <= 15


def test_what_is_new_is_a_change_and_a_new_price_is_none() -> None:
    """Positions are told anew with every price."""
    stream = account()
    assert stream.hear(positions(position())).changed == ("linear",)
    assert stream.hear(positions(position(currentMarketPrice="1.2"))).changed == ()
    assert stream.hear(positions(position(lots="0.4"))).changed == ("linear",)
    assert stream.hear(positions(position(lots="0.4"), position("N"))).changed == ("linear",)
    assert stream.hear(positions(position(lots="0.4"))).changed == (
        "linear",
    )  # one is gone, or it is a list of changes
    assert stream.hear(positions(position(lots="0.4"))).changed == ()
    assert stream.hear(orders(order())).changed == ("spot", "linear")
    assert stream.hear(orders(order(remainingAmount="1"))).changed == ("spot", "linear")
    assert stream.hear(orders()).changed == ("spot", "linear")


def test_a_new_connection_knows_nothing_of_the_one_before() -> None:
    """What was told there is told again."""
    stream = account()
    stream.hear(positions(position()))
    stream.hear({})
    assert stream.hear(positions(position())).changed == ("linear",)


@pytest.mark.parametrize(
    "message", [{"type": 3, "invocationId": "0", "error": "no"}, {"type": 7, "allowReconnect": True}, {"error": "no"}]
)
def test_the_end_of_a_stream_is_the_end_of_the_connection(message: Any) -> None:
    """Refused, ended, closed: opened anew."""
    stream, _ = hints.streams(LAYOUT, HOST, ACCOUNT)
    assert stream.hear(message).over is not None


@pytest.mark.parametrize(
    "message", [None, [], {"type": 2}, item("7", []), item("0", None), item("0", [{}]), item("1", 5)]
)
def test_what_is_not_understood_is_said_to_be_so(message: Any) -> None:
    """And then counts as a change."""
    with pytest.raises((VenueAnswerUnknown, LookupError, StopIteration)):
        account().hear(message)


def test_a_ping_says_nothing() -> None:
    """Nor does it confirm anything."""
    assert account().hear({"type": 6}) == Heard()
