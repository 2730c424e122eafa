"""How long a close is expected to take."""

from __future__ import annotations

from uuid import UUID

from node.domain.command import Action
from node.domain.estimate import HISTORY, estimated_execution_ms
from node.domain.track_record import TrackRecord

ACCOUNT, OTHER = UUID(int=1), UUID(int=2)


class TestFromHistory:
    def test_is_the_95th_percentile(self) -> None:
        """One of twenty may take longer."""
        assert estimated_execution_ms([*map(float, range(19)), 900.0]) == 18

    def test_is_the_longest_of_a_few(self) -> None:
        """Fewer than twenty cannot support more."""
        assert estimated_execution_ms([300.0, 900.0, 200.0]) == 900

    def test_forgets_what_is_old(self) -> None:
        """A line that has become better is believed in the end."""
        assert estimated_execution_ms([9000.0, *[10.0] * HISTORY]) == 10

    def test_counts_for_more_than_any_drill(self) -> None:
        """It was measured."""
        assert estimated_execution_ms([300.0], 5000.0) == 300


class TestWithoutHistory:
    def test_is_the_first_drill_that_foresaw_something(self) -> None:
        """Others only where that one is missing."""
        assert estimated_execution_ms([], 250.0, 700.0) == 250
        assert estimated_execution_ms([], None, 700.0) == 700

    def test_is_nothing_where_there_is_nothing(self) -> None:
        """No guess."""
        assert estimated_execution_ms([]) is None
        assert estimated_execution_ms([], None) is None


class TestTrackRecord:
    def test_keeps_accounts_and_actions_apart(self) -> None:
        """A FLATTEN takes longer than a CLOSE_ALL, and one venue longer than another."""
        record = TrackRecord()
        record.closed(ACCOUNT, Action.CLOSE_ALL, 100.0)
        record.closed(ACCOUNT, Action.FLATTEN, 900.0)
        assert record.estimated_ms(ACCOUNT, Action.CLOSE_ALL) == 100
        assert record.estimated_ms(ACCOUNT, Action.FLATTEN) == 900
        assert record.estimated_ms(OTHER, Action.CLOSE_ALL) is None

    def test_goes_by_the_drill_of_the_same_action_first(self) -> None:
        """However old; by the newest other drill of the account where there is none."""
        record = TrackRecord()
        record.drilled(ACCOUNT, Action.FLATTEN, 800.0)
        assert record.estimated_ms(ACCOUNT, Action.CLOSE_ALL) == 800
        record.drilled(ACCOUNT, Action.CLOSE_ALL, 150.0)
        record.drilled(ACCOUNT, Action.FLATTEN, 850.0)
        assert record.estimated_ms(ACCOUNT, Action.CLOSE_ALL) == 150
        assert record.estimated_ms(ACCOUNT, Action.FLATTEN) == 850

    def test_keeps_no_more_than_the_estimate_needs(self) -> None:
        """A daemon runs for years."""
        record = TrackRecord()
        record.closed(ACCOUNT, Action.CLOSE_ALL, *[9000.0] * 10, *[20.0] * HISTORY)
        assert record.estimated_ms(ACCOUNT, Action.CLOSE_ALL) == 20
