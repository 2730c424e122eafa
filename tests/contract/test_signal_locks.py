"""The lock before signals: whatever is not certain is locked, and a lock that comes late still comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from node.client import EngineLock
from node.clock import SystemClock
from tests.support.signals import ACCOUNT, BEARER, WEBHOOK, SignalBench, signal_bench
from tests.support.waiting import until

LOCKED = (409, "ENGINE_LOCKED")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[SignalBench]:
    """A simulated Binance with money and nothing else, and an unlocked account."""
    async with signal_bench(tmp_path) as made:
        yield made


def order_requests(bench: SignalBench) -> int:
    """How many requests for an order have come to the exchange, whatever became of them."""
    return sum(
        len(bench.sim.journal.entries(method="POST", path_prefix=path))
        for path in ("/api/v3/order", "/fapi/v1/order", "/v5/order", "/v5/position", "/frontoffice/api/v3/orders")
    )


class TestLocked:
    async def test_a_locked_account_takes_no_alert(self, bench: SignalBench) -> None:
        """And says why; unlocked, it does again."""
        bench.locks.show(locked=True)
        answer = await bench.alert()
        assert (answer.refusal, order_requests(bench)) == (LOCKED, 0)
        assert "drawdown" in answer.json["message"]
        bench.locks.show(locked=False)
        assert (await bench.alert()).status == 200

    async def test_an_alert_that_was_refused_is_not_placed_by_its_repetition_after_the_unlock(
        self, bench: SignalBench
    ) -> None:
        same = str(uuid4())
        bench.locks.show(locked=True)
        assert (await bench.alert(deduplicationId=same)).refusal == LOCKED
        bench.locks.show(locked=False)
        assert ((await bench.alert(deduplicationId=same)).refusal, order_requests(bench)) == (LOCKED, 0)

    @pytest.mark.parametrize(
        "changes",
        [
            {"valid_until_boottime_ns": SystemClock().boottime_ns() - 1},
            {"boot_id": "another boot"},
            {"schema": "something/else"},
            {"account_id": "11111111-5f0a-4c52-9a1e-3d0f6f1d2a77"},
            {"locked": "false"},
            {"locked": None},
            {"epoch": None},
            {"valid_until_boottime_ns": "soon"},
        ],
    )
    async def test_a_lock_that_is_not_certain_is_locked(self, bench: SignalBench, changes: dict[str, Any]) -> None:
        """Stale, of another boot, of another account, of other types."""
        bench.locks.show(locked=False, written=changes)
        assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 0)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
    async def test_a_broken_file_is_locked(self, bench: SignalBench, content: bytes) -> None:
        bench.locks.path.write_bytes(content)
        assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 0)

    async def test_a_node_that_was_never_there_has_allowed_nothing(self, bench: SignalBench) -> None:
        bench.locks.path.unlink()
        assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 0)

    async def test_the_lock_of_another_node_does_not_count(self, tmp_path: Path) -> None:
        """An account may be another node's on this machine: that one's file is read."""
        async with signal_bench(tmp_path, node_runtime_dir=str(tmp_path / "other")) as bench:
            assert (await bench.alert()).refusal == LOCKED
            assert order_requests(bench) == 0

    async def test_prometheus_sees_it(self, bench: SignalBench) -> None:
        bench.locks.show(locked=True)
        value = bench.signals.metrics.registry.get_sample_value
        await until(lambda: value("sovereign_node_signals_account_locked", {"account": "main"}) == 1)


def instead(owner: object, name: str, before: Callable[[], None]) -> None:
    """Do something at the beginning of the next call of a method."""
    real: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def first(*arguments: Any, **named: Any) -> Any:
        setattr(owner, name, real)
        before()
        return await real(*arguments, **named)

    setattr(owner, name, first)


def at_request(bench: SignalBench, path: str, deed: Callable[[], None]) -> None:
    """Do something when a request is about to look for a connection: the check before it has passed already."""
    (pool,) = bench.signals.pools._pools.values()

    async def started(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestStartParams
    ) -> None:
        if params.method == "POST" and params.url.path.startswith(path):
            deed()

    config = aiohttp.TraceConfig()
    config.on_request_start.append(started)
    config.freeze()
    pool.session.trace_configs.append(config)


class TestRaces:
    async def test_a_lock_that_comes_while_the_alert_is_written_to_disk(self, bench: SignalBench) -> None:
        """After the first look at the lock, before the order."""
        instead(bench.signals.store, "leaving", lambda: bench.locks.show(locked=True))
        assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 0)

    async def test_a_lock_that_comes_while_the_connection_is_made(self, bench: SignalBench) -> None:
        """After everything of ours: not a byte of the order is written."""
        at_request(bench, "/api/v3/order", lambda: bench.locks.show(locked=True))
        assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 0)

    async def test_a_lock_that_was_lifted_meanwhile(self, bench: SignalBench) -> None:
        """The epoch has moved: the alert is from before."""

        def locked_and_unlocked() -> None:
            bench.locks.show(locked=True)
            bench.locks.show(locked=False)

        at_request(bench, "/api/v3/order", locked_and_unlocked)
        answer = await bench.alert()
        assert (answer.refusal, order_requests(bench)) == (LOCKED, 0)
        assert not EngineLock(bench.settings.signals.node_runtime_dir, ACCOUNT).locked

    async def test_a_lease_that_runs_out_meanwhile(self, bench: SignalBench) -> None:
        """The node has died between the first look and the order."""

        def stale() -> None:
            bench.locks.epoch -= 1
            bench.locks.show(locked=False, written={"valid_until_boottime_ns": SystemClock().boottime_ns() - 1})

        at_request(bench, "/api/v3/order", stale)
        assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 0)

    async def test_a_lock_that_comes_while_leverage_is_set(self, tmp_path: Path) -> None:
        """The order does not follow."""
        async with signal_bench(tmp_path, venue="bybit") as bench:
            bench.sim.set_faults(rules=[{"match": {"path_prefix": "/v5/position"}, "do": {"delay_ms": 200}}])
            alert = asyncio.create_task(bench.alert(symbol="perp.btc_usdt", leverage="5"))
            await until(lambda: bench.sim.journal.entries(method="POST", path_prefix="/v5/position"))
            bench.locks.show(locked=True)
            assert (await alert).refusal == LOCKED
            assert bench.sim.journal.entries(method="POST", path_prefix="/v5/order/create") == []

    async def test_a_lock_that_comes_after_the_order_does_not_make_it_look_refused(self, bench: SignalBench) -> None:
        """A class of ccxt's may ask something more about an order that it has placed."""
        ccxt = bench.signals.venues["main"]._client.ccxt
        real = ccxt.create_order

        async def order_and_look(*arguments: Any, **named: Any) -> Any:
            placed = await real(*arguments, **named)
            bench.locks.show(locked=True)
            await ccxt.fetch_time()
            return placed

        ccxt.create_order = order_and_look
        assert ((await bench.alert()).status, bench.placed) == (200, 1)

    async def test_a_lock_at_b2prime(self, tmp_path: Path) -> None:
        """Through our own class, with its tokens."""
        async with signal_bench(tmp_path, venue="b2prime") as bench:
            at_request(bench, "/frontoffice/api/v3/orders", lambda: bench.locks.show(locked=True))
            assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 0)

    async def test_a_key_that_is_revoked_meanwhile(self, bench: SignalBench) -> None:
        """As a lock: nothing leaves."""
        listed = (await bench.call("GET", f"{WEBHOOK}/api-keys", **BEARER)).json["apiKeys"]

        def revoke() -> None:
            held = bench.signals.keys._keys
            held[listed[0]["id"]] = replace(held[listed[0]["id"]], revoked_at=SystemClock().now())

        at_request(bench, "/api/v3/order", revoke)
        assert ((await bench.alert()).refusal, order_requests(bench)) == ((403, "KEY_REVOKED"), 0)

    async def test_an_order_that_is_at_the_exchange_when_the_lock_comes_is_the_guards(self, bench: SignalBench) -> None:
        """It is answered for what it is. (`tests/e2e/test_signals_process.py` shows the guard.)"""
        rule = {"match": {"method": "POST", "path_prefix": "/api/v3/order"}, "do": {"delay_ms": 200}}
        bench.sim.set_faults(rules=[rule])
        alert = asyncio.create_task(bench.alert(orderType="limit", price="60000"))
        await until(lambda: order_requests(bench))
        bench.locks.show(locked=True)
        assert (await alert).status == 200
        assert ((await bench.alert()).refusal, order_requests(bench)) == (LOCKED, 1)
