"""Lists come in pages, and a cursor says where the next one begins.

The cursor is percent-encoded in the answer and is sent back either so or encoded once more. It names the last row of
the page, and finds its place even if that row is gone by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from node.sim.bybit.calls import Params
from node.sim.bybit.errors import wrong

T = TypeVar("T")
#: Where a row stands that is so called; rows come in ascending order of it.
Place = Callable[[str], Any]


def page(
    rows: Sequence[T], params: Params, *, default: int, most: int, name: Callable[[T], str], place: Place = str
) -> tuple[list[T], bool]:
    """The page that is asked for, and whether more follows. A limit beyond *most* is cut to it without a word."""
    limit = min(max(1, params.integer("limit", default)), most)
    following = list(rows)
    if "cursor" in params:
        after = place(unquote(unquote(params.text("cursor"))).rpartition(",")[2].partition(":")[0])
        if after is None:
            raise wrong("cursor")
        following = [row for row in rows if place(name(row)) > after]
    return following[:limit], len(following) > limit


def cursor(rows: Sequence[T], mark: Callable[[T], str]) -> str:
    """The cursor behind a page: marks of its first and its last row, as ``name:time``."""
    return quote(f"{mark(rows[0])},{mark(rows[-1])}", safe="") if rows else ""


def listed(category: str, rows: list[dict[str, Any]], following: str) -> dict[str, Any]:
    """A page as the answer's ``result``."""
    return {"category": category, "list": rows, "nextPageCursor": following}
