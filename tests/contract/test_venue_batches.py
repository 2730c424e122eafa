"""Many closes at the same moment share requests, where the venue takes several in one; few go each by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Effect, Permission
from node.domain.snapshot import PositionSide
from node.domain.steps import ClosePosition, Outcome, Refusal, Step, StepResult
from node.engine.slice_worker import TURNS_TO_THE_WIRE
from node.venues.batches import ALONE_MAX
from node.venues.call import Request
from node.venues.ccxt_venue import CcxtVenue
from node.venues.lane import background
from node.venues.profiles.binance.effects import effect_of
from tests.support.venue import Answer, answer, close_position, error, recorded_venue
from tests.support.venue_sim import Bench, bench, plan
from tests.support.waiting import until

MANY = ALONE_MAX + 1
BATCH = "POST /fapi/v1/batchOrders"
COINS = ("BTC", "ETH", "SOL", "XRP", "BNB", "ADA", "DOGE", "LTC", "DOT", "UNI", "AVAX", "LINK")


def closes(count: int, **changes: Any) -> list[ClosePosition]:
    """Of so many markets."""
    return [
        close_position(
            symbol=f"{coin}/USDT:USDT",
            market_id=f"{coin}USDT",
            client_order_id=f"sabcdefgh23456{coin.lower()}",
            **changes,
        )
        for coin in COINS[:count]
    ]


async def executed(venue: CcxtVenue, steps: Sequence[Step], among: int | None = None) -> list[StepResult]:
    """All at the same moment."""
    number = len(steps) if among is None else among
    return list(await asyncio.gather(*(venue.execute(step, among=number) for step in steps)))


def filled(steps: Sequence[ClosePosition]) -> list[dict[str, Any]]:
    """What the venue says of orders that were filled."""
    return [
        {
            "orderId": number,
            "clientOrderId": step.client_order_id,
            "status": "FILLED",
            "executedQty": str(step.contracts),
        }
        for number, step in enumerate(steps, 1)
    ]


async def judged(given: Answer | Exception, steps: Sequence[ClosePosition]) -> list[StepResult]:
    """What becomes of one batch whose answer is *given*."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers[BATCH] = given
        results = await executed(venue, steps, among=MANY)
        assert [each.path for each in fetch.sent] == ["/fapi/v1/batchOrders"]
        return results


