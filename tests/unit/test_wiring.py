"""What only the composition root can forget."""

from __future__ import annotations

import gc
from pathlib import Path

from node import app, settings
from node.garbage import THRESHOLDS
from node.secrets import Secrets
from tests.support.engine import ACCOUNT


async def test_the_collector_is_out_of_the_way_of_a_running_node(tmp_path: Path) -> None:
    """Passes come seldom, and none while orders are about to leave."""
    state, run = tmp_path / "state", tmp_path / "run"
    for path in (state, run):
        path.mkdir(mode=0o700)
    parsed = settings.parse(
        {
            "node": {
                "id": "node-1",
                "tenant": "acme",
                "state_dir": str(tmp_path / "state"),
                "runtime_dir": str(tmp_path / "run"),
            },
            "owners": [{"id": "acme"}],
            "accounts": [
                {
                    "id": str(ACCOUNT),
                    "name": "main",
                    "owner": "acme",
                    "exchange": "binance",
                    "permission": "close",
                    "base_currency": "USDT",
                    "credentials": {"apiKey": {"credential": "key"}, "secret": {"credential": "secret"}},
                    "connect_to": "127.0.0.1:9",
                }
            ],
        }
    )
    async with app.running(parsed, Secrets.resolve(parsed, {"KEY": "a", "SECRET": "b"})) as node:
        assert gc.get_threshold() == THRESHOLDS
        node.dispatcher.actors[ACCOUNT].context.departures.announce(ACCOUNT, ["linear"])
        assert not gc.isenabled()
    assert gc.isenabled()
