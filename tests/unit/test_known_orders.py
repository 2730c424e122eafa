"""Which orders are still expected somewhere although a list leaves them out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from node.domain.round import without_cancelled
from node.domain.snapshot import OpenOrder, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, Outcome, Refusal, Step, StepResult
from node.engine.known_orders import TRIES_MAX, KnownOrders
from tests.support.fake_venue import LINEAR, order

BTC = "BTC/USDT:USDT"
CANCEL = CancelOrders(slice=LINEAR, symbol=BTC, market_id="BTCUSDT", order_ids=("1",), trigger=False)
SWEEP = CancelSymbol(slice=LINEAR, symbol=BTC, market_id="BTCUSDT", trigger=False, seen=1)


def read(*orders: OpenOrder) -> SliceSnapshot:
    """A whole read that lists these."""
    at = datetime(2026, 11, 25, tzinfo=UTC)
    return SliceSnapshot(slice=LINEAR, positions=(), orders=orders, balances=(), started_ns=1, ended_ns=2, read_at=at)


def missing(known: KnownOrders) -> list[str]:
    """What an empty list leaves out."""
    return [each.order_id for each in known.completed(read()).orders or ()]


def after(
    step: Step, outcome: Outcome, refusal: Refusal | None = None, *, sent: bool = True, times: int = 1
) -> list[str]:
    """What is still expected when two orders, one in each book, were seen and a step has ended so."""
    known = KnownOrders()
    known.saw([order(BTC, "1"), order(BTC, "2", trigger=True)], started_ns=1)
    for _ in range(times):
        known.ended(StepResult(step=step, outcome=outcome, refusal=refusal, sent_ns=1 if sent else None))
    return missing(known)


def test_what_was_seen_once_is_expected_and_what_is_listed_is_not_doubled() -> None:
    """Whether a whole read has shown it or somebody else's."""
    known = KnownOrders()
    known.completed(read(order(BTC, "1")))
    known.saw([order(BTC, "2")], started_ns=1)
    assert missing(known) == ["1", "2"]
    assert [each.order_id for each in known.completed(read(order(BTC, "1"))).orders or ()] == ["1", "2"]


def test_the_same_number_in_another_market_or_book_is_another_order() -> None:
    """Some venues number their orders by market."""
    known = KnownOrders()
    known.saw([order(BTC, "1"), order(BTC, "1", trigger=True), order("ETH/USDT:USDT", "1")], started_ns=1)
    known.ended(StepResult(step=CANCEL, outcome=Outcome.DONE))
    assert [(each.symbol, each.trigger) for each in known.completed(read()).orders or ()] == [
        (BTC, True),
        ("ETH/USDT:USDT", False),
    ]


@pytest.mark.parametrize("step", [CANCEL, SWEEP])
@pytest.mark.parametrize(("outcome", "refusal"), [(Outcome.DONE, None), (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)])
def test_what_is_cancelled_or_gone_is_expected_no_more(step: Step, outcome: Outcome, refusal: Refusal | None) -> None:
    """In its own book."""
    assert after(step, outcome, refusal) == ["2"]


@pytest.mark.parametrize(
    ("outcome", "refusal", "sent"),
    [
        (Outcome.AMBIGUOUS, None, True),
        (Outcome.REFUSED, Refusal.OVERLOADED, True),
        (Outcome.REFUSED, Refusal.RATE_LIMITED, True),
        (Outcome.REFUSED, Refusal.DENIED, True),
        (Outcome.REFUSED, Refusal.PERMISSION, True),
        (Outcome.REFUSED, Refusal.OTHER, False),
    ],
)
def test_what_says_nothing_about_the_order_uses_up_no_try(
    outcome: Outcome, refusal: Refusal | None, sent: bool
) -> None:
    """However often."""
    assert after(CANCEL, outcome, refusal, sent=sent, times=TRIES_MAX + 1) == ["1", "2"]


def test_what_the_venue_will_not_cancel_is_given_up_after_a_few_tries() -> None:
    """Then the list is believed."""
    assert after(CANCEL, Outcome.REFUSED, Refusal.OTHER, times=TRIES_MAX - 1) == ["1", "2"]
    assert after(CANCEL, Outcome.REFUSED, Refusal.OTHER, times=TRIES_MAX) == ["2"]


def test_an_order_is_known_as_it_was_seen_first() -> None:
    """A later list may show it half filled; its cancel is the same."""
    known = KnownOrders()
    known.saw([order(BTC, "1")], started_ns=1)
    known.saw([replace(order(BTC, "1"), symbol="BTCUSDT")], started_ns=1)
    assert [each.symbol for each in known.completed(read()).orders or ()] == [BTC]


def test_of_a_cancel_in_several_requests_what_is_gone_is_gone() -> None:
    """A budget that never takes all of them at once would otherwise be spent on the same ones for ever."""
    step = replace(CANCEL, order_ids=("1", "2", "3"))
    result = StepResult(
        step=step, outcome=Outcome.REFUSED, refusal=Refusal.RATE_LIMITED, sent_ns=1, gone=frozenset({"1", "3"})
    )
    known = KnownOrders()
    snapshot = read(*(order(BTC, order_id) for order_id in step.order_ids))
    known.completed(snapshot)
    known.ended(result)
    assert missing(known) == ["2"]
    assert [each.order_id for each in without_cancelled(snapshot, [result]).orders or ()] == ["2"]


@pytest.mark.parametrize(("started_ns", "expected"), [(4, []), (5, ["1"]), (6, ["1"])])
def test_a_list_that_was_asked_for_before_an_order_was_gone_brings_nothing_back(
    started_ns: int, expected: list[str]
) -> None:
    """Pages take a while: what they show may have been cancelled since they were asked for. A later list counts."""
    known = KnownOrders()
    known.saw([order(BTC, "1")], started_ns=1)
    known.ended(StepResult(step=CANCEL, outcome=Outcome.DONE, sent_ns=2, ended_ns=5))
    listed = replace(read(order(BTC, "1")), started_ns=started_ns, ended_ns=9)
    assert [each.order_id for each in known.completed(listed).orders or ()] == ["1"]
    assert missing(known) == expected