class TestRequests:
    async def test_few_go_each_by_itself(self) -> None:
        """One that is slow or lost holds up no other."""
        async with recorded_venue() as (venue, fetch):
            await executed(venue, closes(ALONE_MAX))
            assert {each.path for each in fetch.sent} == {"/fapi/v1/order"}
            assert len(fetch.sent) == ALONE_MAX

    @pytest.mark.parametrize(("hedged", "bound"), [(False, {"reduceOnly": "true"}), (True, {"positionSide": "LONG"})])
    async def test_many_go_in_fives_each_order_as_it_would_be_alone(self, hedged: bool, bound: dict[str, str]) -> None:
        """The documented parameters, in the order of the plan."""
        steps = closes(12, hedged=hedged)
        async with recorded_venue() as (venue, fetch):
            await executed(venue, steps)
            batches = [json.loads(each.params["batchOrders"]) for each in fetch.sent]
            assert {(each.method, each.path, each.signed) for each in fetch.sent} == {
                ("POST", "/fapi/v1/batchOrders", True)
            }
        assert [len(each) for each in batches] == [5, 5, 2]
        assert [order for each in batches for order in each] == [
            {
                "symbol": step.market_id,
                "side": "SELL",
                "quantity": "0.015",
                "type": "MARKET",
                "newClientOrderId": step.client_order_id,
                "newOrderRespType": "RESULT",
                **bound,
            }
            for step in steps
        ]

    @pytest.mark.parametrize("count", [9, 11, 12])
    async def test_the_last_has_left_after_the_turns_that_a_worker_waits(self, count: int) -> None:
        """What only looks, and what only tells, begins after them. Handed in as by a worker, one a turn of the loop."""
        steps = closes(count)
        together = [steps[1:][place : place + 5] for place in range(0, count - 1, 5)]
        async with recorded_venue() as (venue, fetch):
            told = [filled(steps[:1]), *map(filled, together)]
            fetch.in_turn = iter(answer(each if len(each) > 1 else each[0]) for each in told)  # one goes as an order
            handed_in: list[asyncio.Task[StepResult]] = []
            for number, step in enumerate(steps):
                among = count if number else 1  # the first goes by itself
                handed_in.append(asyncio.create_task(venue.execute(step, among=among)))
                await asyncio.sleep(0)
            for _ in range(TURNS_TO_THE_WIRE - 1):  # the last is the HTTP client's, which writes in a task of its own
                await asyncio.sleep(0)
            asked = len(fetch.sent)
            results = await asyncio.gather(*handed_in)
        assert [each.outcome for each in results] == [Outcome.DONE] * count
        assert asked == len(fetch.sent) == 1 + len(together)

    async def test_coin_margined_ones_as_well_and_never_with_others(self) -> None:
        """Each product has a host of its own."""
        inverse = [replace(step, slice="inverse", market_id=f"{step.market_id[:-1]}_PERP") for step in closes(2)]
        async with recorded_venue(slices=("linear", "inverse")) as (venue, fetch):
            await executed(venue, [*closes(2), *inverse], among=MANY)
            assert sorted(each.path for each in fetch.sent) == ["/dapi/v1/batchOrders", "/fapi/v1/batchOrders"]

    async def test_a_last_one_goes_by_itself(self) -> None:
        """A batch of one would be a batch all the same."""
        async with recorded_venue() as (venue, fetch):
            await executed(venue, closes(11))
            assert [each.path.rpartition("/")[2] for each in fetch.sent].count("order") == 1

    async def test_background_work_shares_no_request_with_an_emergency(self) -> None:
        """It may be made to wait."""
        async with recorded_venue() as (venue, fetch):

            async def later(step: ClosePosition) -> StepResult:
                with background():
                    return await venue.execute(step, among=MANY)

            first, second, third, fourth = closes(4)
            await asyncio.gather(
                venue.execute(first, among=MANY), later(second), venue.execute(third, among=MANY), later(fourth)
            )
            names = [[each["symbol"] for each in json.loads(sent.params["batchOrders"])] for sent in fetch.sent]
            assert sorted(names) == [["BTCUSDT", "SOLUSDT"], ["ETHUSDT", "XRPUSDT"]]

    async def test_after_an_uncertain_answer_each_goes_by_itself_for_a_while(self) -> None:
        """What is wrong with one should not be wrong with five again."""
        async with recorded_venue() as (venue, fetch):
            fetch.answers[BATCH] = Answer(body="<html>bad gateway</html>", status=502)
            await executed(venue, closes(2), among=MANY)
            fetch.sent.clear()
            await executed(venue, closes(12))
            assert {each.path for each in fetch.sent} == {"/fapi/v1/order"}


class TestConnections:
    """Held open for an emergency."""

    @pytest.mark.parametrize("count", [0, 1, ALONE_MAX, MANY, 11, 12])
    async def test_there_is_one_for_every_request_of_the_closes_and_of_the_look_beside_them(self, count: int) -> None:
        """As the closes leave: the first by itself, few alone, many together."""
        steps = closes(count)
        async with recorded_venue() as (venue, fetch):
            wanted = venue.requests_at_once("linear", closes=count)
            fetch.empty()
            await venue.read_slice("linear")
            # What is uncertain would part those that come later in this very moment.
            fetch.answers[BATCH] = error(-2022, "ReduceOnly Order is rejected.")
            handed_in = list[asyncio.Task[StepResult]]()
            for number, step in enumerate(steps):
                handed_in.append(asyncio.create_task(venue.execute(step, among=count if number else 1)))
                await asyncio.sleep(0)
            await asyncio.gather(*handed_in)
            assert wanted == len(fetch.sent)

    async def test_there_is_one_for_every_close_as_long_as_each_goes_by_itself(self) -> None:
        """After an uncertain answer."""
        async with recorded_venue() as (venue, fetch):
            before = venue.requests_at_once("linear", closes=12)
            fetch.answers[BATCH] = Answer(body="<html>bad gateway</html>", status=502)
            await executed(venue, closes(2), among=MANY)
            assert venue.requests_at_once("linear", closes=12) - before == 12 - 4


