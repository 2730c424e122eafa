"""The operator's sign-ins at the HTTP listener: sessions of browsers, and a limit on guessing."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from node.clock import Clock

#: Browsers of one operator; the one longest unused gives way.
SESSIONS_MAX: Final = 32
#: Wrong tokens from one peer...
FAILURES_MAX: Final = 5
#: ...within this time; more are not even looked at.
FAILURES_WITHIN_S: Final = 60.0
#: Peers whose failures are remembered: those of longest ago are forgotten first.
PEERS_MAX: Final = 1024

_SESSION_BYTES: Final = 32
_IPV6_SITE_BITS: Final = 64
_NS: Final = 1e9


def digest(secret: str) -> bytes:
    """What is kept and compared in place of a secret of high entropy."""
    # JSON can hold half a surrogate pair, which UTF-8 cannot: a wrong secret like any other.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def csrf_token(session_id: str) -> str:
    """What a page must show beside the cookie; nobody who cannot read the cookie or our answers can know it."""
    return hmac.new(session_id.encode(), b"csrf", hashlib.sha256).hexdigest()


@dataclass(slots=True, kw_only=True)
class Session:
    """One signed-in browser."""

    #: Boot time in nanoseconds, so that suspension counts.
    opened_ns: int
    used_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms:
    """How long a session lives."""

    #: Without anybody touching the page.
    idle_s: float = 900.0
    #: In any case.
    life_s: float = 14_400.0


class Sessions:
    """Kept in memory only, under the hash of their ids: neither a dump nor a restart gives one away."""

    def __init__(self, terms: SessionTerms, clock: Clock) -> None:
        self.terms = terms
        self._clock = clock
        self._by_digest: OrderedDict[bytes, Session] = OrderedDict()

    def open(self) -> str:
        """A new session's id."""
        self._forget_ended()
        while len(self._by_digest) >= SESSIONS_MAX:
            self._by_digest.popitem(last=False)
        session_id, now = secrets.token_urlsafe(_SESSION_BYTES), self._clock.boottime_ns()
        self._by_digest[digest(session_id)] = Session(opened_ns=now, used_ns=now)
        return session_id

    def find(self, session_id: str) -> Session | None:
        """A session that has not ended."""
        self._forget_ended()
        return self._by_digest.get(digest(session_id))

    def touch(self, session_id: str) -> None:
        """Somebody is there: the idle time begins anew."""
        if (session := self.find(session_id)) is not None:
            session.used_ns = self._clock.boottime_ns()
            self._by_digest.move_to_end(digest(session_id))

    def close(self, session_id: str) -> None:
        """End one; without effect if there is none."""
        self._by_digest.pop(digest(session_id), None)

    def left_s(self, session: Session) -> tuple[float, float]:
        """Seconds until it ends if nobody touches it, and in any case."""
        now = self._clock.boottime_ns()
        life = self.terms.life_s - (now - session.opened_ns) / _NS
        return min(self.terms.idle_s - (now - session.used_ns) / _NS, life), life

    def _forget_ended(self) -> None:
        for key in [key for key, session in self._by_digest.items() if min(self.left_s(session)) <= 0]:
            del self._by_digest[key]


class Failures:
    """Wrong tokens by peer. One peer's guessing never keeps another out: there is no limit for all together.

    (The token's length makes guessing hopeless; the limit makes it visible and cheap to bear.)
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_peer: OrderedDict[str, deque[int]] = OrderedDict()

    def wait_s(self, peer: str) -> float:
        """How long nothing that this peer shows is looked at; 0 if it is."""
        failed = self._recent(_site(peer))
        if len(failed) < FAILURES_MAX:
            return 0.0
        return FAILURES_WITHIN_S - (self._clock.monotonic_ns() - failed[0]) / _NS

    def note(self, peer: str) -> None:
        """It has shown a wrong token."""
        site = _site(peer)
        self._by_peer.setdefault(site, deque(maxlen=FAILURES_MAX)).append(self._clock.monotonic_ns())
        self._by_peer.move_to_end(site)
        while len(self._by_peer) > PEERS_MAX:
            self._by_peer.popitem(last=False)

    def forgive(self, peer: str) -> None:
        """It has shown the right one."""
        self._by_peer.pop(_site(peer), None)

    def _recent(self, site: str) -> deque[int]:
        failed = self._by_peer.get(site, deque())
        since = self._clock.monotonic_ns() - int(FAILURES_WITHIN_S * _NS)
        while failed and failed[0] <= since:
            failed.popleft()
        return failed


def _site(peer: str) -> str:
    """Who has one IPv6 address has 2 to the 64."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> _IPV6_SITE_BITS << _IPV6_SITE_BITS))
    return peer
