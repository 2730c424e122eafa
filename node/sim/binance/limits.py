"""Request weights and order counts, as Binance counts them: per address and clock minute, per account and window.

Sources: "Limits" of each API on developers.binance.com. Counting never stops; refusing can be switched off.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.sim.binance.errors import BinanceError

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000
PATIENCE = 20  # requests refused with 429 in one minute before the address is banned
BAN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one API allows."""

    weight_1m: int
    weight_header: str
    orders_10s: int | None
    orders_1m: int | None


@dataclass(frozen=True, slots=True)
class OrderCount:
    """What an endpoint adds to the order counts."""

    in_10s: int
    in_1m: int


SPOT_BUDGET = Budget(weight_1m=6000, weight_header="X-MBX-USED-WEIGHT-1M", orders_10s=100, orders_1m=None)
SAPI_BUDGET = Budget(weight_1m=12000, weight_header="X-SAPI-USED-IP-WEIGHT-1M", orders_10s=None, orders_1m=None)
#: What ``UID`` weights are counted against: an account's, whatever its address.
SAPI_ACCOUNT_BUDGET = Budget(
    weight_1m=180_000, weight_header="X-SAPI-USED-UID-WEIGHT-1M", orders_10s=None, orders_1m=None
)
USD_M_BUDGET = Budget(weight_1m=2400, weight_header="X-MBX-USED-WEIGHT-1M", orders_10s=300, orders_1m=1200)
COIN_M_BUDGET = Budget(weight_1m=2400, weight_header="X-MBX-USED-WEIGHT-1M", orders_10s=None, orders_1m=1200)


class Limiter:
    """Counts one API's traffic, of one address or one account."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._minute = -1
        self._weight = 0
        self._refused = 0
        self._orders: dict[tuple[str, int], tuple[int, int]] = {}  # (account, window): its number, its orders

    def spend(self, weight: int, now_ms: int, *, enforce: bool) -> dict[str, str]:
        """Count a request; the headers that tell the client.

        Raises:
            BinanceError: -1003, the minute's weight is used up; or, if that is ignored, 418.
        """
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self._weight, self._refused = minute, 0, 0
        self._weight += weight
        headers = {self.budget.weight_header: str(self._weight)}
        if enforce and self._weight > self.budget.weight_1m:
            self._refused += 1
            rest_s = (MINUTE_MS - now_ms % MINUTE_MS) / 1000
            raise self.exceeded(rest_s, headers)
        return headers

    @property
    def patience_lost(self) -> bool:
        """Whether the address went on after being told to stop."""
        return self._refused > PATIENCE

    def exceeded(self, retry_after_s: float, headers: dict[str, str] | None = None) -> BinanceError:
        """The answer to too many requests."""
        message = (
            f"Too many requests; current limit is {self.budget.weight_1m} request weight per 1 MINUTE. "
            "Please use the websocket for live updates to avoid polling the API."
        )
        return BinanceError(-1003, message, headers={**(headers or {}), "Retry-After": seconds(retry_after_s)})

    def count_orders(self, account: str, orders: OrderCount, now_ms: int, *, enforce: bool) -> dict[str, str]:
        """Count new orders of an account; the headers that tell the client.

        Raises:
            BinanceError: -1015, too many orders.
        """
        headers = {}
        for limit, added, name, span_ms in (
            (self.budget.orders_10s, orders.in_10s, "10S", TEN_SECONDS_MS),
            (self.budget.orders_1m, orders.in_1m, "1M", MINUTE_MS),
        ):
            if limit is None:
                continue
            window, count = self._orders.get((account, span_ms), (-1, 0))
            count = added + (count if window == now_ms // span_ms else 0)
            self._orders[account, span_ms] = now_ms // span_ms, count
            headers[f"X-MBX-ORDER-COUNT-{name}"] = str(count)
            if enforce and count > limit:
                message = f"Too many new orders; current limit is {limit} orders per {name}."
                raise BinanceError(-1015, message, headers={**headers, "Retry-After": seconds(span_ms / 1000)})
        return headers


def banned(until_ms: int, now_ms: int) -> BinanceError:
    """The answer to everything while an address is banned."""
    message = (
        f"Way too many requests; IP(127.0.0.1) banned until {until_ms}. "
        "Please use the websocket for live updates to avoid bans."
    )
    retry_after = seconds((until_ms - now_ms) / 1000)
    return BinanceError(-1003, message, status=418, headers={"Retry-After": retry_after})


def seconds(duration_s: float) -> str:
    """A Retry-After header: whole seconds, at least one."""
    return str(max(1, round(duration_s)))
