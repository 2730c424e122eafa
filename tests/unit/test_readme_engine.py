"""The README's examples for engines, run as they are written there."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import ccxt
import pytest

import node.client
from node.client import EngineLock
from tests.support.guarded import ACCOUNT, MARKETS, OPTIONS, PERPETUAL, NodeLock

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeLock:
    """A node's, found where the examples look."""

    def there(runtime_dir: str, account_id: str) -> EngineLock:
        assert (runtime_dir, account_id) == ("/run/sovereign-node", str(ACCOUNT))
        return EngineLock(tmp_path, account_id)

    monkeypatch.setattr(node.client, "EngineLock", there)
    return NodeLock(tmp_path)


def example(title: str) -> dict[str, Any]:
    """The names that an example leaves behind."""
    (code,) = re.findall(rf"```python\n(# {re.escape(title)}\n.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, title, "exec"), names)  # noqa: S102 - our own README
    return names


def test_a_plain_ccxt_bot(lock: NodeLock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It enters while it may, not while it may not, and not by a decision from before; it can always leave."""
    made: list[Bybit] = []

    class Bybit(ccxt.bybit):  # type: ignore[misc]
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__({**config, "enableRateLimit": False, "options": OPTIONS["bybit"]})
            self.set_markets(json.loads(json.dumps(MARKETS)))
            self.placed: list[str] = []
            made.append(self)

        def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            if method == "POST":
                self.placed.append(body)
                return {"retCode": 0, "result": {"orderId": "1"}}
            return {"retCode": 0, "result": {"category": "linear", "list": [{"symbol": "BTCP", "lastPrice": "50000"}]}}

    monkeypatch.setattr(ccxt, "bybit", Bybit)
    bot = example("A plain ccxt bot.")
    (exchange,) = made
    enter: Callable[..., Any] = bot["enter"]
    assert enter(PERPETUAL, lambda ticker: 1)["id"] == "1"
    assert len(exchange.placed) == 1

    def signal_while_somebody_locks_and_unlocks(_ticker: object) -> float:
        lock.lock()
        lock.unlock()
        return 1

    assert enter(PERPETUAL, signal_while_somebody_locks_and_unlocks) is None
    lock.lock()
    assert enter(PERPETUAL, lambda ticker: 1) is None
    assert capsys.readouterr().out.count("no entry: ") == 2
    assert len(exchange.placed) == 1
    assert bot["leave"](PERPETUAL, 1)["id"] == "1"
    assert '"reduceOnly":true' in exchange.placed[1]


def test_a_freqtrade_strategy(lock: NodeLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook has the documented signature and is called as freqtrade calls it, which takes an exception for a yes."""
    documented = {
        "pair": "BTC/USDT",
        "order_type": "limit",
        "amount": 1.0,
        "rate": 50000.0,
        "time_in_force": "GTC",
        "current_time": datetime.now(UTC),
        "entry_tag": None,
        "side": "long",
    }

    class IStrategy:
        """Of freqtrade/strategy/interface.py, as far as it matters here."""

        def confirm_trade_entry(
            self,
            pair: str,
            order_type: str,
            amount: float,
            rate: float,
            time_in_force: str,
            current_time: datetime,
            entry_tag: str | None,
            side: str,
            **kwargs: Any,
        ) -> bool:
            return True

    module = ModuleType("freqtrade.strategy")
    module.IStrategy = IStrategy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "freqtrade", ModuleType("freqtrade"))
    monkeypatch.setitem(sys.modules, "freqtrade.strategy", module)
    strategy = example("A freqtrade strategy.")["LockedStrategy"]()
    own, hook = inspect.signature(IStrategy().confirm_trade_entry), inspect.signature(strategy.confirm_trade_entry)
    assert list(hook.parameters) == list(own.parameters)

    def confirmed() -> bool:
        try:
            return bool(strategy.confirm_trade_entry(**documented))
        except Exception:  # noqa: BLE001 - as freqtrade does
            return True  # default_retval=True

    assert confirmed()
    lock.lock()
    assert not confirmed()
    lock.unlock()
    assert confirmed()
    for file in lock.engine_files:
        file.write_bytes(b"\xff")
    assert not confirmed()
    for file in lock.engine_files:
        file.unlink()
    assert not confirmed()
