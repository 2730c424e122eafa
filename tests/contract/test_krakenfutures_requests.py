"""Every request that the Kraken Futures profile makes, as the documentation has it, from the real ccxt class."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import Outcome, Step
from node.venues.profiles.krakenfutures.profile import KrakenFuturesProfile
from tests.support.krakenfutures import (
    API,
    CREDENTIALS,
    ONE,
    TWO,
    accounts,
    cancel,
    close,
    close_inverse,
    empty,
    ok,
    sent_status,
    sweep,
    venue,
)
from tests.support.venue import Sent, answer

HOST = "futures.kraken.com"
ID = "sabcdefgh234567abc"
ORDER = {
    "orderType": "mkt",
    "symbol": "PF_XBTUSD",
    "side": "sell",
    "size": "0.015",
    "reduceOnly": "true",
    "cliOrdId": ID,
}

STEPS: dict[str, tuple[Step, str, dict[str, str]]] = {
    "close a long": (close(), "sendorder", ORDER),
    "close a short": (
        close(side=PositionSide.SHORT, contracts=Decimal("1E+6")),
        "sendorder",
        {**ORDER, "side": "buy", "size": "1000000"},
    ),
    "close an isolated one": (close(isolated=True), "sendorder", ORDER),
    "close in hedge mode, which there is not": (close(hedged=True), "sendorder", ORDER),
    "close within a price": (
        close(limit_price=Decimal("60800.50")),
        "sendorder",
        {**ORDER, "orderType": "ioc", "limitPrice": "60800.5"},
    ),
    "close an inverse one": (
        close_inverse(),
        "sendorder",
        {**ORDER, "symbol": "PI_XBTUSD", "size": "8000"},
    ),
    "close an inverse short within a price": (
        close_inverse(side=PositionSide.SHORT, limit_price=Decimal("61200.0")),
        "sendorder",
        {**ORDER, "symbol": "PI_XBTUSD", "side": "buy", "size": "8000", "orderType": "ioc", "limitPrice": "61200"},
    ),
    "cancel one": (cancel(ONE), "cancelorder", {"order_id": ONE}),
    "cancel one stop": (cancel(ONE, trigger=True), "cancelorder", {"order_id": ONE}),
    "cancel several": (
        cancel(ONE, TWO, slice_name="inverse"),
        "batchorder",
        {"json": {"batchOrder": [{"order": "cancel", "order_id": ONE}, {"order": "cancel", "order_id": TWO}]}},  # type: ignore[dict-item]
    ),
    "sweep": (sweep(), "cancelallorders", {"symbol": "PF_XBTUSD"}),
    "sweep stops": (sweep(trigger=True, slice_name="inverse"), "cancelallorders", {"symbol": "PI_XBTUSD"}),
}


def authent(sent: Sent, path: str) -> str:
    """By guides/futures-rest: post data and endpoint path, hashed, then signed with the decoded secret."""
    hashed = hashlib.sha256((sent.raw + path).encode()).digest()
    return base64.b64encode(hmac.new(base64.b64decode(CREDENTIALS["secret"]), hashed, hashlib.sha512).digest()).decode()


def is_signed(sent: Sent) -> bool:
    """With the key, and nothing of anybody else's."""
    path = sent.path.removeprefix("/derivatives")
    return (sent.headers.get("apikey"), sent.headers.get("authent")) == (CREDENTIALS["apiKey"], authent(sent, path))


@pytest.mark.parametrize("name", STEPS)
async def test_steps(name: str) -> None:
    """Method, address and parameters; one request a step."""
    step, path, params = STEPS[name]
    async with venue() as (account, fetch):
        await account.execute(step)
        sent = fetch.only
        assert sent.line == ("POST", HOST, f"{API}/{path}")
        asked = {key: json.loads(value) if key == "json" else value for key, value in sent.params.items()}
        assert asked == params
        assert is_signed(sent)


async def test_many_cancels_go_in_batches_that_leave_together() -> None:
    """Fifty in each, none twice, none forgotten."""
    ids = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(120))
    async with venue() as (account, fetch):
        await account.execute(cancel(*ids))
        batches = [json.loads(sent.params["json"])["batchOrder"] for sent in fetch.sent]
        assert [len(batch) for batch in batches] == [50, 50, 20]
        assert [each["order_id"] for batch in batches for each in batch] == list(ids)


@pytest.mark.parametrize("name", ["linear", "inverse"])
async def test_reads(name: str) -> None:
    """Orders first, then positions beside the wallets; stops are in the list of orders."""
    async with venue() as (account, fetch):
        empty(fetch)
        await account.read_proof(name)
        assert fetch.lines[0] == ("GET", HOST, f"{API}/openorders")
        assert sorted(fetch.lines[1:]) == [("GET", HOST, f"{API}/accounts"), ("GET", HOST, f"{API}/openpositions")]
        assert all(is_signed(sent) and sent.raw == "" for sent in fetch.sent)


