"""Logs: structlog and the standard library through one chain, without secrets.

JSON lines when nobody is watching, a readable console otherwise. Three nets keep secrets out: keys that are named
like secrets, values that are known to be secrets, and query strings (ccxt's exceptions carry signed URLs).
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from node.secrets import KNOWN_SECRETS, MASK

#: Libraries that talk about every packet: from warnings upwards only.
_CHATTERING: Final = ("aiohttp", "aiomqtt", "asyncio", "ccxt", "mqtt", "paho", "urllib3", "uvicorn", "aiosqlite")

_SECRET_KEY: Final = re.compile(
    r"secret|passw|passphrase|api[-_]?key|private[-_]?key|token|signature|authori[sz]ation|cookie|credentials|twofa",
    re.IGNORECASE,
)
#: A query string, with or without the rest of its URL.
_QUERY: Final = re.compile(r"\?[A-Za-z0-9_.%\[\]-]+=[^\s\"'<>)]*")
#: ``name=value`` or ``"name": "value"`` outside of a URL: form bodies, headers, printed dictionaries.
_PAIR: Final = re.compile(
    r"(?P<name>\b[\w-]*(?:signature|secret|passw\w*|passphrase|(?:api|private)[-_]?key|token|listenkey|authorization)\b"
    r"[\"']?\s*[=:]\s*)(?P<quote>[\"']?)(?:Bearer\s+|Basic\s+)?[^\s\"'&,;)}\]]+(?P=quote)",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"(?<=://)[^/\s@]+@")
#: Of the risk API, and of the signals' webhooks.
_OWN_KEY: Final = re.compile(r"\b(?P<kind>ad_b2b_|wh_key_)[A-Za-z0-9_-]+")

_DEPTH_MAX: Final = 8


def scrub(text: str) -> str:
    """The text without known secrets, query strings, signatures and passwords in URLs."""
    text = KNOWN_SECRETS.mask(text)
    # Each expression only where a character is that it cannot do without: most values are ids and words, and the
    # expressions over them cost a command more than its verification.
    if "@" in text:
        text = _USERINFO.sub(f"{MASK}@", text)
    if "?" in text:
        text = _QUERY.sub(f"?{MASK}", text)
    if "=" in text or ":" in text:
        text = _PAIR.sub(rf"\g<name>\g<quote>{MASK}\g<quote>", text)
    return _OWN_KEY.sub(rf"\g<kind>{MASK}", text) if "ad_b2b_" in text or "wh_key_" in text else text


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: the event without secrets, made of plain JSON values only."""
    return {key: _plain(key, value, 0) for key, value in event.items()}


def _plain(key: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, SecretStr) or _SECRET_KEY.search(key):
        return MASK
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return scrub(value)
    if depth >= _DEPTH_MAX:
        return "..."
    if isinstance(value, Mapping):
        return {scrub(str(name)): _plain(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(key, inner, depth + 1) for inner in value]
    if isinstance(value, (bytes, bytearray)):
        return scrub(bytes(value).decode("utf-8", "backslashreplace"))
    if isinstance(value, BaseException):
        return scrub(repr(value))
    return scrub(str(value))


def configure_logging(
    *, level: str = "INFO", stream: TextIO | None = None, as_json: bool | None = None
) -> logging.Handler:
    """Send structlog's and the standard library's records to one stream (standard error).

    Args:
        level: The least level of our own records; libraries are heard from warnings upwards.
        stream: Where to.
        as_json: By default, whether the stream is no terminal.

    Returns:
        The handler that was installed: the root logger's only one.
    """
    stream = sys.stderr if stream is None else stream
    as_json = not stream.isatty() if as_json is None else as_json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redact,
            *_renderer(as_json=as_json),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    _route_standard_library(handler, level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return handler


def log_uncaught() -> None:
    """Let whatever nobody catches, in any thread, leave through the log: the interpreter itself would print it as it
    is, and an exchange library's exceptions carry signed URLs.
    """
    log = structlog.get_logger("uncaught")

    def of_main(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.critical("uncaught", exc_info=(kind, error, traceback))

    def of_thread(given: threading.ExceptHookArgs) -> None:
        error = given.exc_value or given.exc_type()
        log.critical("uncaught", thread=given.thread and given.thread.name, exc_info=error)

    def unraisable(given: sys.UnraisableHookArgs) -> None:
        log.error("uncaught", message=given.err_msg, exc_info=given.exc_value or given.exc_type())

    sys.excepthook, threading.excepthook, sys.unraisablehook = of_main, of_thread, unraisable


def _renderer(*, as_json: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback  # the exception is text already: it had to be scrubbed
    return [structlog.dev.ConsoleRenderer(timestamp_key="at", exception_formatter=plain)]


def _route_standard_library(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _CHATTERING:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(logging.WARNING, root.level))
