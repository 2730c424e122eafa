"""OKX: what its private WebSockets are asked, and which slices a message is about.

Messages from https://www.okx.com/docs-v5/en/ (WebSocket, Order channel, Balance and position channel).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from node.venues.profiles.okx.profile import OkxProfile
from node.venues.stream import Stream
from tests.support.okx_venue import INVERSE, KEY, SWAP, okx

SLICES = ("spot", "linear:USDT", "linear:USDC", "inverse")


def both(*, sandbox: bool = False) -> tuple[Stream, Stream]:
    """Orders and account; algo orders."""
    private, business = OkxProfile().streams(OkxProfile().layout(SLICES), sandbox=sandbox)
    return private, business


def test_there_is_one_connection_for_orders_and_account_and_one_for_algo_orders() -> None:
    """The second alone vouches for no slice."""
    private, business = both()
    assert (private.url(None), private.slices) == ("wss://ws.okx.com:8443/ws/v5/private", SLICES)
    assert (business.url(None), business.slices) == ("wss://ws.okx.com:8443/ws/v5/business", ())
    assert both(sandbox=True)[0].url(None) == "wss://wspap.okx.com:8443/ws/v5/private"
    assert {(each.ping, each.pong) for each in both()} == {("ping", "pong")}
    assert all(each.ping_after_s < 30 for each in both())


async def test_the_login_is_signed_by_the_venues_clock() -> None:
    """In seconds, over a GET of /users/self/verify."""
    async with okx() as (venue, _):
        venue._client.ccxt.options["timeDifference"] = -60_000_000
        (text,) = both()[0].hello(venue._client.ccxt, None)
        document = json.loads(text)
        (login,) = document["args"]
        payload = f"{login['timestamp']}GET/users/self/verify".encode()
        expected = base64.b64encode(hmac.new(KEY["secret"].encode(), payload, hashlib.sha256).digest()).decode()
        assert (document["op"], login["sign"]) == ("login", expected)
        assert (login["apiKey"], login["passphrase"]) == (KEY["apiKey"], KEY["password"])
        assert int(login["timestamp"]) * 1000 > venue._client.ccxt.milliseconds() + 59_000_000


def test_after_the_login_the_channels_are_asked_for_and_the_last_one_confirms() -> None:
    """Not before."""
    private, business = both()
    for stream, channels in (
        (private, ["orders", "balance_and_position"]),
        (business, ["orders-algo", "algo-advance"]),
    ):
        heard = stream.hear({"event": "login", "code": "0", "msg": "", "connId": "a4d3ae55"})
        assert not heard.confirmed
        subscription = json.loads(heard.reply[0])
        assert subscription["op"] == "subscribe"
        assert [each["channel"] for each in subscription["args"]] == channels
        assert all(each.get("instType", "ANY") == "ANY" for each in subscription["args"])
        acknowledged = [stream.hear({"event": "subscribe", "arg": {"channel": name}}) for name in channels]
        assert [each.confirmed for each in acknowledged] == [False, True]
    assert not private.hear({"event": "channel-conn-count", "channel": "orders", "connCount": "2"}).confirmed


@pytest.mark.parametrize(
    "message",
    [
        {"event": "error", "code": "60009", "msg": "Login failed."},
        {"event": "login", "code": "60009"},
        {"event": "notice", "code": "64008", "msg": "The connection will soon be closed for a service upgrade."},
        {"event": "channel-conn-count-error", "channel": "orders", "connCount": "30"},
        {"event": "unsubscribe", "arg": {"channel": "orders"}},
    ],
)
def test_what_ends_a_subscription_ends_the_connection(message: dict[str, Any]) -> None:
    """And what it told of is looked at."""
    heard = both()[0].hear(message)
    assert heard.over
    assert heard.changed == SLICES


def order(inst_type: str, inst_id: str) -> dict[str, Any]:
    """An update of an order."""
    return {"arg": {"channel": "orders", "instType": "ANY"}, "data": [{"instType": inst_type, "instId": inst_id}]}


def account(**parts: Any) -> dict[str, Any]:
    """A change of the account."""
    return {"arg": {"channel": "balance_and_position"}, "data": [{"eventType": "filled", **parts}]}


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        (order("SWAP", SWAP), ("linear:USDT",)),
        (order("FUTURES", "BTC-USDC-260925"), ("linear:USDC",)),
        (order("SWAP", INVERSE), ("inverse",)),
        (order("SPOT", "BTC-USDT"), ("spot",)),
        (order("MARGIN", "BTC-USDT"), ("spot",)),
        (order("OPTION", "BTC-USD-260925-50000-C"), SLICES),
        (account(posData=[{"instType": "SWAP", "instId": SWAP}]), ("linear:USDT",)),
        (account(balData=[{"ccy": "BTC"}], posData=[{"instType": "SWAP", "instId": INVERSE}]), ("inverse", "spot")),
        (account(balData=[{"ccy": "BTC"}]), ("spot",)),
        (account(), SLICES),
        ({"arg": {"channel": "orders"}, "data": []}, ()),
    ],
)
def test_a_push_names_the_slices_that_it_is_about(message: dict[str, Any], changed: tuple[str, ...]) -> None:
    """All of them where it does not say."""
    assert both()[0].hear(message).changed == changed
    assert both()[1].hear(message).changed == changed


@pytest.mark.parametrize("message", [[], 7, "x", None, {"data": None}, {"data": [1]}, {"event": "subscribe"}])
def test_what_is_not_understood_is_an_error(message: Any) -> None:
    """The connection's keeper then names every slice."""
    with pytest.raises(Exception, match=r"instead|among"):
        both()[0].hear(message)
