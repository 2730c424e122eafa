"""Carries out steps: what was sent, and what is known of it afterwards. Raises for nothing that the venue does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from node.clock import Clock
from node.concurrency import together
from node.domain.steps import ClosePosition, ConvertAsset, Outcome, Refusal, SpotOrder, Step, StepResult
from node.venues.batches import Batches
from node.venues.call import Call, Judgement
from node.venues.ccxt_client import CcxtClient
from node.venues.conversion import Offer
from node.venues.layout import Slice
from node.venues.outcomes import Attempt, combine, gone, judge
from node.venues.profile import Profile

T = TypeVar("T")

#: How long to wait before each question about a conversion that is under way.
CONVERSION_LOOKS_S: Final = (0.0, 0.2, 0.5)


class StepRunner:
    """Executes the steps of one account."""

    def __init__(self, client: CcxtClient, profile: Profile, parts: Mapping[str, Slice], clock: Clock) -> None:
        self._client = client
        self._profile = profile
        self._parts = parts
        self._clock = clock
        self._batches = Batches(self._close_together, clock)

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        """Carry out one step; a close may share a request with others of the *among* that leave now."""
        part = self._parts.get(step.slice)
        if part is None:
            return self._not_sent(step, f"{step.slice!r} is not a slice of this account")
        if obstacle := self._profile.obstacle(step, part):
            return self._not_sent(step, obstacle)
        if isinstance(step, ConvertAsset):
            return await self._convert(step)
        at_most = self._profile.closes_together(part) if isinstance(step, ClosePosition) else 1
        if at_most > 1 and isinstance(step, ClosePosition) and not self._batches.alone(part, among):
            return await self._batches.close(step, part, at_most=at_most)
        return await self.carry_out(step, self._profile.calls(step, part.kind))

    def requests(self, part: Slice, closes: int) -> int:
        """How many requests so many closes make that leave at the same moment."""
        return self._batches.requests(part, closes, at_most=self._profile.closes_together(part))

    async def carry_out(self, step: Step, calls: Sequence[Call]) -> StepResult:
        """Make a step's requests, all at once; the worst of their answers is the step's."""
        attempts: list[Attempt] = await together(*(self._client.attempt(call) for call in calls))
        judgements = [self._judge(step, call, attempt) for call, attempt in zip(calls, attempts, strict=True)]
        result = await self._result(step, calls[0], judgements, attempts)
        return replace(result, gone=gone(calls, judgements))

    async def rehearse(self, step: Step) -> None:
        """A step's requests, signed and passed by the gate, and then let go."""
        part = self._parts.get(step.slice)
        if part is None or self._profile.obstacle(step, part):
            return
        at_most = self._profile.closes_together(part)
        calls = list(self._profile.calls(step, part.kind))
        if isinstance(step, ClosePosition) and at_most > 1:
            calls.append(self._profile.close_call([step] * at_most, part.kind))
        for call in calls:
            await self._client.rehearse(call)

    async def stop(self) -> None:
        """Wait for no answer any more."""
        await self._batches.stop()

    async def _close_together(self, part: Slice, steps: Sequence[ClosePosition]) -> Sequence[StepResult]:
        """Make several closes with one request. Each is judged by its own part of the answer, if there is one."""
        if len(steps) == 1:
            return [await self.carry_out(steps[0], self._profile.calls(steps[0], part.kind))]
        call = self._profile.close_call(steps, part.kind)
        attempt = await self._client.attempt(call)
        judgements = self._judged_together(steps, call, attempt)
        return [
            await self._result(step, call, [judgement], [attempt])
            for step, judgement in zip(steps, judgements, strict=True)
        ]

    def _judged_together(self, steps: Sequence[ClosePosition], call: Call, attempt: Attempt) -> Sequence[Judgement]:
        if attempt.error is not None:
            return [self._judge(step, call, attempt) for step in steps]
        try:
            judgements = self._profile.closed(steps, attempt.answer)
        except self._client.faults as error:
            judgements = [_strange(error)] * len(steps)
        if strange := next((judgement for judgement in judgements if judgement.strange), None):
            self._client.not_understood(call, attempt, strange.message or "")
        return judgements

    async def filled(self, step: SpotOrder) -> bool | None:
        """Ask by client order id whether an ambiguous order reached the venue; None while that is not known."""
        part = self._parts.get(step.slice)
        if part is None:
            return None
        call = self._profile.order_call(step, part.kind)
        attempt = await self._client.attempt(call)
        if attempt.error is None:
            found = self._profile.exists(step, attempt.answer)
            if found is None:
                self._client.not_understood(call, attempt, "the answer does not show the order")
            return found
        if attempt.not_sent:
            return None
        return False if self._profile.never_existed(self._client.reply(attempt)) else None

    async def _convert(self, step: ConvertAsset) -> StepResult:
        """Ask for a price, hold it against the step's, accept it, and see that it ended well."""
        asking = self._profile.offer_call(step)
        asked = await self._client.attempt(asking)
        offer = self._said(step, asking, asked, partial(self._profile.offer, step, asked.answer))
        if isinstance(offer, Offer) and offer.received < step.least_received:
            text = f"the convert service gives {offer.received} {step.into}, less than {step.least_received}"
            offer = Judgement(outcome=Outcome.REFUSED, refusal=Refusal.PRICE_BAND, message=text)
        if isinstance(offer, Judgement):
            return await self._result(step, asking, [offer], [asked])
        accepting = self._profile.accept_call(offer)
        accepted = await self._client.attempt(accepting)
        verdict = self._said(step, accepting, accepted, partial(self._profile.conversion, accepted.answer))
        attempts = [asked, accepted]
        unclear = verdict is not None and verdict.outcome is Outcome.AMBIGUOUS
        for looks, pause_s in enumerate(CONVERSION_LOOKS_S):
            settled = verdict is not None and verdict.outcome is not Outcome.AMBIGUOUS
            if settled or (looks and unclear and verdict is not None):
                break
            await asyncio.sleep(pause_s)
            looking = self._profile.conversion_call(offer)
            look = await self._client.attempt(looking)
            attempts.append(look)
            if look.error is None:
                verdict = self._said(step, looking, look, partial(self._profile.conversion, look.answer))
        verdict = verdict or Judgement(outcome=Outcome.AMBIGUOUS, message="the conversion is still under way")
        return await self._result(step, accepting, [verdict], attempts)

    def _judge(self, step: Step, call: Call, attempt: Attempt) -> Judgement:
        """What one request of a step came to; whatever is not understood may have happened."""
        try:
            judgement = judge(self._profile, step, attempt)
        except self._client.faults as error:  # an answer of a shape nobody thought of
            judgement = _strange(error)
        if judgement.strange:
            self._client.not_understood(call, attempt, judgement.message or "")
        return judgement

    def _said(self, step: Step, call: Call, attempt: Attempt, read: Callable[[], T]) -> T | Judgement:
        """What an answer says, by *read*; or what became of the request if it is none, or not understood."""
        if attempt.error is not None:
            return self._judge(step, call, attempt)
        try:
            return read()
        except self._client.faults as error:
            self._client.not_understood(call, attempt, str(error))
            return _strange(error)

    async def _result(
        self, step: Step, call: Call, judgements: Sequence[Judgement], attempts: Sequence[Attempt]
    ) -> StepResult:
        result = combine(step, judgements, (attempt.wire for attempt in attempts), self._clock.monotonic_ns())
        if any(judgement.clock_is_off for judgement in judgements):
            await self._client.measure_clock(call)
        if result.message is None:
            return result
        waits = [wait for attempt in attempts if (wait := self._client.retry_after_s(attempt)) is not None]
        limited = result.refusal is Refusal.RATE_LIMITED
        return replace(
            result,
            message=self._client.scrub(result.message),
            retry_after_s=max(waits, default=None) if limited else None,
        )

    def _not_sent(self, step: Step, why: str) -> StepResult:
        return StepResult(
            step=step,
            outcome=Outcome.REFUSED,
            refusal=Refusal.OTHER,
            message=f"{why}; not sent",
            ended_ns=self._clock.monotonic_ns(),
        )


def _strange(error: Exception) -> Judgement:
    return Judgement(outcome=Outcome.AMBIGUOUS, message=f"not understood: {type(error).__name__}", strange=True)
