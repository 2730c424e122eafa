"""One connection to the private stream: who it is, and what it wants to hear.

Source: "Connect" of the V5 documentation.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from node.sim.bybit.errors import BybitError
from node.sim.bybit.security import authenticate_stream
from node.sim.bybit.streams import TOPICS, BybitStreams, Listener
from node.sim.streams import Connection


def read_message(text: str) -> dict[str, Any]:
    """What a client said, empty if it is no JSON object."""
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


class PrivateSession:
    """Answers the few words that a client may say."""

    def __init__(self, streams: BybitStreams, connection: Connection) -> None:
        self._streams = streams
        self._connection = connection
        self._name = secrets.token_hex(10)
        self._listener: Listener | None = None

    def received(self, text: str) -> None:
        """Answer one request; with its id, if it has one."""
        message = read_message(text)
        operation, arguments = message.get("op"), message.get("args")
        if operation == "ping":
            answer: dict[str, Any] = {"op": "pong", "args": [str(self._streams.now_ms)]}
        else:
            answer = {"success": True, "ret_msg": "", "op": operation}
            try:
                self._act(str(operation), arguments)
            except BybitError as error:
                answer |= {"success": False, "ret_msg": error.message}
        if "req_id" in message:
            answer["req_id"] = message["req_id"]
        self._connection.send(json.dumps({**answer, "conn_id": self._name}))

    def closed(self) -> None:
        """Hear no more."""
        self._streams.detach(self._listener)

    def _act(self, operation: str, arguments: object) -> None:
        if operation == "auth":
            self._authenticate(arguments)
        elif operation in ("subscribe", "unsubscribe"):
            self._subscribe(arguments, wanted=operation == "subscribe")
        else:
            raise BybitError(10404, "error:invalid op")

    def _authenticate(self, arguments: object) -> None:
        key = authenticate_stream(self._streams.setup.keys, arguments, self._streams.now_ms)
        if self._listener is not None:
            raise BybitError(20001, "error:repeat auth")
        self._listener = Listener(account=key.account, connection=self._connection)
        self._streams.attach(self._listener)

    def _subscribe(self, arguments: object, *, wanted: bool) -> None:
        if self._listener is None:
            raise BybitError(10003, "error:request not authorized")
        topics = [str(argument) for argument in arguments] if isinstance(arguments, list) else []
        categorised = {topic.partition(".")[0] for topic in topics if "." in topic}
        if not topics or not all(_known(topic) for topic in topics):
            raise BybitError(10001, "error:handler not found")
        if categorised & set(topics):
            raise BybitError(10001, "error:all-in-one and categorised topics cannot be in the same request")
        listener = self._listener
        listener.topics = listener.topics | set(topics) if wanted else listener.topics - set(topics)
        self._connection.hears.clear()
        for topic in listener.topics:
            name, _, category = topic.partition(".")
            self._connection.hears.update(product for product in TOPICS[name] if category in ("", product))


def _known(topic: str) -> bool:
    name, dot, category = topic.partition(".")
    return name in TOPICS and (not dot or category in TOPICS[name])
