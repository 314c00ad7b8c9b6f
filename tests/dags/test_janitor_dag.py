"""The janitor's DAG: one task that goes over every environment, and is red where something went wrong."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def janitor(dagbag):
    return dagbag.dags["janitor"]


def test_it_runs_every_quarter_of_an_hour_and_one_at_a_time(janitor):
    assert janitor.schedule == "*/15 * * * *"
    assert not janitor.catchup
    assert janitor.max_active_runs == 1
    assert [task.task_id for task in janitor.tasks] == ["pass"]


def test_a_pass_ends_before_its_task_is_cut_off(janitor):
    from airflow_lib.janitor import PASS_S

    (task,) = janitor.tasks
    assert task.execution_timeout.total_seconds() > PASS_S


def test_a_pass_that_failed_is_not_tried_again(janitor):
    assert janitor.get_task("pass").retries == 0


def test_an_unfinished_pass_can_be_taken_over_by_the_next():
    from airflow_lib.janitor import LEASE_S, PASS_S

    assert PASS_S + LEASE_S < 15 * 60


@pytest.fixture
def run_pass(janitor, monkeypatch):
    """Executes the task on a pass with these findings and errors."""
    from operators import janitor as operator

    def execute(findings, errors):
        environment = SimpleNamespace(name="dev-flats")
        sweeper = SimpleNamespace(
            holder=SimpleNamespace(environment=environment), findings=findings, errors=errors
        )
        monkeypatch.setattr(operator, "read_settings", lambda: "settings")
        monkeypatch.setattr(operator, "open_services", lambda settings: "services")
        monkeypatch.setattr(operator, "make_pass", lambda *_, **__: [sweeper])
        return janitor.get_task("pass").execute({})

    return execute


@pytest.mark.parametrize(
    ("findings", "found"), [([], {}), (["a role; removed"], {"dev-flats": ["a role; removed"]})]
)
def test_what_was_found_is_kept_with_the_run(run_pass, findings, found):
    assert run_pass(findings, []) == {"environments": 1, "found": found}


def test_what_could_not_be_done_makes_the_task_red(run_pass):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="dev-flats: denied"):
        run_pass(["a role; could not be removed"], ["denied"])
