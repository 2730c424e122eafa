"""Keys on SQLite: in the journal's file and in one of their own."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from node.api.keyring import KeyStore
from node.domain.api_key import ApiKey, ApiToken, KeyUsage, Scope
from node.errors import JournalUnavailable
from node.journal.key_copy import CopiedKeys, copied_keys
from node.journal.key_store import SqliteKeyStore, key_database
from node.journal.store import SqliteJournal
from tests.support.journal import ISSUED_AT, NODE_ID, SteadyClock

SECRET = "verysecretverysecretverysecret00"


def key(number: int = 0, **changes: object) -> ApiKey:
    """A key of "acme"."""
    token = ApiToken(key_id=f"key{number:09d}", secret=SECRET)
    made = ApiKey(
        id=token.key_id,
        owner="acme",
        digest=token.digest,
        scopes=frozenset({Scope.KILL, Scope.READ}),
        accounts=frozenset({uuid4()}),
        created_at=ISSUED_AT + timedelta(seconds=number),
        label="desk",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name real fields


@pytest.fixture(params=["journal", "copied", "own"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KeyStore]:
    """Beside commands, with a second copy, and alone."""
    if request.param != "own":
        async with SqliteJournal(tmp_path / "db", node_id=NODE_ID, clock=SteadyClock()) as journal:
            stored = SqliteKeyStore(journal.database)
            yield stored if request.param == "journal" else CopiedKeys(stored, tmp_path / "copy")
        return
    database = key_database(tmp_path / "db", clock=SteadyClock())
    await database.open()
    yield SqliteKeyStore(database)
    await database.close()


async def test_keys_are_read_back_as_they_were(store: KeyStore, tmp_path: Path) -> None:
    """Every field, oldest first; and the secret is nowhere in the file."""
    keys = [key(1), key(0, accounts=None, label=None, expires_at=ISSUED_AT + timedelta(days=1))]
    for each in keys:
        assert await store.add(each)
    assert await store.keys() == sorted(keys, key=lambda each: each.created_at)
    files = await asyncio.to_thread(lambda: [file.read_bytes() for file in tmp_path.iterdir()])
    assert not [content for content in files if SECRET.encode() in content]


async def test_a_sixth_active_key_is_refused_however_many_ask_at_once(store: KeyStore) -> None:
    """Counted in the transaction that stores it; another owner's do not count."""
    added = await asyncio.gather(*(store.add(key(number)) for number in range(8)))
    assert sum(added) == 5
    assert len(await store.keys()) == 5
    assert await store.add(key(9, owner="other"))


async def test_revoked_and_expired_keys_do_not_count(store: KeyStore) -> None:
    """Five *active* ones."""
    for number in range(4):
        await store.add(key(number))
    await store.add(key(4, expires_at=ISSUED_AT + timedelta(seconds=10)))
    assert not await store.add(key(5))
    assert await store.add(key(20))  # made after one has expired
    assert not await store.add(key(21))
    await store.revoke(key(0).id, at=ISSUED_AT)
    assert await store.add(key(22))


async def test_a_key_can_be_replaced_although_there_are_five(store: KeyStore) -> None:
    """The old one ends in the same transaction; where it is to live on, nothing happens at all."""
    keys = [key(number) for number in range(5)]
    for each in keys:
        await store.add(each)
    assert not await store.replace(keys[0], key(5), ends_at=ISSUED_AT + timedelta(hours=1))
    assert await store.keys() == keys
    assert await store.replace(keys[0], key(5), ends_at=key(5).created_at)
    after = {each.id: each for each in await store.keys()}
    assert after[keys[0].id].revoked_at == key(5).created_at
    assert after[key(5).id].revoked_at is None


async def test_an_overlap_only_ever_shortens_the_old_keys_life(store: KeyStore) -> None:
    """A key that ends tomorrow does not live longer by being replaced."""
    soon, late = ISSUED_AT + timedelta(minutes=1), ISSUED_AT + timedelta(days=1)
    endless, ending = key(0), key(1, expires_at=soon)
    for each in (endless, ending):
        await store.add(each)
    assert await store.replace(endless, key(2), ends_at=late)
    assert await store.replace(ending, key(3), ends_at=late)
    after = {each.id: each for each in await store.keys()}
    assert (after[endless.id].expires_at, after[ending.id].expires_at) == (late, soon)


async def test_a_revoked_key_stays_revoked(store: KeyStore) -> None:
    """Since the first time."""
    await store.add(key())
    await store.revoke(key().id, at=ISSUED_AT)
    await store.revoke(key().id, at=ISSUED_AT + timedelta(days=1))
    (found,) = await store.keys()
    assert found.revoked_at == ISSUED_AT


