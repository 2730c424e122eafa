"""When a market of B2PRIME is open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from node.venues.b2prime import calendar

WEEK = {
    "timeZoneId": "America/New_York",
    "tradingSessions": [
        {"dayOfWeek": "Monday", "timeIntervals": [{"start": "09:30", "end": "16:00:00"}]},
        {"dayOfWeek": "Sunday", "timeIntervals": [{"start": "18:00", "end": "24:00"}]},
        {"dayOfWeek": "Thursday", "timeIntervals": [{"start": "22:00", "end": "02:00"}]},
    ],
    "sessionOverrides": [
        {"date": "2026-03-16", "timeIntervals": [{"start": "12:00", "end": "13:00"}]},
        {"date": "2026-03-23", "timeIntervals": None},
    ],
}


def at(text: str) -> datetime:
    """In UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestCalendar:
    @pytest.mark.parametrize(
        ("when", "is_open"),
        [
            # New York is five hours behind UTC before 8 March 2026, and four after.
            ("2026-03-02T14:29:59", False),
            ("2026-03-02T14:30:00", True),
            ("2026-03-02T20:59:59", True),
            ("2026-03-02T21:00:00", False),
            ("2026-03-09T13:30:00", True),
            ("2026-03-09T03:59:59", True),  # Sunday evening there, until midnight
            ("2026-03-09T04:00:00", False),
            ("2026-03-06T06:30:00", True),  # Thursday's session runs past midnight
            ("2026-03-06T07:00:00", False),
            ("2026-03-16T14:00:00", False),  # an override replaces the day's session
            ("2026-03-16T16:30:00", True),
            ("2026-03-23T14:00:00", False),  # and null closes the day
        ],
    )
    def test_sessions_are_in_the_markets_own_time(self, when: str, is_open: bool) -> None:
        assert calendar.read(WEEK).is_open(at(when)) is is_open

    @pytest.mark.parametrize(
        ("when", "opens"),
        [
            ("2026-03-02T12:00:00", "2026-03-02T14:30:00"),
            ("2026-03-02T15:00:00", "2026-03-06T03:00:00"),
            ("2026-03-16T06:00:00", "2026-03-16T16:00:00"),
            ("2026-03-23T06:00:00", "2026-03-27T02:00:00"),
        ],
    )
    def test_the_next_session_is_found(self, when: str, opens: str) -> None:
        assert calendar.read(WEEK).next_open(at(when)) == at(opens)

    def test_a_calendar_without_sessions_says_nothing(self) -> None:
        silent = calendar.read({"timeZoneId": "UTC", "tradingSessions": [], "sessionOverrides": []})
        assert silent.is_open(at("2026-03-02T12:00:00")) is None
        assert silent.next_open(at("2026-03-02T12:00:00")) is None

    @pytest.mark.parametrize(
        "garbage",
        [
            None,
            [],
            {},
            {"timeZoneId": "Mars/Olympus"},
            {"timeZoneId": "../etc/passwd"},
            {"timeZoneId": "UTC", "tradingSessions": "always"},
            {"timeZoneId": "UTC", "tradingSessions": [{"dayOfWeek": "Caturday", "timeIntervals": []}]},
            {"timeZoneId": "UTC", "tradingSessions": [{"dayOfWeek": "Monday", "timeIntervals": [{"start": "9"}]}]},
            {"timeZoneId": "UTC", "sessionOverrides": [{"date": "soon"}]},
            {"timeZoneId": "UTC", "sessionOverrides": [{"date": None}]},
        ],
    )
    def test_what_is_no_calendar_is_an_error(self, garbage: Any) -> None:
        with pytest.raises(ValueError, match=r"\S"):
            calendar.read(garbage)
