"""What a trading engine imports: ``from node.client import EngineLock``. Standard library only."""

from node.client.engine_lock import EngineLock, LockState

__all__ = ["EngineLock", "LockState"]
