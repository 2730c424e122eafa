"""The simulator as a program of its own: command line, ready line, control port, signals."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client

ENTRY = """
import argparse, sys
from node.sim.command import add_arguments
parser = argparse.ArgumentParser()
add_arguments(parser.add_subparsers())
options = parser.parse_args()
sys.exit(options.run(options))
"""


async def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """One request to the control port."""
    async with aiohttp.ClientSession() as session:
        data = None if body is None else json.dumps(body)
        async with session.request(method, f"http://127.0.0.1:{port}{path}", data=data) as answer:
            return answer.status, await answer.json()


async def test_command_line(tmp_path: Path) -> None:
    """One JSON line when it serves, TLS with the CA it names, the same keys for the same seed, status 0 on SIGTERM."""
    arguments = ["sim", "serve", "--port", "0", "--control", "0", "--ca-dir", str(tmp_path / "ca"), "--seed", "7"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENTRY, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 10))
        assert (ready["ready"], ready["venue"]) == (True, "binance")
        (account,) = ready["accounts"]
        assert account["name"] == "demo"
        context = ssl.create_default_context(cafile=ready["ca"])
        async with aiohttp.ClientSession() as session:
            url = f"https://127.0.0.1:{ready['port']}/fapi/v1/ping"
            async with session.get(url, ssl=context, headers={"Host": "fapi.binance.com"}) as answer:
                assert (answer.status, await answer.json()) == (200, {})
        status, state = await ask(ready["control"], "GET", "/state")
        assert (status, state["scenario"]) == (200, "demo")
        async with serve(seed=7) as twin:
            assert twin.credentials() == account["credentials"]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, errors) == (0, b"")


class TestControlPort:
    async def test_state(self, simulator: Simulator) -> None:
        """Everything by account, sizes as decimal strings."""
        _, state = await ask(simulator.control_port, "GET", "/state")
        account = state["accounts"]["demo"]
        assert account["balances"]["spot"]["SOL"] == {"free": "80", "locked": "40", "borrowed": "0", "interest": "0"}
        assert {"symbol": "BTCUSD_PERP", "quantity": "250"}.items() <= account["positions"][-2].items()
        assert (len(account["orders"]), len(account["algo_orders"])) == (8, 5)
        assert set(account["counters"].values()) == {0}

    async def test_requests(self, simulator: Simulator) -> None:
        """Every request with its times, and no secret in it."""
        async with binance_client(simulator) as client:
            await client.load_markets()
            await client.create_order("BTC/USDT:USDT", "market", "sell", 0.25, None, {"reduceOnly": True})
        _, document = await ask(simulator.control_port, "GET", "/requests?method=POST&path_prefix=/fapi")
        (entry,) = document["requests"]
        assert (entry["path"], entry["host"], entry["key"], entry["status"]) == (
            "/fapi/v1/order",
            "fapi.binance.com",
            "demo/client",
            200,
        )
        assert 0 <= entry["answered_ns"] - entry["arrived_ns"] < 1_000_000_000
        assert (entry["params"]["quantity"], len(entry["order_ids"])) == ("0.25", 1)
        assert "signature" not in json.dumps(document)
        assert simulator.credentials()["apiKey"] not in json.dumps(document)

    async def test_faults(self, simulator: Simulator) -> None:
        """What is set is shown; what is misspelt or names nothing is refused and changes nothing."""
        port = simulator.control_port
        rule = {"match": {"method": "POST"}, "times": 2, "do": {"rate_limit": {"retry_after": 3}}}
        status, faults = await ask(port, "POST", "/faults", {"latency_ms": 20, "rules": [rule]})
        assert (status, faults["latency_ms"][0]["ms"], faults["rules"][0]["do"]["deed"]) == (200, 20, "rate_limit")
        for wrong in ({"latncy_ms": 5}, {"rules": [{"do": "explode"}]}, {"prices": {"NOPE": "1"}, "latency_ms": 99}):
            status, _ = await ask(port, "POST", "/faults", wrong)
            assert status == 400
        status, faults = await ask(port, "POST", "/faults", {"clear": True})
        assert (faults["rules"], faults["latency_ms"]) == ([], [])

    async def test_reset(self, simulator: Simulator) -> None:
        """Another scenario, with the keys that accounts already have."""
        port = simulator.control_port
        before = simulator.credentials("demo")
        status, ready = await ask(port, "POST", "/reset", {"scenario": "desk"})
        assert status == 200
        assert [account["name"] for account in ready["accounts"]] == ["demo", "hedge", "basis", "empty"]
        assert ready["accounts"][0]["credentials"] == before
        async with binance_client(simulator, account="basis") as client:
            assert len(await client.fetch_positions()) == 3
        assert (await ask(port, "POST", "/reset", {"scenario": "nope"}))[0] == 400
        await ask(port, "POST", "/reset")
        assert (simulator.scenario, simulator.journal.entries()) == ("desk", [])
