"""Requests that come over a WebSocket meet the same faults as those over HTTP, and stand in the same journal.

What on HTTP is done to a body is done to a message. A status is not told to anybody: what the front-end makes of the
answer is sent.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from node.sim.fault_plan import FaultPlan
from node.sim.faults import EXECUTES, Action, Deed
from node.sim.request_journal import JournalEntry, RequestJournal
from node.sim.streams import Connection
from node.sim.venue import NO_EFFECTS, Effects, VenueFrontEnd, WireAnswer, WireRequest

#: Carries out a request.
Execute = Callable[[Effects], WireAnswer]
#: Makes a message of an answer; nothing of one that is not told.
Render = Callable[[WireAnswer], str]
#: Makes a message of a JSON text.
Frame = Callable[[str], str]
SILENT = frozenset({Deed.HANG, Deed.TIMEOUT_AFTER_EXECUTION, Deed.LOSE_AFTER_EXECUTION})


class MessageWire:
    """What lies between a connection and the front-end."""

    def __init__(self, faults: FaultPlan, journal: RequestJournal) -> None:
        self._faults = faults
        self._journal = journal

    def handle(
        self,
        front_end: VenueFrontEnd,
        request: WireRequest,
        connection: Connection,
        execute: Execute,
        render: Render,
        frame: Frame = str,
    ) -> None:
        """Let a request arrive, half a round trip from now, and send its answer, if there is one.

        *frame* makes a message of what a fault puts in the answer's place, where messages have a form of their own.
        """

        received_ns = time.monotonic_ns()

        def arrive() -> None:
            self._arrive(received_ns, front_end, request, connection, execute, render, frame)

        half_s = self._faults.round_trip_s(request.traits) / 2
        if half_s:
            asyncio.get_running_loop().call_later(half_s, arrive)
        else:
            arrive()

    def _arrive(
        self,
        received_ns: int,
        front_end: VenueFrontEnd,
        request: WireRequest,
        connection: Connection,
        execute: Execute,
        render: Render,
        frame: Frame,
    ) -> None:
        entry = self._journal.open(
            received_ns=received_ns,
            arrived_ns=time.monotonic_ns(),
            host=request.host,
            method=request.method,
            path=request.path,
            params=request.params,
            key=request.key.name if request.key is not None else None,
        )
        action = self._faults.take(request.traits)
        if action is not None:
            entry.fault = action.deed.value

        def act() -> None:
            answer = _carry_out(front_end, request, action, execute)
            _send(connection, entry, action, answer, render, frame)

        if action is not None and action.deed is Deed.DELAY_MS:
            asyncio.get_running_loop().call_later(action.delay_ms / 1000, act)
        else:
            act()


def _carry_out(front_end: VenueFrontEnd, request: WireRequest, action: Action | None, execute: Execute) -> WireAnswer:
    if action is None:
        return execute(NO_EFFECTS)
    if action.deed is Deed.RATE_LIMIT:
        return front_end.rate_limited(request, action.retry_after)
    if action.deed is Deed.BAN_418:
        return front_end.ban(action.retry_after)
    answer = WireAnswer(status=0, body=b"")
    if action.deed in EXECUTES:
        partial = action.fraction if action.deed is Deed.PARTIAL_FILL else None
        answer = execute(Effects(fill_fraction=partial, refuse_market_orders=action.deed is Deed.PERCENT_PRICE_REFUSAL))
    if action.deed in (Deed.REFUSE, Deed.REFUSE_AFTER_EXECUTION):
        order_ids = answer.order_ids
        if action.reason is not None:
            answer = front_end.refusal_for(request, action.reason, action.status)
        else:
            answer = front_end.refusal(action.code, action.msg, action.status)
        answer.order_ids = order_ids
    return answer


def _send(
    connection: Connection,
    entry: JournalEntry,
    action: Action | None,
    answer: WireAnswer,
    render: Render,
    frame: Frame,
) -> None:
    entry.answered_ns = time.monotonic_ns()
    entry.code, entry.order_ids = answer.code, answer.order_ids
    deed = action.deed if action is not None else None
    if deed is Deed.LOSE_AFTER_EXECUTION:
        connection.cut()
    if deed in SILENT:
        return
    entry.status = answer.status
    if deed is Deed.EMPTY_200:
        connection.send("")
    elif deed in (Deed.HTML_200, Deed.STATUS_AFTER_EXECUTION):
        connection.send("<!DOCTYPE html><html><body>Checking your browser</body></html>")
    elif deed is Deed.RESHAPE and action is not None:
        connection.send(frame(json.dumps(action.body)))
    else:
        text = render(answer)
        if text:  # an answer may be silence
            connection.send(text[: len(text) // 2] if deed is Deed.TRUNCATED_BODY else text)
