"""Who signed an action: the signature's address, recovered as the venue's own nodes do it.

An action of the exchange's own chain is packed with MessagePack; behind it come the nonce, a vault flag with the
vault's address, and a deadline. The Keccak-256 of all that is the ``connectionId`` of a phantom agent, and that is what
was signed, as EIP-712 typed data in the domain ``Exchange``, chain 1337. Actions that move money or give rights are
signed as typed data of their own, in the domain ``HyperliquidSignTransaction``.

Sources: hyperliquid-python-sdk (``hyperliquid/utils/signing.py``; the tests check against its ``signing_test.py``),
"Signing" and "Exchange endpoint" of the documentation, EIP-712.

What is used: ``coincurve`` (libsecp256k1) for recovery, and the copies of msgpack-python and of a Keccak sponge that
ccxt brings along, since all three are installed with it and each is older and better tested than anything written here.
The construction around them (what is packed and in which order, the typed data) is written here from the sources above
and shares nothing with ccxt's signing: a mistake there does not repeat itself here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import coincurve
from ccxt.static_dependencies.keccak import SHA3
from ccxt.static_dependencies.msgpack import packb

MAINNET_SOURCE: Final = "a"
ZERO_ADDRESS: Final = "0x" + "00" * 20
EXCHANGE_DOMAIN: Final = ("Exchange", 1337)
TRANSACTION_DOMAIN: Final = "HyperliquidSignTransaction"
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_AGENT_FIELDS = (("source", "string"), ("connectionId", "bytes32"))

#: Name and type of each field of a user-signed action, in order.
Fields = tuple[tuple[str, str], ...]

USER_SIGNED: Final[Mapping[str, tuple[str, Fields]]] = {
    "approveBuilderFee": (
        "ApproveBuilderFee",
        (("hyperliquidChain", "string"), ("maxFeeRate", "string"), ("builder", "address"), ("nonce", "uint64")),
    ),
    "approveAgent": (
        "ApproveAgent",
        (("hyperliquidChain", "string"), ("agentAddress", "address"), ("agentName", "string"), ("nonce", "uint64")),
    ),
    "usdSend": (
        "UsdSend",
        (("hyperliquidChain", "string"), ("destination", "string"), ("amount", "string"), ("time", "uint64")),
    ),
    "usdClassTransfer": (
        "UsdClassTransfer",
        (("hyperliquidChain", "string"), ("amount", "string"), ("toPerp", "bool"), ("nonce", "uint64")),
    ),
    "withdraw3": (
        "Withdraw",
        (("hyperliquidChain", "string"), ("destination", "string"), ("amount", "string"), ("time", "uint64")),
    ),
}


def keccak(data: bytes) -> bytes:
    """Keccak-256, as Ethereum uses it."""
    return bytes(SHA3(data))


def address_of(public_key: coincurve.PublicKey) -> str:
    """The Ethereum address of a public key, in lower case."""
    return "0x" + keccak(public_key.format(compressed=False)[1:])[-20:].hex()


def action_hash(action: object, nonce: int, vault: str | None = None, expires_after: int | None = None) -> bytes:
    """What a phantom agent is named after. *action* is packed in the order of its keys.

    Raises:
        ValueError: the nonce or the deadline does not fit in eight bytes, or the vault is no address.
    """
    data = bytes(packb(action)) + _eight_bytes(nonce)
    data += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault.removeprefix("0x"))
    if expires_after is not None:
        data += b"\x00" + _eight_bytes(expires_after)
    return keccak(data)


def agent_digest(connection_id: bytes, source: str = MAINNET_SOURCE) -> bytes:
    """What is signed for an action of the exchange's own chain."""
    name, chain_id = EXCHANGE_DOMAIN
    message = {"source": source, "connectionId": connection_id}
    return _digest(name, chain_id, "Agent", _AGENT_FIELDS, message)


def user_signed_digest(kind: str, action: Mapping[str, Any]) -> bytes:
    """What is signed for an action of the type *kind*, one of :data:`USER_SIGNED`.

    Raises:
        ValueError, KeyError, TypeError: a field is missing or of another type.
    """
    name, fields = USER_SIGNED[kind]
    chain_id = int(str(action["signatureChainId"]), 16)
    return _digest(TRANSACTION_DOMAIN, chain_id, f"HyperliquidTransaction:{name}", fields, action)


def recover(digest: bytes, signature: Mapping[str, Any]) -> str:
    """Address of whoever made the signature ``{r, s, v}``. Any well-formed signature has one.

    Raises:
        ValueError, KeyError, TypeError: it is not well-formed.
    """
    r, s = (int(str(signature[name]), 16) for name in ("r", "s"))
    compact = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([int(signature["v"]) - 27])
    try:
        return address_of(coincurve.PublicKey.from_signature_and_message(compact, digest, hasher=None))
    except Exception as error:
        raise ValueError("the signature is on no point of the curve") from error


def sign(digest: bytes, private_key: str) -> dict[str, Any]:
    """A signature as clients send it; tests sign with it what ccxt would not."""
    raw = coincurve.PrivateKey.from_hex(private_key.removeprefix("0x")).sign_recoverable(digest, hasher=None)
    r, s = (hex(int.from_bytes(part, "big")) for part in (raw[:32], raw[32:64]))
    return {"r": r, "s": s, "v": raw[64] + 27}


def _eight_bytes(value: int) -> bytes:
    try:
        return value.to_bytes(8, "big")
    except OverflowError as error:
        raise ValueError(f"{value} does not fit in eight bytes") from error


def _digest(domain: str, chain_id: int, kind: str, fields: Fields, message: Mapping[str, Any]) -> bytes:
    signature = ",".join(f"{type_} {name}" for name, type_ in fields)
    body = b"".join(_word(type_, message[name]) for name, type_ in fields)
    separator = keccak(
        keccak(_DOMAIN_TYPE.encode())
        + _word("string", domain)
        + _word("string", "1")
        + _word("uint256", chain_id)
        + _word("address", ZERO_ADDRESS)
    )
    return keccak(b"\x19\x01" + separator + keccak(keccak(f"{kind}({signature})".encode()) + body))


def _word(kind: str, value: object) -> bytes:
    """One field of typed data, 32 bytes long."""
    if kind == "string":
        return keccak(str(value).encode())
    if kind == "bytes32":
        return bytes(value) if isinstance(value, bytes) else b""
    if kind == "address":
        return bytes(12) + bytes.fromhex(str(value).removeprefix("0x"))
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no {kind}")
    return value.to_bytes(32, "big")
