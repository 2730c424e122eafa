"""Hyperliquid: what leaves, compared with the documented requests, field by field.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api (info endpoint, exchange endpoint, signing).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import coincurve
import pytest
from ccxt.static_dependencies import keccak
from ccxt.static_dependencies.msgpack import packb

from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import CancelSymbol, Outcome, Refusal, Step
from node.venues import factory
from node.venues.options import VenueOptions
from tests.support.hyperliquid_venue import (
    CLIENT_ID,
    CREDENTIALS,
    DEXS,
    FILLED,
    KEY,
    SIGNER,
    WALLET,
    InfoFetch,
    cancel,
    close,
    done,
    hyperliquid,
    sell,
)

MAIN = "api.hyperliquid.xyz"
#: The first 128 bits of the SHA-256 of our id.
CLOID = "0x394d1e873ac8b35cd129ce0876b47677"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"


def recovered(document: dict[str, Any], *, source: str = "a") -> str:
    """Whose signature it is, by the documented scheme: msgpack, nonce, vault, expiry; a phantom agent; EIP-712."""

    def hashed(data: bytes) -> bytes:
        return bytes(keccak.SHA3(data))

    data = packb(document["action"]) + document["nonce"].to_bytes(8, "big")
    vault = document.get("vaultAddress")
    data += b"\x01" + bytes.fromhex(vault[2:]) if vault else b"\x00"
    data += b"\x00" + document["expiresAfter"].to_bytes(8, "big")
    domain = hashed(
        hashed(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        + hashed(b"Exchange")
        + hashed(b"1")
        + (1337).to_bytes(32, "big")
        + bytes(32)
    )
    agent = hashed(hashed(b"Agent(string source,bytes32 connectionId)") + hashed(source.encode()) + hashed(data))
    digest = hashed(b"\x19\x01" + domain + agent)
    signature = document["signature"]
    parts = [int(signature[name], 16).to_bytes(32, "big") for name in ("r", "s")]
    signed = b"".join(parts) + bytes([signature["v"] - 27])
    public = coincurve.PublicKey.from_signature_and_message(signed, digest, hasher=None).format(compressed=False)
    return "0x" + hashed(public[1:])[-20:].hex()


def action(fetch: InfoFetch) -> dict[str, Any]:
    """The one action that left, its envelope checked."""
    sent = fetch.only
    assert sent.line == ("POST", MAIN, "/exchange")
    assert sent.headers["content-type"] == "application/json"
    assert sent.document.keys() == {"action", "nonce", "signature", "expiresAfter"}
    assert recovered(sent.document) == SIGNER
    found: dict[str, Any] = sent.document["action"]
    return found


def placed(**changes: Any) -> dict[str, Any]:
    """The documented action of a close."""
    fields = {"a": 1, "b": False, "p": "2836.6", "s": "0.0335", "r": True, "t": {"limit": {"tif": "Ioc"}}, "c": CLOID}
    return {"type": "order", "orders": [fields | changes], "grouping": "na"}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (close(), placed()),
        (close(isolated=True), placed()),
        (close(side=PositionSide.SHORT, limit_price=Decimal("2900")), placed(b=True, p="2900")),
        (close(market_id="xyz:TSLA", contracts=Decimal("3.100")), placed(a=110001, s="3.1")),
        (close(market_id="km:US500"), placed(a=120000)),
        (sell(), placed(a=10000, p="0.17342", s="100", r=False)),
        (sell(market_id="@142", limit_price=Decimal(60000)), placed(a=10142, p="60000", s="100", r=False)),
    ],
)
async def test_orders_are_one_signed_action_each(step: Step, expected: dict[str, Any]) -> None:
    """No builder, no referrer, no question before it; the order of the fields is what is signed."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = FILLED
        assert (await venue.execute(step)).outcome is Outcome.DONE
        sent = action(fetch)
        assert sent == expected
        assert list(sent) == ["type", "orders", "grouping"]
        assert list(sent["orders"][0]) == ["a", "b", "p", "s", "r", "t", "c"]


