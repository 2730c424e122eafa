"""The keyring: keys in memory, and in a store that may be away."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from node.api.keyring import ForeignAccount, KeyEnded, Keyring, NoSuchKey, NoSuchOwner, TooManyKeys
from node.api.rates import STRANGERS_KEPT, Bucket, KeyRates, StrangerRates
from node.errors import JournalUnavailable
from node.journal.key_store import SqliteKeyStore, key_database
from tests.support.counting_desk import ACCOUNT
from tests.support.keyring import OWNERS, STRANGERS_ACCOUNT, HandClock, MemoryKeyStore, make_keyring


@pytest.fixture
def store() -> MemoryKeyStore:
    """Empty."""
    return MemoryKeyStore()


@pytest.fixture
def clock() -> HandClock:
    """Stands still."""
    return HandClock()


@pytest.fixture
def keyring(store: MemoryKeyStore, clock: HandClock) -> Keyring:
    """Without keys."""
    return make_keyring(store, clock)


async def test_a_new_key_is_found_by_its_text_only(keyring: Keyring) -> None:
    """And its text is in no log."""
    with capture_logs() as logs:
        made = await keyring.create("acme")
    assert keyring.find(made.token.text) == made.key
    assert keyring.find(made.key.id) is None
    assert made.token.secret not in repr((logs, made, made.key))


async def test_a_key_needs_a_known_owner_and_accounts_of_its_own(keyring: Keyring, store: MemoryKeyStore) -> None:
    """Nothing is stored otherwise."""
    with pytest.raises(NoSuchOwner):
        await keyring.create("nobody")
    for account in (STRANGERS_ACCOUNT, uuid4()):
        with pytest.raises(ForeignAccount):
            await keyring.create("acme", accounts=[ACCOUNT, account])
    assert store.stored == {}


async def test_a_sixth_key_is_refused(keyring: Keyring) -> None:
    """And can be had once one is revoked."""
    made = [await keyring.create("acme") for _ in range(5)]
    with pytest.raises(TooManyKeys):
        await keyring.create("acme")
    await keyring.revoke(made[0].key.id)
    await keyring.create("acme")


async def test_rotation_ends_the_old_key_and_keeps_what_it_may(keyring: Keyring) -> None:
    """At once; an ended key cannot be rotated."""
    old = await keyring.create("acme", accounts=[ACCOUNT], label="desk")
    new = await keyring.rotate(old.key.id)
    assert (new.key.scopes, new.key.accounts, new.key.label) == (old.key.scopes, old.key.accounts, "desk")
    assert not keyring.is_active(keyring.get(old.key.id))
    with pytest.raises(KeyEnded):
        await keyring.rotate(old.key.id)
    with pytest.raises(NoSuchKey):
        await keyring.rotate("nothing")


async def test_with_an_overlap_both_are_good_until_it_is_over(tmp_path: Path, clock: HandClock) -> None:
    """In memory as on disk."""
    database = key_database(tmp_path / "keys", clock=clock)
    await database.open()
    try:
        keyring, again = (
            Keyring(SqliteKeyStore(database), OWNERS, clock=clock, rates=KeyRates(clock)) for _ in range(2)
        )
        old = await keyring.create("acme")
        clock.pass_s(1)
        await keyring.rotate(old.key.id, overlap=timedelta(seconds=60))
        await again.load()
    finally:
        await database.close()
    assert again.keys() == keyring.keys()
    assert keyring.is_active(keyring.get(old.key.id))
    clock.pass_s(60)
    assert not keyring.is_active(keyring.get(old.key.id))


async def test_a_revocation_is_in_force_although_the_disk_will_not(keyring: Keyring, store: MemoryKeyStore) -> None:
    """The operator is told that a restart may not know, and may try again."""
    made = await keyring.create("acme")
    store.broken = True
    with pytest.raises(JournalUnavailable):
        await keyring.revoke(made.key.id)
    assert not keyring.is_active(keyring.get(made.key.id))
    store.broken = False
    assert (await keyring.revoke(made.key.id)).revoked_at == store.stored[made.key.id].revoked_at is not None


async def test_a_key_of_unknown_fate_is_listed(keyring: Keyring, store: MemoryKeyStore) -> None:
    """It may count among the owner's: somebody must be able to revoke it."""
    store.broken = True
    with pytest.raises(JournalUnavailable):
        await keyring.create("acme")
    assert len(keyring.keys("acme")) == 1