class TestAnswers:
    async def test_each_is_judged_by_its_own_part(self) -> None:
        """An order, a refusal, an order that ended without a fill, a code that says nothing for certain."""
        steps = closes(5)
        document: list[dict[str, Any]] = filled(steps)
        document[1] = {"code": -2022, "msg": "ReduceOnly Order is rejected."}
        document[2] |= {"status": "EXPIRED", "executedQty": "0"}
        document[3] = {"code": -1007, "msg": "Timeout waiting for response from backend server."}
        document[4] = {"code": -9999, "msg": "Something new."}
        results = await judged(answer(document), steps)
        assert [(each.outcome, each.refusal) for each in results] == [
            (Outcome.DONE, None),
            (Outcome.REFUSED, Refusal.NOTHING_TO_REDUCE),
            (Outcome.REFUSED, Refusal.UNFILLED),
            (Outcome.AMBIGUOUS, None),
            (Outcome.AMBIGUOUS, None),
        ]
        assert [each.step for each in results] == steps
        assert results[0].filled == Decimal("0.015")

    @pytest.mark.parametrize(
        "given",
        [
            answer([]),
            answer(None),
            answer({}),
            answer("done"),
            answer([{"orderId": 1}]),
            answer([{"orderId": 1}, {"orderId": 2}, {"orderId": 3}]),
            answer([{"orderId": 1}, "?"]),
            answer([None, None]),
            answer([{"status": "FILLED"}, {"status": "FILLED"}]),
            Answer(body=""),
            Answer(body="<html>", status=502),
            error(-1007, "Timeout waiting for response from backend server.", 504),
            TimeoutError(),
        ],
        ids=lambda given: str(getattr(given, "body", given))[:40],
    )
    async def test_an_answer_that_is_not_one_for_each_makes_all_ambiguous(self, given: Answer | Exception) -> None:
        """Neither done nor refused: the positions will tell."""
        results = await judged(given, closes(2))
        assert [(each.outcome, each.refusal) for each in results] == [(Outcome.AMBIGUOUS, None)] * 2

    async def test_an_order_under_another_ones_name_is_ambiguous(self) -> None:
        """Who knows whose the others are."""
        first, second = closes(2)
        results = await judged(answer(filled([second, second])), [first, second])
        assert [each.outcome for each in results] == [Outcome.AMBIGUOUS, Outcome.DONE]

    async def test_a_refusal_of_the_whole_is_each_ones(self) -> None:
        """Nothing of it was placed."""
        results = await judged(error(-1003, "Too many requests", 429), closes(3))
        assert [(each.outcome, each.refusal) for each in results] == [(Outcome.REFUSED, Refusal.RATE_LIMITED)] * 3


