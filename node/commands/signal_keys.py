"""``signals keys``: the keys that alerts carry, over the operator's socket of ``sovereign-node signals``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from node.commands.operator_client import ConnectionLost, OperatorClient
from node.commands.output import Document, ExitStatus, Output, Trouble

_KEYS: Final = "/frontoffice/api/v3/webhook/api-keys"


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Describe the operations: *add* makes a parser of a name and a summary."""
    parser = add("create", "make a key for a year, which is shown once")
    parser.add_argument("--name", required=True, help="what you call it")
    parser.add_argument("--user", metavar="ID", help="whose it is, where there are several owners")
    parser = add("list", "show every key, without what would let somebody use it")
    parser.add_argument("--user", metavar="ID", help="only this owner's")
    parser = add("revoke", "end a key for good")
    parser.add_argument("key_id", metavar="ID", help="as the list shows it")


def run(client: OperatorClient, options: argparse.Namespace, output: Output) -> ExitStatus:
    """Carry out ``options.operation``."""
    match options.operation:
        case "create":
            body = {"name": options.name} | ({} if options.user is None else {"userId": options.user})
            document = _ask(client, "POST", _KEYS, body)
            output.result(document, document["apiKey"])
            if not output.as_json:
                output.note(f"key {document['id']} of {document['userId']}: keep it now, it cannot be shown again")
        case "list":
            path = _KEYS if options.user is None else f"{_KEYS}?userId={quote(options.user, safe='')}"
            document = _ask(client, "GET", path)
            lines = [
                f"{key['id']}  {key['userId']}  {key['status']}  until {key['expiresAt']}  {key['name']}"
                for key in document["apiKeys"]
            ]
            output.result(document, "\n".join([document["webhookUrl"], *lines]))
        case _:
            document = _ask(client, "DELETE", f"{_KEYS}/{quote(options.key_id, safe='')}")
            output.result(document, document["message"])
    return ExitStatus.DONE


def _ask(client: OperatorClient, method: str, path: str, body: Document | None = None) -> Document:
    try:
        return client.call(method, path, body).or_trouble()
    except ConnectionLost as error:
        raise Trouble(
            "CONNECTION_LOST", f"signals does not answer: {error}: signals keys list shows what is there"
        ) from None
