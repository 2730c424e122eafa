"""The gate on venues whose orders are GET requests: the effect counts, not the method."""

from __future__ import annotations

import pytest

from node.domain.permission import Effect, Permission
from node.venues.call import Request
from node.venues.gate import Gate, NotPermitted, read_request
from node.venues.wire import Wire

SELL = "https://venue.test/private/sell?reduce_only=true"
LOOK = "https://venue.test/private/list"


def effect_of(request: Request) -> Effect | None:
    """A venue that sells by GET."""
    if request.path == "/private/sell":
        return Effect.CLOSE if request.params.get("reduce_only") == "true" else Effect.OPEN
    return Effect.READ


def gate(level: Permission = Permission.FULL) -> Gate:
    """Of an account with that level."""
    return Gate(level, effect_of)


def test_a_get_that_acts_is_counted_like_any_other_request() -> None:
    """One call is one request."""
    record = Wire(effect=Effect.CLOSE)
    gate().check(LOOK, "GET", None, record)
    gate().check(SELL, "GET", None, record)
    gate().check(LOOK, "GET", None, record)
    with pytest.raises(NotPermitted, match="second request"):
        gate().check(SELL, "GET", None, record)


def test_a_get_that_acts_must_name_its_parameters_once() -> None:
    """Who knows which one the venue takes. A read may repeat them: some venues have lists written so."""
    for twice in (f"{SELL}&reduce_only=false", f"{SELL}&reduce_only=true"):
        with pytest.raises(NotPermitted, match="twice"):
            gate().check(twice, "GET", None, Wire(effect=Effect.OPEN))
    gate().check(f"{LOOK}?state=open&state=stopped", "GET", None, Wire(effect=Effect.READ))


def test_a_get_that_acts_needs_its_level_and_to_be_declared() -> None:
    """Hidden, or declared as a read, it does not leave."""
    for record in (None, Wire(), Wire(effect=Effect.READ), Wire(effect=Effect.CANCEL)):
        with pytest.raises(NotPermitted):
            gate().check(SELL, "GET", None, record)
    with pytest.raises(NotPermitted, match="permission"):
        gate(Permission.CANCEL).check(SELL, "GET", None, Wire(effect=Effect.CLOSE))


@pytest.mark.parametrize(
    ("body", "document"),
    [
        ('{"side": "SELL", "to": {"size": "1"}}', {"side": "SELL", "to": {"size": "1"}}),
        ('{"side": "SELL", "side": "BUY"}', None),
        ('{"side": "SELL", "to": [{"size": "1", "size": "2"}]}', None),
        ('{"side": "SELL"', None),
        ("side=SELL", None),
    ],
)
def test_a_document_with_a_name_twice_is_none(body: str, document: object) -> None:
    """Or what a profile reads of it is not what the venue does."""
    assert read_request("https://venue.test/orders", "POST", body).document == document
