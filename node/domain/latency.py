"""When each stage of a command was reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Contract 5.3, in order. Durations: transport, verify, journal, lock. The others count from receipt.
STAGES: Final = (
    "transport",
    "verify",
    "journal",
    "lock",
    "snapshot",
    "first_order",
    "last_order",
    "proof",
    "total",
)


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """The stamps of one command, in nanoseconds on the monotonic clock. What was not measured stays None."""

    received_ns: int
    #: Wall clock: from the sender's iat to receipt. Only as good as the two clocks agree.
    transport_ms: float | None = None
    verify_ns: int | None = None
    journal_ns: int | None = None
    lock_ns: int | None = None
    snapshot_at_ns: int | None = None
    first_order_at_ns: int | None = None
    last_order_at_ns: int | None = None
    proof_at_ns: int | None = None

    def snapshot_taken(self, at_ns: int) -> None:
        """The first plan could be made; a warm view makes it the moment of receipt."""
        if self.snapshot_at_ns is None:
            self.snapshot_at_ns = max(at_ns, self.received_ns)

    def order_sent(self, at_ns: int) -> None:
        """The bytes of a close or a sale were handed to the socket (of a drill: its probe's)."""
        if self.first_order_at_ns is None or at_ns < self.first_order_at_ns:
            self.first_order_at_ns = at_ns

    def order_ended(self, at_ns: int) -> None:
        """An order's answer came, or its time ran out."""
        if self.last_order_at_ns is None or at_ns > self.last_order_at_ns:
            self.last_order_at_ns = at_ns

    def as_milliseconds(self, now_ns: int) -> dict[str, float | None]:
        """The document's ``latency_ms``."""
        since = self.received_ns
        values: dict[str, float | None] = {
            "transport": None if self.transport_ms is None else round(max(self.transport_ms, 0.0), 3),
            "verify": _ms(self.verify_ns),
            "journal": _ms(self.journal_ns),
            "lock": _ms(self.lock_ns),
        }
        instants = {
            "snapshot": self.snapshot_at_ns,
            "first_order": self.first_order_at_ns,
            "last_order": self.last_order_at_ns,
            "proof": self.proof_at_ns,
            "total": now_ns,
        }
        values |= {name: None if at is None else _ms(max(at - since, 0)) for name, at in instants.items()}
        return values


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else round(duration_ns / 1e6, 3)
