"""Every request that the Kraken profile makes, as the documentation has it, from the real ccxt class."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from ccxt import async_support

from node.domain.permission import Permission
from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import Outcome, Step
from node.venues import factory
from node.venues.options import VenueOptions
from node.venues.profiles.kraken import line as kraken_line
from node.venues.profiles.kraken.profile import KrakenProfile
from tests.support.kraken import API, CREDENTIALS, ONE, TWO, cancel, close, empty, failed, ok, sell, sweep, venue
from tests.support.venue import RecordedFetch, Sent
from tests.support.waiting import until

HOST = "api.kraken.com"
ID = "sabcdefgh234567abc"
ORDER = {"pair": "XXBTZUSD", "volume": "0.50000000", "cl_ord_id": ID}
MARGIN = {**ORDER, "leverage": "2", "reduce_only": "true"}
#: What every private request carries besides what is asked.
SIGNING = {"nonce", "deadline"}

STEPS: dict[str, tuple[Step, str, Mapping[str, Any]]] = {
    "sell": (
        sell(quantity=Decimal("0.50000000")),
        "AddOrder",
        {**ORDER, "type": "sell", "ordertype": "limit", "timeinforce": "IOC", "price": "60000.1", "oflags": "fciq"},
    ),
    "close a long": (close(), "AddOrder", {**MARGIN, "type": "sell", "ordertype": "market"}),
    "close a short": (
        close(side=PositionSide.SHORT, contracts=Decimal("1E+3")),
        "AddOrder",
        {**MARGIN, "type": "buy", "ordertype": "market", "volume": "1000"},
    ),
    "close within a price": (
        close(limit_price=Decimal("59000.5")),
        "AddOrder",
        {**MARGIN, "type": "sell", "ordertype": "limit", "timeinforce": "IOC", "price": "59000.5"},
    ),
    "cancel one": (cancel(ONE), "CancelOrder", {"txid": ONE}),
    "cancel one stop": (cancel(ONE, trigger=True), "CancelOrder", {"txid": ONE}),
    "cancel several": (cancel(ONE, TWO), "CancelOrderBatch", {"orders": [ONE, TWO]}),
}


def asked(sent: Sent) -> dict[str, Any]:
    """Without what belongs to signing."""
    return {name: value for name, value in sent.params.items() if name not in SIGNING}


def is_signed(sent: Sent) -> bool:
    """By guides/spot-rest-auth: HMAC-SHA512 of path and SHA256(nonce + body), with the decoded secret."""
    digest = hashlib.sha256((str(sent.params["nonce"]) + sent.raw).encode()).digest()
    secret = base64.b64decode(CREDENTIALS["secret"])
    signature = base64.b64encode(hmac.new(secret, sent.path.encode() + digest, hashlib.sha512).digest()).decode()
    return (sent.headers.get("api-key"), sent.headers.get("api-sign")) == (CREDENTIALS["apiKey"], signature)


@pytest.mark.parametrize("name", STEPS)
async def test_steps(name: str) -> None:
    """Method, address and parameters; one request a step."""
    step, path, params = STEPS[name]
    async with venue() as (account, fetch):
        await account.execute(step)
        sent = fetch.only
        assert sent.line == ("POST", HOST, f"{API}/{path}")
        assert asked(sent) == params
        assert is_signed(sent)


def test_the_documented_signature() -> None:
    """The example of guides/spot-rest-auth: buy 1.25 XBTUSD at 37 500."""
    exchange = async_support.kraken({"apiKey": "k", "secret": CREDENTIALS["secret"]})
    exchange.incrementing_nonce = lambda: 1616492376594
    order = {"ordertype": "limit", "pair": "XBTUSD", "price": "37500", "type": "buy", "volume": "1.25"}
    assert exchange.sign("AddOrder", ["private"], "POST", order)["headers"]["API-Sign"] == (
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )


async def test_many_cancels_go_in_batches() -> None:
    """Fifty in each, none twice, none forgotten."""
    ids = tuple(f"O{number:05}-AAAAA-AAAAAA" for number in range(120))
    async with venue() as (account, fetch):
        await account.execute(cancel(*ids))
        assert [len(sent.document["orders"]) for sent in fetch.sent] == [50, 50, 20]
        assert [each for sent in fetch.sent for each in sent.document["orders"]] == list(ids)


async def test_a_market_is_not_swept() -> None:
    """CancelAll would take the orders of all markets."""
    async with venue() as (account, fetch):
        result = await account.execute(sweep())
        assert (result.outcome, result.sent_ns) == (Outcome.REFUSED, None)
        assert "have to be named" in (result.message or "")
        assert (await account.execute(close(contracts=Decimal(0)))).sent_ns is None
        assert fetch.sent == []


async def test_reads() -> None:
    """Orders first, then positions beside balances."""
    async with venue() as (account, fetch):
        empty(fetch)
        await account.read_proof("spot")
        assert [sent.path for sent in fetch.sent] == [f"{API}/OpenOrders", f"{API}/OpenPositions", f"{API}/BalanceEx"]
        assert all(is_signed(sent) and asked(sent) == {} and sent.method == "POST" for sent in fetch.sent)


async def test_a_sale_is_asked_after_by_its_client_id() -> None:
    """Among the closed orders."""
    async with venue() as (account, fetch):
        fetch.default = ok({"closed": {}, "count": 0})
        assert await account.filled(sell()) is False
        assert (fetch.only.path, asked(fetch.only)) == (f"{API}/ClosedOrders", {"cl_ord_id": ID})


async def test_quotes() -> None:
    """All in one request; of all markets if one of them is not known any more."""
    async with venue() as (account, fetch):
        row = {"a": ["52609.6", "1", "1"], "b": ["52609.5", "1", "1"]}
        fetch.in_turn = iter([failed("EQuery:Unknown asset pair"), ok({"XXBTZUSD": row, "OTHERUSD": row})])
        found = await account.quotes(["BTC/USD", "ETH/BTC", "NO/SUCH"])
        assert set(found) == {"BTC/USD"}
        assert [sent.line for sent in fetch.sent] == [("GET", HOST, "/0/public/Ticker")] * 2
        assert [sent.params for sent in fetch.sent] == [{"pair": "XETHXXBT,XXBTZUSD"}, {}]
        fetch.sent.clear()
        assert await account.quotes([]) == {}
        assert fetch.sent == []


async def test_markets_clock_and_key() -> None:
    """What arming asks; nothing by ccxt on its own account."""
    pair = {
        "altname": "XBTUSD",
        "base": "XXBT",
        "quote": "ZUSD",
        "lot_decimals": 8,
        "pair_decimals": 1,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
    }
    async with venue(warm_sockets=1) as (account, fetch):
        account._shelf.books.clear()
        fetch.answers = {
            "/0/public/AssetPairs": ok({"XXBTZUSD": pair}),
            "/0/public/Time": ok({"unixtime": int(time.time()), "rfc1123": ""}),
            f"{API}/GetApiKeyInfo": ok(
                {
                    "permissions": ["query-funds", "query-open-trades", "modify-trades", "close-trades"],
                    "ipAllowlist": ["192.0.2.1"],
                    "nonceWindow": "0",
                }
            ),
        }
        await account.arm()
        assert sorted(fetch.lines) == [
            ("GET", HOST, "/0/public/AssetPairs"),
            ("GET", HOST, "/0/public/Time"),
            ("POST", HOST, f"{API}/GetApiKeyInfo"),
        ]
        facts = account.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == (True, False, True)
        assert abs(account.clock_offset_ms() or 10_000) < 1500
        assert account.slices_of("BTC/USD") == ("spot",)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"permissions": ["withdraw-funds"], "ipAllowlist": []}, (False, True, False)),
        ({"permissions": None, "ipAllowlist": None}, (None, None, None)),
    ],
)
def test_what_a_key_may_do(info: Any, said: Any) -> None:
    """As far as it is told."""
    profile = KrakenProfile()
    facts = profile.key_facts(profile.key_calls()[0], {"error": [], "result": info})
    assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == said


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """And is content when the venue has looked for it."""
    async with venue(permission=Permission.CANCEL) as (account, fetch):
        fetch.default = failed("EOrder:Unknown order")
        assert (await account.probe()).outcome is Outcome.DONE
        assert (fetch.only.path, asked(fetch.only)) == (f"{API}/CancelOrder", {"txid": "OAAAAA-AAAAA-AAAAAA"})


async def test_an_order_that_nothing_bounds_does_not_come_late() -> None:
    """Eight seconds, by the venue's clock; what is reduce-only may come whenever it likes."""
    async with venue() as (account, fetch):
        account._client.ccxt.options["timeDifference"] = -60_000  # the venue is a minute ahead
        await account.execute(sell())
        await account.execute(close())
        sale, closing = fetch.sent
        deadline = datetime.fromisoformat(sale.params["deadline"]).timestamp()
        assert deadline == pytest.approx(time.time() + 68, abs=2)
        assert "deadline" not in closing.params


