"""What is configured for an account is what its engine goes by."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal

from node.domain.guard_mode import GuardMode, GuardModes
from node.engine.account import ExecutionTerms
from node.settings import parse
from node.wiring.accounts import account_terms
from tests.unit.test_settings import whole

EXECUTION = {
    "deadline_s": 4.0,
    "lock_on_close": "hold",
    "settle_s": 2.0,
    "guard_after_lock": "off",
    "guard_after_close": "cancel",
    "max_slippage": "0.1",
    "resume_within_s": 60.0,
    "causal_proof": True,
}


def test_every_key_of_execution_reaches_the_engine() -> None:
    """None of them is left at its default."""
    settings = parse(whole() | {"execution": EXECUTION})
    account = settings.accounts[0].model_copy(update={"execution": type(settings.accounts[0].execution)()})
    terms = account_terms(account, settings).execution
    assert terms == ExecutionTerms(
        deadline_s=4.0,
        latch_by_default=False,
        settle_s=2.0,
        max_slippage=Decimal("0.1"),
        resume_within=timedelta(seconds=60),
        guard=GuardModes(after_lock=GuardMode.OFF, after_close=GuardMode.CANCEL),
        causal_proof=True,
    )
    default = ExecutionTerms()
    assert [each.name for each in fields(terms) if getattr(terms, each.name) == getattr(default, each.name)] == []
