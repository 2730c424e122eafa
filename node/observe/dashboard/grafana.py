"""The dashboard as Grafana imports it: ``python -m node.observe.dashboard.grafana > config/grafana/….json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from node.observe.dashboard.panels import ROWS, Panel
from node.observe.metric_list import PREFIX

Document = dict[str, Any]

_WIDTH: Final = 24
_HEIGHT: Final = 8
_DATASOURCE: Final[Document] = {"type": "prometheus", "uid": "${datasource}"}


def document() -> Document:
    """The dashboard as Grafana imports it."""
    return {
        "uid": "sovereign-node",
        "title": "Sovereign Node",
        "tags": ["sovereign-node"],
        "schemaVersion": 39,
        "editable": False,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                _variable("instance", f"label_values({PREFIX}_build_info, instance)"),
                _variable("account", f"label_values({PREFIX}_engine_locked, account)"),
            ]
        },
        "annotations": {"list": [_alerts()]},
        "panels": list(_panels()),
    }


def _variable(name: str, query: str) -> Document:
    return {
        "name": name,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _alerts() -> Document:
    return {
        "name": "Alerts",
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"SovereignNode.*",alertstate="firing"}',
        "titleFormat": "{{alertname}} {{account}}{{exchange}}",
    }


def _panels() -> Iterator[Document]:
    number, y = 0, 0
    for row in ROWS:
        number += 1
        yield {"id": number, "type": "row", "title": row.title, "gridPos": _place(0, y, _WIDTH, 1), "panels": []}
        x, y = 0, y + 1
        for panel in row.panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + _HEIGHT
            number += 1
            yield _panel(panel, number, _place(x, y, panel.width, _HEIGHT))
            x += panel.width
        y += _HEIGHT


def _place(x: int, y: int, width: int, height: int) -> Document:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: Document) -> Document:
    shown: Document = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "mappings": panel.mappings}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": _DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
                "format": "heatmap" if panel.kind == "heatmap" else "time_series",
                "instant": panel.kind in ("stat", "bargauge"),
                "range": panel.kind not in ("stat", "bargauge"),
            }
            for position, (legend, expression) in enumerate(panel.targets)
        ],
    }
    if panel.kind == "heatmap":
        shown["options"] = {"calculate": False, "yAxis": {"unit": panel.unit}, "color": {"scheme": "Oranges"}}
    return shown


def text() -> str:
    """The file's content."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
