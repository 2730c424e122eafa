"""B2PRIME's access tokens and errors."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from ccxt.base import errors

from node.venues.b2prime import tokens
from node.venues.b2prime.tokens import AccessToken
from tests.support import b2prime_documents as documents
from tests.support.b2prime import JSON, OFFLINE, Sent, recorded

EXCHANGE = "POST /frontoffice/api/v4/access-token"
INFO = "GET /frontoffice/api/v3/info"


def signed(**claims: Any) -> str:
    """A token with these claims."""
    return f"x.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.y"


class TestSession:
    async def test_the_api_token_is_exchanged_once_for_requests_that_need_it_together(self) -> None:
        async with recorded() as venue:
            venue.answers[INFO] = documents.INFO
            await asyncio.gather(*(venue.exchange.fetch_server_info() for _ in range(3)))
            assert [sent for sent in venue.sent if sent.line == EXCHANGE] == [
                Sent(line=EXCHANGE, headers=JSON, body={"token": OFFLINE})
            ]

    async def test_after_401_the_request_is_sent_once_more_with_a_new_token(self) -> None:
        async with recorded() as venue:
            venue.answers[INFO] = [(401, ""), (200, documents.INFO)]
            venue.answers[EXCHANGE] = [(200, {"accessToken": "old"}), (200, {"accessToken": "new"})]
            assert await venue.exchange.fetch_server_info() == documents.INFO
            assert [sent.headers["Authorization"] for sent in venue.sent if sent.line == INFO] == [
                "Bearer old",
                "Bearer new",
            ]

    async def test_a_second_401_is_the_callers(self) -> None:
        async with recorded() as venue:
            venue.answers[INFO] = [(401, ""), (401, "")]
            with pytest.raises(errors.AuthenticationError):
                await venue.exchange.fetch_server_info()
            assert sum(sent.line == INFO for sent in venue.sent) == 2

    async def test_without_the_exchange_the_token_is_the_bearer_and_a_401_final(self) -> None:
        async with recorded(exchangeToken=False) as venue:
            venue.answers[INFO] = (401, "")
            with pytest.raises(errors.AuthenticationError):
                await venue.exchange.fetch_server_info()
            assert [sent.headers.get("Authorization") for sent in venue.sent] == [f"Bearer {OFFLINE}"]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, errors.BadRequest),
            (403, errors.PermissionDenied),
            (404, errors.BadRequest),
            (409, errors.OperationRejected),
            (429, errors.RateLimitExceeded),
            (500, errors.ExchangeNotAvailable),
            (503, errors.ExchangeNotAvailable),
        ],
    )
    @pytest.mark.parametrize(
        "body",
        [
            {"type": "about:blank", "title": "words", "status": 400},
            {"message": "words"},
            {"errors": {"field": ["words"]}},
            "words",
        ],
    )
    async def test_a_status_means_the_same_whatever_the_body(
        self, status: int, error: type[Exception], body: Any
    ) -> None:
        async with recorded() as venue:
            venue.answers[INFO] = (status, body)
            with pytest.raises(error, match="words") as raised:
                await venue.exchange.fetch_server_info()
        assert type(raised.value) is error
        assert OFFLINE not in str(raised.value)

    async def test_403_is_never_repeated(self) -> None:
        async with recorded() as venue:
            venue.answers[INFO] = (403, "")
            with pytest.raises(errors.PermissionDenied):
                await venue.exchange.fetch_server_info()
            assert [sent.line for sent in venue.sent] == [EXCHANGE, INFO]

    @pytest.mark.parametrize("answer", [{}, {"accessToken": ""}, [], "token", {"accessToken": 7}])
    async def test_an_exchange_without_a_token_sends_nothing_else(self, answer: Any) -> None:
        async with recorded() as venue:
            venue.answers[EXCHANGE] = answer
            with pytest.raises(errors.BadResponse):
                await venue.exchange.fetch_server_info()
            assert [sent.line for sent in venue.sent] == [EXCHANGE]

    @pytest.mark.parametrize(
        ("token", "life_s"),
        [
            (signed(iat=1000, exp=4600), 3600),
            (signed(exp=51_800), 1800),
            (signed(exp="soon"), 77),
            (signed(), 77),
            ("opaque", 77),
            (signed(iat=4600, exp=1000), 77),
        ],
    )
    def test_a_token_lives_as_long_as_it_says(self, token: str, life_s: float) -> None:
        assert tokens.life_s(token, 77, 50_000) == life_s

    def test_a_token_is_renewed_at_four_fifths_of_its_life(self) -> None:
        token = AccessToken(value="x", obtained_s=100, life_s=3600)
        assert [token.due(at) for at in (100, 2979, 2981)] == [False, False, True]
        assert [token.expired(at) for at in (3699, 3700)] == [False, True]

    async def test_an_early_renewal_that_fails_leaves_the_token_in_use(self) -> None:
        async with recorded(accessTokenLife=0.0001) as venue:
            venue.answers |= {INFO: documents.INFO, EXCHANGE: [(200, {"accessToken": "old"}), (503, "")]}
            await venue.exchange.authorize()
            known = venue.exchange._access
            # Past the time for renewal, though not past its end.
            venue.exchange._access = AccessToken(value=known.value, obtained_s=known.obtained_s - 3400, life_s=3600)
            await venue.exchange.fetch_server_info()
            assert venue.sent[-1].headers["Authorization"] == "Bearer old"
