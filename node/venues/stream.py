"""One stream of a venue as data: how it is opened, what it tells of, how long it lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.venues.call import Answer, Call, Ccxt


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one message of a stream says."""

    #: Slices in which something has happened.
    changed: tuple[str, ...] = ()
    #: From now on the stream tells of its slices.
    confirmed: bool = False
    #: Messages to send because of it.
    reply: tuple[str, ...] = ()
    #: Messages to send because of it that need the account's key: a login by challenge.
    signed: Callable[[Ccxt], tuple[str, ...]] | None = None
    #: Nothing more will come, and why: open the stream anew.
    over: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One connection that tells of some slices of an account. Functions are pure."""

    #: For logs and task names.
    name: str
    slices: tuple[str, ...]
    #: Where to connect, by the ticket's answer (None without a ticket).
    url: Callable[[Answer], str]
    #: What a message says, decoded.
    hear: Callable[[Answer], Heard]
    #: The request whose answer admits to the stream (a listen key, a token).
    ticket: Call | None = None
    #: Keeps the ticket alive; a refusal means that the ticket is gone.
    renewal: Call | None = None
    renew_every_s: float = 1200.0
    #: What to send first: subscriptions, signed by ccxt's own means.
    hello: Callable[[Ccxt, Answer], tuple[str, ...]] = lambda _exchange, _ticket: ()
    #: Whether an open connection is a subscription already, as soon as it answers a ping: the handshake alone may be
    #: over before the venue has begun to tell. Otherwise a message has to confirm it.
    confirmed_by_opening: bool = False
    #: What to send when nothing has come for a while; None: a ping frame.
    ping: str | None = None
    #: The answer to that, where it is no JSON.
    pong: str | None = None
    ping_after_s: float = 30.0
    #: The venue hangs up on who says nothing for long, whatever it tells meanwhile: the ping goes out so often.
    talk_every_s: float | None = None
    #: Ends each message, where a frame may hold several; None: a frame is a message.
    separator: str | None = None
    #: When not even an answer to that came for so long, the connection is dead.
    silence_s: float = 75.0
    #: Opened anew after this long, before the venue ends it.
    lifetime_s: float = 23 * 3600.0
