"""When dated contracts expire."""

from __future__ import annotations

import datetime as dt


def next_quarter(today: dt.date | None = None) -> dt.datetime:
    """Delivery of the running quarter's contract: its last Friday, 08:00 UTC, at least two weeks away."""
    day = today or dt.datetime.now(dt.UTC).date()
    year, quarter_end = day.year, (day.month - 1) // 3 * 3 + 3
    while True:
        following = dt.date(year + quarter_end // 12, quarter_end % 12 + 1, 1)
        last = following - dt.timedelta(days=1)
        friday = last - dt.timedelta(days=(last.weekday() - 4) % 7)
        if friday - day >= dt.timedelta(days=14):
            return dt.datetime(friday.year, friday.month, friday.day, 8, tzinfo=dt.UTC)
        year, quarter_end = (year + 1, 3) if quarter_end == 12 else (year, quarter_end + 3)
