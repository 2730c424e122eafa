"""The wallets of simulated accounts: a master wallet owns the account, agent wallets may trade for it.

A client gets the master's address and an agent's private key: the way the venue advises, and the one in which a key
cannot withdraw. Each key of the ring is one agent. The master's private key follows from the account's name alone; it
opens nothing but this simulator, and tests sign with it what only an owner may.
"""

from __future__ import annotations

import hashlib
from functools import cache

import coincurve

from node.sim.hyperliquid.signing import address_of
from node.sim.keys import ApiKey, KeyRing


@cache
def master_key(account: str) -> str:
    """The private key of an account's owner, in hexadecimal."""
    return "0x" + hashlib.sha256(f"simulated hyperliquid account {account}".encode()).hexdigest()


@cache
def address(private_key: str) -> str:
    """The address of a private key, in lower case."""
    return address_of(coincurve.PrivateKey.from_hex(private_key.removeprefix("0x")).public_key)


def master_address(account: str) -> str:
    """The address that an account is known by."""
    return address(master_key(account))


def agent_key(key: ApiKey) -> str:
    """The private key of an agent wallet, in hexadecimal."""
    return _agent_key(key.secret)


def agent_address(key: ApiKey) -> str:
    """The address that an agent signs as. Nothing is held there."""
    return address(agent_key(key))


def credentials(key: ApiKey) -> dict[str, str]:
    """Under ccxt's names."""
    return {"walletAddress": master_address(key.account), "privateKey": agent_key(key)}


def find_agent(keys: KeyRing, signer: str) -> ApiKey | None:
    """The agent of that address, unless it was revoked."""
    return next((key for key in keys.by_public.values() if not key.revoked and agent_address(key) == signer), None)


@cache
def _agent_key(secret: str) -> str:
    return "0x" + hashlib.sha256(f"agent {secret}".encode()).hexdigest()
