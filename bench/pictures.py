"""`python -m bench.pictures [--run ID]`: the pictures of docs/airflow-ui.md, from Airflow's UI in the running sandbox.

First `python -m sandbox up`, in another terminal `python -m sandbox run immigration`; then this.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.airflow_ui import SIZE, AirflowUi, opened
from sandbox.airflow.client import AirflowClient
from sandbox.state import Running, Workspace

DAG = "immigration"
PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
# What the window of the form is refused with.
REFUSED = "swap the two"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pictures", description=__doc__)
    parser.add_argument("--run", help="the run to show; the last one of the pipeline if it is left out")
    parser.add_argument("--only", help="the one picture to take")
    options = parser.parse_args()
    running = Running(**json.loads((Workspace.from_environment().home / "running.json").read_text()))
    url, user, password = str(running.airflow_url), str(running.user), str(running.password)
    client = AirflowClient(url, user, password)
    run = (
        DAG,
        options.run or str(client.request("GET", f"/dags/{DAG}/dagRuns")["dag_runs"][-1]["dag_run_id"]),
    )
    PICTURES.mkdir(exist_ok=True)
    with opened(url, user, password) as ui:
        for name, show in PAGES.items():
            if options.only in (None, name):
                ui.resize(*SIZES.get(name, SIZE))
                show(ui, run)
                ui.picture(PICTURES / f"{name}.png")
                print(f"docs/pictures/{name}.png")


Run = tuple[str, str]


def _show_graph(ui: AirflowUi, run: Run) -> None:
    ui.open(f"/dags/{run[0]}", "plan", "verdict")
    for button in ("Show Graph", "Expand all task groups", "Collapse Details Panel"):
        ui.click(button)
    ui.wait_for_text("Livy session")


def _show_docs(ui: AirflowUi, run: Run) -> None:
    ui.open(f"/dags/{run[0]}", run[0])
    ui.click("Dag Docs")
    ui.wait_for_text("takes in")


def _show_sql(ui: AirflowUi, run: Run) -> None:
    ui.open_task(run, "load.load_window", "COMMIT", tab="rendered_templates")


def _show_copy(ui: AirflowUi, run: Run) -> None:
    ui.open_task(run, "load.staging_immigration", "COPY", tab="rendered_templates")


def _show_log(ui: AirflowUi, run: Run) -> None:
    ui.open_task(run, "transform.arrivals", "livy |")


def _show_links(ui: AirflowUi, run: Run) -> None:
    ui.open_task(run, "transform.arrivals", "Livy session", tab="details")


def _show_variables(ui: AirflowUi, _: Run) -> None:
    ui.open("/variables", "aws_region", "mayfly")


def _show_form(ui: AirflowUi, run: Run) -> None:
    ui.open_trigger_form(run[0])
    ui.trigger("2016-04-08", "2016-04-01")
    ui.wait_for_text(REFUSED)


PAGES = {
    "dag": _show_graph,
    "load-sql": _show_sql,
    "copy-sql": _show_copy,
    "task-log": _show_log,
    "task-links": _show_links,
    "dag-docs": _show_docs,
    "variables": _show_variables,
    "trigger-form": _show_form,
}
# Text makes a large file of a picture; a graph needs room.
SIZES = {"dag": (2200, 560), "task-log": (1280, 520), "task-links": (1280, 440), "variables": (1280, 400)}


if __name__ == "__main__":
    main()
