"""Misbehaviour on demand, which no real broker offers."""

from __future__ import annotations

from collections import Counter


class BrokerFaults:
    """Faults that are armed here and happen once each, by client id."""

    def __init__(self) -> None:
        self._armed: Counter[tuple[str, str]] = Counter()

    def drop_acks_to(self, client_id: str, count: int = 1) -> None:
        """Take the client's next messages, and do not tell it."""
        self._armed["ack_to", client_id] += count

    def drop_acks_from(self, client_id: str, count: int = 1) -> None:
        """Lose the client's next acknowledgements: the messages come again after a reconnect."""
        self._armed["ack_from", client_id] += count

    def duplicate_next(self, client_id: str, count: int = 1) -> None:
        """Deliver the next messages to the client twice."""
        self._armed["duplicate", client_id] += count

    def forget_session(self, client_id: str) -> None:
        """At the client's next connect, know nothing of it any more."""
        self._armed["forget", client_id] = 1

    def delay_next(self, client_id: str, count: int = 1) -> None:
        """Deliver the next message to the client after the one that follows it; so many times."""
        self._armed["delay", client_id] += count

    def lie_about_session(self, client_id: str, count: int = 1) -> None:
        """At the client's next connects, say the contrary of whether its session was still there."""
        self._armed["lie", client_id] += count

    def take(self, fault: str, client_id: str) -> bool:
        """Whether a fault is armed for the client; it is spent thereby."""
        if self._armed[fault, client_id] <= 0:
            return False
        self._armed[fault, client_id] -= 1
        return True