async def test_keys_are_recognised_without_the_store(keyring: Keyring, store: MemoryKeyStore) -> None:
    """Those that were read or made before it went away."""
    made = await keyring.create("acme")
    again = make_keyring(store)
    await again.load()
    store.broken = True
    for ring in (keyring, again):
        assert ring.find(made.token.text) == made.key
        assert ring.take(made.key, Bucket.COMMANDS).allowed


async def test_the_window_survives_a_restart(keyring: Keyring, store: MemoryKeyStore, clock: HandClock) -> None:
    """A new process does not hand out a new minute."""
    key = (await keyring.create("acme")).key
    for _ in range(100):
        assert keyring.take(key, Bucket.COMMANDS).allowed
    await keyring.keep()
    clock.pass_s(20)
    again = make_keyring(store, clock)
    await again.load()
    refused = again.take(key, Bucket.COMMANDS)
    assert (refused.allowed, refused.reset_ns) == (False, 40_000_000_000)
    assert again.take(key, Bucket.READS).allowed
    clock.pass_s(40)
    assert again.take(key, Bucket.COMMANDS).allowed


async def test_a_clock_set_back_costs_a_minute_at_most(
    keyring: Keyring, store: MemoryKeyStore, clock: HandClock
) -> None:
    """What was taken in the future is taken now."""
    key = (await keyring.create("acme")).key
    for _ in range(100):
        keyring.take(key, Bucket.COMMANDS)
    await keyring.keep()
    past = HandClock()
    past.pass_s(-86_400)
    again = make_keyring(store, past)
    await again.load()
    assert not again.take(key, Bucket.COMMANDS).allowed
    past.pass_s(60)
    assert again.take(key, Bucket.COMMANDS).allowed


async def test_requests_write_nothing_and_use_is_kept_once(keyring: Keyring, store: MemoryKeyStore) -> None:
    """One small transaction for all of them, later; again where the disk failed; none where nothing happened."""
    key = (await keyring.create("acme")).key
    before = store.writes
    for _ in range(50):
        keyring.take(key, Bucket.READS)
    assert store.writes == before
    store.broken = True
    await keyring.keep()
    store.broken = False
    await keyring.keep()
    await keyring.keep()
    assert store.writes == before + 1
    assert len(store.used[key.id].taken["reads"]) == 50
    assert store.used[key.id].last_used_at == keyring.last_used_at(key)


def test_strangers_are_counted_by_address_and_ipv6_by_network(clock: HandClock) -> None:
    """Whoever has one IPv6 address has many."""
    rates = StrangerRates(clock, per_minute=1)
    assert rates.take("203.0.113.7").allowed
    assert not rates.take("203.0.113.7").allowed
    assert rates.take("203.0.113.8").allowed
    assert rates.take("2001:db8:0:1::1").allowed
    assert not rates.take("2001:db8:0:1:ffff::2").allowed
    assert rates.take("2001:db8:0:2::1").allowed
    assert not rates.take("::ffff:203.0.113.7").allowed  # the same machine, over a socket for both
    assert rates.take(None).allowed


def test_only_so_many_strangers_are_remembered(clock: HandClock) -> None:
    """Memory is bounded; the one that has been quiet for longest is forgotten."""
    rates = StrangerRates(clock, per_minute=1)
    for number in range(STRANGERS_KEPT + 1):
        assert rates.take(f"10.0.{number // 256}.{number % 256}").allowed
    assert rates.take("10.0.0.0").allowed
    assert not rates.take(f"10.0.{STRANGERS_KEPT // 256}.{STRANGERS_KEPT % 256}").allowed