class Slow(RecordedFetch):
    """A venue that answers when it is told to."""

    #: Set by the test.
    may_answer: asyncio.Event

    async def __call__(self, *args: Any, **more: Any) -> object:
        """Take the request down, and wait."""
        found = await super().__call__(*args, **more)
        await self.may_answer.wait()
        return found


class TestLine:
    """Nonces have to arrive in order."""

    async def started(self, account: Any, count: int) -> tuple[Slow, list[asyncio.Task[Any]]]:
        slow = Slow(account._client.ccxt)
        slow.may_answer = asyncio.Event()
        slow.default = ok({"count": 1})
        account._client.send = slow
        return slow, [asyncio.create_task(account.execute(cancel(ONE))) for _ in range(count)]

    async def test_requests_wait_for_the_answer_before_them(self) -> None:
        """In the order in which they were signed."""
        async with venue() as (account, _):
            slow, tasks = await self.started(account, 3)
            await asyncio.sleep(0.02)
            assert len(slow.sent) == 1
            slow.may_answer.set()
            assert {result.outcome for result in await asyncio.gather(*tasks)} == {Outcome.DONE}
            nonces = [int(sent.params["nonce"]) for sent in slow.sent]
            assert nonces == sorted(set(nonces))

    async def test_but_not_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that is lost does not keep the others."""
        monkeypatch.setattr(kraken_line, "PATIENCE_S", 0.01)
        async with venue() as (account, _):
            slow, tasks = await self.started(account, 3)
            await until(lambda: len(slow.sent) == 3)
            slow.may_answer.set()
            await asyncio.gather(*tasks)

    async def test_nobody_waits_where_the_key_has_a_window(self) -> None:
        """As the venue says of the key."""
        for window, together in (("0", 1), ("999", 1), ("10000", 3)):
            async with venue() as (account, fetch):
                fetch.default = ok({"permissions": [], "ipAllowlist": [], "nonceWindow": window})
                await account._reader.key_facts()
                slow, tasks = await self.started(account, 3)
                await asyncio.sleep(0.02)
                assert len(slow.sent) == together
                slow.may_answer.set()
                await asyncio.gather(*tasks)

    async def test_whoever_gives_up_makes_room(self) -> None:
        """And what it has sent is broken off."""
        async with venue() as (account, _):
            slow, (first, second) = await self.started(account, 2)
            await asyncio.sleep(0.02)
            first.cancel()
            slow.may_answer.set()
            assert (await second).outcome is Outcome.DONE
            assert len(slow.sent) == 2

    async def test_public_requests_wait_for_nobody(self) -> None:
        """They carry no nonce."""
        async with venue() as (account, _):
            slow, tasks = await self.started(account, 1)
            await asyncio.sleep(0.02)
            asking = asyncio.create_task(account.quotes(["BTC/USD"]))
            await asyncio.sleep(0.02)
            assert [sent.method for sent in slow.sent] == ["POST", "GET"]
            slow.may_answer.set()
            asking.cancel()
            await asyncio.gather(asking, *tasks, return_exceptions=True)


async def test_what_requests_cost() -> None:
    """By the two guides to rate limits: reads of the key's counter, orders of the engine's."""
    profile = KrakenProfile()
    costs = {
        name: {(charge.bucket, charge.units) for charge in profile.calls(step, MarketKind.SPOT)[0].charges}
        for name, (step, _, _) in STEPS.items()
    }
    assert costs["sell"] == costs["close a long"] == {("engine", 1)}
    assert (costs["cancel one"], costs["cancel several"]) == ({("engine", 8)}, {("engine", 16)})
    async with venue() as (account, fetch):
        empty(fetch)
        await account.read_proof("spot")
        assert account.budget_left()["counter"] == pytest.approx(1 - 3 / 15, abs=0.02)


def test_there_is_no_test_environment() -> None:
    """And nothing but spot."""
    options = VenueOptions(exchange="kraken", credentials=CREDENTIALS, slices=("linear",), sandbox=True)
    assert factory.check(options) == [
        "sandbox: kraken has no test environment",
        "slices: kraken has no 'linear'; it has spot",
    ]
