"""[notify]: which events are posted to a webhook, and where it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict

from node.settings_base import Credential, CredentialReference, FilePath, Seconds, Section
from node.settings_fields import is_loopback

_PORT_MAX: Final = 65_535


class Happening(StrEnum):
    """What is worth telling somebody who did not ask."""

    LOCK = "lock"  # an account that was free is locked
    NOT_FLAT = "not_flat"  # a CLOSE_ALL or FLATTEN has missed its deadline, or ended with another verdict than flat
    DRILL_FAILED = "drill_failed"
    BROKER_LOST = "broker_lost"  # for long


def webhook_url(text: str) -> str:
    """An address that a document may be posted to: https, or http on this machine. Says nothing of the address in
    what it raises: many are secrets.

    Raises:
        ValueError: it is something else.
    """
    try:
        url = urlsplit(text)
        port_usable = url.port is None or 0 < url.port <= _PORT_MAX
    except ValueError:
        raise ValueError("not a url") from None
    if url.scheme not in ("https", "http") or not url.hostname or not port_usable or not text.isprintable():
        raise ValueError("not https://host/path")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ValueError("not a loopback address: use https://")
    if url.username is not None or url.password is not None:
        raise ValueError("no user and password in it: sign what is posted, with secret")
    if url.fragment or " " in text:
        raise ValueError("nothing may follow a #, and there is no space in it")
    return text


def _distinct(events: tuple[Happening, ...]) -> tuple[Happening, ...]:
    if len(set(events)) < len(events):
        raise ValueError("one is named twice")
    return events


class NotifySettings(Section):
    """[notify]: a webhook; without the section nobody is told but by metrics and topics."""

    #: Plain, or (many are secrets) a reference.
    url: Annotated[str, AfterValidator(webhook_url)] | CredentialReference
    #: Signs what is posted (HMAC-SHA256).
    secret: Credential | None = None
    events: Annotated[tuple[Happening, ...], Field(min_length=1), AfterValidator(_distinct)] = tuple(Happening)
    #: A broker that comes back within this time is nobody's business.
    broker_lost_after_s: Seconds = 60.0
    #: For one attempt, from the name server to the answer.
    timeout_s: Annotated[float, Strict(), Field(gt=0, le=60, allow_inf_nan=False)] = 5.0
    #: A certificate authority trusted besides the usual ones.
    ca_file: FilePath | None = None
