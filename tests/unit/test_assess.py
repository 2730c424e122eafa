"""What may be claimed of an account from what was read of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from node.domain.assess import Aim, Assessment, SliceState, assess, to_renew
from node.domain.command import Action
from node.domain.flatten import FlattenTerms, Holding
from node.domain.plan import LegMemory, Scope
from node.domain.result import ErrorReport
from node.domain.snapshot import Balance, OpenOrder, Position, PositionKey, PositionSide, SliceSnapshot
from node.domain.steps import Refusal, SellSpot
from tests.support.fake_venue import LINEAR, SPOT, order, position

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
LONG = PositionSide.LONG
TERMS = FlattenTerms(base_currency="USDT", keep=frozenset({"BNB"}), min_value=Decimal(5))


def proof(name: str = LINEAR, *, positions: tuple[Position, ...] = (), orders: tuple[OpenOrder, ...] | None = (),
          balances: tuple[Balance, ...] = (), started_ns: int = 100, causal: bool = True) -> SliceSnapshot:  # fmt: skip
    """A complete read in causal order; empty unless told otherwise."""
    return SliceSnapshot(
        slice=name,
        positions=positions,
        orders=orders,
        balances=balances,
        started_ns=started_ns,
        ended_ns=started_ns + 1,
        read_at=datetime(2026, 11, 20, tzinfo=UTC),
        causal=causal,
    )


def aim(action: Action = Action.CLOSE_ALL, **changes: Any) -> Aim:
    """What a command for the whole account wants."""
    return Aim(**{"action": action, "scope": Scope(), "terms": TERMS, **changes})


def flat(name: str = LINEAR, **changes: Any) -> SliceState:
    """A slice that is proven empty."""
    return SliceState(**{"slice": name, "spot": name == SPOT, "proof": proof(name), **changes})


def summary(judged: Assessment) -> tuple[bool, bool, str]:
    """Complete, hopeless, verdict."""
    return judged.complete, judged.hopeless, judged.verdict.value


class TestProof:
    def test_a_proof_that_goes_back_to_before_the_command_says_nothing_of_it(self) -> None:
        """What was there when the command came may have been a trigger that nobody has looked for since."""
        for chained_from_ns, complete in ((49, False), (50, True), (None, True)):
            read = replace(proof(), chained_from_ns=chained_from_ns)
            judged = assess(aim(proofs_from_ns=50), [flat(LINEAR, proof=read)])
            assert judged.complete is complete

    def test_every_slice_read_empty_is_flat(self) -> None:
        """And a hold may lift."""
        judged = assess(aim(), [flat(LINEAR), flat(SPOT)])
        assert summary(judged) == (True, False, "flat")
        assert judged.may_release
        assert {each.slice for each in judged.evidence} == {LINEAR, SPOT}

    def test_without_any_slice_nothing_is_proven(self) -> None:
        """An empty account of evidence is no evidence."""
        assert not assess(aim(), []).complete

    @pytest.mark.parametrize(
        "read",
        [
            None,
            proof(causal=False),
            proof(orders=None),
            proof(started_ns=49),
        ],
        ids=["never read", "in no causal order", "orders not asked for", "begun before the last step ended"],
    )
    def test_anything_less_than_a_causal_complete_later_read_is_unknown(self, read: SliceSnapshot | None) -> None:
        """One slice in doubt is enough."""
        judged = assess(aim(), [flat(SPOT), flat(LINEAR, proof=read, last_step_ended_ns=50)])
        assert summary(judged) == (False, False, "unknown")
        assert not judged.may_release

    def test_a_step_in_one_slice_outdates_the_proofs_of_all(self) -> None:
        """A close here can have opened an order there: nothing may be in flight anywhere."""
        states = [flat(SPOT, proof=proof(SPOT, started_ns=40)), flat(LINEAR, last_step_ended_ns=50)]
        assert not assess(aim(), states).complete
        assert to_renew(aim(), states) == [SPOT]

    def test_a_proof_that_begins_as_the_last_step_ends_counts(self) -> None:
        """The instant belongs to the read."""
        assert assess(aim(), [flat(proof=proof(started_ns=50), last_step_ended_ns=50)]).complete

    @pytest.mark.parametrize("left", [{"positions": (position(BTC, "1"),)}, {"orders": (order(BTC, "1"),)}])
    def test_whatever_is_left_in_scope_is_not_flat(self, left: dict[str, Any]) -> None:
        """Read, and not empty."""
        state = flat(proof=proof(**left))
        assert summary(assess(aim(), [state])) == (False, False, "not_flat")

    def test_what_is_left_outside_the_scope_does_not_count(self) -> None:
        """A command for one symbol is done when that one is flat."""
        state = flat(proof=proof(positions=(position(ETH, "1"),), orders=(order(ETH, "1"),)))
        judged = assess(aim(scope=Scope(symbols=frozenset({BTC}))), [state])
        assert summary(judged) == (True, False, "flat")
        assert judged.positions == ()


class TestCoverage:
    @pytest.mark.parametrize("gap", [{"not_covered": ("inverse",)}, {"unverified": ("stops",)}])
    def test_what_cannot_be_seen_makes_the_best_verdict_a_residue(self, gap: dict[str, Any]) -> None:
        """And the lock stays."""
        judged = assess(aim(**gap), [flat()])
        assert summary(judged) == (True, False, "flat_with_residue")
        assert not judged.may_release

    def test_so_does_what_the_venue_keeps_apart(self) -> None:
        """It is told by the read, and named beside what can never be seen."""
        kept = flat(proof=replace(proof(), kept_apart=("bots",)))
        judged = assess(
            aim(unverified=("stops",)), [kept, flat(SPOT, proof=replace(proof(SPOT), kept_apart=("bots",)))]
        )
        assert judged.unverified == ("stops", "bots")
        judged = assess(aim(), [kept])
        assert (summary(judged), judged.may_release) == ((True, False, "flat_with_residue"), False)

    def test_a_symbol_that_the_venue_does_not_know_is_hopeless_once_the_rest_is_done(self) -> None:
        """Nothing can be proven of it, and it is said."""
        judged = assess(aim(unknown_symbols=("TYPO/USDT",)), [flat()])
        assert summary(judged) == (False, True, "unknown")
        assert [(each.code, each.symbol) for each in judged.errors] == [("UNKNOWN_SYMBOL", "TYPO/USDT")]

    def test_a_symbol_that_the_venue_does_not_know_does_not_stop_the_rest(self) -> None:
        """What can be closed is closed first."""
        busy = flat(proof=proof(positions=(position(BTC, "1"),)))
        assert summary(assess(aim(unknown_symbols=("TYPO/USDT",)), [busy])) == (False, False, "unknown")


class TestHopeless:
    def test_a_denied_slice_with_something_left_needs_a_person(self) -> None:
        """Nothing more can be done, and what is left is said."""
        left = flat(proof=proof(positions=(position(BTC, "1"),)), denied=True)
        judged = assess(aim(), [left, flat(SPOT)])
        assert summary(judged) == (False, True, "not_flat")

    def test_other_slices_are_finished_first(self) -> None:
        """A denied slice does not stop one that can still be closed."""
        denied = flat(proof=proof(positions=(position(BTC, "1"),)), denied=True)
        busy = flat(SPOT, proof=proof(SPOT, orders=(order("SOL/USDT", "1"),)))
        assert not assess(aim(), [denied, busy]).hopeless

    def test_a_denied_slice_that_is_flat_all_the_same_is_flat(self) -> None:
        """The proof counts, not the way there."""
        assert summary(assess(aim(), [flat(denied=True)])) == (True, False, "flat")


class TestPositions:
    def report(self, state: SliceState) -> list[tuple[str, str | None, str]]:
        """Before, after and verdict of each leg."""
        reports = assess(aim(), [state]).positions
        sizes = [None if each.after is None else str(each.after) for each in reports]
        return [(str(each.before), after, each.verdict.value) for each, after in zip(reports, sizes, strict=True)]

    def test_closed_ones_are_flat(self) -> None:
        """Gone from a valid proof."""
        assess_flat = assess(aim(), [flat(before_positions={PositionKey(BTC, LONG): Decimal(2)})]).positions
        assert [(each.after, each.verdict.value) for each in assess_flat] == [(Decimal(0), "flat")]

    def test_unread_ones_are_unknown_and_have_no_size(self) -> None:
        """Not nought: not known."""
        state = flat(proof=None, before_positions={PositionKey(BTC, LONG): Decimal(2)})
        assert self.report(state) == [("2", None, "unknown")]

    def test_those_that_nobody_may_read_are_refused(self) -> None:
        """The key is no good: more will not be known."""
        state = flat(proof=None, before_positions={PositionKey(BTC, LONG): Decimal(2)}, denied=True)
        assert self.report(state) == [("2", None, "refused")]

    @pytest.mark.parametrize(
        ("refusal", "verdict"),
        [(None, "unknown"), (Refusal.MARKET_CLOSED, "market_closed"), (Refusal.TOO_SMALL, "refused")],
    )
    def test_open_ones_say_why(self, refusal: Refusal | None, verdict: str) -> None:
        """By the venue's last answer."""
        held = position(BTC, "1")
        state = flat(proof=proof(positions=(held,)), memory={held.key: LegMemory(last_refusal=refusal)})
        assert self.report(state) == [("0", "1", verdict)]


