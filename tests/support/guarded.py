"""Guarded exchanges of the real ccxt classes, which send nothing: what would have left is written down."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import ccxt
import ccxt.async_support
import ccxt.pro

from node.client import EngineLock, guard
from node.clock import SystemClock, boot_id
from node.domain.lock import AccountLock
from node.engine.lock_ledger import LockLedger
from node.observe.lock_files import LockFileDirectory

ACCOUNT = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
PERPETUAL, SPOT = "BTC/USDT:USDT", "BTC/USDT"
CREDENTIALS = {
    "apiKey": "k",
    "secret": "c2VjcmV0",
    "password": "p",
    "uid": "1",
    "walletAddress": "0x" + "1" * 40,
    "privateKey": "0x" + "2" * 64,
}
_COMMON: dict[str, Any] = {
    "base": "BTC",
    "quote": "USDT",
    "baseId": "BTC",
    "quoteId": "USDT",
    "active": True,
    "margin": False,
    "option": False,
    "future": False,
    "taker": 0.001,
    "maker": 0.001,
    "precision": {"amount": 0.001, "price": 0.1},
    "limits": {each: {"min": None, "max": None} for each in ("amount", "price", "cost", "leverage")},
    "info": {"orderTypes": ["LIMIT", "MARKET", "STOP_MARKET"]},
}
MARKETS: list[dict[str, Any]] = [
    {**_COMMON, "id": "BTCS", "symbol": SPOT, "type": "spot", "spot": True, "swap": False, "contract": False},
    {
        **_COMMON,
        "id": "BTCP",
        "baseId": "0",
        "symbol": PERPETUAL,
        "type": "swap",
        "spot": False,
        "swap": True,
        "contract": True,
        "linear": True,
        "inverse": False,
        "settle": "USDT",
        "settleId": "USDT",
        "contractSize": 1,
    },
]


#: What ccxt would ask the venue before its first order.
OPTIONS: dict[str, dict[str, Any]] = {
    "bybit": {"enableUnifiedMargin": True, "enableUnifiedAccount": True, "unifiedMarginStatus": 6},
    "kucoin": {"uta": False},
    "hyperliquid": {"builderFee": False, "refSet": True, "approvedBuilderFee": True},
    "gate": {"unifiedAccount": False},
    "bitget": {"uta": False},
}


class NothingAnswers(ccxt.ExchangeError):  # type: ignore[misc]  # ccxt has no types
    """What a request meets, once it is written down."""


class NodeLock:
    """A node's lock of one account: its ledger and its file, without the node."""

    def __init__(self, runtime_dir: Path) -> None:
        self._files = LockFileDirectory(runtime_dir / "locks")
        self._files.prepare()
        self._ledger = LockLedger([ACCOUNT], node_id="n", boot_id=boot_id(), clock=SystemClock())
        self.engine = EngineLock(runtime_dir, ACCOUNT)
        self.set(AccountLock(account_id=ACCOUNT, epoch=7))

    @property
    def engine_files(self) -> list[Path]:
        """Where engines look."""
        return [self._files.path_of(ACCOUNT)]

    @property
    def epoch(self) -> int:
        """The lock's."""
        return self._ledger.get(ACCOUNT).epoch

    def set(self, lock: AccountLock) -> None:
        """As the node does it."""
        self._ledger.adopt(lock)
        self._files.write(ACCOUNT, self._ledger.document(ACCOUNT))

    def lock(self) -> None:
        """LOCK."""
        now = SystemClock().now()
        self.set(self._ledger.get(ACCOUNT).latch(by="desk", reason="drawdown", at=now))

    def unlock(self) -> None:
        """UNLOCK."""
        lock = self._ledger.get(ACCOUNT)
        self.set(lock.unlock(lock.epoch, by="desk", reason=None, at=SystemClock().now()))


@dataclass(slots=True)
class Sent:
    """What left a guarded exchange."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)


def exchange_of(
    name: str | type, lock: EngineLock, *, library: Any = ccxt, base_currency: str | None = None, **options: Any
) -> tuple[Any, Sent]:
    """A guarded exchange that knows one perpetual and one spot market."""
    kind = getattr(library, name) if isinstance(name, str) else name
    settings = {**CREDENTIALS, "enableRateLimit": False, "options": OPTIONS.get(kind.__name__, {}), **options}
    made, sent = kind(settings), Sent()

    def fetch(url: str, method: str = "GET", headers: object = None, body: object = None) -> object:
        sent.requests.append((method, url, str(body or "")))
        raise NothingAnswers(url)

    async def fetch_later(url: str, method: str = "GET", headers: object = None, body: object = None) -> object:
        return fetch(url, method, headers, body)

    made.fetch = fetch if made.synchronous else fetch_later
    made.set_markets(json.loads(json.dumps(MARKETS)))
    return guard(made, lock, base_currency=base_currency), sent
