"""Lists that a venue keeps for groups of markets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.domain.snapshot import MarketKind
from node.venues.layout import Slice, SliceReads
from node.venues.markets import MarketBook
from tests.support.venue import recorded_venue


async def test_lists_may_depend_on_the_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile is asked with the book that the answers will be read by, and intervals count those requests."""
    async with recorded_venue(slices=("linear",)) as (venue, fetch):
        profile, seen = venue._profile, []
        plain = profile.reads(venue._parts["linear"])

        def reads_of(part: Slice, book: MarketBook) -> SliceReads:
            seen.append((part.name, book))
            more = (replace(call, params={**dict(call.params), "symbol": "BTCUSDT"}) for call in plain.orders)
            return replace(plain, orders=(*plain.orders, *more))

        once = venue.look_interval_s("linear")
        monkeypatch.setattr(profile, "reads_of", reads_of)
        fetch.empty()
        await venue.read_proof("linear")
        assert [each.path for each in fetch.sent].count("/fapi/v1/openOrders") == 2
        assert set(seen) == {("linear", venue._shelf.books[MarketKind.LINEAR])}
        assert venue.look_interval_s("linear") > once