class TestGate:
    @pytest.mark.parametrize("level", list(Permission))
    async def test_a_batch_needs_the_level_of_a_close(self, level: Permission) -> None:
        """Below it every step says that nothing was sent."""
        async with recorded_venue(permission=level) as (venue, fetch):
            results = await executed(venue, closes(2), among=MANY)
            if level.allows(Effect.CLOSE):
                assert len(fetch.sent) == 1
            else:
                assert fetch.sent == []
                assert {each.refusal for each in results} == {Refusal.PERMISSION}

    @pytest.mark.parametrize(
        ("orders", "effect"),
        [
            ([{"symbol": "BTCUSDT", "side": "SELL", "reduceOnly": "true"}], Effect.CLOSE),
            ([{"side": "SELL", "positionSide": "LONG"}, {"side": "BUY", "positionSide": "SHORT"}], Effect.CLOSE),
            ([{"side": "SELL", "reduceOnly": "true"}, {"side": "SELL"}], Effect.OPEN),
            ([{"side": "SELL", "reduceOnly": "true"}, {"side": "BUY", "positionSide": "LONG"}], Effect.OPEN),
            ([{"side": "SELL", "reduceOnly": "false"}], Effect.OPEN),
            ([{"side": "SELL", "reduceOnly": True}], None),
            ([], None),
            ({"side": "SELL", "reduceOnly": "true"}, None),
            (["reduceOnly"], None),
        ],
    )
    def test_a_batch_can_do_what_its_worst_order_can(self, orders: object, effect: Effect | None) -> None:
        """What cannot be read must not leave."""
        for path in ("/fapi/v1/batchOrders", "/dapi/v1/batchOrders"):
            assert effect_of(request(path, json.dumps(orders))) is effect

    @pytest.mark.parametrize(
        "text", ["", "nonsense", '[{"side": "SELL", "reduceOnly": "true", "reduceOnly": "false"}]', "[" * 100_000]
    )
    def test_a_batch_that_says_two_things_is_not_known(self, text: str) -> None:
        """Who knows which one the venue takes."""
        assert effect_of(request("/fapi/v1/batchOrders", text)) is None


def request(path: str, orders: str) -> Request:
    """As it is about to leave."""
    return Request(
        method="POST", host="fapi.binance.com", path=path, params={"batchOrders": orders}, body=f"batchOrders={orders}"
    )


async def closes_of(the: Bench) -> list[ClosePosition]:
    """What closes the account's positions, of both directions."""
    steps = [step for step in plan(the.venue, await the.venue.read_slice("linear")) if isinstance(step, ClosePosition)]
    assert {step.side for step in steps} == {PositionSide.LONG, PositionSide.SHORT}
    return steps[:10]


class TestOverTheWire:
    async def test_ten_positions_are_closed_by_two_requests(self) -> None:
        """The venue takes them as documented."""
        async with bench() as the:
            steps = await closes_of(the)
            results = await executed(the.venue, steps)
            assert {each.outcome for each in results} == {Outcome.DONE}
            assert [each.filled for each in results] == [step.contracts for step in steps]
            assert [each.path for each in the.requests("POST")] == ["/fapi/v1/batchOrders"] * 2
            held = {position.key for position in (await the.venue.read_proof("linear")).positions}
            assert not held & {step.key for step in steps}

    async def test_a_close_too_many_is_refused_by_itself(self) -> None:
        """Its fellows in the request are closed."""
        async with bench() as the:
            steps = await closes_of(the)
            await the.venue.execute(steps[0])
            again = [replace(step, client_order_id=f"{step.client_order_id[:-1]}9") for step in steps]
            first, *others = await executed(the.venue, again)
            assert (first.outcome, first.refusal) == (Outcome.REFUSED, Refusal.NOTHING_TO_REDUCE)
            assert {each.outcome for each in others} == {Outcome.DONE}

    @pytest.mark.parametrize("deed", ["lose_after_execution", "empty_200", "truncated_body", "hang"])
    async def test_a_lost_answer_makes_its_five_ambiguous_and_no_other(self, deed: str) -> None:
        """And is not repeated."""
        async with bench(request_timeout_s=0.5) as the:
            steps = await closes_of(the)
            the.misbehave(deed)
            results = await executed(the.venue, steps)
            assert sorted(each.outcome for each in results) == [Outcome.AMBIGUOUS] * 5 + [Outcome.DONE] * 5
            assert len(the.requests("POST")) == 2

    async def test_the_end_of_the_process_ends_the_waiting(self) -> None:
        """Nobody waits for an answer that will not be read."""
        async with bench() as the:
            steps = await closes_of(the)
            the.misbehave("hang", times=None)
            waiting = [asyncio.ensure_future(the.venue.execute(step, among=10)) for step in steps]
            await until(lambda: len(the.requests("POST")) == 2)
            await the.venue.close()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
