"""The dashboard: the file is what the code makes, and no panel asks for what the node does not show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.observe.dashboard.grafana import text
from node.observe.dashboard.panels import ROWS, Panel
from node.observe.dashboard.queries import UnknownMetric, series
from node.observe.metric_list import BY_NAME
from tests.support.prometheus import faults_of, promtool

FILE = Path(__file__).parents[2] / "config" / "grafana" / "sovereign-node.json"
SHIPPED: dict[str, Any] = json.loads(FILE.read_text())
PANELS = [panel for panel in SHIPPED["panels"] if panel["type"] != "row"]
#: Shown by nothing on the dashboard, and why.
LEFT_OUT = {
    "build_info": "a variable asks for it",
    "account_deadline_seconds": "the alert on unfinished commands compares with it",
    "account_commands_total": "the same by account, for the alert",
    "key_may_withdraw": "an alert, and no picture",
    "journal_backup_interval_seconds": "the alert on old backups compares with it",
    "guard_spaced": "among what the guard says",
}


def plain(expression: str) -> str:
    """As Prometheus would be asked: Grafana's variables filled in."""
    return re.sub(r"\$(instance|account)", ".*", expression.replace("$__rate_interval", "5m"))


def test_the_file_is_what_the_code_makes() -> None:
    """Otherwise: python -m node.observe.dashboard.grafana > config/grafana/sovereign-node.json."""
    assert FILE.read_text() == text()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_asks_for_what_the_node_shows(panel: dict[str, Any]) -> None:
    """By the file, whoever has edited it."""
    assert panel["targets"]
    assert [fault for target in panel["targets"] for fault in faults_of(plain(target["expr"]))] == []


@pytest.mark.parametrize(
    ("name", "part"), [("lock_epoc", ""), ("command_stage_seconds", ""), ("lock_epoch", "bucket"), ("", "")]
)
def test_a_metric_that_does_not_exist_cannot_be_put_on_a_panel(name: str, part: str) -> None:
    """The module does not even load with such a panel."""
    with pytest.raises(UnknownMetric):
        Panel(title="what", targets=(("", series(name, part=part)),))


def test_every_expression_can_be_parsed(tmp_path: Path) -> None:
    """By promtool, as if each were a rule."""
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    recorded = [{"record": f"panel:{number}", "expr": plain(expression)} for number, expression in enumerate(asked)]
    rules = tmp_path / "panels.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    done = promtool("check", "rules", str(rules))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_is_shown_or_left_out_on_purpose() -> None:
    """A figure that nobody looks at is a cost."""
    asked = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    unseen = {
        name for name, spec in BY_NAME.items() if not any(re.search(rf"\b{each}\b", asked) for each in spec.series)
    }
    assert unseen == set(LEFT_OUT)


def test_panels_do_not_overlap_and_fit() -> None:
    """Each cell of the grid belongs to one."""
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in SHIPPED["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in SHIPPED["panels"]}) == len(SHIPPED["panels"])
    assert sum(len(row.panels) for row in ROWS) == len(PANELS)