async def test_use_is_kept_in_place_of_what_was(store: KeyStore) -> None:
    """One row a key."""
    await store.add(key())
    usage = KeyUsage(key_id=key().id, last_used_at=ISSUED_AT, taken={"commands": (ISSUED_AT,), "reads": ()})
    later = replace(usage, last_used_at=ISSUED_AT + timedelta(seconds=1))
    await store.keep_usage([usage])
    await store.keep_usage([later])
    assert await store.usages() == [later]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE api_key SET revoked_at = NULL",
        "UPDATE api_key SET owner = 'other'",
        "UPDATE api_key SET digest = zeroblob(32)",
        "UPDATE api_key SET scopes = '[]'",
        "UPDATE api_key SET expires_at = '2099-01-01'",
        "DELETE FROM api_key",
        "INSERT INTO api_key (id, owner, digest, scopes, created_at) VALUES ('x', 'o', zeroblob(31), '[]', '2026')",
    ],
)
async def test_the_file_itself_refuses_what_the_code_must_not_do(tmp_path: Path, statement: str) -> None:
    """No key comes back to life, changes hands, or vanishes."""
    async with SqliteJournal(tmp_path / "db", node_id=NODE_ID, clock=SteadyClock()) as journal:
        store = SqliteKeyStore(journal.database)
        await store.add(key(expires_at=ISSUED_AT + timedelta(days=1)))
        await store.revoke(key().id, at=ISSUED_AT)
    with sqlite3.connect(tmp_path / "db") as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()


async def test_the_file_itself_holds_five_active_keys_an_owner(tmp_path: Path) -> None:
    """Whoever writes into it."""
    async with SqliteJournal(tmp_path / "db", node_id=NODE_ID, clock=SteadyClock()) as journal:
        for number in range(5):
            await SqliteKeyStore(journal.database).add(key(number))
    with sqlite3.connect(tmp_path / "db") as connection, pytest.raises(sqlite3.IntegrityError, match="at most 5"):
        connection.execute(
            "INSERT INTO api_key SELECT 'x', owner, label, digest, scopes, accounts, created_at, expires_at, NULL"
            " FROM api_key LIMIT 1"
        )
    connection.close()


class TestCopy:
    """By which a kill is recognised after a start without the journal."""

    async def test_has_the_keys_as_they_are_and_is_private(self, tmp_path: Path) -> None:
        """After each change, and of a journal that had keys before there was a copy."""
        path, ends_at = tmp_path / "copy", ISSUED_AT + timedelta(hours=1)
        keys = [key(number) for number in range(4)]
        async with SqliteJournal(tmp_path / "db", node_id=NODE_ID, clock=SteadyClock()) as journal:
            stored = SqliteKeyStore(journal.database)
            await stored.add(keys[0])
            store = CopiedKeys(stored, path)
            assert await store.keys() == await copied_keys(path) != []
            await store.add(keys[1])
            await store.replace(keys[1], keys[2], ends_at=ends_at)
            await store.replace(keys[0], keys[3], ends_at=ISSUED_AT)
            await store.revoke(keys[2].id, at=ends_at)
            found = {each.id: each for each in await copied_keys(path)}
            assert list(found.values()) == await stored.keys()
            assert found[keys[2].id].revoked_at == ends_at
        assert stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode) == 0o600
        assert SECRET.encode() not in await asyncio.to_thread(path.read_bytes)

    async def test_does_not_honour_a_key_whose_revocation_the_journal_could_not_take(self, tmp_path: Path) -> None:
        """Struck out first: it may only ever know too few."""
        path = tmp_path / "copy"
        async with SqliteJournal(tmp_path / "db", node_id=NODE_ID, clock=SteadyClock()) as journal:
            store = CopiedKeys(SqliteKeyStore(journal.database), path)
            await store.keys()
            await store.add(key(0))
            await journal.close()
            with pytest.raises(JournalUnavailable):
                await store.revoke(key(0).id, at=ISSUED_AT)
        assert [each.revoked_at for each in await copied_keys(path)] == [ISSUED_AT]

    async def test_goes_where_it_cannot_be_written(self, tmp_path: Path) -> None:
        """An old one would honour what has been revoked since."""
        path = tmp_path / "copy"
        async with SqliteJournal(tmp_path / "db", node_id=NODE_ID, clock=SteadyClock()) as journal:
            store = CopiedKeys(SqliteKeyStore(journal.database), path)
            await store.keys()
            await store.add(key(0))
            path.with_name("copy.partial").mkdir()
            await store.revoke(key(0).id, at=ISSUED_AT)
        assert await copied_keys(path) == []

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": "sovereign-node/api-keys/1", "keys": [{}]}'])
    async def test_that_is_broken_has_no_keys(self, tmp_path: Path, content: str) -> None:
        """And stops no start."""
        await asyncio.to_thread((tmp_path / "copy").write_text, content)
        assert await copied_keys(tmp_path / "copy") == []
