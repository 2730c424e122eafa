"""Between one account's pursuit and its slices: what is wanted, and what they tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.domain.plan import Scope
from node.domain.steps import OrderIds, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceGoal:
    """What all live commands together want of one slice."""

    scope: Scope
    flatten: bool
    #: The scopes of the single commands, each once.
    parts: tuple[Scope, ...]
    #: Of the oldest command: its id and attempt go into the client order ids.
    ids: OrderIds


class Pursuer(Protocol):
    """The account's pursuit, as its slices see it."""

    def goal(self, slice_name: str) -> SliceGoal | None:
        """What is wanted of the slice now; None for nothing."""

    def account_for(self, result: StepResult) -> None:
        """A step has ended."""

    def snapshot_taken(self, slice_name: str, at_ns: int) -> None:
        """The slice's first plan can be made."""

    def round_begun(self, slice_name: str, number: int) -> None:
        """One more round."""

    def changed(self) -> None:
        """The slice's state has changed."""

    async def judged(self) -> None:
        """Have the slice's state judged, and return when that is done."""

    async def quiet(self, slice_name: str, *, within_s: float = ...) -> bool:
        """Return when no slice has anything left to do that would make a proof of this one stale; or soon anyway, and
        then False.
        """

    async def orders_first(self, slice_name: str) -> None:
        """Let slices that have something to close, of any account, put it onto the wire before this one reads."""

    def launched(self, slice_name: str) -> None:
        """The slice's first orders are on their way."""

    def idle(self, slice_name: str) -> None:
        """The slice has nothing to do, as far as is known: nobody's proof waits for it."""

    def busy(self, slice_name: str) -> None:
        """The slice has something to do again."""

    def may_sell(self) -> bool:
        """Whether spot sales may begin."""
