"""Who may act at the simulated Hyperliquid: signatures, agents, nonces, and what serves nobody but a third party."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

from node.sim.hyperliquid.canonical import canonical
from node.sim.hyperliquid.signing import action_hash, agent_digest, recover, sign, user_signed_digest
from node.sim.hyperliquid.wallets import address, agent_key, credentials, master_address, master_key
from node.sim.orders import Origin
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.hyperliquid_client import hyperliquid_client
from tests.support.sim_clients import redirected_session

BTC = "BTC/USDC:USDC"
REDUCE = {"reduceOnly": True}
KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
ORDER = {"a": 1, "b": True, "p": "100", "s": "100", "r": False, "t": {"limit": {"tif": "Gtc"}}}
STOP = ORDER | {"t": {"trigger": {"isMarket": True, "triggerPx": "103", "tpsl": "sl"}}}


def batch(*orders: dict[str, Any]) -> dict[str, Any]:
    """An order action."""
    return {"type": "order", "orders": list(orders), "grouping": "na"}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The demo account."""
    async with serve(venue="hyperliquid") as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with loaded markets."""
    async with hyperliquid_client(simulator) as exchange:
        await exchange.load_markets()
        yield exchange


class TestVectors:
    """Those of hyperliquid-python-sdk, ``tests/signing_test.py``."""

    def test_the_phantom_agent_of_a_production_order(self) -> None:
        order = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
        assert (
            action_hash(batch(order), 1677777606040).hex()
            == "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"
        )

    @pytest.mark.parametrize(
        ("action", "vault", "source", "r", "s", "v"),
        [
            (
                {"type": "dummy", "num": 100000000000}, None, "a",
                "53749d5b30552aeb2fca34b530185976545bb22d0b3ce6f62e31be961a59298",
                "755c40ba9bf05223521753995abb2f73ab3229be8ec921f350cb447e384d8ed8", 27,
            ),
            (
                {"type": "dummy", "num": 100000000000}, None, "b",
                "542af61ef1f429707e3c76c5293c80d01f74ef853e34b76efffcb57e574f9510",
                "17b8b32f086e8cdede991f1e2c529f5dd5297cbe8128500e00cbaf766204a613", 28,
            ),
            (
                {"type": "dummy", "num": 100000000000}, "0x1719884eb866cb12b2287399b15f7db5e7d775ea", "a",
                "3c548db75e479f8012acf3000ca3a6b05606bc2ec0c29c50c515066a326239",
                "4d402be7396ce74fbba3795769cda45aec00dc3125a984f2a9f23177b190da2c", 28,
            ),
            (
                batch(ORDER), None, "a",
                "d65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
                "2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e", 28,
            ),
            (
                batch(ORDER | {"c": "0x00000000000000000000000000000001"}), None, "a",
                "41ae18e8239a56cacbc5dad94d45d0b747e5da11ad564077fcac71277a946e3",
                "3c61f667e747404fe7eea8f90ab0e76cc12ce60270438b2058324681a00116da", 27,
            ),
            (
                batch(STOP), None, "a",
                "98343f2b5ae8e26bb2587daad3863bc70d8792b09af1841b6fdd530a2065a3f9",
                "6b5bb6bb0633b710aa22b721dd9dee6d083646a5f8e581a20b545be6c1feb405", 27,
            ),
            (
                {"type": "scheduleCancel"}, None, "a",
                "6cdfb286702f5917e76cd9b3b8bf678fcc49aec194c02a73e6d4f16891195df9",
                "6557ac307fa05d25b8d61f21fb8a938e703b3d9bf575f6717ba21ec61261b2a0", 27,
            ),
            (
                {"type": "scheduleCancel", "time": 123456789}, None, "a",
                "609cb20c737945d070716dcc696ba030e9976fcf5edad87afa7d877493109d55",
                "16c685d63b5c7a04512d73f183b3d7a00da5406ff1f8aad33f8ae2163bab758b", 28,
            ),
        ],
    )  # fmt: skip
    def test_signatures(self, action: dict[str, Any], vault: str | None, source: str, r: str, s: str, v: int) -> None:
        digest = agent_digest(action_hash(action, 0, vault), source)
        signature = {"r": f"0x{r}", "s": f"0x{s}", "v": v}
        assert sign(digest, KEY) == signature
        assert recover(digest, signature) == address(KEY)

    def test_an_action_that_moves_money(self) -> None:
        action = {
            "destination": "0x5e9ee1089755c3435139848e47e6635505d5a13a", "amount": "1", "time": 1687816341423,
            "signatureChainId": "0x66eee", "hyperliquidChain": "Testnet",
        }  # fmt: skip
        signature = {
            "r": "0x637b37dd731507cdd24f46532ca8ba6eec616952c56218baeff04144e4a77073",
            "s": "0x11a6a24900e6e314136d2592e2f8d502cd89b7c15b198e1bee043c9589f9fad7",
            "v": 27,
        }
        assert recover(user_signed_digest("usdSend", action), signature) == address(KEY)


class TestCanonical:
    """The venue packs what it understood, not what it was sent."""

    @pytest.mark.parametrize(
        "order",
        [
            ORDER | {"p": "100.0"},
            ORDER | {"s": "100.00"},
            {"b": True, "a": 1, "p": "100", "s": "100", "r": False, "t": {"limit": {"tif": "Gtc"}}},
            ORDER | {"surplus": 1},
        ],
    )
    def test_another_writing_is_another_signer(self, order: dict[str, Any]) -> None:
        """Needless zeros, another order of the fields, a field too many: a stranger's address comes out."""
        signature = sign(agent_digest(action_hash(batch(order), 1)), KEY)
        assert recover(agent_digest(action_hash(canonical(batch(order)), 1)), signature) != address(KEY)

    def test_what_is_right_stays(self) -> None:
        for action in (batch(ORDER, STOP), {"type": "cancel", "cancels": [{"a": 1, "o": 2}]}):
            assert action_hash(canonical(action), 1) == action_hash(action, 1)