@pytest.mark.parametrize(
    ("price", "side", "written"),
    [
        ("2836.61", PositionSide.LONG, "2836.7"),  # a sale never below its limit, five significant figures
        ("2836.69", PositionSide.SHORT, "2836.6"),  # a purchase never above
        ("2836.6", PositionSide.LONG, "2836.6"),
        ("123456", PositionSide.LONG, "123456"),  # whole numbers may have more
        ("123456.5", PositionSide.LONG, "123457"),
        ("123456.5", PositionSide.SHORT, "123456"),
        ("100000", PositionSide.LONG, "100000"),
        ("99999.9", PositionSide.LONG, "100000"),
        ("0.0012345", PositionSide.LONG, "0.0012345"),
        ("0.00123456", PositionSide.SHORT, "0.0012345"),
        ("30.50", PositionSide.LONG, "30.5"),
    ],
)
async def test_prices_have_five_significant_figures_or_none_after_the_point(
    price: str, side: PositionSide, written: str
) -> None:
    """And are never worse than the limit."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = FILLED
        await venue.execute(close(limit_price=Decimal(price), side=side))
        assert action(fetch)["orders"][0]["p"] == written


@pytest.mark.parametrize("size", ["0.00001", "12345678901234567890.123456789012345", "7", "1.50000"])
async def test_sizes_are_the_venues_own_digits(size: str) -> None:
    """Never rounded, however many; without zeros at the end, which the venue would not sign."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = FILLED
        await venue.execute(close(contracts=Decimal(size)))
        written = action(fetch)["orders"][0]["s"]
        assert Decimal(written) == Decimal(size)
        assert not written.endswith("0") or "." not in written


async def test_ids_of_orders_are_hexadecimal_and_always_the_same() -> None:
    """128 bits of our own id."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = FILLED
        for client_id in (CLIENT_ID, CLIENT_ID, "sabcdefgh234567abd"):
            await venue.execute(close(client_order_id=client_id))
        first, again, other = (each.document["action"]["orders"][0]["c"] for each in fetch.sent)
        assert first == again == CLOID != other
        assert len(other) == 34


async def test_cancels_name_market_and_number() -> None:
    """Orders and triggers alike: they have the same numbers."""
    async with hyperliquid() as (venue, fetch):
        for step in (cancel("91490942", "7"), cancel("91490942", "7", trigger=True)):
            fetch.sent.clear()
            fetch.said["exchange"] = done("success", "success", kind="cancel")
            assert (await venue.execute(step)).outcome is Outcome.DONE
            assert action(fetch) == {"type": "cancel", "cancels": [{"a": 1, "o": 91490942}, {"a": 1, "o": 7}]}


async def test_many_cancels_are_actions_of_a_hundred() -> None:
    """All at once, each with its own nonce."""
    async with hyperliquid() as (venue, fetch):
        await venue.execute(cancel(*map(str, range(1, 251))))
        named = [[each["o"] for each in sent.document["action"]["cancels"]] for sent in fetch.sent]
        assert sorted(map(len, named)) == [50, 100, 100]
        assert sorted(number for each in named for number in each) == list(range(1, 251))
        assert len({sent.document["nonce"] for sent in fetch.sent}) == 3


async def test_twap_orders_are_cancelled_by_an_action_of_their_own() -> None:
    """One each."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = {"status": "ok", "response": {"type": "twapCancel", "data": {"status": "success"}}}
        assert (await venue.execute(cancel("twap-12", trigger=True))).outcome is Outcome.DONE
        assert action(fetch) == {"type": "twapCancel", "a": 1, "t": 12}


