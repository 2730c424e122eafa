"""What a person does before the console: reads, types, clicks. Whatever the page complains of is a failure."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

from node.domain.command import Action, Door, Request
from node.domain.result import Document
from tests.support.console_site import TOKEN, ConsoleSite
from tests.support.waiting import PATIENCE_S, until

#: How long an expectation waits for the page. It is no statement about the page.
PATIENCE_MS: Final = int(PATIENCE_S * 1000)
PHONE: Final = {"width": 390, "height": 844}
DESKTOP: Final = {"width": 1280, "height": 900}
#: Said by the browser itself when a request is refused or fails, which several tests provoke.
_PROVOKED: Final = re.compile(r"Failed to load resource")


@dataclass(slots=True, kw_only=True)
class Person:
    """Before one page of one node."""

    site: ConsoleSite
    page: Page
    complaints: list[str] = field(default_factory=list)

    # Coming and going

    async def open(self, fragment: str = "", *, url: str | None = None) -> None:
        """Open the console as one would: by the node's address."""
        await self.page.goto(f"{url or self.site.url}/{fragment and 'console/' + fragment}")

    async def sign_in(self, token: str = TOKEN) -> None:
        """With the token, as typed from a safe place."""
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.sees_account("binance-main")

    async def go(self, name: str) -> None:
        """To a page, by the menu."""
        await self.page.get_by_role("navigation").get_by_role("link", name=name).click()

    # Looking

    def card(self, name: str = "binance-main") -> Locator:
        """An account on the first page."""
        return self.page.get_by_role("article", name=name)

    @property
    def dialog(self) -> Locator:
        """The question before a lever is pulled."""
        return self.page.get_by_role("dialog")

    async def sees_account(self, name: str) -> None:
        """It is there, with its lock."""
        await expect(self.card(name).locator(".badge")).not_to_be_empty(timeout=PATIENCE_MS)

    async def sees(self, text: str | re.Pattern[str], *, within: Locator | None = None) -> None:
        """Some text, sooner or later."""
        place = within or self.page.locator("body")
        await expect(place).to_contain_text(text, timeout=PATIENCE_MS)

    async def sees_verdict(self, word: str) -> None:
        """Of the command that is shown."""
        await expect(self.page.locator(".verdict-word")).to_have_text(word, timeout=PATIENCE_MS)

    # Acting

    async def pull(self, lever: str, account: str = "binance-main") -> Locator:
        """Take a lever; returns the question that comes."""
        await self.page.get_by_role("button", name=f"{lever}: {account}").click()
        await expect(self.dialog).to_be_visible()
        return self.dialog

    async def confirm(self, button: str, **typed: str) -> None:
        """Type what is asked for (by the beginning of its label) and press the button."""
        for label, text in typed.items():
            await self.dialog.get_by_label(re.compile(label.replace("_", " "))).fill(text)
        await self.dialog.get_by_role("button", name=button, exact=True).click()

    # Behind the page

    async def by_another_way(self, action: Action, account: str = "binance-main", **parameters: Any) -> Document:
        """Somebody else commands, at the socket; waits for the ending."""
        desk = self.site.node.desk
        command = Request(
            command_id=UUID(int=len(await self.history()) + 1),
            account_id=desk.account_of(account),
            action=action,
            issuer="operator",
            door=Door.OPERATOR,
            **parameters,
        )
        await desk.submit(command)
        ending: Document = {}
        async for document in desk.follow(command.command_id):
            ending = document
        return ending

    async def history(self) -> list[Document]:
        """Every command that the node has."""
        found = await self.site.node.desk.history(None, before_seq=None, limit=100)
        return [entry.document for entry in found]

    def locked(self, account: str = "binance-main") -> bool:
        """As the node has it, not as the page shows it."""
        return bool(self.account(account)["lock"]["locked"])

    def account(self, name: str = "binance-main") -> Document:
        """The same."""
        return next(each for each in self.site.node.desk.accounts() if each["name"] == name)

    async def until_locked(self, account: str = "binance-main") -> None:
        """The node has it."""
        await until(lambda: self.locked(account))


@asynccontextmanager
async def at(site: ConsoleSite, browser: Browser, **context: Any) -> AsyncIterator[Person]:
    """Somebody before a browser of their own."""
    settings: Mapping[str, Any] = {"viewport": DESKTOP, "locale": "en-GB"} | context
    made = await browser.new_context(**settings)
    page = await made.new_page()
    person = Person(site=site, page=page)

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _PROVOKED.search(message.text):
            person.complaints.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    try:
        yield person
    finally:
        await made.close()
    assert person.complaints == []
