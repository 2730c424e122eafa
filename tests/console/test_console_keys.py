"""API keys at the console: made, copied once, revoked."""

from __future__ import annotations

import re

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from tests.console.person import PATIENCE_MS, Person

#: One event loop for all, since they share a browser.
pytestmark = pytest.mark.asyncio(loop_scope="session")


def rows(person: Person) -> Locator:
    """Of the list of keys."""
    return person.page.get_by_role("region", name="API keys, newest first").locator("tbody tr")


async def make(person: Person, label: str, *scopes: str, account: str | None = None) -> str:
    """Make a key as one would; its text."""
    await person.go("API keys")
    form = person.page.locator("details", has=person.page.get_by_text("New key"))
    if not await form.get_by_label("Owner", exact=True).is_visible():
        await form.get_by_text("New key").click()
    await form.get_by_label(re.compile("Label")).fill(label)
    for scope in scopes:
        await form.get_by_label(re.compile(f"^{scope}:")).check()
    if account is not None:
        await form.get_by_label(account, exact=True).check()
    await form.get_by_role("button", name="Make the key").click()
    await expect(person.page.get_by_label("The new key")).to_be_visible(timeout=PATIENCE_MS)
    return await person.page.get_by_label("The new key").inner_text()


async def kill(person: Person, key: str, account: str = "binance-main") -> int:
    """LOCK by the API, as the key's holder; the status of the answer."""
    body = {"account_id": person.account(account)["id"], "action": "LOCK"}
    async with (
        aiohttp.ClientSession(person.site.url) as http,
        http.post("/api/v1/b2b/risk/kill", json=body, headers={"X-API-Key": key}) as answer,
    ):
        return answer.status


async def test_a_key_is_shown_once_and_works(person: Person) -> None:
    """It can be copied; taken away or left, it is nowhere on the page any more."""
    await person.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    key = await make(person, "the desk's", "kill")
    assert key.startswith("ad_b2b_")
    await person.page.get_by_role("button", name="Copy").click()
    await person.sees("Copied.")
    assert await person.page.evaluate("navigator.clipboard.readText()") == key
    await expect(rows(person)).to_have_count(1, timeout=PATIENCE_MS)
    await person.sees("the desk's", within=rows(person).first)
    await person.sees("kill, read", within=rows(person).first)
    assert await kill(person, key) == 200
    await person.go("Accounts")
    await person.sees_account("binance-main")
    await person.go("API keys")
    await expect(rows(person)).to_have_count(1, timeout=PATIENCE_MS)
    assert key.rpartition("_")[2] not in await person.page.content()
    await expect(rows(person).first.get_by_text("never")).to_have_count(0)


async def test_a_key_for_one_account_opens_no_other(person: Person) -> None:
    """As it was asked for."""
    key = await make(person, "one account", "lock", account="hedge")
    await person.sees("hedge", within=rows(person).first)
    assert (await kill(person, key, "hedge"), await kill(person, key, "binance-main")) == (200, 404)
    assert (person.locked("hedge"), person.locked("binance-main")) == (True, False)


async def test_a_key_is_revoked_by_who_types_its_id(person: Person) -> None:
    """At once; it stays in the list, as what it is."""
    key = await make(person, "<b>lost</b>", "kill")
    await rows(person).first.get_by_role("button", name=re.compile("Revoke")).click()
    button = person.dialog.get_by_role("button", name="Revoke", exact=True)
    await expect(button).to_be_disabled()
    await person.dialog.get_by_label("Type the key's id").fill(key.split("_")[2])
    await button.click()
    await person.sees("revoked", within=rows(person).first)
    await person.sees("<b>lost</b>", within=rows(person).first)
    assert await kill(person, key) == 403
    assert not person.locked()


async def test_the_sixth_is_refused_in_words(person: Person) -> None:
    """An owner has at most five."""
    for number in range(5):
        await make(person, f"number {number}", "lock")
        await person.page.get_by_role("button", name="I have stored it").click()
    await person.page.get_by_role("button", name="Make the key").click()
    await person.sees(re.compile("No key was made: .*5 active"))
    await expect(rows(person)).to_have_count(5)
