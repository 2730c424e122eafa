"""What the node logs, kept; and what it must never log."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

#: A fault of ours that only a supervisor has caught.
NEVER: Final = ("_crashed", "events_not_recorded", "event_not_recorded")


@contextmanager
def captured_logs() -> Iterator[list[dict[str, Any]]]:
    """Every event in order, with the traceback where there is one."""
    entries: list[dict[str, Any]] = []

    def keep(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        entry = {"level": method, **event}
        if entry.pop("exc_info", None):
            entry["traceback"] = traceback.format_exc()
        entries.append(entry)
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    usual = list(processors)
    processors[:] = [keep]
    structlog.configure(processors=processors)
    try:
        yield entries
    finally:
        processors[:] = usual
        structlog.configure(processors=processors)


def unforgivable(entries: list[dict[str, Any]]) -> list[str]:
    """The events that must never be there."""
    return [
        f"{entry['event']}: {entry.get('traceback', '')}" for entry in entries if str(entry["event"]).endswith(NEVER)
    ]
