"""What a release asks Airflow: whether further runs will want the cluster."""

from types import SimpleNamespace

import pytest

RELEASES = ("transform.release_emr", "release.release_warehouse")


class Instance(SimpleNamespace):
    """A task instance, as Airflow answers for it."""

    dag_id, task_id, run_id = "immigration", "transform.release_emr", "own"

    def get_task_states(self, dag_id, task_ids):
        assert (dag_id, task_ids) == ("immigration", ["transform.release_emr"])
        told = {run: {self.task_id: release} for run, (_, release) in self.runs.items()}
        return self.answer({**told, "own": {self.task_id: "running"}})

    def get_dr_count(self, dag_id, run_ids, states):
        assert (dag_id, states) == ("immigration", ["queued", "running"])
        return self.answer(sum(self.runs[run][0] in states for run in run_ids))

    def answer(self, value):
        if self.error is not None:
            raise self.error
        return value


@pytest.mark.parametrize(
    ("runs", "more"),
    [
        ({}, False),
        ({"b": ("queued", None)}, True),
        ({"b": ("running", "deferred")}, True),
        ({"b": ("running", "success")}, False),  # it is past its release
        ({"b": ("failed", None)}, False),  # a backfill was cancelled before it began
        ({"b": ("running", "success"), "c": ("failed", None)}, False),
        ({"b": ("running", "success"), "c": ("failed", None), "d": ("queued", None)}, True),
    ],
)
def test_more_is_expected_only_of_runs_known_to_come(runs, more):
    from operators.release import expects_more

    assert expects_more(Instance(runs=runs, error=None)) is more


def test_what_cannot_be_found_out_means_no_more():
    from operators.release import expects_more

    runs = {"b": ("queued", None)}
    assert expects_more(Instance(runs=runs, error=ConnectionError("gone"))) is False


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
