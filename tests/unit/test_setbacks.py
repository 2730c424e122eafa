"""Why a slice does not get on, when it is given up, and how patiently it waits."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from node.domain.steps import CancelOrders, ConvertAsset, Outcome, Refusal, Step, StepResult
from node.engine.setbacks import DENIALS_FOR_GOOD, DENIED_FOR_GOOD_AFTER_NS, PAUSE_MAX_S, RESPITE_MAX_S, Setbacks
from node.errors import VenueDenied, VenueLimited, VenueUnavailable
from tests.support.fake_venue import LINEAR

CANCEL = CancelOrders(slice=LINEAR, symbol="BTC/USDT:USDT", market_id="BTCUSDT", order_ids=("1",), trigger=False)
CONVERT = ConvertAsset(slice=LINEAR, asset="DOGE", into="USDT", quantity=Decimal(1), least_received=Decimal(1))


class SetClock:
    """A clock that is set by hand."""

    ns = 0

    def now(self) -> datetime:
        return datetime(2026, 11, 25, tzinfo=UTC)

    def monotonic_ns(self) -> int:
        return self.ns

    def boottime_ns(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> SetClock:
    """At zero."""
    return SetClock()


@pytest.fixture
def setbacks(clock: SetClock) -> Setbacks:
    """None yet."""
    return Setbacks(LINEAR, clock)


def ended(
    refusal: Refusal | None,
    step: Step = CANCEL,
    *,
    outcome: Outcome = Outcome.REFUSED,
    retry_after_s: float | None = None,
) -> StepResult:
    """How a step ended."""
    return StepResult(step=step, outcome=outcome, refusal=refusal, retry_after_s=retry_after_s)


def code(setbacks: Setbacks) -> str | None:
    """Of the newest trouble."""
    return setbacks.trouble.code if setbacks.trouble else None


def test_a_key_is_given_up_when_it_was_refused_often_and_for_long(setbacks: Setbacks, clock: SetClock) -> None:
    """Neither alone is enough; by reads as by steps."""
    for _ in range(DENIALS_FOR_GOOD + 1):
        setbacks.refused([ended(Refusal.DENIED)])
    assert not setbacks.denied
    clock.ns += DENIED_FOR_GOOD_AFTER_NS
    setbacks.read_failed(VenueDenied("no"))
    assert (setbacks.denied, setbacks.given_up) == (True, True)


def test_a_key_that_was_refused_seldom_is_not_given_up(setbacks: Setbacks, clock: SetClock) -> None:
    """Twice, far apart."""
    setbacks.read_failed(VenueDenied("no"))
    clock.ns += 2 * DENIED_FOR_GOOD_AFTER_NS
    setbacks.read_failed(VenueDenied("no"))
    assert not setbacks.denied


def test_what_is_taken_ends_a_denial(setbacks: Setbacks, clock: SetClock) -> None:
    """A person has mended it; the count begins anew."""
    told = []
    for results in ([ended(Refusal.PERMISSION)], [ended(None, outcome=Outcome.DONE), ended(Refusal.DENIED)]):
        setbacks.refused(results)
        told.append(setbacks.denied)
    assert told == [True, False]
    for _ in range(DENIALS_FOR_GOOD):
        setbacks.refused([ended(Refusal.DENIED)])
    clock.ns += DENIED_FOR_GOOD_AFTER_NS
    setbacks.proven()
    setbacks.refused([ended(Refusal.DENIED)])
    assert not setbacks.denied


def test_an_order_that_was_gone_and_a_conversion_that_is_not_to_be_had_are_no_trouble(setbacks: Setbacks) -> None:
    """Anything else is, and a proof ends it."""
    setbacks.refused([ended(Refusal.UNKNOWN_ORDER), ended(Refusal.PERMISSION, CONVERT)])
    assert (code(setbacks), setbacks.denied) == (None, False)
    setbacks.refused([ended(None, outcome=Outcome.AMBIGUOUS)])
    assert code(setbacks) == "AMBIGUOUS"
    setbacks.read_failed(VenueUnavailable("gone"))
    assert setbacks.idle_rounds == 1
    setbacks.proven()
    assert (code(setbacks), setbacks.idle_rounds) == (None, 0)


def not_asked() -> float:
    """Nobody borrows."""
    raise AssertionError("nothing had to be borrowed")


def test_pauses_grow_and_end_at_a_few_seconds(setbacks: Setbacks) -> None:
    """With jitter on the upper half."""
    for rounds, longest_s in ((0, 0.05), (3, 0.4), (30, PAUSE_MAX_S)):
        setbacks.idle_rounds = rounds
        assert longest_s / 2 <= setbacks.pause_s(0.0, not_asked) <= longest_s


def test_a_pause_lasts_as_long_as_the_venue_or_the_budget_wants(setbacks: Setbacks) -> None:
    """Once, where the venue said so; a minute at most, where its count or ours does."""
    setbacks.refused([ended(Refusal.RATE_LIMITED, retry_after_s=7.0), ended(Refusal.RATE_LIMITED, retry_after_s=9.0)])
    assert setbacks.pause_s(0.0, not_asked) == 9.0
    assert setbacks.pause_s(0.0, not_asked) < 1
    setbacks.read_failed(VenueLimited("wait", retry_after_s=11.0))
    assert setbacks.pause_s(0.0, not_asked) == 11.0
    assert setbacks.pause_s(20.0, lambda: 20.0) == 20.0
    assert setbacks.pause_s(1e6, lambda: 1e6) == RESPITE_MAX_S


def test_a_pause_that_the_budget_would_make_long_is_as_short_as_what_can_be_borrowed(setbacks: Setbacks) -> None:
    """Never shorter than patience alone, nor than the venue has said; and not borrowed where that is as long."""
    setbacks.idle_rounds = 3
    assert 0.2 <= setbacks.pause_s(60.0, lambda: 0.0) <= 0.4
    assert setbacks.pause_s(60.0, lambda: 9.0) == 9.0
    setbacks.read_failed(VenueLimited("wait", retry_after_s=11.0))
    assert setbacks.pause_s(60.0, lambda: 9.0) == 11.0
    setbacks.read_failed(VenueLimited("wait", retry_after_s=11.0))
    assert setbacks.pause_s(10.0, not_asked) == 11.0
