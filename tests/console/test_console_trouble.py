"""The console when things go wrong: it never shows what is old as new, nor what is unclear as done."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from node.domain.command import Action
from tests.console.person import PATIENCE_MS, PHONE, Person, at
from tests.support.console_site import ConsoleSite
from tests.support.mosquitto import free_port

#: One event loop for all, since they share a browser.
pytestmark = pytest.mark.asyncio(loop_scope="session")

KILL = "**/api/v1/b2b/risk/kill"
INTERNAL = {"success": False, "error": {"code": "INTERNAL", "message": "the node failed: its log says why"}}
TIMEOUT = {"success": False, "error": {"code": "TIMEOUT", "message": "no node has confirmed in time"}}


class TestLostConnection:
    async def test_is_said_loudly_and_what_is_shown_is_called_old(self, person: Person) -> None:
        """The node goes away; its last words stay, as what they are."""
        await person.site.node.api.stop()
        alert = person.page.locator("#lost")
        await expect(alert).to_be_visible(timeout=PATIENCE_MS)
        await person.sees(re.compile(r"CONNECTION LOST\. What you see is \d+ s old"), within=alert)
        await person.sees("was armed, unlocked", within=person.card().locator(".badge"))
        await person.sees("When last seen", within=person.card())
        ages = person.card().locator(".age")
        first = await ages.first.inner_text()
        await expect(ages.first).not_to_have_text(first, timeout=PATIENCE_MS)
        await person.sees("lost for", within=person.page.locator("#connection"))

    async def test_keeps_an_unlock_from_being_sent_blind_and_ends_by_itself(self, person: Person) -> None:
        """A kill may be tried blind: it can only make risk smaller."""
        await person.by_another_way(Action.LOCK)
        await expect(person.card().locator(".badge")).to_have_text("locked", timeout=PATIENCE_MS)
        await person.page.context.set_offline(True)
        await expect(person.page.locator("#lost")).to_be_visible(timeout=PATIENCE_MS)
        dialog = await person.pull("Unlock")
        await dialog.get_by_label("Type the account's name").fill("binance-main")
        await dialog.get_by_label("Type the epoch").fill("1")
        await dialog.get_by_label("Reason").fill("blind")
        await person.sees("an unlock needs to see how things are", within=dialog)
        await expect(dialog.get_by_role("button", name="Unlock", exact=True)).to_be_disabled()
        await dialog.get_by_role("button", name="Cancel").click()
        dialog = await person.pull("Close all")
        await dialog.get_by_label("Type the account's name").fill("binance-main")
        await expect(dialog.get_by_role("button", name="Close all", exact=True)).to_be_enabled()
        await dialog.get_by_role("button", name="Cancel").click()
        await person.page.context.set_offline(False)
        await expect(person.page.locator("#lost")).to_be_hidden(timeout=PATIENCE_MS)
        await expect(person.card().locator(".badge")).to_have_text("locked")

    async def test_while_a_command_runs_is_not_taken_for_its_end(self, person: Person) -> None:
        """The stream breaks; it is taken up again where it was, and ends with the verdict."""
        person.site.sim.set_faults(latency_ms=400)
        await person.pull("Close all")
        await person.confirm("Close all", Type_the_account="binance-main")
        await expect(person.page.locator(".verdict-word")).to_have_text(re.compile("accepted|running"))
        await person.page.context.set_offline(True)
        await person.page.evaluate("dispatchEvent(new Event('offline'))")
        person.site.sim.set_faults(latency_ms=0)
        await person.page.context.set_offline(False)
        await person.sees_verdict("flat")


class TestUnclearAnswers:
    @pytest.mark.parametrize("loss", ["the connection", "the answer", "a failure", "a gateway's time"])
    async def test_are_called_unclear_and_the_same_command_can_be_sent_again(self, person: Person, loss: str) -> None:
        """Whether it had arrived or not, it takes effect once."""
        arrives = loss in ("the answer", "a failure")

        async def lose(route: Route) -> None:
            if arrives:
                await route.fetch()
            if loss in ("the connection", "the answer"):
                await route.abort("connectionreset")
            elif loss == "a failure":
                await route.fulfill(status=500, json=INTERNAL)
            else:
                await route.fulfill(status=504, json=TIMEOUT)

        await person.page.route(KILL, lose, times=1)
        dialog = await person.pull("Lock")
        await person.confirm("Lock", Type_the_account="binance-main")
        await person.sees("It is NOT known whether this took effect", within=dialog)
        assert person.locked() is arrives
        await dialog.get_by_role("button", name="Send again, same key").click()
        await person.sees_verdict("locked")
        assert len(await person.history()) == 1
        assert person.account()["lock"]["epoch"] == 1

    async def test_can_be_looked_up(self, person: Person) -> None:
        """The node has it, or has not seen it: never "no"."""
        dialog = await person.pull("Lock")
        await person.page.route(KILL, lambda route: route.abort(), times=1)
        await person.confirm("Lock", Type_the_account="binance-main")
        look = dialog.get_by_role("button", name="Ask the node whether it has it")
        await look.click()
        await person.sees("has not seen it yet, but it may still arrive", within=dialog)
        key = await dialog.locator("code").last.inner_text()
        async with asyncio.timeout(5):
            await person.page.evaluate(
                "async ([key, id]) => (await import('/console/api.js'))"
                ".act('POST', '/api/v1/b2b/risk/kill', { account_id: id, action: 'LOCK' }, key)",
                [key, person.account()["id"]],
            )
        await look.click()
        await person.sees_verdict("locked")

    async def test_come_of_silence_as_well(self, person: Person) -> None:
        """Nothing comes back at all: after eight seconds the page stops waiting, and says so."""
        held = asyncio.Event()

        async def hold(route: Route) -> None:
            await held.wait()
            await route.abort()

        await person.page.route(KILL, hold, times=1)
        dialog = await person.pull("Lock")
        await person.confirm("Lock", Type_the_account="binance-main")
        await person.sees("Sending", within=dialog)
        await person.page.keyboard.press("Escape")
        await expect(dialog).to_be_visible()
        await person.sees("no answer within 8 s", within=dialog)
        held.set()

    async def test_are_told_apart_from_refusals(self, person: Person) -> None:
        """The node says no, and why: then it was not begun."""
        await person.by_another_way(Action.LOCK)
        dialog = await person.pull("Unlock")
        body = {"success": False, "error": {"code": "BUSY", "message": "command 7 <b>is live</b>"}, "result": {}}
        await person.page.route("**/risk/unlock", lambda route: route.fulfill(status=409, json=body))
        await person.confirm("Unlock", Type_the_account="binance-main", Type_the_epoch="1", Reason="try")
        await person.sees("Refused (BUSY). It was not begun. command 7 <b>is live</b>", within=dialog)
        assert person.locked()


@asynccontextmanager
async def tunnel(site: ConsoleSite) -> AsyncIterator[str]:
    """``ssh -L``: a port of the browser's machine that leads to the operator's socket."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(site.socket))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pump(reader, back), name="tunnel-there")
            tasks.create_task(pump(there, writer), name="tunnel-back")

    port = free_port()
    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield f"http://localhost:{port}"
    finally:
        server.close()


