"""A thousand junk messages a second on the command topic of the real daemon, and one good LOCK among them."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from uuid import UUID

import pytest

from node.domain.command import Action
from tests.support.flood import flood, kinds_of_junk, signed, target
from tests.support.mosquitto import PASSWORDS
from tests.support.processes import ACCOUNT
from tests.support.waiting import until

A_SECOND = 1000
FLOODING_S = 3.0
#: The flood has come to its full strength, and goes on long after.
LOCK_AFTER_S = 1.5
IN_EFFECT_WITHIN_S = 1.0


async def test_a_good_lock_is_in_effect_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through mosquitto with the shipped limits and access list: garbage, forged signatures, a known issuer's expired
    commands (journaled and answered each) and such as are as long as they may be, from a user who may write there.
    """
    monkeypatch.setenv("NOWHERE_KEY", "of no exchange")
    monkeypatch.setenv("MQTT_PASSWORD", PASSWORDS["node-1"])
    async with target(tmp_path) as node:
        kinds = kinds_of_junk(node.key, UUID(ACCOUNT))
        junk = [make() for make in itertools.islice(itertools.cycle(kinds.values()), int(A_SECOND * FLOODING_S))]
        before = node.lock()
        async with flood(node.port, "desk") as flooding:
            running = asyncio.create_task(flooding.run(node.topic, junk, a_second=A_SECOND), name="flood")
            await until(lambda: flooding.sent >= A_SECOND * LOCK_AFTER_S)
            assert not node.lock()["locked"]
            began_s = time.monotonic()
            flooding.write(node.topic, signed(node.key, UUID(ACCOUNT), Action.LOCK))  # behind all that was sent before
            await until(lambda: node.lock()["locked"])
            took_s = time.monotonic() - began_s
            assert flooding.sent < len(junk), "the flood was over by then: it has shown nothing"
            assert took_s < IN_EFFECT_WITHIN_S
            await running
            await until(lambda: flooding.answered == flooding.sent)
        assert node.lock()["epoch"] == before["epoch"] + 1
        # Refused, each of them, and with its code.
        each = len(junk) / len(kinds)
        await until(lambda: node.rejects() == {"MALFORMED": each, "BAD_SIGNATURE": 2 * each, "EXPIRED": each})
