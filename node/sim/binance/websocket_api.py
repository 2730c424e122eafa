"""The little of the spot WebSocket API that account streams need: two ways to subscribe, and their ends.

Source: User Data Stream requests, WebSocket API, on developers.binance.com.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from node.sim.binance.errors import BinanceError, missing
from node.sim.binance.security import authenticate
from node.sim.binance.streams import BinanceStreams, Listener
from node.sim.market import Product
from node.sim.streams import Connection
from node.sim.venue import VenueSetup, WireRequest

Params = Mapping[str, Any]


class ApiSession:
    """One connection to the WebSocket API."""

    def __init__(
        self, setup: VenueSetup, streams: BinanceStreams, connection: Connection, request: WireRequest
    ) -> None:
        self._setup = setup
        self._streams = streams
        self._connection = connection
        self._request = request
        self._subscriptions: dict[int, Listener] = {}
        self._count = 0
        self._methods: dict[str, Callable[[Params], dict[str, Any]]] = {
            "ping": lambda _: {},
            "time": lambda _: {"serverTime": setup.clock.now_ms()},
            "session.subscriptions": lambda _: {"subscriptions": list(self._subscriptions)},
            "userDataStream.subscribe.signature": self._subscribe_by_signature,
            "userDataStream.subscribe.listenToken": self._subscribe_by_token,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    def received(self, text: str) -> None:
        """Answer one request, with its id."""
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            message = {}
        answer: dict[str, Any] = {"id": message.get("id")}
        try:
            handler = self._methods.get(str(message.get("method")), _unsupported)
            params = message.get("params") or {}
            answer |= {"status": 200, "result": handler(params if isinstance(params, dict) else {})}
        except BinanceError as error:
            answer |= {"status": error.status, "error": error.document()}
        self._connection.send(json.dumps(answer))

    def closed(self) -> None:
        """Forget its subscriptions."""
        for listener in self._subscriptions.values():
            self._streams.detach(listener)

    def _subscribe_by_signature(self, params: Params) -> dict[str, Any]:
        # Signed as an HTTP request would be: parameters in alphabetical order, the key among them, nothing encoded.
        words = {name: str(value) for name, value in params.items() if name != "signature"}
        if "apiKey" not in words:
            raise missing("apiKey")
        query = "&".join(f"{name}={words[name]}" for name in sorted(words))
        request = replace(
            self._request,
            query=query,
            body="",
            headers={"X-MBX-APIKEY": words["apiKey"]},
            params=words,
            signature=str(params.get("signature", "")),
            key=self._setup.keys.by_public.get(words["apiKey"]),
        )
        key = authenticate(request, self._setup.clock.now_ms(), futures=False, trades=False)
        return {"subscriptionId": self._add(Product.SPOT, key.account)}

    def _subscribe_by_token(self, params: Params) -> dict[str, Any]:
        ticket = self._streams.ticket(str(params.get("listenToken", "")))
        if ticket is None:
            raise BinanceError(-1209, "Invalid listenToken.")
        number = self._add(ticket.product, ticket.account)
        self._subscriptions[number].ticket = ticket
        return {"subscriptionId": number, "expirationTime": ticket.expires_ms}

    def _unsubscribe(self, params: Params) -> dict[str, Any]:
        wanted = params.get("subscriptionId")
        for number in [wanted] if wanted is not None else list(self._subscriptions):
            self._streams.detach(self._subscriptions.pop(number, None))
        return {}

    def _add(self, product: Product, account: str) -> int:
        number = self._count
        self._count += 1
        for earlier, listener in list(self._subscriptions.items()):  # one a product and account: it is renewed
            if (listener.product, listener.account) == (product, account):
                self._unsubscribe({"subscriptionId": earlier})
        listener = Listener(
            product=product,
            account=account,
            connection=self._connection,
            wrap=lambda event: {"subscriptionId": number, "event": event},
        )
        self._subscriptions[number] = listener
        self._streams.attach(listener)
        return number


def _unsupported(_: Params) -> dict[str, Any]:
    raise BinanceError(-1020, "This operation is not supported.")


class ListenSession:
    """One connection to a futures stream: it listens, and says nothing worth an answer but this."""

    def __init__(self, streams: BinanceStreams, connection: Connection, listener: Listener | None) -> None:
        self._streams = streams
        self._connection = connection
        self._listener = listener

    def received(self, text: str) -> None:
        """Subscriptions to public streams are taken and never fed."""
        try:
            message = json.loads(text)
        except ValueError:
            return
        if isinstance(message, dict) and "id" in message:
            self._connection.send(json.dumps({"result": None, "id": message["id"]}))

    def closed(self) -> None:
        """Hear no more."""
        self._streams.detach(self._listener)