async def test_through_a_tunnel_to_the_socket_nobody_need_sign_in(site: ConsoleSite, browser: Browser) -> None:
    """Who may open the socket is the operator already."""
    async with tunnel(site) as url, at(site, browser) as person:
        await person.open(url=url)
        await person.sees_account("binance-main")
        await expect(person.page.get_by_role("button", name="Sign out")).to_be_hidden()
        await person.pull("Lock")
        await person.confirm("Lock", Type_the_account="binance-main")
        await person.sees_verdict("locked")
        (command,) = await person.history()
        assert command["issuer"] == "operator"


async def test_everything_can_be_done_with_the_keyboard_alone(visitor: Person) -> None:
    """And one always sees where one is."""
    page = visitor.page
    await page.get_by_label("Token").wait_for()
    await expect(page.get_by_label("Token")).to_be_focused()
    await page.keyboard.type("wrong, then the right one")
    await page.keyboard.press("Enter")
    await visitor.sees("not the operator's token")
    await expect(page.get_by_label("Token")).to_be_focused()
    await visitor.sign_in()
    lever = page.get_by_role("button", name="Lock: binance-main")
    for _ in range(30):
        await page.keyboard.press("Tab")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", await page.evaluate("document.activeElement.outerHTML")
        if await lever.evaluate("node => node === document.activeElement"):
            break
    await expect(lever).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(visitor.dialog.get_by_label("Type the account's name")).to_be_focused()
    await page.keyboard.type("binance-main")
    await page.keyboard.press("Tab")
    await page.keyboard.type("by keyboard")
    await page.keyboard.press("Enter")
    await visitor.sees_verdict("locked")
    assert (await visitor.history())[0]["reason"] == "by keyboard"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_all_of_it_in_its_width(
    site: ConsoleSite, browser: Browser, tmp_path: Path, scheme: str
) -> None:
    """No page is wider than the screen, and levers are as large as a thumb."""
    async with at(site, browser, viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True) as person:
        await person.open()
        await person.sign_in()
        ending = await person.by_another_way(Action.CLOSE_ALL, reason="x" * 200)
        for fragment, mark in (
            ("#/", "Locked since"),
            ("#/history", "Distribution"),
            ("#/keys", "API keys"),
            (f"#/command/{ending['command_id']}", "Proven flat"),
        ):
            await person.open(fragment)
            await person.sees(mark)
            assert await person.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], fragment
            await person.page.screenshot(path=tmp_path / "page.png", full_page=True)
        await person.open("#/")
        await person.sees_account("binance-main")
        for button in await person.card().get_by_role("button").all():
            box = await button.bounding_box()
            assert box is not None
            assert box["height"] >= 44
        ground = await person.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(243, 245, 248)", "dark": "rgb(13, 17, 23)"}[scheme]
