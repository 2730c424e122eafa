"""Logs: one stream, machine-readable, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from uuid import UUID

import pytest
import structlog
from pydantic import SecretStr

from node.observe.logging import configure_logging, scrub
from node.secrets import find

CANARY = "cAnArY0123456789"


@pytest.fixture(params=[True, False], ids=["json", "console"])
def stream(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Where everything is logged to, in both renderings; the process's own logging comes back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    output = io.StringIO()
    handler = configure_logging(stream=output, as_json=request.param)
    yield output
    root.removeHandler(handler)
    for old in handlers:
        root.addHandler(old)
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Talkative:
    """An object whose repr has a secret in it."""

    def __repr__(self) -> str:
        return f"Talkative(apiKey='{CANARY}')"


def _fail() -> None:
    raise ValueError(f"GET https://api.example/v3?timestamp=1&signature={CANARY}")


def test_a_canary_never_comes_out(stream: io.StringIO) -> None:
    """Planted in keys, values, nests, objects, exceptions, standard library records and context."""
    find("canary", {"CANARY": CANARY})
    log = structlog.get_logger("node.test")
    structlog.contextvars.bind_contextvars(bound=f"x{CANARY}")
    log.info("plain", value=CANARY, text=f"before {CANARY} after", held=SecretStr(CANARY))
    log.info("nested", outer={"inner": [CANARY, {CANARY: (CANARY,)}]}, raw=CANARY.encode(), thing=Talkative())
    log.info(CANARY)
    logging.getLogger("uvicorn.error").error("stdlib %s", CANARY)
    try:
        _fail()
    except ValueError:
        log.exception("failed")
        logging.getLogger("asyncio").exception("also failed")
    assert stream.getvalue().count("\n") >= 6
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize(
    "key", ["apiKey", "api_key", "secret", "password", "X-API-Key", "Authorization", "privateKey", "signature", "token"]
)
def test_a_key_named_like_a_secret_hides_a_value_that_nobody_knows(stream: io.StringIO, key: str) -> None:
    """At the top, in a nest, and printed into a string."""
    log = structlog.get_logger("node.test")
    log.info("event", **{key: "unknown-canary"})
    log.info("event", inner={key: ["unknown-canary"]})
    log.info("event", printed=str({key: "unknown-canary"}), number={key: 123456789})
    assert "unknown-canary" not in stream.getvalue()
    assert "123456789" not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("GET /fapi/v1/order?symbol=X&signature=abc 400", "GET /fapi/v1/order?*** 400"),
        ("signature=abc&x=1", "signature=***&x=1"),
        ("mqtts://me:pw@broker:8883", "mqtts://***@broker:8883"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("key ad_b2b_0123abc was used", "key ad_b2b_*** was used"),
        ("is it flat? yes", "is it flat? yes"),
        ("BTC/USDT:USDT 1.2", "BTC/USDT:USDT 1.2"),
        ('{"code":-1022,"msg":"Signature for this request is not valid."}',) * 2,
    ],
)
def test_strings_lose_queries_and_signatures_and_nothing_else(text: str, clean: str) -> None:
    """What an operator needs to understand a fault stays."""
    assert scrub(text) == clean


def test_json_lines_have_event_level_logger_and_instant() -> None:
    """Every line is one object; identifiers and context are text in it."""
    output = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    handler = configure_logging(stream=output)
    try:
        with structlog.contextvars.bound_contextvars(command_id=UUID(int=1)):
            structlog.get_logger("node.engine").warning("round_ended", round=2, locked=True)
        logging.getLogger("aiohttp.access").info("chatter")
        structlog.get_logger("node.engine").debug("too_fine")
    finally:
        root.removeHandler(handler)
        for old in handlers:
            root.addHandler(old)
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
    (line,) = output.getvalue().splitlines()
    document = json.loads(line)
    assert document.pop("at").endswith("Z")
    assert document == {
        "event": "round_ended",
        "level": "warning",
        "logger": "node.engine",
        "round": 2,
        "locked": True,
        "command_id": str(UUID(int=1)),
    }
