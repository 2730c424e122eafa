"""A trading engine as a process of its own: asks the lock all the time, and writes every change of the answer down."""

from __future__ import annotations

import json
import sys
import time

from node.client import EngineLock, EngineLocked, LockState


def main(runtime_dir: str, account_id: str) -> None:
    """A line of JSON a change: the answer, and the error that an order would have met. Ends with standard input."""
    lock = EngineLock(runtime_dir, account_id)
    shown: LockState | None = None
    while True:
        state = lock.state()
        if state != shown:
            shown = state
            try:
                allowed: int | None = lock.check()
            except EngineLocked:
                allowed = None
            told = {"locked": state.locked, "epoch": state.epoch, "reason": state.reason, "allowed": allowed}
            print(json.dumps({**told, "at_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}), flush=True)
        time.sleep(0.0005)


if __name__ == "__main__":
    main(*sys.argv[1:])
