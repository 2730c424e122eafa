"""What the engine needs of one account at one exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Protocol

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.snapshot import MarketKind, MarketRules, SliceSnapshot
from node.domain.steps import SpotOrder, Step, StepResult


class Venue(Protocol):
    """One account at one exchange."""

    @property
    def slices(self) -> tuple[str, ...]:
        """What is read and proven for this account."""

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What the profile knows and the configuration leaves out."""

    @property
    def unverified(self) -> tuple[str, ...]:
        """What the venue cannot show."""

    @property
    def derivative_slices(self) -> tuple[str, ...]:
        """Those that can hold positions."""

    def rules(self, slice_name: str) -> Mapping[str, MarketRules]:
        """The slice's markets by unified symbol."""

    def slices_of(self, symbol: str) -> tuple[str, ...]:
        """Where a symbol is traded; nowhere if this venue does not know it."""

    def kind(self, slice_name: str) -> MarketKind:
        """What is traded there."""

    def converts(self, slice_name: str) -> bool:
        """Whether the venue has a convert service for the slice's wallet."""

    async def arm(self) -> None:
        """Load markets, pin account modes, measure the clock, warm the sockets.

        Raises:
            VenueError: the account is degraded; call again later.
        """

    async def read_positions(self, slice_name: str, *, certain: bool = False) -> SliceSnapshot:
        """Positions only: the cheap read between rounds (``orders`` and ``balances`` are None).

        With ``certain`` the wallet is read beside them; ``positions_doubtful`` says whether it bears them out.
        """

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        """Everything of one slice, all requests at once; ``positions_doubtful`` where the wallet shows more."""

    async def read_proof(self, slice_name: str, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        """Everything, in causal order: triggers, then orders, then positions and balances.

        ``no_triggers_since_ns``: a whole read that began then has shown no trigger, and has been answered. All is then
        read at once where the venue's wallet shows, of one instant, that nothing is held and nothing rests
        (``chained_from_ns`` says so); where it shows otherwise, in order.

        Raises:
            VenueError: also where the wallet shows margin in use for positions or orders that were not listed.
        """

    @property
    def doors(self) -> str | None:
        """What ``shut_doors`` shuts, and what that stops; None: nothing, or configuration does not ask for it."""

    async def shut_doors(self) -> int:
        """Shut what lets orders in past the account's engine; how many were open. They stay shut for good.

        Raises:
            VenueError: some may still be open.
        """

    def changes(self) -> AsyncIterator[str]:
        """Names of slices in which the venue says that something has happened, for ever; reconnects by itself.

        A hint to look, never a proof: silence means nothing. Ends at once where the venue has no streams.
        """

    def streaming(self, slice_name: str) -> bool:
        """Whether changes of the slice are being told right now."""

    def look_interval_s(self, slice_name: str) -> float:
        """How often the background's share of the request budget lets this account read the slice whole."""

    def respite_s(self, slice_name: str) -> float:
        """How long until the whole request budget would bear one more look at the slice; 0 if now."""

    def borrow_s(self, slice_name: str) -> float:
        """Book one look at the slice beyond that; how long until it may be taken.

        Never longer than the respite, and as long only where the venue itself has asked for it, or much is borrowed.
        """

    def requests_at_once(self, slice_name: str, *, closes: int) -> int:
        """How many requests leave at the same moment where so many closes do: theirs, and those of a look beside."""

    def proves_at_once(self, slice_name: str) -> bool:
        """Whether a proof that goes back to a read without triggers asks for everything at the same moment."""

    async def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """Best prices of spot markets, fresh."""

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        """Carry out one step. Never raises for what the venue did: the outcome says it.

        ``among``: how many closes of its slice leave at this moment, itself included. Where they are many, and the
        venue takes several in one request, they share requests.
        """

    async def rehearse(self, step: Step) -> None:
        """Everything that carrying out a step takes, up to the socket: nothing is sent, charged or reported."""

    async def filled(self, step: SpotOrder) -> bool | None:
        """Ask by client order id whether an ambiguous spot order reached the venue; None while that is not known."""

    async def probe(self) -> StepResult:
        """Exercise the trade permission without effect: cancel an order that does not exist."""

    async def keep_warm(self, sockets: int, by_slice: Mapping[str, int] | None = None) -> None:
        """Exercise that many connections to each host, so that none is cold when it is needed; no more than its slices
        want, where *by_slice* says so.
        """

    def round_trip_ms(self) -> float | None:
        """Median of the last requests; None before the first."""

    def clock_offset_ms(self) -> float | None:
        """Venue's clock less ours."""

    async def close(self) -> None:
        """Release connections."""


class ExaminedVenue(Venue, Protocol):
    """What a doctor asks besides."""

    @property
    def profiled(self) -> bool:
        """Whether what is asked and understood was made for this venue."""

    @property
    def key_facts(self) -> KeyFacts | None:
        """What the venue has said of the key; None while it has not."""

    def warm_sockets(self) -> Mapping[str, int]:
        """Per host, how many open connections wait for a request."""

    def budget_left(self) -> Mapping[str, float]:
        """What is left of each request budget, as a part of 1."""
