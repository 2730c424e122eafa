"""What a node of the benchmarks is told: its accounts, its issuer, its broker."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

from node.transport.issuer_key import IssuerKey
from tests.bench.venue import Venue
from tests.support.mosquitto import free_port

#: As in ``config/mosquitto.acl``.
TENANT: Final = "acme"
NODES: Final = ("node-1", "node-2")
NODE: Final = NODES[0]
ISSUER: Final = "desk"


def account_id(number: int) -> UUID:
    """Of the venue's accounts, from 0 on."""
    return UUID(int=number + 1)


#: The first account.
ACCOUNT_ID: Final = account_id(0)


def node_toml(
    work: Path,
    runtime: Path,
    venue: Venue,
    key: IssuerKey,
    broker_port: int,
    node: str,
    accounts: range,
    *,
    own_addresses: bool,
) -> str:
    """The configuration of one node, whose credentials are in files."""
    head = f"""
[node]
id = "{node}"
tenant = "{TENANT}"
state_dir = "{work}/state"
runtime_dir = "{runtime}"

[mqtt]
url = "mqtt://127.0.0.1:{broker_port}"
username = "{node}"
password = {{ credential = "mqtt_password" }}

[metrics]
listen = "127.0.0.1:{free_port()}"

[[owners]]
id = "acme"

[[issuers]]
id = "{ISSUER}"
public_key = "{key.public_key}"
actions = ["CLOSE_ALL", "LOCK", "UNLOCK"]
accounts = ["*"]
"""
    return head + "".join(_account(number, venue, own_address=own_addresses) for number in accounts)


def credential(number: int, name: str) -> str:
    """The name of the file with one part of an account's key."""
    return f"bench_{number}_{name.lower()}"


def _account(number: int, venue: Venue, *, own_address: bool) -> str:
    names = venue.accounts[number]
    references = ", ".join(f'{name} = {{ credential = "{credential(number, name)}" }}' for name in names)
    address = f"127.0.{1 + number // 250}.{1 + number % 250}" if own_address else "127.0.0.1"
    return f"""
[[accounts]]
id = "{account_id(number)}"
name = "bench-{number}"
owner = "acme"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ {references} }}
connect_to = "127.0.0.1:{venue.port}"
ca_file = "{venue.ca}"
local_address = "{address}"
"""
