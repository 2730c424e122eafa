"""Trading sessions: weekly hours in the market's own time zone, with exceptions by date.

Inferred: an exception replaces that weekday's hours, an empty one or ``null`` closes the day, and an interval ends
before its end. Times are written ``HH:MM``, ``HH:MM:SS`` or ``24:00``; which one the venue writes is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from node.sim.b2prime.numbers import moment_of

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Calendar = Mapping[str, Any]


def always() -> dict[str, Any]:
    """Around the clock, every day."""
    return weekly("UTC", {day: [("00:00:00", "24:00:00")] for day in DAYS})


def weekly(
    zone: str, hours: Mapping[str, Iterable[tuple[str, str]]], overrides: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """A calendar as it is written on the wire; days without hours are left out."""
    return {
        "timeZoneId": zone,
        "tradingSessions": [
            {"dayOfWeek": day, "timeIntervals": [{"start": start, "end": end} for start, end in intervals]}
            for day, intervals in hours.items()
        ],
        "sessionOverrides": list(overrides),
    }


def is_open(calendar: Calendar, now_ms: int) -> bool:
    """Whether the market trades at that moment."""
    moment = moment_of(now_ms).astimezone(ZoneInfo(calendar["timeZoneId"]))
    since_midnight = timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second)
    return any(_since(each["start"]) <= since_midnight < _end(each["end"]) for each in _intervals(calendar, moment))


def _intervals(calendar: Calendar, moment: datetime) -> Iterable[Mapping[str, str]]:
    for override in calendar.get("sessionOverrides") or ():
        if override["date"] == moment.date().isoformat():
            return override.get("timeIntervals") or ()
    day = DAYS[moment.weekday()]
    return [
        each
        for session in calendar["tradingSessions"]
        if session["dayOfWeek"] == day
        for each in session["timeIntervals"]
    ]


def _since(text: str) -> timedelta:
    if text.startswith("24:"):
        return timedelta(days=1)
    clock = time.fromisoformat(text)
    return timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)


def _end(text: str) -> timedelta:
    """Midnight at the end of an interval is that of the next day."""
    return _since(text) or timedelta(days=1)
