"""Trading signals behind the lock: a process of its own, that asks the node's lock before any order leaves."""
