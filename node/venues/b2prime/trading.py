"""Orders, positions, balances and history of one account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from ccxt.base import errors

from node.venues.b2prime.session import Json, Params, Session
from node.venues.b2prime.shapes import Row, an_object, objects, within

_SIDES: Final = {"buy": "Buy", "sell": "Sell"}
_TYPES: Final = {"market": "Market", "limit": "Limit"}
_FORCES: Final = {"GTC": "Gtc", "IOC": "Ioc", "FOK": "Fok", "GTD": "Gtd", "DAY": "Day"}
_STATUSES: Final = {
    "Started": "open",
    "Pending": "open",
    "Working": "open",
    "Completed": "closed",
    "Cancelled": "canceled",
    "Rejected": "rejected",
    "Expired": "expired",
    "WaitingForActivation": "open",
    "Activated": "open",
}
#: Which of the account's positions a bulk close is about.
BULK_MODES: Final = ("AllPositions", "PositivePnl", "NegativePnl")
_WHOLE_CLOSE: Final[dict[str, Row]] = {"null": {"closePositionLotAmount": None}, "empty": {}, "none": {"noBody": True}}


class Trading(Session):
    """What concerns one account's money."""

    # Names and numbers

    def asset_code(self, asset_id: str) -> str:
        """ccxt's code: the venue's identifiers are lower case."""
        return str(self.safe_currency_code(str(asset_id).upper()))

    def safe_market(self, marketId: str | None = None, market: Json = None, *_hints: Json) -> Json:  # noqa: N803
        """ccxt's, for identifiers that name one market each; of a market that is not known, the venue's own name."""
        listed = (self.markets_by_id or {}).get(marketId) if marketId is not None else None
        if listed:
            return listed[0]
        return market or self.safe_market_structure({"id": marketId, "symbol": marketId})

    async def only(self, symbols: list[str] | None) -> set[str] | None:
        """The symbols that a list is to be narrowed to; None: all.

        Raises:
            BadSymbol: one of them is not known, which must not look like an empty list.
        """
        if not symbols:
            return None
        await self.load_markets()
        return {str(self.market(symbol)["symbol"]) for symbol in symbols}

    def asset_id(self, code: str) -> str:
        """The venue's identifier."""
        known = (self.currencies or {}).get(code)
        return str(known["id"]) if known else code.lower()

    def number_of(self, value: Decimal | None) -> Json:
        """In the type that this instance's user wants numbers in."""
        return None if value is None else self.parse_number(format(value, "f"))

    # Orders

    async def create_order(
        self,
        symbol: str,
        type: str,
        side: str,
        amount: float,
        price: float | None = None,
        params: Params = None,
    ) -> Json:
        """Place an order; *amount* is base units on spot, lots elsewhere.

        *params*: ``timeInForce``, ``cancellationDate`` (with GTD), ``comment``, ``leverage`` (not on spot),
        ``triggerPrice`` (a stop order), ``stopLoss`` and ``takeProfit`` (objects as the venue wants them).
        An order that the venue refuses in its answer is returned as rejected.

        Raises:
            NotSupported: the path for this kind of order is inferred, and no option allows it.
        """
        market = await self.market_with_details(symbol)
        given = dict(params or {})
        trigger = given.pop("triggerPrice", None) or given.pop("stopPrice", None)
        order = self._order_body(market, type, side, amount, price, given)
        if trigger is not None:
            order["activationPrice"] = self.price_to_precision(symbol, trigger)
        answer = await self._order_endpoint(market, stop=trigger is not None)({"order": order, **given})
        return self.parse_order(an_object(an_object(answer, "order")["order"], "orderId"), market)

    def _order_body(
        self, market: Json, kind: str, side: str, amount: float, price: float | None, given: dict[str, Any]
    ) -> Row:
        if kind not in _TYPES or side not in _SIDES:
            raise errors.InvalidOrder(f"{self.id} orders are market or limit, buy or sell")
        if kind == "limit" and price is None:
            raise errors.ArgumentsRequired(f"{self.id} a limit order needs a price")
        force = str(given.pop("timeInForce", "GTC" if kind == "limit" else "IOC")).upper()
        if force not in _FORCES:
            raise errors.InvalidOrder(f"{self.id} no such time in force")
        quantity = self.amount_to_precision(market["symbol"], amount)
        order: Row = {
            "marketId": market["id"],
            "side": _SIDES[side],
            "orderType": _TYPES[kind],
            "timeInForce": _FORCES[force],
            "requestedAmount" if market["spot"] else "requestedLotAmount": quantity,
        }
        if kind == "limit":
            order["requestedPrice"] = self.price_to_precision(market["symbol"], price)
        if force == "GTD" and not given.get("cancellationDate"):
            raise errors.ArgumentsRequired(f"{self.id} GTD needs a cancellationDate")
        own = (
            ("cancellationDate", "comment")
            if market["spot"]
            else ("cancellationDate", "comment", "leverage", "stopLoss", "takeProfit")
        )
        return order | {name: given.pop(name) for name in own if name in given}

    def _order_endpoint(self, market: Json, *, stop: bool) -> Json:
        kind = str(market["id"]).partition(".")[0] if market["contract"] else "spot"
        option = {("perp", False): "perpetualOrders", ("cfd", True): "cfdStopOrders"}.get((kind, stop))
        if option and not self.options[option]:
            raise errors.NotSupported(f"{self.id} the path is inferred: options.{option} allows it")
        return {
            ("spot", False): self.privatePostFrontofficeApiV3Orders,
            ("cfd", False): self.privatePostFrontofficeApiCfdV4Orders,
            ("perp", False): self.privatePostFrontofficeApiPerpetualV4Orders,
            ("spot", True): self.privatePostFrontofficeApiV3StopOrders,
            ("cfd", True): self.privatePostFrontofficeApiCfdV4StopOrders,
            ("perp", True): self.privatePostFrontofficeApiPerpetualV4StopOrders,
        }[(kind, stop)]

    async def preview_order(self, symbol: str, order: Row) -> Row:
        """What an order would take: the venue's own answer to its own fields (``order-data``)."""
        await self.load_markets()
        market = self.market(symbol)
        kind = str(market["id"]).partition(".")[0]
        ask = {
            "spot": self.privatePostFrontofficeApiV3OrderData,
            "cfd": self.privatePostFrontofficeApiCfdV4OrderData,
            "perp": self.privatePostFrontofficeApiPerpetualV4OrderData,
        }[kind]
        answer = await ask({"order": {"marketId": market["id"], **order}})
        return an_object(an_object(answer, "order")["order"])

    async def cancel_order(self, id: str, symbol: str | None = None, params: Params = None) -> Json:
        """Cancel an order, or with ``params.stop`` a stop order. Its state afterwards is not documented: look again."""
        given = {**(params or {}), "orderId": id}
        stop = given.pop("stop", None) or given.pop("trigger", None)
        plain, stops = (
            self.privateDeleteFrontofficeApiV3OrdersOrderId,
            self.privateDeleteFrontofficeApiV3StopOrdersOrderId,
        )
        answer = await (stops if stop else plain)(given)
        return self.parse_order(an_object(an_object(answer, "order")["order"], "orderId"))

    async def cancel_all_orders(self, symbol: str | None = None, params: Params = None) -> list[Json]:
        """Cancel every open order, one by one: the venue has no request for all. Stop orders are not listed."""
        return [await self.cancel_order(order["id"]) for order in await self.fetch_open_orders(symbol)]

    async def fetch_open_orders(
        self, symbol: str | None = None, since: int | None = None, limit: int | None = None, params: Params = None
    ) -> list[Json]:
        """By the first message of a fresh subscription. Stop orders that wait for their price are not among them."""
        wanted = await self.only([symbol] if symbol else None)
        [item] = await self.first_items(["orders"], params)
        found = [self.parse_order(row) for row in objects(item, "orderId", "marketId", "side", "status")]
        return [order for order in found if wanted is None or order["symbol"] in wanted]

    def parse_order(self, order: Json, market: Json = None) -> Json:
        """Amounts are the venue's base units, in lots where the market's lot is known."""
        market = self.safe_market(order.get("marketId"), market)
        lot = self.safe_string(market, "contractSize") if market.get("contract") else "1"
        amounts = [self.safe_string(order, name) for name in ("requestedAmount", "remainingAmount")]
        amount, remaining = (self._lots(each, lot) for each in amounts)
        status, at = self.safe_string(order, "status"), self.parse8601(self.safe_string(order, "createdAt"))
        return self.safe_order(
            {
                "id": self.safe_string(order, "orderId"),
                "clientOrderId": None,
                "timestamp": at,
                "datetime": self.iso8601(at),
                "symbol": market["symbol"],
                "type": self.safe_string_lower(order, "orderType"),
                "timeInForce": self.safe_string_upper(order, "timeInForce"),
                "side": self.safe_string_lower(order, "side"),
                "price": self.omit_zero(self.safe_string(order, "requestedPrice")),
                "triggerPrice": self.safe_string(order, "activationPrice"),
                "average": self.omit_zero(self.safe_string(order, "executionPrice")),
                "amount": amount,
                "remaining": remaining,
                "status": _STATUSES.get(status or "", status),
                "info": order,
            },
            market,
        )

    @staticmethod
    def _lots(base: str | None, lot: str | None) -> str | None:
        return None if not base or not lot or not Decimal(lot) else format(Decimal(base) / Decimal(lot), "f")

    # Positions

    async def fetch_positions(self, symbols: list[str] | None = None, params: Params = None) -> list[Json]:
        """By the first message of a fresh subscription."""
        wanted = await self.only(symbols)
        [item] = await self.first_items(["positions"], params)
        found = [self.parse_position(row) for row in within(item, "item", "positionId", "marketId", "side")]
        return [position for position in found if wanted is None or position["symbol"] in wanted]

    def parse_position(self, position: Json, market: Json = None) -> Json:
        """``contracts`` are lots; figures in the root asset stay where the venue has them, in ``info``."""
        market = self.safe_market(position.get("marketId"), market)
        sides = {"Buy": "long", "Sell": "short"}
        at = self.parse8601(self.safe_string(position, "createdAt"))
        side = sides.get(position["side"])
        if side is None:
            raise errors.BadResponse(f"{self.id} a position without a side")
        return self.safe_position(
            {
                "id": self.safe_string(position, "positionId"),
                "symbol": market["symbol"],
                "timestamp": at,
                "datetime": self.iso8601(at),
                "side": side,
                "contracts": self.safe_number(position, "positionLotAmount"),
                "contractSize": market.get("contractSize"),
                "entryPrice": self.safe_number(position, "openPrice"),
                "markPrice": self.safe_number(position, "currentMarketPrice"),
                "leverage": self.safe_number(position, "leverage"),
                "stopLossPrice": self.safe_number(position, "stopLoss"),
                "takeProfitPrice": self.safe_number(position, "takeProfit"),
                "info": position,
            }
        )

    async def close_position_by_id(self, position_id: str, lots: str | None = None, params: Params = None) -> Row:
        """Close one position, or *lots* of it: ``{positionId}``, which acknowledges and proves nothing."""
        part = _WHOLE_CLOSE[self.options["wholeClose"]] if lots is None else {"closePositionLotAmount": lots}
        request = {"positionId": position_id, **part, **(params or {})}
        return an_object(await self.privatePostFrontofficeApiV4PositionsPositionIdClose(request), "positionId")

    async def close_position(self, symbol: str, side: str | None = None, params: Params = None) -> list[Row]:
        """Close every position of a market (of one side, if given), each by the venue's own request for it."""
        open_now = await self.fetch_positions([symbol])
        return [await self.close_position_by_id(each["id"]) for each in open_now if side in (None, each["side"])]

    async def close_all_positions(self, params: Params = None) -> Row:
        """Close all at once: ``{status, positionIds}``, accepted and not yet done. ``params.mode``: ``BULK_MODES``."""
        request = {"mode": "AllPositions", **(params or {})}
        if request["mode"] not in BULK_MODES:
            raise errors.BadRequest(f"{self.id} no such mode")
        answer = an_object(await self.privatePostFrontofficeApiV4PositionsBulkClose(request), "status", "positionIds")
        if not isinstance(answer["positionIds"], list):
            raise errors.BadResponse(f"{self.id} positionIds is no list")
        return answer

    async def preview_triggers(self, position_id: str, triggers: Row) -> Row:
        """Prices, rates, points and profits of a stop loss and a take profit."""
        request = {**triggers, "positionId": position_id}
        return an_object(await self.privatePostFrontofficeApiV4PositionsPositionIdTriggerData(request))

    async def set_triggers(self, position_id: str, triggers: Row) -> Row:
        """``{stopLoss: {price, isTrailing}, takeProfit: {price}}`` of a position."""
        request = {**triggers, "positionId": position_id}
        return an_object(await self.privatePutFrontofficeApiV4PositionsPositionIdTriggers(request), "positionId")

    # Money

    async def fetch_margin(self, params: Params = None) -> Row:
        """``{marginBalanceInRAT, equityInRAT, usedMarginInRAT, freeMarginInRAT, marginLevel, …}``, freshly told."""
        [item] = await self.first_items(["margin"], params)
        return an_object(item, "usedMarginInRAT")

    async def fetch_balance(self, params: Params = None) -> Json:
        """By the first message of a fresh subscription."""
        [item] = await self.first_items(["balances"], params)
        found: Row = {"info": item}
        for row in objects(item, "assetId", "total"):
            held = self.account()
            held["free"], held["used"] = self.safe_string(row, "available"), self.safe_string(row, "locked")
            held["total"] = self.safe_string(row, "total")
            found[self.asset_code(row["assetId"])] = held
        return self.safe_balance(found)

    # History

    async def fetch_positions_history(
        self,
        symbols: list[str] | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> list[Row]:
        """Closing orders, in the venue's words. The list's wrapper is not documented: the only list in it is taken."""
        wanted = await self.only(symbols)
        request: Row = dict(params or {})
        if since is not None:
            request["closedAtFrom"] = self.iso8601(since)
        if limit is not None:
            request["limit"] = limit
        answer = await self.privatePostFrontofficeApiV4OrdersClosedPositions(request)
        if isinstance(answer, dict):
            lists = [value for value in answer.values() if isinstance(value, list)]
            answer = lists[0] if len(lists) == 1 else answer
        rows = objects(answer, "orderId", "marketId")
        return [row for row in rows if wanted is None or self.safe_market(row["marketId"])["symbol"] in wanted]

    async def fetch_position_executions(self, position_ids: list[str], params: Params = None) -> list[Row]:
        """Executions of positions."""
        given = dict(params or {})
        if len(position_ids) == 1:
            ask = self.privatePostFrontofficeApiV4PositionsPositionIdExecutionsList
            return within(await ask({**given, "positionId": position_ids[0]}), "executions", "executionId")
        answer = await self.privatePostFrontofficeApiV4PositionsExecutionsList({**given, "positionIds": position_ids})
        return within(answer, "executions", "executionId")

    async def fetch_order_executions(self, pairs: list[Row], params: Params = None) -> Row:
        """Executions of closing orders: ``{executions, isExceeded}``; *pairs* of ``orderId`` and ``positionId``."""
        version = "V4" if self.options["executionsVersion"] == "v4" else "V5"
        ask = getattr(self, f"privatePostFrontofficeApi{version}OrdersExecutionsList")
        answer = await ask({**(params or {}), "orderPositionPairs": pairs})
        within(answer, "executions", "executionId")
        return an_object(answer)

    async def fetch_one_order_executions(self, order_id: str, params: Params = None) -> Row:
        """The same of one order."""
        version = "V4" if self.options["executionsVersion"] == "v4" else "V5"
        answer = await getattr(self, f"privatePostFrontofficeApi{version}OrdersOrderIdExecutionsList")(
            {**(params or {}), "orderId": order_id}
        )
        within(answer, "executions", "executionId")
        return an_object(answer)
