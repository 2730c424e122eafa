"""The text of an API key, and what is kept of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.api_key import (
    ID_ALPHABET,
    ID_LENGTH,
    PATTERN,
    SECRET_ALPHABET,
    SECRET_LENGTH,
    ApiToken,
    key_id_of,
)

TOKENS = st.builds(
    ApiToken,
    key_id=st.text(ID_ALPHABET, min_size=ID_LENGTH, max_size=ID_LENGTH),
    secret=st.text(SECRET_ALPHABET, min_size=SECRET_LENGTH, max_size=SECRET_LENGTH),
)


@given(TOKENS)
def test_a_key_is_read_back_from_its_text(token: ApiToken) -> None:
    """It begins as the product's keys do, and a scanner for leaked secrets finds it in any text."""
    assert ApiToken.parse(token.text) == token
    assert token.text.startswith("ad_b2b_")
    found = PATTERN.search(f"X-API-Key: {token.text}\n")
    assert found is not None
    assert found[0] == token.text


@given(TOKENS, st.integers(min_value=0), st.sampled_from(SECRET_ALPHABET))
def test_one_wrong_character_is_noticed_without_a_database(token: ApiToken, place: int, other: str) -> None:
    """The checksum covers prefix, id and secret."""
    text = token.text
    place %= len(text)
    mistyped = text[:place] + other + text[place + 1 :]
    assert mistyped == text or ApiToken.parse(mistyped) is None


@pytest.mark.parametrize("text", ["", "ad_b2b_", "ad_b2b_your_key_here", "ad_b2b_nothing", "x" * 100_000, "\n", "é"])
def test_other_texts_are_no_keys(text: str) -> None:
    """Whatever they are."""
    assert ApiToken.parse(text) is None


def test_a_key_with_anything_around_it_is_no_key() -> None:
    """A line end least of all."""
    text = ApiToken(key_id="a" * ID_LENGTH, secret="b" * SECRET_LENGTH).text
    for other in (text + "\n", " " + text, text + "x", text.upper()):
        assert ApiToken.parse(other) is None


def test_no_representation_has_the_secret() -> None:
    """Not even by accident in a log or a traceback."""
    token = ApiToken(key_id="a" * ID_LENGTH, secret="s3cr3t" + "b" * (SECRET_LENGTH - 6))
    assert "s3cr3t" not in repr(token)
    assert "s3cr3t" not in str(token)
    assert b"s3cr3t" not in token.digest


def test_only_keys_are_issuers_of_that_form() -> None:
    """A configured issuer cannot be mistaken for one: its id has no colon."""
    assert key_id_of("key:abc") == "abc"
    assert key_id_of("desk") is None