def spot(*balances: Balance, holdings: tuple[Holding, ...] = (), **changes: Any) -> SliceState:
    """The spot slice with these balances."""
    return flat(SPOT, proof=proof(SPOT, balances=balances), holdings=holdings, **changes)


def balance(asset: str, free: str, debt: str = "0", name: str = SPOT) -> Balance:
    """A free balance."""
    return Balance(slice=name, asset=asset, free=Decimal(free), debt=Decimal(debt))


def held(member: Balance, value: str | None, *, sellable: bool = False) -> Holding:
    """A judged balance."""
    sale = SellSpot(
        slice=SPOT,
        symbol="X/USDT",
        market_id="XUSDT",
        asset=member.asset,
        quantity=member.free,
        limit_price=Decimal(1),
        client_order_id="s",
    )
    worth = None if value is None else Decimal(value)
    return Holding(balance=member, route=None, value=worth, step=sale if sellable else None)


class TestFlatten:
    def judged(self, state: SliceState) -> Assessment:
        """As FLATTEN sees it."""
        return assess(aim(Action.FLATTEN), [state])

    def verdicts(self, state: SliceState) -> dict[str, str]:
        """Of each balance."""
        return {each.asset: each.verdict.value for each in self.judged(state).balances}

    def test_is_incomplete_while_a_balance_was_not_judged(self) -> None:
        """Sales have not begun, or it came in since."""
        judged = self.judged(spot(balance("ETH", "1")))
        assert not judged.complete
        assert judged.balances[0].verdict.value == "unknown"

    def test_is_incomplete_while_something_can_be_sold(self) -> None:
        """However little."""
        eth = balance("ETH", "1")
        assert not self.judged(spot(eth, holdings=(held(eth, "9", sellable=True),))).complete

    @pytest.mark.parametrize(
        ("value", "verdict", "release"),
        [("4.99", "dust", True), ("5", "unsellable", False), (None, "unsellable", False)],
    )
    def test_tells_dust_from_what_is_worth_something_or_unpriced(
        self, value: str | None, verdict: str, release: bool
    ) -> None:
        """Only dust lets a hold lift."""
        eth = balance("ETH", "1")
        judged = self.judged(spot(eth, holdings=(held(eth, value),)))
        assert summary(judged) == (True, False, "flat_with_residue")
        assert judged.balances[0].verdict.value == verdict
        assert judged.may_release is release

    def test_names_what_the_venue_refuses_at_every_price(self) -> None:
        """Complete, as nothing can be done; the lock stays."""
        eth = balance("ETH", "1")
        state = spot(eth, holdings=(held(eth, "99"),), refused_assets=frozenset({"ETH"}))
        assert self.verdicts(state) == {"ETH": "refused"}
        assert self.judged(state).complete
        assert not self.judged(state).may_release

    def test_keeps_what_is_to_be_kept(self) -> None:
        """It is listed, and no residue."""
        judged = self.judged(spot(balance("BNB", "2"), balance("USDT", "100")))
        assert summary(judged) == (True, False, "flat")
        assert [(each.asset, each.verdict.value) for each in judged.balances] == [("BNB", "held")]

    def test_lists_collateral_of_other_wallets_as_a_residue(self) -> None:
        """It cannot be sold there, and it is not base currency."""
        wallet = flat(proof=proof(balances=(balance("BTC", "1", name=LINEAR),)))
        judged = self.judged(wallet)
        assert [(each.asset, each.verdict.value) for each in judged.balances] == [("BTC", "collateral")]
        assert (judged.verdict.value, judged.may_release) == ("flat_with_residue", False)

    def test_tells_what_was_sold(self) -> None:
        """Gone from the proof: flat, with what it was before."""
        judged = self.judged(spot(before_balances={"ETH": Decimal(3)}))
        assert [(each.asset, each.before, each.after, each.verdict.value) for each in judged.balances] == [
            ("ETH", Decimal(3), Decimal(0), "flat")
        ]

    @pytest.mark.parametrize("asset", ["ETH", "USDT"])
    @pytest.mark.parametrize(
        ("worth", "verdict", "release"), [("9", "unsellable", False), (None, "unsellable", False), ("1", "dust", True)]
    )
    def test_never_calls_a_debt_flat(self, asset: str, worth: str | None, verdict: str, release: bool) -> None:
        """Neither the asset that is owed, nor the account; base currency included. A trifle is dust."""
        owed = balance(asset, "0", debt="2")
        debt_value = None if worth is None else Decimal(worth)
        judged = self.judged(spot(owed, holdings=(replace(held(owed, None), debt_value=debt_value),)))
        assert [(each.debt, each.verdict.value) for each in judged.balances] == [(Decimal(2), verdict)]
        assert (judged.verdict.value, judged.may_release) == ("flat_with_residue", release)

    def test_is_incomplete_while_a_debt_was_not_judged(self) -> None:
        """Also of base currency, and of what is kept."""
        for asset in ("ETH", "USDT", "BNB"):
            assert not self.judged(spot(balance(asset, "0", debt="2"))).complete

    def test_a_kept_coin_that_is_owed_is_a_residue(self) -> None:
        """A debt is never kept."""
        bnb = balance("BNB", "1", debt="1")
        judged = self.judged(spot(bnb, holdings=(replace(held(bnb, "600"), debt_value=Decimal(600)),)))
        assert [(each.asset, each.verdict.value) for each in judged.balances] == [("BNB", "unsellable")]
        assert not judged.may_release

    def test_what_was_seen_to_be_gone_is_not_proven_to_be(self) -> None:
        """By a read that is no proof."""
        gone = proof(SPOT, balances=(), causal=False)
        state = flat(SPOT, proof=None, seen=gone, before_balances={"ETH": Decimal(3)})
        assert self.verdicts(state) == {"ETH": "unknown"}

    def test_says_that_a_market_is_closed(self) -> None:
        """It is watched, and sold when it opens."""
        eth = balance("ETH", "1")
        state = spot(eth, holdings=(held(eth, "99", sellable=True),), closed_assets=frozenset({"ETH"}))
        assert not self.judged(state).complete
        assert self.verdicts(state) == {"ETH": "market_closed"}


