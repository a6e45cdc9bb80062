"""The dashboard for Grafana and the alert rules: both can be loaded, and ask for what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from oban_pro import metrics
from tests.support.paths import DOCS

FOLDER = DOCS / "operating" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text("utf-8"))
ALERTS: list[dict[str, Any]] = YAML(typ="safe").load(FOLDER / "alerts.yml")["groups"][0]["rules"]
PAGE = (DOCS / "operating" / "monitor.md").read_text("utf-8")
EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(rule["expr"] for rule in ALERTS),
]
DOCUMENTED = {
    name
    for row in re.findall(r"^\| `oban.*", PAGE, re.MULTILINE)
    for name in re.findall(r"`(oban_\w+)`", row.split(" | ")[0])
}


def test_the_dashboard_is_one_of_grafana() -> None:
    loaded = Dashboard.from_json(DASHBOARD)

    assert loaded.title == "oban-workflows"
    assert loaded.panels is not None
    assert all(isinstance(panel, Panel) and panel.targets for panel in loaded.panels)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_can_be_parsed_and_name_documented_metrics(expression: str) -> None:
    promql_parser.parse(expression)
    named = set(re.findall(r"\boban_\w+", expression))

    assert named
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} <= DOCUMENTED


def test_alerts_say_what_to_do_on_the_page() -> None:
    assert all(f"| `{rule['alert']}` |" in PAGE for rule in ALERTS)
    assert {rule["labels"]["severity"] for rule in ALERTS} == {"page", "ticket"}


async def test_the_page_names_every_metric(oban: object) -> None:
    registry = CollectorRegistry()
    metrics.instrument(registry)
    metrics.uninstrument()
    text = (await metrics.render()).decode()
    counted = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
    }

    assert set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) | counted <= DOCUMENTED
