"""The real daemon on a machine whose wall clock is an hour off, and is set to the other side in mid-close."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from uuid import UUID

import pytest

from node.transport.issuer_key import IssuerKey
from tests.support.faked_clock import FakedClock
from tests.support.flood import flood, signed
from tests.support.processes import ACCOUNT, Document, Site, site
from tests.support.waiting import until

HOUR_S = 3600
#: Each request takes so long: a close is under way for seconds.
SLOW_MS = 200


def test_a_clock_that_is_wrong_and_is_set_under_way(tmp_path: Path) -> None:
    """It is said everywhere; commands over the broker are judged by the exchange's time; the operator's need none; a
    close in whose middle the clock is set, back and forward, is proven flat, and took as long as it took.
    """
    clock = FakedClock(tmp_path / "offset")
    clock.set(HOUR_S)
    with site(tmp_path) as made:
        made.start_simulator()
        made.start_daemon(ready=False, **clock.environment)
        shown = made.until(lambda shown: told(shown, "ahead of"))
        assert shown["ready"] is False
        made.until(lambda _shown: offset_s(made) == pytest.approx(-HOUR_S, abs=1))
        assert '"event": "clock_is_wrong"' in made.log("node")
        made.until(lambda shown: shown["accounts"][0]["state"] == "armed")

        made.faults(latency_ms=SLOW_MS)
        began_s = time.monotonic()
        _, accepted, error = made.call("send", "CLOSE_ALL", ACCOUNT)
        assert accepted["state"] in ("accepted", "running"), error
        clock.set(-HOUR_S)
        status, ending, error = made.call("watch", accepted["command_id"])
        took_ms = (time.monotonic() - began_s) * 1e3
        assert (status, ending["verdict"]) == (0, "flat_with_residue"), error
        assert 2 * SLOW_MS < ending["latency_ms"]["total"] < took_ms
        assert made.state()["counters"]["sign_flips"] == made.state()["counters"]["exposure_increases"] == 0
        made.faults(latency_ms=0)

        made.until(lambda shown: told(shown, "behind"))
        made.until(lambda _shown: offset_s(made) == pytest.approx(HOUR_S, abs=1))
        assert made.call("send", "LOCK", ACCOUNT, "--wait")[0] == 0
        # By the node's own clock this one is fresh.
        command_id = asyncio.run(published(made, age_s=HOUR_S))
        status, refused, _ = made.call("watch", command_id)
        assert (status, refused["errors"][0]["code"]) == (4, "EXPIRED")
        assert "by the exchanges' clock, from which ours is" in refused["errors"][0]["message"]

        clock.set(HOUR_S)
        made.until(lambda shown: told(shown, "ahead of"))
        # And this one came an hour late.
        key = ("--key", str(made.folder / "desk.key"))
        assert made.call("send", "CLOSE_ALL", ACCOUNT, "--via", "mqtt", *key, "--wait")[0] == 0


async def published(running: Site, *, age_s: float) -> str:
    """A CLOSE_ALL that was signed so long ago; its id."""
    envelope = signed(IssuerKey.load(running.folder / "desk.key"), UUID(ACCOUNT), age_s=age_s)
    async with flood(running.broker.port, "desk") as desk:
        desk.write(f"sn/v1/acme/cmd/{ACCOUNT}", envelope)
        await until(lambda: desk.answered == 1)
    claims = envelope.split(b".")[1]
    command_id = str(json.loads(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))["jti"])
    await until(lambda: command_id in running.log("node"))
    return command_id


def told(shown: Document, direction: str) -> bool:
    """Whether the status says on which side the clock is."""
    return any(reason.startswith("clock: ") and f"s {direction} the exchanges" in reason for reason in shown["reasons"])


def offset_s(running: Site) -> float | None:
    """The exchange's clock less the node's, as Prometheus would read it; None: no sample has been taken yet."""
    name = 'sovereign_node_venue_clock_offset_seconds{account="binance-main"} '
    found = [line for line in running.metrics().splitlines() if line.startswith(name)]
    return float(found[0].removeprefix(name)) if found else None