class TestOtherMatters:
    def test_close_all_lists_balances_without_judging_them(self) -> None:
        """They are not its business; debts and what is owed are shown."""
        judged = assess(aim(), [spot(balance("ETH", "3", debt="1"))])
        assert summary(judged) == (True, False, "flat")
        assert [(each.asset, each.debt, each.verdict.value) for each in judged.balances] == [
            ("ETH", Decimal(1), "held")
        ]

    def test_net_exposure_shows_the_leg_that_a_basis_book_keeps(self) -> None:
        """The futures are closed: the coin is left, less what is owed of it."""
        judged = assess(aim(), [flat(), spot(balance("BTC", "3", debt="1"), balance("USDT", "50"))])
        assert judged.net_exposure.by_asset == (("BTC", Decimal(2)),)

    def test_net_exposure_adds_positions_and_coins(self) -> None:
        """A hedged account shows nothing."""
        short = replace(position(BTC, "1", PositionSide.SHORT), base_exposure=Decimal(-1))
        judged = assess(aim(), [flat(proof=proof(positions=(short,))), spot(balance("BTC", "1"))])
        assert judged.net_exposure.by_asset == ()

    def test_troubles_of_slices_are_told(self) -> None:
        """Even where everything ended well."""
        trouble = ErrorReport(code="VENUE_UNAVAILABLE", message="gone", slice=LINEAR)
        assert assess(aim(), [flat(trouble=trouble)]).errors == (trouble,)
