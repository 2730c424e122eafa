"""The daemon, in everything as it is, but that history grows old in minutes and is looked through every few seconds.

``python -m tests.bench.soak.hurried run …`` takes what ``sovereign-node`` takes. The configuration's shortest retention
is thirty days: in an hour nothing would go, and whether the journal levels off would be seen by nobody.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from node.cli import main
from node.journal import backups
from node.wiring import record

KEEP_FOR: Final = timedelta(minutes=4)
FORGET_EVERY_S: Final = 20.0


def run(arguments: list[str]) -> int:
    """Serve until SIGTERM; the exit status."""
    as_configured = record.upkeep

    def hurried(*given: Any, **named: Any) -> backups.Upkeep:
        return replace(as_configured(*given, **named), keep_for=KEEP_FOR)

    record.upkeep = hurried
    backups.FORGET_EVERY_S = FORGET_EVERY_S  # type: ignore[misc]  # in a process of its own
    return main(arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
