"""The console as a person uses it: signing in, seeing, pulling levers, watching, looking back."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from node.domain.command import Action
from tests.console.person import PATIENCE_MS, Person
from tests.support.console_site import TOKEN
from tests.support.waiting import until

#: One event loop for all, since they share a browser.
pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestSigningIn:
    async def test_needs_the_token(self, visitor: Person) -> None:
        """A wrong one is refused in words; nothing of the accounts is on the page before."""
        await visitor.page.get_by_label("Token").fill("not the token")
        await visitor.page.get_by_role("button", name="Sign in").click()
        await visitor.sees("not the operator's token", within=visitor.page.get_by_role("alert"))
        assert "binance-main" not in await visitor.page.content()
        await visitor.sign_in()
        assert TOKEN not in await visitor.page.content()

    async def test_outlives_a_reload_and_ends_by_signing_out(self, person: Person) -> None:
        """Then nothing of the accounts is left on the page, and a reload does not bring it back."""
        await person.page.reload()
        await person.sees_account("binance-main")
        await person.page.get_by_role("button", name="Sign out").click()
        await expect(person.page.get_by_label("Token")).to_be_focused(timeout=PATIENCE_MS)
        assert "binance-main" not in await person.page.content()
        await person.page.reload()
        await expect(person.page.get_by_label("Token")).to_be_visible()

    async def test_is_asked_for_again_once_the_session_has_ended(self, person: Person) -> None:
        """At the latest with the next look."""
        await person.page.context.clear_cookies()
        await expect(person.page.get_by_label("Token")).to_be_visible(timeout=PATIENCE_MS)
        assert "binance-main" not in await person.page.content()


class TestAccounts:
    async def test_show_lock_positions_and_how_old_that_is(self, person: Person) -> None:
        """As the exchange has it."""
        card = person.card()
        await person.sees("armed, unlocked", within=card)
        rows = card.get_by_role("region", name="Parts of binance-main, as last seen").get_by_role("row")
        cells = [await row.get_by_role("cell").all_inner_texts() for row in await rows.all()]
        assert sum(int(row[0]) for row in cells if row) == person.site.positions() > 0
        assert all(re.match(r"(<1|\d+) s ago", row[-1]) for row in cells if row)
        await card.get_by_text("Positions and balances").click()
        await person.sees("BTC/USDT:USDT", within=card)
        await person.sees("net exposure beside USDT", within=card)

    async def test_say_when_the_node_itself_cannot_see_any_more(self, person: Person) -> None:
        """The exchange fails: its words, the badge, and no young age."""
        person.site.sim.set_faults(rules=[{"match": {}, "times": None, "do": {"status_after_execution": 503}}])
        await person.sees("degraded", within=person.card().locator(".badge"))
        await expect(person.card().locator(".notice.bad")).to_be_visible(timeout=PATIENCE_MS)
        await expect(person.card().locator(".age.tone-bad").first).to_be_visible(timeout=PATIENCE_MS)
        await person.sees("armed, unlocked", within=person.card("hedge"))

    async def test_stand_below_the_nodes_own_health(self, person: Person) -> None:
        """The broker goes away."""
        facts = person.page.get_by_role("region", name="Node", exact=True)
        await person.sees("ready", within=facts)
        await person.sees("connected", within=facts)
        await person.site.broker.stop()
        await person.sees("not connected", within=facts)

    async def test_tell_the_last_drill_and_rehearse_at_a_click(self, person: Person) -> None:
        """Nothing is placed: it needs no confirmation."""
        await person.sees("Never drilled", within=person.card())
        await person.page.get_by_role("button", name="Drill: binance-main").click()
        await person.sees_verdict("drill passed")
        await person.go("Accounts")
        await person.sees(re.compile(r"Last drill passed (<1|\d+) s ago \(CLOSE_ALL, about"), within=person.card())
        assert person.site.positions() > 0


class TestLevers:
    async def test_lock_only_for_who_types_the_name(self, person: Person) -> None:
        """Near is not enough."""
        dialog = await person.pull("Lock")
        button = dialog.get_by_role("button", name="Lock", exact=True)
        for typed in ("", "binance", "binance-main ", "Binance-main", "hedge"):
            await dialog.get_by_label("Type the account's name").fill(typed)
            await expect(button).to_be_disabled()
        await person.confirm("Lock", Type_the_account="binance-main", Reason="engine hangs")
        await person.sees_verdict("locked")
        assert (person.locked(), person.locked("hedge")) == (True, False)
        await person.go("Accounts")
        await person.sees("Locked since", within=person.card())
        await person.sees("engine hangs", within=person.card())
        await expect(person.card().locator(".badge")).to_have_text("locked", timeout=PATIENCE_MS)

    @pytest.mark.parametrize("leave", ["Escape", "Cancel"])
    async def test_do_nothing_for_who_thinks_again(self, person: Person, leave: str) -> None:
        """Nothing was sent, and the focus is where it was."""
        dialog = await person.pull("Flatten")
        await dialog.get_by_label("Type the account's name").fill("binance-main")
        if leave == "Escape":
            await person.page.keyboard.press("Escape")
        else:
            await dialog.get_by_role("button", name="Cancel").click()
        await expect(dialog).to_be_hidden()
        await expect(person.page.get_by_role("button", name="Flatten: binance-main")).to_be_focused()
        assert await person.history() == []

    async def test_close_all_and_every_stage_of_it_is_told_as_it_happens(self, person: Person) -> None:
        """An exchange that takes its time: first under way, at last proven, and the exchange agrees."""
        person.site.sim.set_faults(latency_ms=250)
        await person.pull("Close all")
        await person.confirm("Close all", Type_the_account="binance-main")
        await expect(person.page.locator(".verdict-word")).to_have_text(re.compile("accepted|running"))
        stages = person.page.get_by_role("list", name=re.compile("Stages: . of 6 reached"))
        await expect(stages.locator(".stage-now")).to_have_text(re.compile("waiting"))
        await expect(stages.get_by_text("Proven").locator("..")).to_contain_text("\u2013")
        await person.sees(re.compile(r"running for .* last told (<1|\d+) s ago"))
        await person.sees_verdict("flat")
        await expect(stages.locator(".stage-done")).to_have_count(6)
        await person.sees(re.compile("CLOSE_ALL binance-main: flat"), within=person.page.locator("#announcer"))
        assert person.site.positions() == 0
        assert person.locked()
        evidence = person.page.get_by_role("region", name="Evidence: the reads behind the verdict")
        await person.sees("linear", within=evidence)

    async def test_flatten_sells_the_spot_as_well(self, person: Person) -> None:
        """Down to base currency, with the residue named."""
        await person.pull("Flatten")
        await person.confirm("Flatten", Type_the_account="binance-main", Reason="get out")
        await expect(person.page.locator(".verdict-word")).to_have_text(re.compile("^flat"), timeout=PATIENCE_MS)
        assert person.site.positions() == 0
        await person.sees("get out")
        (command,) = await person.history()
        assert (command["action"], command["issuer"]) == ("FLATTEN", "operator")

    async def test_unlock_asks_for_name_epoch_and_reason(self, person: Person) -> None:
        """It adds risk: any two are not enough."""
        await person.by_another_way(Action.LOCK)
        dialog = await person.pull("Unlock")
        button = dialog.get_by_role("button", name="Unlock", exact=True)
        wanted = {"Type the account's name": "binance-main", "Type the epoch": "1", "Reason": "checked by two"}
        for missing in wanted:
            for label, text in wanted.items():
                wrong = "2" if "epoch" in label else " "
                await dialog.get_by_label(re.compile(label)).fill(wrong if label == missing else text)
            await expect(button).to_be_disabled()
        await person.confirm("Unlock", **{label.replace(" ", "_"): text for label, text in wanted.items()})
        await person.sees_verdict("unlocked")
        assert not person.locked()
        assert (await person.history())[0]["reason"] == "checked by two"

    async def test_unlock_is_off_once_the_lock_is_another(self, person: Person) -> None:
        """Somebody locks again while the question is open."""
        await person.by_another_way(Action.LOCK)
        dialog = await person.pull("Unlock")
        wanted = {"Type the account's name": "binance-main", "Type the epoch": "1", "Reason": "fine again"}
        for label, text in wanted.items():
            await dialog.get_by_label(re.compile(label)).fill(text)
        button = dialog.get_by_role("button", name="Unlock", exact=True)
        await expect(button).to_be_enabled()
        await person.by_another_way(Action.CLOSE_ALL)
        await person.sees(re.compile("its epoch is [2-9] now"), within=dialog)
        await expect(button).to_be_disabled()
        assert person.locked()

    async def test_for_all_accounts_ask_for_the_nodes_id(self, person: Person) -> None:
        """And show what became of each."""
        await person.pull("Lock all", "all accounts")
        await person.confirm("Lock", Type_the_node="node-1")
        await person.sees_verdict("locked")
        assert person.locked()
        assert person.locked("hedge")
        accounts = person.page.get_by_role("region", name="The command, account by account")
        await expect(accounts.get_by_role("link")).to_have_text(["binance-main", "hedge"], timeout=PATIENCE_MS)


class TestHistory:
    async def test_tells_every_command_with_its_verdict(self, person: Person) -> None:
        """Newest first; an account by itself; each leads to its command."""
        await person.by_another_way(Action.LOCK, reason="first")
        await person.by_another_way(Action.CLOSE_ALL, "hedge", dry_run=True)
        await person.by_another_way(Action.CLOSE_ALL)
        await person.go("History")
        rows = person.page.get_by_role("region", name="Commands, newest first").locator("tbody tr")
        await expect(rows).to_have_count(3, timeout=PATIENCE_MS)
        for row, words in zip(
            await rows.all(),
            (("CLOSE_ALL", "binance-main", "flat"), ("CLOSE_ALL (drill)", "hedge", "drill passed"), ("LOCK", "first")),
            strict=True,
        ):
            for word in words:
                await person.sees(word, within=row)
        await person.page.get_by_label("Account").select_option("hedge")
        await expect(rows).to_have_count(1, timeout=PATIENCE_MS)
        await rows.first.get_by_role("link").click()
        await person.sees_verdict("drill passed")

    async def test_draws_how_the_time_to_the_proof_is_distributed(self, person: Person) -> None:
        """From the executions' own figures, drills left out; a mean would hide the slow one."""
        proofs = []
        for latency_ms in (0, 0, 120):
            person.site.sim.set_faults(latency_ms=latency_ms)
            proofs.append((await person.by_another_way(Action.CLOSE_ALL))["latency_ms"]["proof"])
        await person.by_another_way(Action.CLOSE_ALL, dry_run=True)
        await person.go("History")
        chart = person.page.get_by_role("img", name=re.compile("Distribution of 3 executions: half within"))
        await expect(chart).to_be_visible(timeout=PATIENCE_MS)
        assert await chart.locator(".bar").count() >= 1
        course = person.page.get_by_role("img", name=re.compile("The 3 executions in their order"))
        await expect(course.locator(".dot")).to_have_count(3)
        figures = person.page.get_by_role("region", name="Time to the proof: figures").locator("tbody tr")
        shown = await figures.locator("th, td").all_inner_texts()
        slowest = max(proofs)
        assert (shown[0], shown[-1]) == ("3", f"{slowest:.1f} ms" if slowest < 100 else f"{slowest:.0f} ms")

    async def test_says_so_where_it_cannot_be_read(self, person: Person) -> None:
        """An empty page would be a lie."""
        await person.page.route("**/api/v1/node/commands**", lambda route: route.abort())
        await person.go("History")
        await person.sees("The history cannot be shown", within=person.page.get_by_role("alert").last)


async def test_text_of_others_stays_text(person: Person) -> None:
    """A reason that is markup, of somebody at another door."""
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    ending = await person.by_another_way(Action.LOCK, reason=hostile)
    await person.sees(hostile, within=person.card())
    await person.open(f"#/command/{ending['command_id']}")
    await person.sees(hostile)
    await person.go("History")
    await person.sees(hostile)
    assert await person.page.locator("main img, main script").count() == 0


async def test_a_reason_typed_here_arrives_as_it_was_typed(person: Person) -> None:
    """With everything that could be taken for markup."""
    await person.pull("Lock")
    await person.confirm("Lock", Type_the_account="binance-main", Reason='"5 %" <& b>')
    await until(person.locked)
    assert (await person.history())[0]["reason"] == '"5 %" <& b>'
