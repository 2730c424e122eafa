"""What goes wrong in a slice while it is pursued: why, for how long, and how patient to be."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from node.clock import Clock
from node.domain.result import ErrorReport
from node.domain.steps import CancelOrders, CancelSymbol, ConvertAsset, Outcome, Refusal, StepResult
from node.errors import VenueDenied, VenueError, VenueLimited

#: Waiting after a round without progress: doubled each time, with full jitter on the upper half.
PAUSE_MIN_S: Final = 0.05
PAUSE_MAX_S: Final = 5.0
#: Longest wait for a request budget to recover: venues count by the minute.
RESPITE_MAX_S: Final = 60.0
#: A key that is refused this often over this long is refused for good: venues refuse good keys for seconds.
DENIALS_FOR_GOOD: Final = 3
DENIED_FOR_GOOD_AFTER_NS: Final = 30_000_000_000


class Setbacks:
    """Of one slice, since something last moved."""

    def __init__(self, slice_name: str, clock: Clock) -> None:
        self._slice = slice_name
        self._clock = clock
        #: Rounds in a row that moved nothing.
        self.idle_rounds = 0
        #: The newest thing that went wrong.
        self.trouble: ErrorReport | None = None
        #: The key, its rights or our own permission level forbid what is needed.
        self.denied = False
        #: Denied, and all is said that can be said.
        self.given_up = False
        self._denials = 0
        self._first_denial_ns = 0
        self._retry_after_s: float | None = None

    def tell(self, error: VenueError, symbol: str | None = None) -> None:
        """Report what went wrong."""
        self.trouble = ErrorReport(code=error.code, message=str(error), slice=self._slice, symbol=symbol)

    def read_failed(self, error: VenueError) -> None:
        """Nothing is known until a read succeeds."""
        self.tell(error)
        self.idle_rounds += 1
        if isinstance(error, VenueDenied):
            self._note_denial()
            self.given_up = self.denied
        if isinstance(error, VenueLimited):
            self._retry_after_s = error.retry_after_s

    def refused(self, results: list[StepResult]) -> None:
        """Learn from what a round's steps came to."""
        # A conversion that is not to be had changes nothing: the residue is named as what it is.
        refused = [
            result
            for result in results
            if result.outcome is not Outcome.DONE and not isinstance(result.step, ConvertAsset)
        ]
        for result in refused:
            if result.refusal is Refusal.UNKNOWN_ORDER and isinstance(result.step, CancelOrders | CancelSymbol):
                continue  # gone already: that is what was wanted
            code = result.refusal.value if result.refusal else "AMBIGUOUS"
            self.trouble = ErrorReport(
                code=code, message=result.message or code, slice=self._slice, symbol=result.step.symbol
            )
        self._retry_after_s = max((result.retry_after_s for result in refused if result.retry_after_s), default=None)
        refusals = {result.refusal for result in refused}
        if Refusal.PERMISSION in refusals:
            self.denied = True
        elif any(result.outcome is Outcome.DONE for result in results):
            self._allowed()
        elif Refusal.DENIED in refusals:
            self._note_denial()

    def proven(self) -> None:
        """All is well: the slice is proven."""
        self.trouble = None
        self.idle_rounds = 0
        self._allowed()

    def pause_s(self, respite_s: float, borrow_s: Callable[[], float]) -> float:
        """How long to wait before the next try.

        What moves nothing must not spend what others of the address may need: *respite_s* is the venue layer's word
        on that. Where it is long the next try is borrowed: one failed read, at a venue that is well again, must not
        cost a minute of silence because much was spent before it.
        """
        longest_s = min(PAUSE_MIN_S * 2 ** min(self.idle_rounds, 10), PAUSE_MAX_S)
        jittered_s = longest_s * (0.5 + secrets.randbelow(500) / 1000)
        retry_after_s, self._retry_after_s = self._retry_after_s, None
        wait_s: float = max(jittered_s, retry_after_s or 0.0)
        if respite_s > wait_s:
            respite_s = borrow_s()
        return max(wait_s, min(respite_s, RESPITE_MAX_S))

    def _allowed(self) -> None:
        self._denials = 0
        self.denied = self.given_up = False

    def _note_denial(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._denials == 0:
            self._first_denial_ns = now_ns
        self._denials += 1
        lasted = now_ns - self._first_denial_ns >= DENIED_FOR_GOOD_AFTER_NS
        self.denied = self.denied or (self._denials >= DENIALS_FOR_GOOD and lasted)
