"""Alert rules: they ask for what there is, and each has been seen to fire and to be silent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import EXAMPLE, RULE_TESTS, RULES, faults_of, promtool, rules

ALERTS = [rule for rule in rules() if "alert" in rule]
README = Path(__file__).parents[2] / "README.md"


def test_promtool_finds_no_fault_with_rules_and_example() -> None:
    """Syntax, templates, and the file that the example names."""
    for arguments in (("check", "rules", str(RULES)), ("check", "config", str(EXAMPLE))):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_behaves_as_its_tests_say() -> None:
    """Promtool's own unit tests."""
    done = promtool("test", "rules", str(RULE_TESTS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtools_tests_would_notice_a_changed_rule(tmp_path: Path) -> None:
    """A threshold that nothing reaches makes them fail."""
    text, count = re.subn(r"drill_age_seconds > 8 \* 86400", "drill_age_seconds > 6 * 86400", RULES.read_text())
    assert count == 1
    (tmp_path / RULES.name).write_text(text)
    (tmp_path / RULE_TESTS.name).write_text(RULE_TESTS.read_text())
    done = promtool("test", "rules", str(tmp_path / RULE_TESTS.name))
    assert done.returncode != 0
    assert "SovereignNodeDrillTooOld" in done.stdout + done.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule["record"]))
def test_a_rule_asks_for_what_the_node_shows(rule: dict[str, str]) -> None:
    """Names and labels of the metric list."""
    assert faults_of(rule["expr"]) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sovereign_node_lock_epoc > 0", "no such metric: sovereign_node_lock_epoc"),
        ("sovereign_node_command_stage_seconds > 0", "no such metric: sovereign_node_command_stage_seconds"),
        ("sovereign_node:nobody_records_it > 0", "no such metric: sovereign_node:nobody_records_it"),
        ('sovereign_node_ready{account="a"}', "sovereign_node_ready has no label account"),
        ("sum by (symbol) (sovereign_node_ready)", "no such label: symbol"),
        ("1 > 0", "asks for no metric at all"),
    ],
)
def test_what_the_node_does_not_show_is_refused(expression: str, fault: str) -> None:
    """A rule that asks for it would be silent for ever."""
    assert faults_of(expression) == [fault]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_every_alert_is_tested_both_ways_and_says_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    """A severity; what it means; what to do; a place in the handbook that exists."""
    name = str(rule["alert"])
    fires, silent = (
        [test for test in yaml.safe_load(RULE_TESTS.read_text())["tests"] if test["name"].startswith(f"{name} {how}:")]
        for how in ("fires", "is silent")
    )
    assert fires
    assert silent
    assert all(name in str(test["promql_expr_test"][0]["exp_samples"]) for test in fires)
    assert all(test["promql_expr_test"][0]["exp_samples"] == [] for test in silent)
    assert rule["labels"]["severity"] in ("page", "ticket")
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "description", "action", "handbook"}
    file, _, anchor = notes["handbook"].partition("#")
    assert file == "README.md"
    assert f'<a id="{anchor}"></a>' in README.read_text()
    assert anchor == name.removeprefix("SovereignNode").lower()
