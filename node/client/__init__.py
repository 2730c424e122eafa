"""What a trading engine imports: ``from node.client import EngineLock, guard``. Standard library only.

An exchange library is not imported here: the guard works on the exchange that it is given.
"""

from node.client.engine_lock import EngineLock, EngineLocked, LockState
from node.client.guard import guard

__all__ = ["EngineLock", "EngineLocked", "LockState", "guard"]
