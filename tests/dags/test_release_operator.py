"""What a release asks Airflow: whether further runs will want the cluster."""

from types import SimpleNamespace

import pytest

RELEASES = ("transform.release_emr", "release.release_warehouse")


class Instance(SimpleNamespace):
    """A task instance, as Airflow answers for it."""

    dag_id, task_id = "immigration", "transform.release_emr"

    def get_dr_count(self, dag_id, states):
        assert (dag_id, states) == ("immigration", ["queued", "running"])
        return self.answer(self.runs)

    def get_ti_count(self, dag_id, task_ids, states):
        assert (dag_id, task_ids) == ("immigration", ["transform.release_emr"])
        assert {"null", "running", "deferred"} <= set(states)
        return self.answer(self.tries)

    def answer(self, value):
        if isinstance(value, Exception):
            raise value
        return value


@pytest.mark.parametrize(
    ("runs", "tries", "more"),
    [
        (3, 3, True),
        (1, 1, False),
        (2, 1, False),  # the other run is past its release
        (1, 2, False),  # a task of a run that is over was never looked at
        (ConnectionError("gone"), 3, False),
        (3, ConnectionError("gone"), False),
    ],
)
def test_more_is_expected_only_of_runs_known_to_come(runs, tries, more):
    from operators.release import expects_more

    assert expects_more(Instance(runs=runs, tries=tries)) is more


@pytest.mark.parametrize("task_id", RELEASES)
def test_a_release_tells_its_step_what_is_expected(dag, task_id, monkeypatch):
    from airflow_lib.steps import Run
    from operators import release, step

    run = Run(pipeline=None, run_id="r", window=None, settings=None, services=None)
    monkeypatch.setattr(step, "open_run", lambda *_: run)
    monkeypatch.setattr(step, "window_of", lambda _: None)
    monkeypatch.setattr(release, "expects_more", lambda _: True)
    opened = dag.get_task(task_id).open_run(
        {"run_id": "r", "ti": SimpleNamespace(xcom_pull=lambda task_ids: None)}
    )
    assert opened.expects_more is True


@pytest.mark.parametrize("task_id", RELEASES)
def test_releases_come_one_after_the_other(dag, task_id):
    assert dag.get_task(task_id).max_active_tis_per_dag == 1


@pytest.mark.parametrize("task_id", [*RELEASES, "release.inventory"])
def test_a_run_is_not_ended_in_another_place_than_it_began(dag, task_id, monkeypatch):
    from airflow_lib.errors import SettingsError
    from operators import release, step

    told = []

    def refuse(run, place):
        told.append(place)
        raise SettingsError("the Variables changed")

    monkeypatch.setattr(step, "open_run", lambda *_: None)
    monkeypatch.setattr(step, "window_of", lambda _: None)
    monkeypatch.setattr(release, "check_place", refuse)
    ti = SimpleNamespace(xcom_pull=lambda task_ids: {"place": {"region": "us-east-1"}})
    with pytest.raises(SettingsError):
        dag.get_task(task_id).open_run({"run_id": "r", "ti": ti})
    assert told == [{"region": "us-east-1"}]