async def act(simulator: Simulator, action: dict[str, Any], private_key: str, **more: Any) -> Any:
    """Send a signed action as no ccxt would; its HTTP status and body."""
    nonce = more.pop("nonce", time.time_ns() // 1_000_000)
    signature = sign(
        agent_digest(action_hash(action, nonce, more.get("vaultAddress"), more.get("expiresAfter"))), private_key
    )
    async with redirected_session(simulator) as session:
        body = {"action": action, "nonce": nonce, "signature": signature, **more}
        async with session.post("https://api.hyperliquid.xyz/exchange", json=body) as response:
            text = await response.text()
    return (response.status, json.loads(text) if response.content_type == "application/json" else text)


SELL = {"a": 0, "b": False, "p": "60000", "s": "0.1", "r": True, "t": {"limit": {"tif": "Ioc"}}}


class TestWhoMayAct:
    async def test_the_owner_and_both_agents(self, simulator: Simulator) -> None:
        """Each for the same account; deeds are counted for the client or for the engine."""
        keys = [simulator.keys.find("demo", role) for role in (Origin.CLIENT, Origin.ENGINE)]
        for private_key in (master_key("demo"), *(agent_key(key) for key in keys if key is not None)):
            status, answer = await act(simulator, batch(SELL), private_key)
            assert (status, answer["response"]["data"]["statuses"][0]["filled"]["totalSz"]) == (200, "0.1")
        assert simulator.account.counters.orders_placed == 2
        assert simulator.account.engine_counters.orders_placed == 1

    async def test_a_wrong_signature_is_a_stranger(self, simulator: Simulator, client: Any) -> None:
        """The recovered address is named, and it is nobody's; ccxt calls it an invalid order."""
        client.privateKey = KEY
        with pytest.raises(ccxt.InvalidOrder, match=f"User or API Wallet {address(KEY)} does not exist"):
            await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
        assert simulator.account.counters.orders_placed == 0

    async def test_a_changed_action(self, simulator: Simulator) -> None:
        """What was signed is not what is asked for."""
        nonce = time.time_ns() // 1_000_000
        signature = sign(agent_digest(action_hash(batch(SELL), nonce)), master_key("demo"))
        async with redirected_session(simulator) as session:
            body = {"action": batch(SELL | {"s": "1"}), "nonce": nonce, "signature": signature}
            async with session.post("https://api.hyperliquid.xyz/exchange", json=body) as response:
                answer = await response.json()
        assert answer["status"] == "err"
        assert "does not exist" in answer["response"]

    async def test_a_revoked_agent(self, simulator: Simulator, client: Any) -> None:
        """The same as an unknown one; reads go on, since nobody signs for them."""
        simulator.set_faults(revoke_key="demo")
        with pytest.raises(ccxt.InvalidOrder, match="does not exist"):
            await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
        assert len(await client.fetch_positions()) == 20
        assert await client.publicPostInfo({"type": "userRole", "user": address(client.privateKey)}) == {
            "role": "missing"
        }

    async def test_the_agents_of_an_account(self, simulator: Simulator, client: Any) -> None:
        """They can be asked for; what an agent's own address holds is nothing, and no error."""
        agents = await client.publicPostInfo({"type": "extraAgents", "user": client.walletAddress})
        mine = address(client.privateKey)
        assert {agent["name"] for agent in agents} == {"client", "engine"}
        assert mine in {agent["address"] for agent in agents}
        role = await client.publicPostInfo({"type": "userRole", "user": mine})
        assert role == {"role": "agent", "data": {"user": client.walletAddress}}
        assert (await client.publicPostInfo({"type": "userRole", "user": client.walletAddress}))["role"] == "user"
        client.walletAddress = mine
        assert await client.fetch_positions() == []
        assert await client.fetch_open_orders() == []

    async def test_a_vault_and_a_deadline(self, simulator: Simulator) -> None:
        """There are no vaults; a deadline that has passed is minded."""
        _, answer = await act(simulator, batch(SELL), master_key("demo"), vaultAddress="0x" + "12" * 20)
        assert answer == {"status": "err", "response": "Vault not registered: 0x" + "12" * 20}
        _, answer = await act(simulator, batch(SELL), master_key("demo"), expiresAfter=1)
        assert answer == {"status": "err", "response": "Action already expired"}

    async def test_what_cannot_be_read(self, simulator: Simulator) -> None:
        """HTTP 422 and plain text."""
        assert await act(simulator, {"type": "order", "orders": [{}]}, KEY) == (
            422,
            "Failed to deserialize the JSON body into the target type",
        )
        async with redirected_session(simulator) as session:
            for path, body in (
                ("exchange", b"{"),
                ("exchange", b"{}"),
                ("info", b'{"type":"nothing"}'),
                ("info", b"["),
            ):
                async with session.post(f"https://api.hyperliquid.xyz/{path}", data=body) as response:
                    assert (response.status, response.content_type) == (422, "text/plain")


class TestNonces:
    async def test_used_twice(self, simulator: Simulator) -> None:
        """Of one signer; another may use the same."""
        nonce = time.time_ns() // 1_000_000
        key = simulator.keys.find("demo")
        assert key is not None
        assert (await act(simulator, batch(SELL), master_key("demo"), nonce=nonce))[1]["status"] == "ok"
        _, answer = await act(simulator, batch(SELL), master_key("demo"), nonce=nonce)
        assert answer == {"status": "err", "response": f"Invalid nonce: duplicate nonce {nonce}"}
        assert (await act(simulator, batch(SELL), agent_key(key), nonce=nonce))[1]["status"] == "ok"

    @pytest.mark.parametrize(
        ("hours", "answer"), [(-47, None), (-49, "nonce too low"), (23, None), (25, "nonce too high")]
    )
    async def test_the_window(self, simulator: Simulator, client: Any, hours: int, answer: str | None) -> None:
        """Two days back, one ahead: a clock may be quite wrong."""
        simulator.set_faults(clock_offset_ms=-hours * 3_600_000)
        order = client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
        if answer is None:
            assert (await order)["filled"] == 0.1
        else:
            with pytest.raises(ccxt.ExchangeError, match=answer):
                await order

    async def test_older_than_the_hundred_highest(self, simulator: Simulator) -> None:
        """Only so many are remembered; anything below them is refused."""
        state = simulator.handler.front_end.state  # type: ignore[attr-defined]
        now_ms = simulator.clock.now_ms()
        for step in range(100):
            state.nonces.take(master_address("demo"), now_ms + step, now_ms)
        _, answer = await act(simulator, batch(SELL), master_key("demo"), nonce=now_ms - 1)
        assert answer["response"] == f"Invalid nonce: nonce too low {now_ms - 1} < {now_ms}"


class TestThirdParties:
    """What ccxt sends by itself, and how it is kept from it."""

    async def test_the_clean_client_sends_nothing_of_it(self, simulator: Simulator) -> None:
        """Over everything that a kill switch does: one signed action each, no builder, no referrer."""
        async with hyperliquid_client(simulator) as client:
            await client.load_markets()
            for dex in ("", "xyz", "hyna"):
                await client.fetch_positions(None, {"dex": dex})
                orders = await client.fetch_open_orders(None, None, None, {"dex": dex})
                named = [{"id": order["id"], "symbol": order["symbol"]} for order in orders]
                await client.cancel_orders_for_symbols(named)
            await client.fetch_balance({"type": "spot"})
            await client.create_order(BTC, "market", "sell", 1.25, 64000, REDUCE)
            await client.create_orders(
                [{"symbol": "BTC/USDC", "type": "market", "side": "sell", "amount": 0.8, "price": 64000, "params": {}}]
            )
        sent = simulator.journal.entries(path_prefix="/exchange")
        assert [entry.params["type"] for entry in sent] == ["cancel", "cancel", "cancel", "order", "order"]
        assert not any("builder" in json.loads(entry.params["action"]) for entry in sent)
        assert simulator.account.counters.forbidden == 0

    async def test_the_usual_client_sends_both(self, simulator: Simulator) -> None:
        """An agent cannot approve a fee, so the order goes without one; the referrer is set all the same."""
        async with hyperliquid_client(simulator, clean=False) as client:
            await client.load_markets()
            await client.create_order(BTC, "market", "sell", 0.25, 64000, REDUCE)
        sent = [entry.params["type"] for entry in simulator.journal.entries(path_prefix="/exchange")]
        assert {"setReferrer", "approveBuilderFee", "order"} <= set(sent)
        assert simulator.account.counters.forbidden >= 1

    async def test_with_the_owners_key_every_order_pays(self, simulator: Simulator) -> None:
        """The approval succeeds, and the builder is in the order."""
        async with hyperliquid_client(simulator, clean=False, privateKey=master_key("demo")) as client:
            await client.load_markets()
            await client.create_order(BTC, "market", "sell", 0.25, 64000, REDUCE)
        (order,) = (e for e in simulator.journal.entries(path_prefix="/exchange") if e.params["type"] == "order")
        assert json.loads(order.params["action"])["builder"]["f"] == 10
        assert simulator.account.counters.forbidden == 3

    async def test_a_builder_that_was_not_approved(self, simulator: Simulator) -> None:
        """The order is refused, and counted."""
        action = batch(SELL) | {"builder": {"b": "0x" + "ab" * 20, "f": 10}}
        _, answer = await act(simulator, action, master_key("demo"))
        assert answer == {"status": "err", "response": "Builder fee has not been approved."}
        assert simulator.account.counters.forbidden == 1


async def test_credentials_survive_a_reset(simulator: Simulator) -> None:
    """The account's address follows from its name, the agent's key from the ring."""
    before = simulator.credentials()
    simulator.reset()
    assert simulator.credentials() == before
    key = simulator.keys.find("demo", Origin.ENGINE)
    assert key is not None
    assert credentials(key)["walletAddress"] == before["walletAddress"] == master_address("demo")
    assert credentials(key)["privateKey"] != before["privateKey"]
