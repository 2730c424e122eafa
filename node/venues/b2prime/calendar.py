"""A market's trading hours: weekly sessions in the market's time zone, with overrides for single dates.

Documented: the shape (https://api-docs.b2prime.com/rest-api/settings, "Get market"). Inferred: an override replaces
the weekday's sessions, null or nothing closes the date; a session ends before its end; one that ends at or before its
start runs past midnight; times are ``HH:MM``, ``HH:MM:SS`` or ``24:00``. A calendar without any session says nothing.
Because all that is inferred, a calendar only explains why a close has not been filled: it never keeps one back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?")
_DAY_S: Final = 86_400
#: How far ahead a next session is looked for: a market that is closed for a year is closed.
_HORIZON_DAYS: Final = 370

#: From and to, in seconds after midnight; may reach into the next day.
Interval = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingCalendar:
    """When a market is open."""

    zone: ZoneInfo
    #: By weekday, Monday is 0.
    weekly: Mapping[int, tuple[Interval, ...]]
    overrides: Mapping[date, tuple[Interval, ...]]

    @property
    def silent(self) -> bool:
        """It names no session at all."""
        return not any(self.weekly.values()) and not self.overrides

    def is_open(self, at: datetime) -> bool | None:
        """At an aware instant; None: the calendar does not say."""
        if self.silent:
            return None
        today = at.astimezone(self.zone).date()
        return any(
            start <= at < end for day in (today - timedelta(days=1), today) for start, end in self._sessions(day)
        )

    def next_open(self, at: datetime) -> datetime | None:
        """Start of the next session after *at*, in UTC; None: there is none within a year, or it does not say."""
        today = at.astimezone(self.zone).date()
        for ahead in range(_HORIZON_DAYS):
            starts = [start for start, _ in self._sessions(today + timedelta(days=ahead)) if start > at]
            if starts:
                return min(starts)
        return None

    def _sessions(self, day: date) -> list[tuple[datetime, datetime]]:
        intervals = self.overrides[day] if day in self.overrides else self.weekly.get(day.weekday(), ())
        return [(self._instant(day, start), self._instant(day, end)) for start, end in intervals]

    def _instant(self, day: date, seconds: int) -> datetime:
        """Wall-clock time in the market's zone: days of 23 or 25 hours are not counted through."""
        whole, rest = divmod(seconds, _DAY_S)
        wall = time(rest // 3600, rest // 60 % 60, rest % 60)
        return datetime.combine(day + timedelta(days=whole), wall, tzinfo=self.zone).astimezone(UTC)


def read(document: Any) -> TradingCalendar:  # noqa: ANN401 - JSON
    """The calendar of a market.

    Raises:
        ValueError: it is not of the documented shape.
    """
    if not isinstance(document, dict) or not isinstance(document.get("timeZoneId"), str):
        raise ValueError("a calendar without a time zone")
    try:
        zone = ZoneInfo(document["timeZoneId"])
    except (LookupError, OSError, ValueError):
        raise ValueError(f"no such time zone: {document['timeZoneId'][:60]!r}") from None
    weekly: dict[int, tuple[Interval, ...]] = {}
    for session in _list(document, "tradingSessions"):
        day = str(session.get("dayOfWeek")).lower()
        if day not in _DAYS:
            raise ValueError(f"no such day: {day[:20]!r}")
        weekly[_DAYS.index(day)] = weekly.get(_DAYS.index(day), ()) + _intervals(session)
    overrides = {_date(each.get("date")): _intervals(each) for each in _list(document, "sessionOverrides")}
    return TradingCalendar(zone=zone, weekly=weekly, overrides=overrides)


def _list(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = document.get(name)
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{name} is no list of objects")
    return entries


def _date(value: object) -> date:
    if not isinstance(value, str):
        raise ValueError("an override without a date")
    return date.fromisoformat(value[:10])


def _intervals(entry: dict[str, Any]) -> tuple[Interval, ...]:
    found = []
    for interval in _list(entry, "timeIntervals"):
        start, end = _seconds(interval.get("start")), _seconds(interval.get("end"))
        found.append((start, end if end > start else end + _DAY_S))
    return tuple(found)


def _seconds(value: object) -> int:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a session's time is none")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if (hours, minutes, seconds) == (24, 0, 0):
        return _DAY_S
    wall = time(hours, minutes, seconds)
    return wall.hour * 3600 + wall.minute * 60 + wall.second
