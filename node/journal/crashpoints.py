"""Places where a test can make the process die, as by a power cut.

The environment variable ``SOVEREIGN_NODE_CRASH_AT`` names one: ``admit.after_commit``, or ``admit.after_commit:3``
for the third time it is reached. It is read once; in production the call is an empty function.
"""

from __future__ import annotations

import os
import signal
from typing import Final

_NAMED, _, _TIMES = os.environ.get("SOVEREIGN_NODE_CRASH_AT", "").partition(":")

#: Every point there is, so that the tests can visit them all.
CRASH_POINTS: Final = (
    "admit.before_commit",
    "admit.after_commit",
    "record.before_commit",
    "record.after_commit",
    "published.before_commit",
    "published.after_commit",
)

if _NAMED:
    _remaining = int(_TIMES or 1)

    def crash_point(name: str) -> None:
        """Die here if this point is named."""
        global _remaining  # noqa: PLW0603 - the process is about to die: nobody else counts
        if name == _NAMED:
            _remaining -= 1
            if _remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)

else:

    def crash_point(name: str) -> None:
        """Nothing: no point was named."""
