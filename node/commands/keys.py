"""``keys``: the keys of the risk API, over the operator's socket."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from node.commands.operator_client import ConnectionLost, OperatorClient
from node.commands.output import Document, ExitStatus, Output, Trouble

_KEYS: Final = "/api/v1/b2b/keys"
#: What the contract says that a new key's document holds.
_NEW_KEY: Final = ("id", "api_key", "scopes", "accounts", "expires_at")


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser], listed: Callable[[str], tuple[str, ...]]) -> None:
    """Describe the operations: *add* makes a parser of a name and a summary, *listed* reads ``A,B``."""
    parser = add("create", "make a key, which is shown once")
    parser.add_argument("--owner", required=True, metavar="ID", help="whose accounts it is for")
    parser.add_argument("--scopes", type=listed, metavar="A,B", help="kill, lock, read (all of them)")
    parser.add_argument("--accounts", type=listed, metavar="A,B", help="ids or names (every account of the owner)")
    parser.add_argument("--expires-in-s", type=int, metavar="S", help="its life (it does not end)")
    parser.add_argument("--label", help="what you call it")
    parser = add("list", "show every key, without what would let somebody use it")
    parser.add_argument("--owner", metavar="ID", help="only this owner's")
    parser = add("revoke", "end a key for good")
    parser.add_argument("key_id", metavar="ID", help="as keys list shows it")
    parser = add("rotate", "make a key that may do what another may, and end that one")
    parser.add_argument("key_id", metavar="ID", help="as keys list shows it")
    parser.add_argument("--overlap-s", type=int, default=0, metavar="S", help="the old key is good for so long (0)")


def run(client: OperatorClient, options: argparse.Namespace, output: Output) -> ExitStatus:
    """Carry out ``options.operation``."""
    match options.operation:
        case "create":
            return create(
                client,
                output,
                owner=options.owner,
                scopes=options.scopes,
                accounts=options.accounts,
                expires_in_s=options.expires_in_s,
                label=options.label,
            )
        case "list":
            return list_keys(client, output, owner=options.owner)
        case "revoke":
            return revoke(client, output, options.key_id)
        case _:
            return rotate(client, output, options.key_id, overlap_s=options.overlap_s)


def create(
    client: OperatorClient,
    output: Output,
    *,
    owner: str,
    scopes: Sequence[str] | None,
    accounts: Sequence[str] | None,
    expires_in_s: int | None,
    label: str | None,
) -> ExitStatus:
    """Make a key and print it: the only time that it can be seen."""
    wanted = {"scopes": scopes, "accounts": accounts, "expires_in_s": expires_in_s, "label": label}
    body = {"owner": owner, **{name: value for name, value in wanted.items() if value is not None}}
    return _show_once(_ask(client, "POST", _KEYS, body), output)


def rotate(client: OperatorClient, output: Output, key_id: str, *, overlap_s: int) -> ExitStatus:
    """Make a key in place of another and print it."""
    path = f"{_KEYS}/{quote(key_id, safe='')}/rotate"
    return _show_once(_ask(client, "POST", path, {"overlap_s": overlap_s}), output)


def list_keys(client: OperatorClient, output: Output, *, owner: str | None) -> ExitStatus:
    """Print every key, also those that have ended."""
    path = _KEYS if owner is None else f"{_KEYS}?owner={quote(owner, safe='')}"
    document = _ask(client, "GET", path)
    output.result(document, "\n".join(map(_line, document["keys"])) or "no keys")
    return ExitStatus.DONE


def revoke(client: OperatorClient, output: Output, key_id: str) -> ExitStatus:
    """End a key."""
    document = _ask(client, "DELETE", f"{_KEYS}/{quote(key_id, safe='')}")
    output.result(document, _line(document))
    return ExitStatus.DONE


def _show_once(document: Document, output: Output) -> ExitStatus:
    output.result({name: document[name] for name in _NEW_KEY}, document["api_key"])
    if not output.as_json:
        output.note(f"key {document['id']} of {document['owner']}: keep it now, it cannot be shown again")
    return ExitStatus.DONE


def _ask(client: OperatorClient, method: str, path: str, body: Document | None = None) -> Document:
    try:
        return client.call(method, path, body).or_trouble()
    except ConnectionLost as error:
        raise Trouble(
            "CONNECTION_LOST", f"the daemon does not answer: {error}: keys list shows what is there"
        ) from None


def _line(key: Document) -> str:
    words = [key["id"], key["owner"], key["state"], "+".join(key["scopes"]), ",".join(key["accounts"])]
    words += [f"{name} {key[field]}" for name, field in _TIMES if key[field] is not None]
    return "  ".join([*words, key["label"] or ""]).rstrip()


_TIMES: Final = (("until", "expires_at"), ("used", "last_used_at"))