async def test_a_market_is_not_swept() -> None:
    """There is no action for it: orders are named, as the market's rules say."""
    async with hyperliquid() as (venue, fetch):
        step = CancelSymbol(slice="spot", symbol="PURR/USDC", market_id="PURR/USDC", trigger=False, seen=1)
        result = await venue.execute(step)
        assert (result.outcome, result.refusal, fetch.sent) == (Outcome.REFUSED, Refusal.OTHER, [])


async def test_an_action_expires_and_its_nonce_is_the_venues_time() -> None:
    """Without an expiry it could be carried out two days later."""
    async with hyperliquid() as (venue, fetch):
        exchange = venue._client.ccxt
        exchange.options["timeDifference"] = 60_000  # ours is a minute ahead
        now = exchange.milliseconds() - 60_000
        for _ in range(3):
            await venue.execute(close())
        nonces = [each.document["nonce"] for each in fetch.sent]
        assert nonces == sorted(set(nonces))
        assert all(abs(nonce - now) < 5000 for nonce in nonces)
        assert all(0 <= each.document["expiresAfter"] - now - 5000 < 5000 for each in fetch.sent)


async def test_the_window_is_configurable() -> None:
    """As everywhere: recvWindow."""
    async with hyperliquid(options={"recvWindow": 2000}) as (venue, fetch):
        await venue.execute(close())
        sent = fetch.only.document
        assert sent["expiresAfter"] - sent["nonce"] == 2000


async def test_the_test_environment_has_its_own_host_and_signature() -> None:
    """A signature for one is none for the other."""
    async with hyperliquid(sandbox=True) as (venue, fetch):
        await venue.execute(close())
        assert fetch.only.host == "api.hyperliquid-testnet.xyz"
        assert recovered(fetch.only.document, source="b") == SIGNER
        assert recovered(fetch.only.document) != SIGNER


async def test_a_vault_is_named_in_reads_and_actions_and_signed() -> None:
    """Sub-accounts and vaults have no keys of their own."""
    async with hyperliquid(options={"vaultAddress": VAULT}) as (venue, fetch):
        await venue.execute(close())
        assert fetch.only.document["vaultAddress"] == VAULT
        assert recovered(fetch.only.document) == SIGNER
        fetch.sent.clear()
        await venue.read_proof("linear")
        assert {each["user"] for each in fetch.asked() if each["type"] != "perpDexs"} == {VAULT}


async def test_what_is_signed_is_hashed_as_documented() -> None:
    """The vector of the venue's own SDK (tests/signing_test.py: the phantom agent of production)."""
    fields = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
    documented = {"type": "order", "orders": [fields], "grouping": "na"}
    async with hyperliquid() as (venue, _):
        found = venue._client.ccxt.action_hash(documented, None, 1677777606040)
        assert found.hex() == "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (close(limit_price=None), "no market orders"),
        (close(limit_price=Decimal(0)), "no market orders"),
        (close(hedged=True), "hedge"),
        (close(market_id="SOL"), "number of SOL is not known"),
        (cancel("1", market_id="new:COIN"), "number of new:COIN"),
        (cancel("abc"), "no number"),
        (sell(slice="linear"), "nothing that can be done"),
    ],
)
async def test_what_no_action_can_say_is_not_sent(step: Step, why: str) -> None:
    """And the result says why."""
    async with hyperliquid() as (venue, fetch):
        result = await venue.execute(step)
        assert (result.outcome, result.refusal, result.sent_ns, fetch.sent) == (
            Outcome.REFUSED,
            Refusal.OTHER,
            None,
            [],
        )
        assert why in (result.message or "")


async def test_reads_of_spot() -> None:
    """TWAP orders first, then the orders of all kinds, then the wallet."""
    async with hyperliquid() as (venue, fetch):
        await venue.read_proof("spot")
        assert fetch.asked() == [
            {"type": "twapHistory", "user": WALLET},
            {"type": "frontendOpenOrders", "user": WALLET},
            {"type": "spotClearinghouseState", "user": WALLET},
        ]
        assert {each.line for each in fetch.sent} == {("POST", MAIN, "/info")}


