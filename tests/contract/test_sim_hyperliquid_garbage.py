"""Whatever is sent to the simulated Hyperliquid is answered as it would be: never with an exception of its own."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from node.sim.hyperliquid.canonical import canonical
from node.sim.hyperliquid.front_end import HYPERLIQUID
from node.sim.hyperliquid.signing import action_hash, agent_digest, sign
from node.sim.hyperliquid.wallets import master_address, master_key
from node.sim.simulator import Simulator
from node.sim.venue import NO_EFFECTS

ADDRESS, KEY = master_address("demo"), master_key("demo")
ORDER = {
    "a": 0, "b": False, "p": "60000", "s": "0.01", "r": True, "t": {"limit": {"tif": "Ioc"}}, "c": "0x" + "ab" * 16,
}  # fmt: skip
STOP = ORDER | {"t": {"trigger": {"isMarket": True, "triggerPx": "61000", "tpsl": "sl"}}}
ACTIONS = (
    {"type": "order", "orders": [ORDER, STOP], "grouping": "na", "builder": {"b": "0x" + "11" * 20, "f": 1}},
    {"type": "cancel", "cancels": [{"a": 0, "o": 1}]},
    {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": "0x12"}]},
    {"type": "batchModify", "modifies": [{"oid": 1, "order": ORDER}]},
    {"type": "scheduleCancel", "time": 1},
    {"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 3},
)
READS = (
    {"type": "orderStatus", "user": ADDRESS, "oid": 1},
    {"type": "userFillsByTime", "user": ADDRESS, "startTime": 1, "endTime": 2},
    {"type": "frontendOpenOrders", "user": ADDRESS, "dex": ""},
    {"type": "l2Book", "coin": "BTC"},
)
JUNK: tuple[Any, ...] = (None, True, -1, 10**30, 1.5, "", "x", "0x", [], {}, [[]], "NaN", "1e400", {"limit": None})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def spoiled(document: Any, chance: random.Random) -> Any:
    """The document with one thing replaced or gone."""
    document = copy.deepcopy(document)
    *path, last = chance.choice(list(places(document)))
    inner = document
    for key in path:
        inner = inner[key]
    if isinstance(inner, dict) and chance.random() < 0.25:
        del inner[last]
    else:
        inner[last] = chance.choice(JUNK)
    return document


def signed(action: Any, nonce: int) -> dict[str, Any]:
    """The action in the owner's hand, as far as it can be signed."""
    try:
        digest = agent_digest(action_hash(canonical(action), nonce))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        digest = bytes(32)
    return {"action": action, "nonce": nonce, "signature": sign(digest, KEY)}


@pytest.mark.parametrize("seed", range(2))
def test_garbage(seed: int) -> None:
    """HTTP 200, 422, or 500 for a name that nobody has."""
    simulator = Simulator(HYPERLIQUID, enforce_limits=False)
    chance = random.Random(seed)  # noqa: S311 - the same at every run
    front_end, now_ms, statuses = simulator.handler.front_end, simulator.clock.now_ms(), set()
    for number in range(200):
        body = signed(spoiled(chance.choice(ACTIONS), chance), now_ms + number)
        requests = [("/exchange", spoiled(body, chance) if number % 5 == 0 else body)]
        requests.append(("/info", spoiled(chance.choice(READS), chance)))
        for path, document in requests:
            request = front_end.parse("POST", "api.hyperliquid.xyz", path, {}, json.dumps(document).encode())
            statuses.add(front_end.answer(request, NO_EFFECTS).status)
    assert statuses == {200, 422, 500}
