"""Who may command what, and until when: every reject code of a request whose sender is certain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from node.domain.command import OPERATOR, Action, Door
from node.engine.authority import RETENTION, Authority, Issuer
from tests.support.engine import ACCOUNT, OTHER, request

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
STRANGER = UUID(int=99)
DESK = Issuer(id="desk", actions=frozenset({Action.CLOSE_ALL, Action.LOCK, Action.UNLOCK}), accounts=None)
ONE = Issuer(id="one", actions=frozenset({Action.CLOSE_ALL}), accounts=frozenset({ACCOUNT}))
NOBODY = Issuer(id="nobody", actions=frozenset({Action.CLOSE_ALL}), accounts=frozenset())


def verdict(
    action: Action = Action.CLOSE_ALL,
    *,
    account: UUID | None = ACCOUNT,
    issuer: str = "desk",
    age_s: float = 0,
    lifetime_s: float = 60,
    venue_ahead_s: float | None = None,
) -> str | None:
    """The reject code of a request that was signed *age_s* ago; None if it may be begun."""
    authority = Authority(
        (DESK, ONE, NOBODY),
        (ACCOUNT, OTHER),
        venue_offset=lambda: None if venue_ahead_s is None else timedelta(seconds=venue_ahead_s),
    )
    issued_at = NOW - timedelta(seconds=age_s)
    times: dict[str, Any] = {"issued_at": issued_at, "expires_at": issued_at + timedelta(seconds=lifetime_s)}
    rejection = authority.obstacle(request(action, account, issuer=issuer, door=Door.MQTT, **times), NOW)
    return None if rejection is None else rejection.code.value


class TestTime:
    def test_a_command_in_time_is_begun(self) -> None:
        """Nothing stands against it."""
        assert verdict() is None

    @pytest.mark.parametrize(("age_s", "code"), [(60, None), (64.9, None), (65.1, "EXPIRED")])
    def test_expiry_tolerates_five_seconds_of_skew(self, age_s: float, code: str | None) -> None:
        """Sender and node need not agree to the second."""
        assert verdict(age_s=age_s) == code

    @pytest.mark.parametrize("action", [Action.CLOSE_ALL, Action.LOCK])
    def test_what_removes_risk_may_come_from_the_future(self, action: Action) -> None:
        """A fast clock at the sender must not delay a kill."""
        assert verdict(action, age_s=-3600) is None

    @pytest.mark.parametrize(("age_s", "code"), [(-4.9, None), (-5.1, "NOT_YET_VALID")])
    def test_an_unlock_from_the_future_is_refused(self, age_s: float, code: str | None) -> None:
        """It adds risk: it waits for its time."""
        assert verdict(Action.UNLOCK, age_s=age_s) == code

    def test_a_lifetime_beyond_the_issuers_is_forbidden(self) -> None:
        """Commands that act must not lie in wait."""
        assert verdict(lifetime_s=61) == "FORBIDDEN"
        assert verdict(Action.UNLOCK, lifetime_s=61) == "FORBIDDEN"

    def test_a_lock_may_live_for_any_time(self) -> None:
        """It is never too late to lock."""
        assert verdict(Action.LOCK, lifetime_s=86_400 * 365) is None

    def test_what_is_older_than_the_journals_memory_may_be_a_replay(self) -> None:
        """Only a LOCK can live that long."""
        old_s = RETENTION.total_seconds()
        assert verdict(Action.LOCK, age_s=old_s - 1, lifetime_s=2 * old_s) is None
        assert verdict(Action.LOCK, age_s=old_s + 1, lifetime_s=2 * old_s) == "REPLAYED"

    def test_doors_without_a_senders_clock_have_no_expiry(self) -> None:
        """HTTP and the operator's socket say it now."""
        authority = Authority((), (ACCOUNT,))
        assert authority.obstacle(request(Action.CLOSE_ALL), NOW) is None


class TestVenueClock:
    def test_expiry_is_judged_by_the_venues_when_our_clock_is_wrong(self) -> None:
        """Ours is a minute ahead: the command is in time although we think it late, and the other way round."""
        assert verdict(age_s=120) == "EXPIRED"
        assert verdict(age_s=120, venue_ahead_s=-60) is None
        assert verdict(age_s=10, venue_ahead_s=60) == "EXPIRED"

    def test_a_difference_within_the_skew_changes_nothing(self) -> None:
        """Ours counts while the venues more or less agree."""
        assert verdict(age_s=64, venue_ahead_s=5) is None
        assert verdict(age_s=66, venue_ahead_s=-5) == "EXPIRED"

    def test_an_unlock_is_judged_by_the_same_clock(self) -> None:
        """A slow clock of ours must not refuse it for ever."""
        assert verdict(Action.UNLOCK, age_s=-60) == "NOT_YET_VALID"
        assert verdict(Action.UNLOCK, age_s=-60, venue_ahead_s=60) is None


class TestRights:
    def test_an_issuer_that_is_not_known_is_nobody(self) -> None:
        """Whoever vouched for it."""
        assert verdict(issuer="mallory") == "UNKNOWN_ISSUER"

    def test_an_action_that_the_issuer_lacks_is_forbidden(self) -> None:
        """Closing does not include unlocking."""
        assert verdict(Action.UNLOCK, issuer="one") == "FORBIDDEN"

    def test_an_account_of_somebody_else_is_forbidden(self) -> None:
        """It exists, but not for this issuer."""
        assert verdict(account=OTHER, issuer="one") == "FORBIDDEN"

    def test_an_account_that_is_not_here_is_unknown(self) -> None:
        """To everybody."""
        assert verdict(account=STRANGER) == "UNKNOWN_ACCOUNT"
        assert verdict(account=STRANGER, issuer="one") == "UNKNOWN_ACCOUNT"

    def test_a_command_for_all_needs_at_least_one_reachable_account(self) -> None:
        """Nothing would be done, and it would be called done."""
        assert verdict(account=None, issuer="nobody") == "UNKNOWN_ACCOUNT"

    def test_all_means_the_issuers_own_accounts(self) -> None:
        """Never more than it may command one by one."""
        authority = Authority((DESK, ONE), (ACCOUNT, OTHER))
        assert authority.accounts_of(request(Action.CLOSE_ALL, None, issuer="one")) == (ACCOUNT,)
        assert authority.accounts_of(request(Action.CLOSE_ALL, None, issuer="desk")) == (ACCOUNT, OTHER)

    def test_the_operator_may_do_everything(self) -> None:
        """Without being configured."""
        for action in Action:
            assert verdict(action, issuer=OPERATOR) is None