async def test_reads_of_perpetuals_ask_every_dex() -> None:
    """Orders before positions; and which dexs there are, with both."""
    async with hyperliquid() as (venue, fetch):
        await venue.read_proof("linear")
        orders = [{"type": "frontendOpenOrders", "user": WALLET, **dex} for dex in ({}, {"dex": "km"}, {"dex": "xyz"})]
        states = [{"type": "clearinghouseState", "user": WALLET, **dex} for dex in ({}, {"dex": "km"}, {"dex": "xyz"})]
        asked = fetch.asked()
        assert asked[0] == {"type": "twapHistory", "user": WALLET}
        assert asked[1:5] == [*orders, {"type": "perpDexs"}]
        assert sorted(map(str, asked[5:])) == sorted(map(str, [*states, *states, {"type": "perpDexs"}]))


async def test_positions_alone_are_one_cheap_request_a_dex() -> None:
    """Polled often."""
    async with hyperliquid() as (venue, fetch):
        assert (await venue.read_positions("linear")).positions_doubtful
        assert [each.get("dex", "") for each in fetch.asked()] == ["", "km", "xyz"]


async def test_a_dex_that_is_newer_than_the_list_of_markets_is_asked_too() -> None:
    """For its orders, and for its state."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["perpDexs"] = [*DEXS, {"name": "new"}, {"name": "newer"}]
        await venue.read_proof("linear")
        for kind in ("frontendOpenOrders", "clearinghouseState"):
            found = [each.get("dex", "") for each in fetch.asked() if each["type"] == kind]
            assert {"new", "newer"} <= set(found)


async def test_without_markets_every_dex_is_asked_all_the_same() -> None:
    """At the first start, before the lists of markets have been read."""
    async with hyperliquid(books={}) as (venue, fetch):
        venue._shelf.books.clear()
        await venue.read_proof("linear")
        found = [each.get("dex", "") for each in fetch.asked() if each["type"] == "frontendOpenOrders"]
        assert found == ["", "xyz", "km"]


@pytest.mark.parametrize(("dexs", "named"), [(["xyz"], "other than xyz"), ([], "builders' dexs")])
async def test_dexs_that_configuration_leaves_out_are_named(dexs: list[str], named: str) -> None:
    """And not asked."""
    async with hyperliquid(options={"dexs": dexs}) as (venue, fetch):
        assert named in venue.not_covered[0]
        await venue.read_proof("linear")
        assert {each.get("dex", "") for each in fetch.asked()} == {"", *dexs}
        assert "perpDexs" not in {each["type"] for each in fetch.asked()}


async def test_an_order_is_asked_after_by_its_cloid() -> None:
    """By client id, of the account."""
    async with hyperliquid() as (venue, fetch):
        await venue.filled(sell())
        assert fetch.asked() == [{"type": "orderStatus", "user": WALLET, "oid": CLOID}]


async def test_quotes_are_order_books() -> None:
    """By coin."""
    async with hyperliquid() as (venue, fetch):
        levels = [[{"px": "0.2", "sz": "1", "n": 1}], [{"px": "0.3", "sz": "1", "n": 1}]]
        for coin in ("PURR/USDC", "@142"):
            fetch.said[f"l2Book:{coin}"] = {"coin": coin, "time": 1, "levels": levels}
        found = await venue.quotes({"PURR/USDC", "BTC/USDC", "NOTHING/USDC"})
        assert sorted(found) == ["BTC/USDC", "PURR/USDC"]
        assert sorted(map(str, fetch.asked())) == sorted(
            map(str, ({"type": "l2Book", "coin": "PURR/USDC"}, {"type": "l2Book", "coin": "@142"}))
        )


async def test_the_probe_is_the_cancel_of_an_order_that_there_cannot_be() -> None:
    """On a perpetual market."""
    async with hyperliquid() as (venue, fetch):
        words = "Order was never placed, already canceled, or filled. asset=0"
        fetch.said["exchange"] = done({"error": words}, kind="cancel")
        assert (await venue.probe()).outcome is Outcome.DONE
        assert action(fetch) == {"type": "cancel", "cancels": [{"a": 0, "o": 9007199254740991}]}


async def test_the_clock_and_the_key() -> None:
    """One host; whose key, and which mode."""
    async with hyperliquid() as (venue, fetch):
        now = int(venue._client.ccxt.milliseconds()) + 5000
        fetch.said["exchangeStatus"] = {"time": now, "specialStatuses": None}
        await venue.keep_warm(1)
        assert fetch.asked() == [{"type": "exchangeStatus"}]
        assert abs((venue.clock_offset_ms() or 0) - 5000) < 500
        fetch.sent.clear()
        fetch.said |= {"userRole": {"role": "agent", "data": {"user": WALLET}}, "userAbstraction": "default"}
        await venue._read_key()
        assert fetch.asked() == [{"type": "userRole", "user": SIGNER}, {"type": "userAbstraction", "user": WALLET}]


async def test_lists_of_markets() -> None:
    """Spot's in one request, perpetuals dex by dex after the names of what they are margined in."""
    spot = {
        "tokens": [
            {"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0},
            {"name": "PURR", "szDecimals": 0, "weiDecimals": 5, "index": 1},
        ],
        "universe": [{"name": "PURR/USDC", "tokens": [1, 0], "index": 0, "isCanonical": True}],
    }
    meta = {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 50}], "collateralToken": 0}
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {"spotMeta": spot, "meta": meta}
        await venue._reader.markets(MarketKind.SPOT)
        assert fetch.asked() == [{"type": "spotMeta"}]
        fetch.sent.clear()
        await venue._reader.markets(MarketKind.LINEAR)
        assert fetch.asked() == [
            {"type": "spotMeta"},
            {"type": "perpDexs"},
            {"type": "meta"},
            {"type": "meta", "dex": "xyz"},
            {"type": "meta", "dex": "km"},
        ]


