"""A clock that is wrong: it is said, and no duration or deadline goes by it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from node.domain.command import Action, CommandState, Door
from node.engine.account import ExecutionTerms
from node.engine.authority import Authority, Issuer
from node.observe.clock_watch import ClockWatch
from tests.support.deliveries import post_for
from tests.support.engine import ACCOUNT, engine, request
from tests.support.fake_venue import FakeVenue, position
from tests.support.virtual_time import VirtualClock, in_virtual_time

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
DESK = Issuer(id="desk", actions=frozenset(Action), accounts=None)
DEADLINE_S = 2.0
TERMS = ExecutionTerms(deadline_s=DEADLINE_S, settle_s=0.05)


class TestReport:
    @pytest.mark.parametrize(("skew", "said"), [(-HOUR, "3600 s ahead of"), (HOUR, "3600 s behind")])
    def test_what_is_wrong_is_said_in_words_and_logged_once(self, skew: timedelta, said: str) -> None:
        """At its beginning and at its end."""
        now: list[timedelta | None] = [None]
        watch = ClockWatch(lambda: now[0])
        with capture_logs() as logs:
            watch.look()
            assert (watch.ping(), logs) == (None, [])
            now[0] = skew
            watch.look()
            watch.look()
            assert said in str(watch.ping())
            now[0] = None
            watch.look()
        assert [(entry["event"], entry.get("ahead_s")) for entry in logs] == [
            ("clock_is_wrong", -skew.total_seconds()),
            ("clock_is_right_again", None),
        ]

    def test_a_command_that_is_refused_for_its_time_is_told_of_it(self) -> None:
        """With the code of its own kind: EXPIRED, or NOT_YET_VALID."""
        authority = Authority((DESK,), (ACCOUNT,), venue_offset=lambda: HOUR)
        times: dict[str, Any] = {
            "issued_at": NOW,
            "expires_at": NOW + timedelta(seconds=60),
            "issuer": "desk",
            "door": Door.MQTT,
        }
        rejection = authority.obstacle(request(Action.CLOSE_ALL, **times), NOW)
        assert rejection is not None
        assert rejection.code.value == "EXPIRED"
        assert "by the exchanges' clock, from which ours is 3600 s off" in rejection.message

    def test_within_the_tolerance_nothing_is_wrong(self) -> None:
        """Five seconds, either way; and where no venue has told its time."""
        offsets = [timedelta(seconds=5), timedelta(seconds=-5), None]
        authority = Authority((DESK,), (ACCOUNT,), venue_offset=offsets.pop)
        assert [authority.skew() for _ in range(3)] == [None, None, None]

    async def test_how_long_a_command_was_on_its_way_is_not_known_then(self) -> None:
        """Null, as everything that was not measured."""
        async with engine(FakeVenue(), issuers=(DESK,), venue_offset=HOUR) as node, post_for(node) as post:
            issued_at = datetime.now(UTC) + HOUR
            times: dict[str, Any] = {"issued_at": issued_at, "expires_at": issued_at + timedelta(seconds=60)}
            lock = request(Action.LOCK, issuer="desk", door=Door.MQTT, **times)
            post.deliver("1", lock)
            await post.until_acknowledged("1")
            assert (await node.ending(lock.command_id))["latency_ms"]["transport"] is None


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
class TestStepped:
    def test_in_the_middle_of_a_command_the_deadline_holds_and_durations_are_true(self, step: timedelta) -> None:
        """By the monotonic clock: incomplete when it is, not an hour early or late."""

        async def main(clock: VirtualClock) -> None:
            venue = FakeVenue(positions=[position("BTC/USDT:USDT", "1")])
            venue.answering.clear()
            async with engine(venue, execution=TERMS) as node:
                await node.armed()
                began_ns = clock.monotonic_ns()
                accepted = await node.submit(Action.CLOSE_ALL)
                await asyncio.sleep(DEADLINE_S / 2)
                clock.stepped = step
                command_id = accepted.document["command_id"]
                late = await node.until_state(command_id, CommandState.INCOMPLETE)
                after_s = (clock.monotonic_ns() - began_ns) / 1e9
                assert after_s == pytest.approx(DEADLINE_S, abs=0.1)
                assert late["latency_ms"]["total"] == pytest.approx(after_s * 1e3, abs=1)
                venue.answering.set()
                ending = await node.ending(command_id)
                took_ms = (clock.monotonic_ns() - began_ns) / 1e6
                assert (ending["state"], ending["verdict"]) == ("done", "flat")
                assert ending["latency_ms"]["total"] == pytest.approx(took_ms, abs=50)

        in_virtual_time(main)

    def test_the_operators_commands_need_no_clock(self, step: timedelta) -> None:
        """Nothing that comes over the socket has an expiry."""

        async def main(clock: VirtualClock) -> None:
            async with engine(FakeVenue(positions=[position("BTC/USDT:USDT", "1")]), execution=TERMS) as node:
                await node.armed()
                clock.stepped = step
                assert (await node.carried_out(Action.LOCK))["verdict"] == "locked"
                assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"

        in_virtual_time(main)