async def test_markets_clock_and_key() -> None:
    """What arming asks; nothing by ccxt on its own account."""
    contract = {
        "symbol": "PF_XBTUSD",
        "type": "flexible_futures",
        "tickSize": 1,
        "contractSize": 1,
        "tradeable": True,
        "contractValueTradePrecision": 4,
    }
    async with venue(warm_sockets=1) as (account, fetch):
        account._shelf.books.clear()
        fetch.answers = {
            f"{API}/instruments": ok(
                instruments=[contract, {**contract, "symbol": "PI_XBTUSD", "type": "futures_inverse"}]
            ),
            f"{API}/instruments/PF_XBTUSD/status": ok(tradeable="PF_XBTUSD"),
            "/api/auth/v1/api-keys/v3/check": answer(
                {
                    "apiKey": CREDENTIALS["apiKey"],
                    "permissions": {"general": "FULL_ACCESS", "transfer": "NO_ACCESS"},
                    "allowedCidrBlocks": ["192.168.0.0/16"],
                }
            ),
        }
        await account.arm()
        instruments = ("GET", HOST, f"{API}/instruments")
        assert sorted(fetch.lines) == [
            ("GET", HOST, "/api/auth/v1/api-keys/v3/check"),
            instruments,  # of both kinds
            ("GET", HOST, f"{API}/instruments/PF_XBTUSD/status"),
        ]
        checked = next(sent for sent in fetch.sent if "auth" in sent.path)
        assert checked.headers["authent"] == authent(checked, checked.path)
        assert not any("authent" in sent.headers for sent in fetch.sent if sent is not checked)
        facts = account.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == (True, False, True)
        assert account.clock_offset_ms() is not None
        assert account.slices_of("BTC/USD:USD") == ("linear",)


@pytest.mark.parametrize(
    ("permissions", "blocks", "said"),
    [
        ({"general": "READ_ONLY", "transfer": "FULL_ACCESS"}, [], (False, True, False)),
        ({"general": "NO_ACCESS", "transfer": "READ_ONLY"}, ["0.0.0.0/0"], (False, False, False)),
        ({"general": "FULL_ACCESS", "transfer": "NO_ACCESS"}, None, (True, False, None)),
    ],
)
def test_what_a_key_may_do(permissions: Any, blocks: Any, said: Any) -> None:
    """Transfers take coins out of the account."""
    profile = KrakenFuturesProfile()
    facts = profile.key_facts(profile.key_calls()[0], {"permissions": permissions, "allowedCidrBlocks": blocks})
    assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == said


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """And is content when the venue has looked for it."""
    async with venue(permission=Permission.CANCEL) as (account, fetch):
        fetch.default = ok(cancelStatus={"status": "notFound", "receivedTime": "2026-03-02T06:10:31.954Z"})
        assert (await account.probe()).outcome is Outcome.DONE
        assert fetch.only.line == ("POST", HOST, f"{API}/cancelorder")
        assert fetch.only.params == {"order_id": "00000000-0000-1000-8000-000000000000"}


async def test_the_test_environment_has_hosts_of_its_own() -> None:
    """All of them."""
    async with venue(sandbox=True) as (account, fetch):
        empty(fetch)
        fetch.default = sent_status("placed")
        await account.read_proof("linear")
        await account.execute(close())
        await account.arm()
        assert {sent.host for sent in fetch.sent} == {"demo-futures.kraken.com"}
        assert any(sent.path.startswith("/api/auth/") for sent in fetch.sent)


async def test_what_requests_cost() -> None:
    """By .../guides/futures-rate-limits: 500 units in ten seconds."""
    profile = KrakenFuturesProfile()
    costs = {
        path: sum(charge.units for call in profile.calls(step, MarketKind.LINEAR) for charge in call.charges)
        for step, path, _ in STEPS.values()
    }
    assert costs == {"sendorder": 10, "cancelorder": 10, "batchorder": 11, "cancelallorders": 25}
    async with venue() as (account, fetch):
        empty(fetch, accounts=accounts())
        await account.read_proof("linear")
        assert account.budget_left()["derivatives"] == pytest.approx(1 - 6 / 500, abs=0.01)


def test_only_derivatives_can_be_configured() -> None:
    """The spot exchange is another venue."""
    from node.venues import factory
    from node.venues.options import VenueOptions

    options = VenueOptions(exchange="krakenfutures", credentials=CREDENTIALS, slices=("spot",))
    assert factory.check(options) == ["slices: krakenfutures has no 'spot'; it has linear, inverse"]
