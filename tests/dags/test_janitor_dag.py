"""The janitor's DAG: one task that goes over every environment, and is red where something went wrong."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def janitor(dagbag):
    return dagbag.dags["janitor"]


def test_it_comes_by_every_quarter_of_an_hour_and_never_twice_at_once(janitor):
    assert janitor.schedule == "*/15 * * * *"
    assert not janitor.catchup
    assert janitor.max_active_runs == 1
    assert [task.task_id for task in janitor.tasks] == ["pass"]


def test_a_pass_ends_long_before_its_task_is_cut_off(janitor):
    from airflow_lib.janitor import PASS_S

    (task,) = janitor.tasks
    assert task.execution_timeout.total_seconds() > PASS_S


def test_an_unfinished_pass_can_be_taken_over_by_the_next():
    from airflow_lib.janitor import LEASE_S, PASS_S

    assert PASS_S + LEASE_S < 15 * 60


@pytest.fixture
def come_to(janitor, monkeypatch):
    """Lets a pass come to something, and executes the task."""
    from operators import janitor as operator

    def execute(findings, errors):
        environment = SimpleNamespace(name="dev-flats")
        caretaker = SimpleNamespace(
            holder=SimpleNamespace(environment=environment), findings=findings, errors=errors
        )
        monkeypatch.setattr(operator, "read_settings", lambda: "settings")
        monkeypatch.setattr(operator, "open_services", lambda settings: "services")
        monkeypatch.setattr(operator, "make_pass", lambda *_, **__: [caretaker])
        return janitor.get_task("pass").execute({})

    return execute


@pytest.mark.parametrize(
    ("findings", "found"), [([], {}), (["a role; removed"], {"dev-flats": ["a role; removed"]})]
)
def test_what_was_found_is_kept_with_the_run(come_to, findings, found):
    assert come_to(findings, []) == {"environments": 1, "found": found}


def test_what_could_not_be_done_makes_it_red_without_another_try(come_to):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="dev-flats: denied"):
        come_to(["a role; could not be removed"], ["denied"])
