"""The failure modes that closing has to survive, each by a short name, and the mark that ties a test to them."""

from __future__ import annotations

from typing import Final

import pytest

#: Name and meaning, in the order of the issue that asked for them.
FAILURES: Final[dict[str, str]] = {
    "rejected_close": "a close that the venue refused is read as a success",
    "ended_without_fill": "an order is answered as taken, and its status says that it ended without trading",
    "reopens_during": "the engine opens positions again while they are being closed",
    "reopens_after": "the engine opens positions again when all are closed",
    "reopens_at_release": "the engine opens positions again in the moment before a hold is lifted",
    "order_in_flight": "an engine's order is on its way when the lock comes",
    "triggers_survive": "conditional orders survive a cancel of all orders",
    "late_trigger": "a conditional order fires while its account is being closed, or because it is cancelled",
    "hidden_settle_coin": "reads leave out what settles in another coin",
    "hidden_page": "reads leave out what is on the next page",
    "hidden_dex": "reads leave out what is on another dex of the venue",
    "hedge_sides": "hedge mode takes position sides and no reduce-only flag, one-way mode the contrary",
    "stale_read": "a position shrinks, goes or turns round between the read and the order",
    "lost_answer": "the connection breaks after execution",
    "timeout_after_execution": "the venue executes and keeps silent",
    "status_after_execution": "the venue executes and answers 5xx, or that it does not know",
    "hang": "the venue keeps silent and executes nothing",
    "empty_200": "200 without a body",
    "html_200": "200 with a web page",
    "truncated_body": "the answer breaks off in the middle",
    "rate_limit": "429 with Retry-After",
    "unnamed_rate_limit": "429 that does not say for how long",
    "ban": "418: everything from this address is refused for a while",
    "limited_product": "the request budget of one product is used up, and that of the others is not",
    "shared_address": "several accounts share one address's request budget",
    "overload": "the venue refuses for its own load, for minutes",
    "price_band": "market orders, or any price, are outside the venue's price band",
    "market_band": "market orders are outside the band, and orders with a price are not",
    "partial_fill": "immediate-or-cancel orders fill in part",
    "market_maximum": "a position is larger than the largest market order",
    "held_by_orders": "a balance is held by open orders",
    "dust": "what is left is below the least quantity or value",
    "duplicate_command": "the same command comes again, during and after",
    "late_command": "a command comes after its expiry",
    "clock_drift": "the venue's clock and ours differ, or one of them jumps",
    "cold_start": "the first command comes while nothing is armed, or markets cannot be loaded",
    "key_revoked": "the key is revoked in the middle",
    "rights_removed": "the key loses a part of its rights in the middle",
    "rights_of_one_product": "the key loses the right to one product, and keeps the others",
    "delisted": "a market is delisted while a position in it is open",
    "settling": "a market is settling",
    "market_closed": "a market is closed, and opens again",
    "spot_unbounded": "no venue bounds a spot sale: a balance shrinks between the read and the sale",
    "borrowed": "balances are borrowed",
    "auto_borrow": "a spot sale is repeated after an ambiguous answer where the venue lends by itself",
    "flatten_twice": "FLATTEN comes twice",
    "two_hops": "a coin has no market against the base currency",
    "kept_coins": "coins that are never to be sold",
    "spot_maximum": "a balance is larger than the largest order",
    "conversion": "the venue's own convert service refuses, quotes badly, or does not say what it did",
    "slow_part": "one part of the venue is slow beside fast ones",
    "two_commands": "two commands at once on one account",
    "lock_during_close": "LOCK during CLOSE_ALL",
    "close_during_flatten": "CLOSE_ALL during FLATTEN",
    "all_during_one": "a CLOSE_ALL of everything during one of a single symbol",
    "close_during_drill": "a CLOSE_ALL during a drill",
    "expiring": "contracts that expire stand beside the perpetual ones",
    "foreign_positions": "positions that nobody here opened",
    "stop_lost": "a stop-loss is cancelled already when the close is refused",
    "unexpected_shape": "an answer has a shape that nobody expects",
    "unread_slice": "a part of the account cannot be read",
    "unpriced": "a price cannot be had",
    "opened_while_locked": "something is opened while the account is locked and no command is live",
    "ping_pong": "an engine opens again and again what the guard undoes",
}


def failure(*names: str) -> pytest.MarkDecorator:
    """Say which failures a test stands for."""
    for name in names:
        if name not in FAILURES:
            raise LookupError(f"{name} is not on the list of failures")
    return pytest.mark.failure(*names)
