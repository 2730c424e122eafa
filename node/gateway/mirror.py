"""What the nodes' retained topics say of themselves and their accounts' locks, and for how long that may be believed.

A retained message is as old as its node's last word: the first one after a connection is only a mark to measure by.
A lock is believed once it has been renewed before our eyes, and no longer than its lease; a stepped or wrong clock on
either side, or a dead node, makes it unknown, and that means locked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from node.clock import Clock
from node.domain.result import LOCK_SCHEMA, Document, instant_text
from node.gateway.answers import NotUnderstood, instant

#: As the contract has it: refreshed every 3 s, valid for 10 s.
LEASE: Final = timedelta(seconds=10)
#: A node speaks every 15 s: two may be missed.
STATUS_LEASE: Final = timedelta(seconds=40)

UNKNOWN: Final = "unknown"


@dataclass(slots=True)
class _Lock:
    """The newest word of one node on one account's lock."""

    document: Document
    valid_until: datetime
    #: Monotonic; None: it has not been renewed since we came.
    renewed_ns: int | None = None


@dataclass(slots=True)
class _Node:
    """The newest word of one node about itself."""

    document: Document
    at: datetime
    #: Monotonic; None: on an earlier connection.
    heard_ns: int | None


class Mirror:
    """Fed with the retained topics; asked by the desk."""

    def __init__(
        self, accounts: Iterable[UUID], clock: Clock, *, boot_id: str, on_lock: Callable[[UUID], None] | None = None
    ) -> None:
        self._locks: dict[UUID, dict[str, _Lock]] = {account: {} for account in accounts}
        #: From earlier connections, for people.
        self._last: dict[UUID, Document] = {}
        self._nodes: dict[str, _Node] = {}
        self._clock = clock
        self._boot_id = boot_id
        self._on_lock = on_lock

    def connection_lost(self) -> None:
        """What comes after this may be old: nothing that was heard counts any more, not even to measure by."""
        for account_id, words in self._locks.items():
            newest = _newest(words.values())
            if newest is not None:
                self._last[account_id] = newest
            words.clear()
        for node in self._nodes.values():
            node.heard_ns = None

    def hear_lock(self, account_id: UUID, document: Document) -> None:
        """Take a lock document in.

        Raises:
            NotUnderstood: it is none, or of another account.
        """
        try:
            sound = document["schema"] == LOCK_SCHEMA and document["account_id"] == str(account_id)
            sound = sound and isinstance(document["locked"], bool) and type(document["epoch"]) is int
            node_id, valid_until = str(document["node_id"]), instant(document["valid_until"])
        except (ValueError, KeyError, TypeError) as error:
            raise NotUnderstood(f"not a lock document: {error!r}") from None
        if not sound:
            raise NotUnderstood("not a lock document of this account")
        words = self._locks.get(account_id)
        if words is None:
            return  # nobody here knows the account
        known = words.get(node_id)
        if known is None:
            words[node_id] = _Lock(document, valid_until)
        elif valid_until >= known.valid_until:
            renewed = valid_until > known.valid_until
            words[node_id] = _Lock(document, valid_until, self._clock.monotonic_ns() if renewed else known.renewed_ns)
        if self._on_lock is not None:
            self._on_lock(account_id)

    def hear_status(self, node_id: str, document: Document) -> bool:
        """Take a node's word about itself in; whether the node is there.

        Raises:
            NotUnderstood: it is no such document.
        """
        if document.get("node_id") != node_id or not isinstance(document.get("state"), str):
            raise NotUnderstood("not a status document of this node")
        if "at" not in document:  # the will: the broker's word that the node is gone
            self._nodes.pop(node_id, None)
            return False
        at = instant(document["at"])
        if not isinstance(document.get("accounts"), list):
            raise NotUnderstood("not a status document: accounts")
        self._nodes[node_id] = _Node(document, at, self._clock.monotonic_ns())
        return self._present(self._nodes[node_id])

    def lock(self, account_id: UUID) -> Document:
        """The lock document of a configured account; what is not known is locked, and says so.

        Raises:
            KeyError: no such account.
        """
        words = self._locks[account_id]
        fresh = [word for word in words.values() if self._remaining(word) > timedelta()]
        if not fresh:
            return self._unknown(account_id)
        # Should two nodes claim the account, it is locked if either says so.
        word = max(fresh, key=lambda each: (each.document["locked"], each.document["epoch"]))
        return self._dated(word.document, self._remaining(word))

    def known(self, account_id: UUID) -> bool:
        """Whether a node has confirmed the account's lock lately."""
        return any(self._remaining(word) > timedelta() for word in self._locks[account_id].values())

    def nodes(self) -> list[Document]:
        """Every node that was heard of on this connection or before."""
        return [
            {
                "node_id": node_id,
                "state": node.document["state"] if self._fresh(node) else UNKNOWN,
                "version": node.document.get("version"),
                "at": instant_text(node.at),
            }
            for node_id, node in sorted(self._nodes.items())
        ]

    def account(self, account_id: UUID) -> Document | None:
        """What the node that has the account says of it now; None if no node that is there has it."""
        for node_id, node in self._nodes.items():
            if not self._present(node):
                continue
            for each in node.document["accounts"]:
                if isinstance(each, dict) and each.get("id") == str(account_id) and isinstance(each.get("state"), str):
                    return {"node_id": node_id, "at": instant_text(node.at), **each}
        return None

    def _present(self, node: _Node) -> bool:
        return node.document["state"] == "online" and self._fresh(node)

    def _fresh(self, node: _Node) -> bool:
        """By the time since we heard it, and by the clocks of both: a retained message may be as old as it likes."""
        if node.heard_ns is None:
            return False
        heard_ago = timedelta(microseconds=(self._clock.monotonic_ns() - node.heard_ns) / 1e3)
        return heard_ago < STATUS_LEASE and abs(self._clock.now() - node.at) < STATUS_LEASE

    def _remaining(self, word: _Lock) -> timedelta:
        """How long the word may still be believed: the shorter of what both clocks allow."""
        if word.renewed_ns is None:
            return timedelta()
        age = timedelta(microseconds=(self._clock.monotonic_ns() - word.renewed_ns) / 1e3)
        return min(LEASE - age, word.valid_until - self._clock.now())

    def _dated(self, document: Document, remaining: timedelta) -> Document:
        """For readers on this machine: the lease as far as it reaches here, by our own boot clock."""
        return document | {
            "valid_until": instant_text(self._clock.now() + remaining),
            "boot_id": self._boot_id,
            "valid_until_boottime_ns": self._clock.boottime_ns() + int(remaining.total_seconds() * 1e9),
        }

    def _unknown(self, account_id: UUID) -> Document:
        last = _newest(self._locks[account_id].values()) or self._last.get(account_id)
        document: Document = {
            "schema": LOCK_SCHEMA,
            "node_id": last["node_id"] if last else UNKNOWN,
            "account_id": str(account_id),
            "locked": True,
            "epoch": last["epoch"] if last else 0,
            "since": None,
            "by": None,
            "reason": "not known: no node has confirmed the lock lately",
            "known": False,
        }
        return self._dated(document, timedelta())


def _newest(words: Iterable[_Lock]) -> Document | None:
    word = max(words, key=lambda each: each.valid_until, default=None)
    return None if word is None else word.document