async def test_nothing_that_we_want_to_know_along_is_ever_sent() -> None:
    """Only documented fields leave."""
    async with hyperliquid() as (venue, fetch):
        for name in ("spot", "linear"):
            await venue.read_slice(name)
        assert all(each.keys() <= {"type", "user", "dex"} for each in fetch.asked())


async def test_no_secret_leaves() -> None:
    """The key signs and stays."""
    async with hyperliquid() as (venue, fetch):
        await venue.execute(close())
        await venue.read_slice("spot")
        assert KEY[2:] not in json.dumps([each.raw for each in fetch.sent])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"credentials": {"walletAddress": "0x12", "privateKey": KEY}}, "walletAddress"),
        ({"credentials": {"walletAddress": WALLET, "privateKey": "0xzz"}}, "privateKey"),
        ({"credentials": {"walletAddress": WALLET}}, "privateKey"),
        ({"options": {"vaultAddress": "me"}}, "vaultAddress"),
        ({"options": {"subAccountAddress": VAULT}}, "subAccountAddress"),
        ({"options": {"dexs": "xyz"}}, "dexs"),
        ({"options": {"dexs": ["XYZ:TSLA"]}}, "dexs"),
        ({"options": {"recvWindow": 10}}, "recvWindow"),
        ({"options": {"recvWindow": 60000}}, "recvWindow"),
        ({"options": {"account": "portfolio"}}, "account"),
        ({"slices": ("inverse",)}, "inverse"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said_before_anything_is_connected(
    changes: dict[str, Any], named: str
) -> None:
    """Each fault by name, and no secret in it."""
    faults = factory.check(VenueOptions(**({"exchange": "hyperliquid", "credentials": CREDENTIALS} | changes)))
    assert len(faults) == 1
    assert named in faults[0]
    assert KEY[2:] not in faults[0]
