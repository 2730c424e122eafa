"""The vocabulary of configuration values: addresses, keys, names, decimals."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BeforeValidator, Field

#: Safe in topics, file names, metric labels and URLs alike.
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
#: A file name, and upper-cased the name of an environment variable.
CredentialName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]

#: Begins the example's key, so that it is recognised rather than called bad base64.
PLACEHOLDER: Final = "REPLACE"

_ED25519_PUBLIC_BYTES: Final = 32
#: Points that a few additions bring back to nothing, by their y (little-endian, the sign aside); 32 zeros are one.
#: Under such a key anybody can make a signature that holds, and RFC 8032 does not make a verifier refuse it.
_KEYS_OF_ANYBODY: Final = frozenset(
    [
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        *(y.to_bytes(_ED25519_PUBLIC_BYTES, "little") for y in (0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18)),
    ]
)
_PORT_MAX: Final = 65_535
_MQTT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_WEB_PORTS: Final = {"http": 80, "https": 443}

_SECRET_OPTIONS: Final = frozenset({"apikey", "secret", "password", "privatekey", "token", "twofa", "login", "uid"})

_REASONS: Final = {
    "extra_forbidden": "this version does not know this key",
    "missing": "is missing",
}


def reason_of(kind: str, message: str) -> str:
    """What is wrong with a value, from pydantic's words."""
    if kind == "string_pattern_mismatch":
        return f"not of the form {message.partition('pattern ')[2]}"
    if kind in _REASONS:
        return _REASONS[kind]
    text = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:] if kind != "value_error" else text


def is_loopback(host: str) -> bool:
    """Whether traffic to a host cannot leave this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(text: str | int | None) -> int:
    try:
        port = int(text if text is not None else "")
    except ValueError:
        raise ValueError("not host:port") from None
    if not 1 <= port <= _PORT_MAX:
        raise ValueError(f"a port is between 1 and {_PORT_MAX}")
    return port


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPort:
    """A TCP address. IPv6 hosts are written in brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read ``host:port``.

        Raises:
            ValueError: it is something else.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError('not "host:port"')  # noqa: TRY004  (a fault to pydantic, like every other)
        host, colon, port = value.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        bare = host[1:-1] if bracketed else host
        if not colon or not bare or (":" in bare and not bracketed) or any(c in bare for c in "/@ []"):
            raise ValueError('not "host:port"')
        return cls(host=bare, port=_port(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where the broker is, and whether it is spoken to over TLS."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read ``mqtt://host[:port]`` (loopback only) or ``mqtts://host[:port]``.

        Raises:
            ValueError: it is something else, or carries credentials or a path.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError("not a url")  # noqa: TRY004  (a fault to pydantic, like every other)
        url = urlsplit(value)
        if url.scheme not in _MQTT_PORTS or not url.hostname:
            raise ValueError("not mqtt://host:port or mqtts://host:port")
        if url.username is not None or url.password is not None:
            raise ValueError("username and password have keys of their own")
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError("nothing may follow the port")
        try:
            port = url.port
        except ValueError:
            raise ValueError(f"a port is between 1 and {_PORT_MAX}") from None
        tls = url.scheme == "mqtts"
        if not tls and not is_loopback(url.hostname):
            raise ValueError(f"{url.hostname} is not a loopback address: use mqtts://")
        return cls(host=url.hostname, port=_port(_MQTT_PORTS[url.scheme] if port is None else port), tls=tls)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def web_origin(value: object) -> str:
    """What a browser calls ``https://host[:port]``, in its own spelling: lower case, no default port.

    Raises:
        ValueError: it is something else, or not encrypted although it may leave this machine.
    """
    if not isinstance(value, str):
        raise ValueError("not a url")  # noqa: TRY004  (a fault to pydantic, like every other)
    url = urlsplit(value)
    if url.scheme not in _WEB_PORTS or not url.hostname or url.username is not None:
        raise ValueError("not https://host or https://host:port")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("nothing may follow the port")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ValueError(f"{url.hostname} is not a loopback address: use https://")
    try:
        port = url.port
    except ValueError:
        raise ValueError(f"a port is between 1 and {_PORT_MAX}") from None
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + ("" if port in (None, _WEB_PORTS[url.scheme]) else f":{port}")


def distinct_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Each once.

    Raises:
        ValueError: one is repeated.
    """
    if len(set(origins)) < len(origins):
        raise ValueError("an origin is repeated")
    return origins


def public_key_bytes(value: object) -> bytes:
    """The 32 raw bytes of an Ed25519 public key, from standard base64.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, bytes) and len(value) == _ED25519_PUBLIC_BYTES:
        return value
    if not isinstance(value, str):
        raise ValueError("not base64")  # noqa: TRY004  (a fault to pydantic, like every other)
    if value.startswith(PLACEHOLDER):
        raise ValueError(
            "still the example's placeholder: run `sovereign-node issuer new ID --out ID.key`"
            " and put the public_key that it prints here"
        )
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if len(raw) != _ED25519_PUBLIC_BYTES:
        raise ValueError(f"{len(raw)} bytes: an Ed25519 public key has {_ED25519_PUBLIC_BYTES}")
    if raw[:-1] + bytes([raw[-1] & 0x7F]) in _KEYS_OF_ANYBODY:
        raise ValueError("not a key: anybody could sign for it")
    return raw


def account_uuid(value: object) -> UUID:
    """An account's UUID, in its canonical spelling only: it names files and topics.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, UUID):
        return value
    try:
        parsed = UUID(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("not a UUID") from None
    if str(parsed) != value:
        raise ValueError(f"not in canonical form: write {parsed}")
    return parsed


def decimal_from_text(value: object) -> object:
    """A decimal, from a string or a whole number: a float would not be what was written.

    Raises:
        ValueError: it is a float or a boolean.
    """
    if isinstance(value, (float, bool)):
        raise ValueError('not a decimal string: write it in quotes, like "0.05"')  # noqa: TRY004  (as above)
    return Decimal(value) if isinstance(value, int) else value


def without_secrets(options: dict[str, Any]) -> dict[str, Any]:
    """Options for a ccxt class: as plain values, secrets would end up in files and logs.

    Raises:
        ValueError: one is named like a secret of ccxt's.
    """
    secret = sorted(name for name in options if name.lower() in _SECRET_OPTIONS)
    if secret:
        raise ValueError(f"{secret[0]} belongs under credentials")
    return options


def distinct_slices(slices: tuple[str, ...]) -> tuple[str, ...]:
    """At least one slice, each once.

    Raises:
        ValueError: otherwise.
    """
    if not slices:
        raise ValueError("an account without slices cannot be proven: leave the key out to mean all")
    if len(set(slices)) < len(slices):
        raise ValueError("one is named twice")
    return slices


def ip_text(address: str) -> str:
    """An IP address, as text.

    Raises:
        ValueError: otherwise.
    """
    try:
        ip_address(address)
    except ValueError:
        raise ValueError("not an IP address") from None
    return address


Endpoint = Annotated[HostPort, BeforeValidator(HostPort.parse)]
BrokerUrl = Annotated[BrokerAddress, BeforeValidator(BrokerAddress.parse)]
PublicKey = Annotated[bytes, BeforeValidator(public_key_bytes)]
WebOrigin = Annotated[str, BeforeValidator(web_origin)]
