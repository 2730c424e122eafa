"""Answers that were not understood, kept whole in the log: what shows what a venue has changed.

Without secrets, and not more than one a minute for each endpoint: a venue in trouble answers thousands of times.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import structlog

MESSAGE_MAX: Final = 300
BODY_MAX: Final = 64 * 1024
INTERVAL_S: Final = 60.0
#: No secret is longer (a private key in PEM).
_SECRET_MAX: Final = 8 * 1024

_URL: Final = re.compile(r"(https?|wss?)://([^\s/?#\"]+)([^\s?#\"]*)[^\s\"]*")
_NAMES: Final = r"signature|api[_-]?key|x-mbx-apikey|secret|passphrase|listen[_-]?key|listen[_-]?token|token"
#: Shorter texts in a venue's answer are words, and of its keys only the newest are of use to anybody.
_GIVEN_MIN: Final = 16
_GIVEN_MAX: Final = 16
#: What is left of a secret at the end of a text that was cut is no secret if it is shorter.
_HALF_MIN: Final = 4
#: ``signature=abc``, ``apiKey: abc``, ``"listenKey": "abc"``, and the same inside a quoted document.
_NAMED: Final = re.compile(rf"(?i)(?<![a-z])({_NAMES})((?:\\*\")?\s*[=:]\s*(?:\\*\")?)([^\s\"&,;}}\\]+)")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Scrubber:
    """Takes secrets and signed addresses out of text."""

    secrets: tuple[str, ...] = field(repr=False)
    #: As they are, as JSON has them (once, and inside text of another document), as addresses have them.
    _forms: tuple[str, ...] = field(init=False, repr=False, default=())

    #: By the venue; the newest.
    _given: list[str] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        forms = {form for secret in self.secrets for form in _forms(secret)}
        # Longest first: one may be part of another.
        self._forms = tuple(sorted(forms, key=len, reverse=True))

    def learn(self, given: object) -> None:
        """Take out what a venue has given us, too: keys and tokens in an answer of its own."""
        if isinstance(given, dict):
            found = [value for value in given.values() if isinstance(value, str) and len(value) >= _GIVEN_MIN]
            self._given = [*self._given, *found][-_GIVEN_MAX:]

    def __call__(self, message: str) -> str:
        """*message* without credentials, signatures and query strings, on one short line."""
        return " ".join(self.whole(message).split())[:MESSAGE_MAX]

    def whole(self, text: str) -> str:
        """*text* without credentials, signatures, listen keys and query strings, for the rest as it is."""
        for form in (*self._forms, *self._given):
            text = text.replace(form, "***")
        text = _URL.sub(r"\1://\2\3", text)
        return self._without_half(_NAMED.sub(r"\1\2***", text))

    def _without_half(self, text: str) -> str:
        """Where a text was cut, half a secret may stand at its end."""
        for form in (*self._forms, *self._given):
            for length in range(len(form) - 1, _HALF_MIN - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length]
        return text


def _forms(secret: str) -> tuple[str, ...]:
    once = json.dumps(secret)[1:-1]
    return secret, once, json.dumps(once)[1:-1], quote(secret, safe="")


@dataclass(slots=True)
class AnswerLog:
    """Writes down answers that were not understood."""

    scrub: Scrubber
    clock: Callable[[], float] = time.monotonic
    _last: dict[str, float] = field(default_factory=dict)
    _suppressed: dict[str, int] = field(default_factory=dict)

    def note(self, endpoint: str, status: int | None, body: str, reason: str) -> None:
        """One answer of *endpoint* that was not understood, with why."""
        now = self.clock()
        if endpoint in self._last and now - self._last[endpoint] < INTERVAL_S:
            self._suppressed[endpoint] = self._suppressed.get(endpoint, 0) + 1
            return
        self._last[endpoint] = now
        kept = self.scrub.whole(body[: BODY_MAX + _SECRET_MAX])[:BODY_MAX]
        log.warning(
            "venue_answer_not_understood",
            endpoint=endpoint,
            status=status,
            body=kept,
            length=len(body),
            reason=self.scrub(reason),
            suppressed=self._suppressed.pop(endpoint, 0),
        )
