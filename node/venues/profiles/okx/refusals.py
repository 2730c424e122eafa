"""OKX: what its answers say about steps, and what its error codes say for certain. Pure.

Sources: https://www.okx.com/docs-v5/en/#error-code-rest-api-public and .../#overview-general-info (where there is an
sCode it decides, not the code around it). A code that is not here proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from node.domain.steps import CancelOrders, ClosePosition, Outcome, Refusal, Step
from node.venues.call import Answer, Judgement, Reply

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)

#: All of a request failed; a part of it did: the rows say why.
_BULK: Final = ("1", "2")
#: "Does not mean that the request was successful or failed", timed out, system error; and client ids that are known
#: already: an earlier attempt arrived.
UNCERTAIN: Final = frozenset(
    {"50004", "50013", "50026", "50042", "50071", "51011", "51016", "51054", "51149", "51412", "54047", "54048"}
)
#: Our timestamp, or the time until which an order is valid.
CLOCK: Final = frozenset({"50102", "50112", "50036", "50037"})
NO_SUCH_ORDER: Final = "51603"


def _each(refusal: Refusal, *codes: str) -> dict[str, Refusal]:
    return dict.fromkeys(codes, refusal)


REFUSALS: Final[Mapping[str, Refusal]] = {
    # No position in this direction, or closing orders stand for all of it
    **_each(
        Refusal.NOTHING_TO_REDUCE,
        "51023",  # Position doesn't exist
        "51043",  # This isolated position doesn't exist
        "51112",  # Close order size exceeds available size for this position
        "51115",  # Cancel all pending close-orders before liquidation
        "51117",  # Pending close-orders count exceeds limit
        "51148",  # may execute an opposite trading direction: cancel reduce-only orders first
        "51165",  # too many reduce-only orders
        "51168",  # reduce-only orders are open
        "51169",  # you don't have any positions in this direction to reduce or close
        "51170",  # a reduce-only order can't be the same trading direction as your existing positions
        "51206",  # cancel the reduce-only order first to avoid opening a reverse position
    ),
    # The venue's price limits, or nobody to trade with
    **_each(Refusal.PRICE_BAND, "51006", "51031", "51109", "51116", "51135", "51136", "51137", "51138"),
    **_each(Refusal.PRICE_BAND, "51110", "51124", "51507"),  # only limit orders for now
    # More than one order may be of
    **_each(Refusal.QUANTITY, "51005", "51033", "51101", "51108", "51185", "51201", "51202", "51203", "51207"),
    **_each(Refusal.TOO_SMALL, "50122", "51007", "51020", "51120", "51132"),
    **_each(Refusal.MARKET_CLOSED, "51021", "51022", "51027", "51028", "51029", "51087", "54012", "54072"),
    # Filled, cancelled, triggered or being cancelled: the next read tells
    **_each(Refusal.UNKNOWN_ORDER, "51400", "51401", "51402", "51405", "51410", "51416", "51063", NO_SUCH_ORDER),
    **_each(Refusal.RATE_LIMITED, "50011", "50040", "50061", "51113"),
    # Frozen while the venue deleverages, liquidates, or settles funding
    **_each(Refusal.OVERLOADED, "50009", "50017", "50018", "50019", "50020", "50021", "50022", "50023", "51030"),
    # Key, address, rights, account: a person must act
    **_each(Refusal.DENIED, "50007", "50008", "50012", "50027", "50029", "50030", "50035", "51009", "51024"),
    **_each(Refusal.DENIED, "50100", "50101", "50103", "50104", "50105", "50106", "50107", "50108", "50109"),
    **_each(Refusal.DENIED, "50110", "50111", "50113", "50114", "50119", "50120", "50121"),
    **_each(Refusal.INSUFFICIENT, "51008", "51119", "51127", "51131"),
    # Not as it should be, or not now: timestamps, parameters, modes, limits of the account
    **_each(Refusal.OTHER, *CLOCK, "50000", "50002", "50006", "50014", "50015", "50016", "50024", "50025", "50028"),
    **_each(Refusal.OTHER, "50032", "50033", "50052", "50072", "50115", "51000", "51001", "51002", "51003", "51004"),
    **_each(Refusal.OTHER, "51010", "51012", "51014", "51015", "51025", "51026", "51032", "51041", "51102", "51103"),
    **_each(Refusal.OTHER, "51104", "51105", "51106", "51107", "51111", "51121", "51122", "51150", "51155", "51156"),
    **_each(Refusal.OTHER, "51159", "51174", "51205", "51209", "51210", "51211", "51212", "51213", "51324", "51403"),
    **_each(Refusal.OTHER, "51404", "51406", "51407", "51413", "54008", "54011", "54094"),
}


def reply(status: int | None, body: Answer) -> Reply:
    """``{"code": "1", "data": [{"sCode": "51008", "sMsg": "..."}], "msg": "..."}``, or a code without rows.

    Of several rows the one that is least harmless speaks. A redirection is no answer of the venue's.
    """
    if isinstance(body, dict) and not (status is not None and 300 <= status < 400):
        code, message = body.get("code"), body.get("msg")
        if isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) <= 6 and code != "0":
            failed = _failures(body.get("data")) if code in _BULK else []
            if failed:
                return Reply(status=status, code=failed[0][0], message=failed[0][1])
            return Reply(status=status, code=code, message=message if isinstance(message, str) else "")
    return Reply(status=status, code=None, message="")


def _failures(data: object) -> list[tuple[str, str]]:
    """Codes and messages of the rows that failed, the least harmless first."""
    found = [
        (_code(entry), str(entry.get("sMsg", ""))[:300])
        for entry in (data if isinstance(data, list) else [])
        if isinstance(entry, dict) and entry.get("sCode") != "0"
    ]
    return sorted(found, key=lambda failure: _harm(failure[0]))


def _code(entry: Mapping[str, Any]) -> str:
    """Without the part behind a dash (51008_1000); a row without one is not understood."""
    value = entry.get("sCode")
    return value.partition("_")[0] if isinstance(value, str) and value else "?"


def _harm(code: str) -> int:
    if code in UNCERTAIN or code not in REFUSALS:
        return 0
    return 2 if REFUSALS[code] is Refusal.UNKNOWN_ORDER else 1


def refused(given: Reply) -> Judgement | None:
    """By the code. A server error (5xx) may have been executed, whatever its code; so may what no table knows."""
    if given.code is None:
        return None
    message = f"{given.code} {given.message}"
    refusal = REFUSALS.get(given.code)
    if (given.status or 0) >= 500 or given.code in UNCERTAIN or refusal is None:
        # Nor is ccxt's word taken: of a batch it names the first row that it knows, and others may have been done.
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message, strange=refusal is None)
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=given.code in CLOCK)


def accepted(step: Step, answer: Answer) -> Judgement:
    """What an answer without an error says: done by the ids in its rows. Fills are not told."""
    if not isinstance(answer, dict) or answer.get("code") not in ("0", "2"):
        return NOT_UNDERSTOOD
    data = answer.get("data")
    if not isinstance(data, list) or not data or not all(isinstance(entry, dict) for entry in data):
        return NOT_UNDERSTOOD
    if isinstance(step, CancelOrders):
        return _of_cancels(step, data)
    if len(data) != 1 or answer["code"] != "0":
        return NOT_UNDERSTOOD
    row = data[0]
    if "sCode" not in row:
        # The venue's own close has no order to name: it repeats what it closes.
        closed = isinstance(step, ClosePosition) and row.get("instId") == step.market_id
        return DONE if closed else NOT_UNDERSTOOD
    return DONE if row["sCode"] == "0" and _identified(row, "ordId") else NOT_UNDERSTOOD


def _of_cancels(step: CancelOrders, data: Sequence[Mapping[str, Any]]) -> Judgement:
    """Done if every order is cancelled or gone; the whole says no more than its worst part."""
    name = "algoId" if step.trigger else "ordId"
    failed = _failures(list(data))
    done = [entry for entry in data if entry.get("sCode") == "0"]
    if len(data) > len(step.order_ids) or not all(_identified(entry, name) for entry in done):
        return NOT_UNDERSTOOD
    if not failed:
        return DONE
    code, text = failed[0]
    refusal = REFUSALS.get(code)
    if code in UNCERTAIN or refusal is None:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=f"{code} {text}", strange=refusal is None)
    if refusal is Refusal.UNKNOWN_ORDER and done:
        return DONE
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=f"{code} {text}")


def _identified(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    return isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", 0)
