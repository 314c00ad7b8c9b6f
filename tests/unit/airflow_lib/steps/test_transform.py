"""One Spark job in its Livy session: re-attached, never computed twice, and failing in clear words."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_lib.errors import (
    JobFault,
    LeaseLost,
    LivyDenied,
    LivyUnreachable,
    LivyUntrusted,
    OutputError,
    OutputRefused,
    ResourceError,
    SessionFailed,
    SourceError,
    StatementFailed,
    WaitTimeout,
)
from airflow_lib.lifecycle import rules
from airflow_lib.naming import Slot
from airflow_lib.pipeline import Window
from airflow_lib.polling import TransientBudget
from airflow_lib.spark import outputs
from airflow_lib.steps import Json, Run, Waiting
from airflow_lib.steps.batch import fix_batch, look_at_sources
from airflow_lib.steps.pinned_output import read_pinned
from airflow_lib.steps.provision import TakeLease
from airflow_lib.steps.transform import RunJob
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World, livy_servers
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.spark import Targets, parquet_of, put, write_rows
from tests.world.walk import drive
from tests.world.wire import Call, Kind

JOB = RunJob("arrivals")


def end_at_statements(world: World, how: str) -> None:
    """Let the first session end just when it is asked for its statements."""

    def end(call: Call) -> None:
        if call.operation.endswith("/statements") and world.livy.made[0].state == "busy":
            getattr(world.livy, how)(world.livy.made[0])

    world.wire.watchers.append(end)


@pytest.fixture
def ready(world: World, run: Run) -> Run:
    """A run that may use an EMR cluster, by the shortest way to one."""
    return use_emr(world, run)


def begin(run: Run) -> Json:
    """The state with which a session has been asked for."""
    outcome = JOB.begin(run)
    assert isinstance(outcome, Waiting)
    return outcome.state


def poll(world: World, run: Run, state: Json, seconds: float = 30) -> Json:
    world.advance(seconds)
    outcome = JOB.poll(run, state)
    assert isinstance(outcome, Waiting)
    return outcome.state


def start(world: World, run: Run) -> Json:
    """The state with which the job runs."""
    return poll(world, run, begin(run))


def host_of(state: Json) -> str:
    """The address of the server that a try uses."""
    return str(urlsplit(state["url"]).hostname)


def drive_on(world: World, run: Run, state: Json) -> None:
    """Poll until the job is done."""
    outcome = JOB.poll(run, state)
    while isinstance(outcome, Waiting):
        world.advance(30)
        outcome = JOB.poll(run, outcome.state)


def attempts(world: World) -> set[str]:
    """The folders that the job's tries wrote."""
    keys = world.objects("processed/immigration/arrivals/")
    return {key.split("/")[4] for key in keys if key.endswith("_SUCCESS")}


def test_the_result_tells_what_was_read_written_and_rejected(world: World, ready: Run) -> None:
    result = drive(JOB, ready, world).result
    assert (result["read"], result["written"], result["reused"]) == (31, 30, False)
    assert result["rejected"] == {"age below 0": 1}
    assert result["notes"] == {"unknown port": 2}
    assert result["manifest"].endswith("/manifest.json")
    assert (
        result["rejects"]
        == f"{result['manifest'].removesuffix('manifest.json')}{attempts(world).pop()}-rejected/"
    )


def test_where_no_row_was_rejected_no_folder_of_rejects_is_named(world: World, ready: Run) -> None:
    world.jobs.by_name["arrivals"] = lambda **given: {**write_rows(**given), "rejected": {"age below 0": 0}}
    assert "rejects" not in drive(JOB, ready, world).result


def test_a_session_ends_when_its_output_is_safe(world: World, ready: Run) -> None:
    drive(JOB, ready, world)
    assert world.livy.listed() == []


def test_a_retry_goes_on_with_the_session_that_runs(world: World, ready: Run) -> None:
    start(world, ready)
    drive(JOB, ready, world)  # the retry knows nothing of the first try's state
    assert len(world.livy.made) == 1
    assert len(world.livy.find("arrivals").code) == 1
    assert len(attempts(world)) == 1


def test_a_session_whose_making_was_not_answered_is_the_one_used(world: World, ready: Run) -> None:
    world.wire.inject("livy.POST /sessions", Kind.LOST)
    with pytest.raises(LivyUnreachable):
        JOB.begin(ready)
    drive(JOB, ready, world)
    assert len(world.livy.made) == 1


def test_a_statement_whose_submission_was_not_answered_is_the_one_used(world: World, ready: Run) -> None:
    state = begin(ready)
    world.advance(30)
    world.wire.inject("livy.POST /sessions/{session}/statements", Kind.LOST)
    with pytest.raises(LivyUnreachable):
        JOB.poll(ready, state)
    drive(JOB, ready, world)
    assert len(world.livy.find("arrivals").code) == 1


def test_complete_output_is_not_computed_again(world: World, ready: Run) -> None:
    first = drive(JOB, ready, world).result
    again = drive(JOB, ready, world).result
    assert again == {**first, "reused": True}
    assert world.jobs.ran == ["arrivals"]
    assert len(world.livy.made) == 1


def test_another_window_is_computed_for_itself(world: World, ready: Run) -> None:
    drive(JOB, ready, world)
    drive(JOB, replace(ready, window=Window(date(2016, 5, 1), date(2016, 6, 1))), world)
    assert world.jobs.ran == ["arrivals", "arrivals"]
    assert len([key for key in world.objects("processed/") if key.endswith("manifest.json")]) == 2


def test_a_session_that_failed_before_is_ended_and_made_anew_for_another_attempt(
    world: World, ready: Run
) -> None:
    def halfway(**given: Any) -> dict[str, Any]:
        put(given["targets"]["arrivals"] + "part-00000.parquet", b"half")
        raise RuntimeError("no space left")

    world.jobs.by_name["arrivals"] = halfway
    world.livy.ending_s = 45
    with pytest.raises(StatementFailed, match="no space left"):
        drive(JOB, ready, world)
    del world.jobs.by_name["arrivals"]
    drive(JOB, ready, world)
    first, second = world.livy.made
    assert first.id != second.id
    folders = {key.split("/")[4] for key in world.objects("processed/immigration/arrivals/")}
    assert len(folders - {"manifest.json"}) == 2
    assert len(attempts(world)) == 1


def test_a_dead_session_is_told_with_the_end_of_its_log_and_replaced_by_a_retry(
    world: World, ready: Run
) -> None:
    state = start(world, ready)
    world.livy.die(world.livy.find("arrivals"), "java.lang.OutOfMemoryError: Java heap space")
    with pytest.raises(SessionFailed, match=r"is dead[\s\S]*OutOfMemoryError") as caught:
        JOB.poll(ready, state)
    assert "driver is up" in str(caught.value)
    assert attempts(world) == set()
    drive(JOB, ready, world)
    assert len(world.livy.made) == 2


def test_a_session_that_vanished_is_made_again(world: World, ready: Run) -> None:
    state = start(world, ready)
    world.livy.vanish(world.livy.find("arrivals"))
    state = poll(world, ready, state)
    assert len(world.livy.made) == 2
    assert world.livy.find("arrivals").state in ("starting", "idle")
    poll(world, ready, state)
    assert world.livy.find("arrivals").state == "busy"


def test_a_session_made_again_is_given_its_full_time_to_start(world: World, ready: Run) -> None:
    state = start(world, ready)
    world.advance(ready.settings.mayfly.livy.session_timeout_s + 60)
    world.livy.vanish(world.livy.find("arrivals"))
    state = poll(world, ready, state)
    poll(world, ready, state)


def test_a_session_of_a_server_that_counts_from_0_again_is_given_its_full_time_to_start(
    world: World, ready: Run
) -> None:
    state = start(world, ready)
    world.advance(ready.settings.mayfly.livy.session_timeout_s + 60)
    world.livy.restart()
    state = poll(world, ready, state, seconds=5)
    assert [session.id for session in world.livy.made] == [0, 0]
    poll(world, ready, state, seconds=5)  # it is still starting


def test_a_session_with_the_id_of_one_that_was_to_end_is_used(world: World, ready: Run) -> None:
    start(world, ready)
    world.livy.die(world.livy.made[0])
    world.livy.ending_s = 1000
    state = begin(ready)
    world.livy.restart()
    state = poll(world, ready, state)
    poll(world, ready, state)
    assert [session.state for session in world.livy.made] == ["killed", "busy"]


def test_a_wait_for_a_session_to_end_that_another_version_began_goes_on(world: World, ready: Run) -> None:
    start(world, ready)
    world.livy.die(world.livy.made[0])
    world.livy.ending_s = 1000
    state = begin(ready)
    older = {key: value for key, value in state.items() if key != "start_by"}
    assert "start_by" in poll(world, ready, older)


def test_a_session_that_never_ends_ends_the_wait_at_its_deadline(world: World, ready: Run) -> None:
    start(world, ready)
    world.livy.die(world.livy.made[0])
    world.livy.ending_s = 10**6
    began = world.now()
    with pytest.raises(WaitTimeout, match=r"session of an earlier try to end: it is shutting_down"):
        drive(JOB, ready, world)
    waited_s = (world.now() - began).total_seconds()
    assert waited_s <= ready.settings.mayfly.livy.session_timeout_s + 2 * ready.settings.mayfly.poll_s


class BadInput(Exception):
    """As the jobs raise it: only the class's name passes through Livy."""


def unreadable(**_: Any) -> dict[str, Any]:
    raise BadInput("arrivals.csv has no column i94port: put it back")


def overtaken(**given: Any) -> dict[str, Any]:
    put(f"s3://{BUCKET}/source/immigration/arrivals.csv", b"other rows")
    return write_rows(**given)


def unmarked(**_: Any) -> dict[str, Any]:
    return {"read": 1, "written": 1, "rejected": {}}


def countless(**given: Any) -> dict[str, Any]:
    return {**write_rows(**given), "written": "many"}


def faulty(**_: Any) -> dict[str, Any]:
    raise KeyError("cicid")


def unloadable(targets: Targets, **_: Any) -> dict[str, Any]:
    put(targets["arrivals"] + "_SUCCESS", b"")
    return {"read": 1, "written": 1, "rejected": {}}


@pytest.mark.parametrize(
    "counts",
    [{"read": "x"}, {"written": None}, {"rejected": [1]}, {"notes": {"odd": -1}}, {"judged_over": 3}],
)
def test_counts_that_are_malformed_are_a_fault_of_the_job_that_says_what_to_return(
    world: World, ready: Run, counts: dict[str, Any]
) -> None:
    world.jobs.by_name["arrivals"] = lambda **given: {**write_rows(**given), **counts}
    with pytest.raises(
        JobFault, match=r"'arrivals' returned cannot be used: .*must return them.*Correct the job"
    ):
        drive(JOB, ready, world)
    assert world.jobs.ran == ["arrivals"]
    assert not [key for key in world.objects("processed/") if key.endswith("manifest.json")]


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (unreadable, SourceError),
        (faulty, JobFault),
        (countless, JobFault),
        (unloadable, OutputRefused),
    ],
)
def test_a_session_that_no_retry_comes_back_to_is_ended(
    world: World, ready: Run, job: Callable[..., dict[str, Any]], error: type[Exception]
) -> None:
    world.jobs.by_name["arrivals"] = job
    with pytest.raises(error):
        drive(JOB, ready, world)
    assert len(world.livy.made) == 1
    assert world.livy.listed() == []


def test_a_session_that_cannot_be_ended_does_not_hide_the_fault(world: World, ready: Run) -> None:
    world.jobs.by_name["arrivals"] = faulty
    world.wire.inject("livy.DELETE /sessions/{session}", Kind.ERROR, times=math.inf)
    with pytest.raises(JobFault, match="cicid"):
        drive(JOB, ready, world)


def test_input_that_a_job_cannot_read_is_told_in_the_jobs_own_words(world: World, ready: Run) -> None:
    world.jobs.by_name["arrivals"] = unreadable
    with pytest.raises(SourceError) as caught:
        drive(JOB, ready, world)
    assert str(caught.value) == "arrivals.csv has no column i94port: put it back"


def rejecting(rejected: dict[str, int], **more: Any) -> Callable[..., dict[str, Any]]:
    """A job that rejects these rows of 30, or of as many as `more` says."""

    def run(**given: Any) -> dict[str, Any]:
        return {**write_rows(**given), "read": 30, "rejected": rejected, "notes": {}, **more}

    return run


def test_a_job_that_rejects_most_rows_fails_before_anything_is_loaded_and_says_where_they_are(
    world: World, ready: Run
) -> None:
    world.jobs.by_name["arrivals"] = rejecting({"no_cicid": 2, "bad_arrival_date": 14})
    with pytest.raises(SourceError) as caught:
        drive(JOB, ready, world)
    (attempt,) = attempts(world)
    told = str(caught.value)
    assert "'arrivals' rejected 16 of 30 rows (53.33 %: bad_arrival_date 14, no_cicid 2)." in told
    assert "At most 50 %" in told
    assert f"{attempt}-rejected/" in told
    assert "raise max_rejected" in told
    assert world.livy.listed() == []
    with pytest.raises(OutputError, match="no complete output in this run"):
        read_pinned(ready, PIPELINE.job("arrivals"))


def test_what_was_computed_before_is_judged_by_the_limit_of_today(world: World, ready: Run) -> None:
    world.jobs.by_name["arrivals"] = rejecting({"no_cicid": 16})
    for _ in range(2):
        with pytest.raises(SourceError, match="16 of 30 rows"):
            drive(JOB, ready, world)
    raised = with_limit(ready, 0.6)
    assert drive(JOB, raised, world).result["reused"] is True
    assert read_pinned(raised, PIPELINE.job("arrivals")).manifest.counts.rejected == {"no_cicid": 16}
    with pytest.raises(SourceError, match="At most 20 %"):
        drive(JOB, with_limit(ready, 0.2), world)
    assert world.jobs.ran == ["arrivals"]


def with_limit(run: Run, limit: float) -> Run:
    jobs = tuple(replace(job, max_rejected=limit) for job in run.pipeline.jobs)
    return replace(run, pipeline=replace(run.pipeline, jobs=jobs))


def test_input_that_changed_while_it_was_read_makes_no_output(world: World, ready: Run) -> None:
    world.jobs.by_name["arrivals"] = overtaken
    with pytest.raises(
        OutputError, match=r"changed after the run's batch was fixed: s3://.* replaced or deleted"
    ):
        drive(JOB, ready, world)
    assert not [key for key in world.objects("processed/") if key.endswith("manifest.json")]


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (unreadable, SourceError),
        (overtaken, OutputError),
        (unmarked, OutputError),
        (countless, JobFault),
        (faulty, JobFault),
    ],
)
def test_what_an_earlier_try_made_of_no_use_is_computed_again(
    world: World, ready: Run, job: Callable[..., dict[str, Any]], error: type[Exception]
) -> None:
    world.jobs.by_name["arrivals"] = job
    with pytest.raises(error):
        drive(JOB, ready, world)
    del world.jobs.by_name["arrivals"]
    fix_batch(
        replace(ready, max_tries=99), look_at_sources(ready)
    )  # as a person does who clears the preflight, too
    assert drive(JOB, ready, world).result["reused"] is False
    assert len(world.livy.made) == 2


def test_a_statement_that_finished_while_nobody_looked_is_used_by_the_retry(world: World, ready: Run) -> None:
    start(world, ready)
    world.advance(500)  # less than the heartbeat that ends a session for which nobody asks
    assert JOB.begin(ready).result["written"] == 30  # type: ignore[union-attr]
    assert world.jobs.ran == ["arrivals"]


def test_a_job_that_wrote_no_marker_makes_no_output(world: World, ready: Run) -> None:
    world.jobs.by_name["arrivals"] = unmarked
    with pytest.raises(OutputError, match="_SUCCESS"):
        drive(JOB, ready, world)


def test_parts_whose_columns_are_in_another_order_make_no_output(world: World, ready: Run) -> None:
    def mixed(targets: Targets, **given: Any) -> dict[str, Any]:
        row = {"airport": "JFK", "id": 1, "day": "2016-04-01"}
        put(targets["arrivals"] + "part-00001.parquet", parquet_of([row]))
        return write_rows(targets=targets, **given)

    world.jobs.by_name["arrivals"] = mixed
    with pytest.raises(
        OutputRefused, match=r"part-00000\.parquet and in .*part-00001\.parquet, in this order"
    ):
        drive(JOB, ready, world)
    assert not [key for key in world.objects("processed/") if key.endswith("manifest.json")]
    del world.jobs.by_name["arrivals"]
    assert drive(JOB, ready, world).result["reused"] is False


def test_an_output_whose_manifest_is_of_an_earlier_version_is_computed_again(
    world: World, ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(outputs, "MANIFEST_VERSION", outputs.MANIFEST_VERSION - 1)
        drive(JOB, ready, world)
        assert drive(JOB, ready, world).result["reused"] is True
    with pytest.raises(OutputError, match=r"no complete output in this run\. Clear transform\.arrivals"):
        read_pinned(ready, PIPELINE.job("arrivals"))
    assert drive(JOB, ready, world).result["reused"] is False
    assert world.jobs.ran == ["arrivals", "arrivals"]
    assert read_pinned(ready, PIPELINE.job("arrivals")).manifest.datasets["arrivals"].columns


def test_a_session_that_never_starts_ends_at_a_deadline(world: World, ready: Run) -> None:
    world.livy.never_start = True
    with pytest.raises(WaitTimeout, match="session .*-arrivals to start"):
        drive(JOB, ready, world)


def test_a_job_that_never_ends_ends_at_a_deadline(
    world: World, ready: Run, make_run: Callable[..., Run]
) -> None:
    run = make_run(ready.run_id, livy={"statement_timeout_s": 30}, poll_s=20)
    with pytest.raises(WaitTimeout, match="job arrivals"):
        drive(JOB, run, world)


def test_a_retry_goes_on_with_a_session_that_still_starts(world: World, ready: Run) -> None:
    """Which cannot tell its statements yet: the retry does not ask."""
    begin(ready)
    assert isinstance(JOB.begin(ready), Waiting)
    drive(JOB, ready, world)
    assert len(world.livy.made) == 1


def test_a_server_with_another_certificate_is_sent_nothing(world: World, ready: Run) -> None:
    state = begin(ready)
    world.livy.certificates[host_of(state)] = "another"
    with pytest.raises(LivyUntrusted):
        poll(world, ready, state)
    with pytest.raises(LivyUntrusted):
        JOB.begin(ready)
    assert world.livy.made[0].code == []


def test_livy_that_asks_for_credentials_in_the_middle_of_a_job_fails_it_at_once(
    world: World, ready: Run
) -> None:
    state = start(world, ready)
    world.livy.odd = (403, b"User not authorised to use Livy.")
    with pytest.raises(LivyDenied):
        poll(world, ready, state)


@pytest.mark.parametrize("odd", [(404, b"<html>404</html>"), (500, b'"java.lang.IllegalStateException"')])
def test_an_answer_that_says_nothing_of_the_session_makes_no_other_and_submits_nothing(
    world: World, ready: Run, odd: tuple[int, bytes]
) -> None:
    state = start(world, ready)
    world.livy.odd = odd
    for _ in range(5):
        with pytest.raises(LivyUnreachable):
            poll(world, ready, state)
    world.livy.odd = None
    drive_on(world, ready, state)
    assert len(world.livy.made) == 1
    assert len(world.livy.made[0].code) == 1


def test_what_the_version_before_deferred_goes_on_by_plain_http(world: World, ready: Run) -> None:
    state = begin(ready)
    world.livy.speak_tls = False
    before = {"url": f"http://{host_of(state)}:8998", "deadline": state["deadline"]}
    began = poll(world, ready, before)
    assert world.livy.find("arrivals").state == "busy"
    JOB.cancel(ready, began)
    assert world.livy.listed() == []


def test_a_session_is_ended_by_what_the_state_keeps_as_json(world: World, ready: Run) -> None:
    state = json.loads(json.dumps(begin(ready)))
    assert state["fingerprint"] == world.livy.fingerprint(host_of(state))
    JOB.cancel(ready, state)
    assert world.livy.listed() == []


def test_livy_that_cannot_be_reached_is_polled_again(world: World, ready: Run) -> None:
    state = start(world, ready)
    world.livy.down = True
    with pytest.raises(LivyUnreachable) as caught:
        JOB.poll(ready, state)
    assert TransientBudget(world.timeline).allows(caught.value)
    world.livy.down = False
    poll(world, ready, state, seconds=1)
    assert len(world.livy.made) == 1


def test_killing_the_task_ends_this_runs_own_session_alone(
    world: World, ready: Run, make_run: Callable[..., Run]
) -> None:
    other = make_run("run2")
    drive(TakeLease(), other, world)
    state = start(world, ready)
    begin(other)
    JOB.cancel(ready, state)
    (left,) = world.livy.listed()
    assert left is world.livy.made[1]
    assert [cluster.state for cluster in world.emr.all] == ["WAITING"]
    JOB.cancel(ready, state)


def test_a_cancel_before_the_first_look_ends_the_session_that_was_just_made(world: World, ready: Run) -> None:
    first = JOB.begin(ready)
    assert isinstance(first, Waiting)
    JOB.cancel(ready, first.state)
    assert world.livy.listed() == []


def test_a_late_cancel_leaves_the_next_trys_session_alone(world: World, ready: Run) -> None:
    first = JOB.begin(ready)
    assert isinstance(first, Waiting)
    watched = JOB.poll(ready, first.state)
    assert isinstance(watched, Waiting)
    world.livy.vanish(world.livy.made[0])
    JOB.begin(ready)
    JOB.cancel(ready, watched.state)
    assert world.livy.listed() == [world.livy.made[1]]


def test_a_late_cancel_leaves_another_jobs_session_of_its_id_alone(world: World, ready: Run) -> None:
    state = start(world, ready)
    world.livy.restart()
    other = RunJob("airports")
    assert isinstance(other.begin(ready), Waiting)
    assert world.livy.find("airports").id == state["session"]
    JOB.cancel(ready, state)
    assert world.livy.listed() == [world.livy.find("airports")]


@pytest.mark.parametrize("end", ["die", "vanish"])
def test_a_session_that_is_being_ended_while_the_next_try_looks_is_made_anew(
    world: World, ready: Run, end: str
) -> None:
    start(world, ready)
    end_at_statements(world, end)
    state = begin(ready)
    assert len(world.livy.made) == 2
    assert poll(world, ready, state)["session"] == 1


@pytest.mark.parametrize("end", ["die", "vanish"])
def test_a_session_that_ends_between_two_questions_is_looked_at_again(
    world: World, ready: Run, end: str
) -> None:
    state = start(world, ready)
    end_at_statements(world, end)
    state = poll(world, ready, state)
    if end == "die":
        with pytest.raises(SessionFailed):
            JOB.poll(ready, state)
    else:
        poll(world, ready, state)
        assert len(world.livy.made) == 2


def test_each_line_of_livys_log_is_told_once(
    world: World, ready: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="airflow_lib.steps.transform"):
        drive(JOB, ready, world)
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("livy | ")]
    assert told == ["livy | stdout:", "livy | driver starts", "livy | driver is up", "livy | job runs"]


def told_of(caplog: pytest.LogCaptureFixture, *begins: str) -> list[str]:
    """What was logged that begins so."""
    return [text for record in caplog.records if (text := record.getMessage()).startswith(begins)]


def test_what_never_matters_of_livys_log_is_left_out(
    world: World, ready: Run, caplog: pytest.LogCaptureFixture
) -> None:
    noise = "26/11/28 10:11:12 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform"
    with caplog.at_level(logging.INFO, logger="airflow_lib.steps.transform"):
        state = start(world, ready)
        world.livy.find("arrivals").log += [noise, "26/11/28 10:11:12 WARN Other: beware", noise]
        drive_on(world, ready, state)
    assert told_of(caplog, "livy | 26/") == ["livy | 26/11/28 10:11:12 WARN Other: beware"]


def test_the_log_says_how_far_the_driver_is_once_for_each_change(
    world: World, ready: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Livy's own share of it, which drops with each Spark job, is not shown."""
    with caplog.at_level(logging.INFO, logger="airflow_lib.steps.transform"):
        state = start(world, ready)
        for text in (
            b"begun",
            b"stage 1 of 2 so far, 10 rows read, 0 written",
            b"stage 1 of 2 so far, 10 rows read",
        ):
            put(state["progress"], text)
            state = poll(world, ready, state, seconds=1)
            outcome = JOB.poll(ready, state)
            assert isinstance(outcome, Waiting)
            assert outcome.what == f"job arrivals: {text.decode()}"
    assert told_of(caplog, "job arrivals: ") == [
        "job arrivals: begun",
        "job arrivals: stage 1 of 2 so far, 10 rows read, 0 written",
        "job arrivals: stage 1 of 2 so far, 10 rows read",
    ]
    assert "%" not in "".join(told_of(caplog, "job "))


def test_progress_that_cannot_be_read_keeps_no_job_from_its_end(
    world: World, ready: Run, caplog: pytest.LogCaptureFixture
) -> None:
    state = start(world, ready)
    key = state["progress"].removeprefix(f"s3://{BUCKET}/")
    refused: list[Call] = []

    def refuse(call: Call) -> None:
        if call.params.get("Key") == key:
            refused.append(call)
            raise ResourceError("no")

    world.wire.watchers.append(refuse)
    with caplog.at_level(logging.INFO, logger="airflow_lib.steps.transform"):
        drive_on(world, ready, state)
    assert refused
    assert told_of(caplog, "job arrivals: ") == ["job arrivals: running"]


def test_a_wait_that_an_earlier_version_deferred_goes_on_without_progress(world: World, ready: Run) -> None:
    state = {key: value for key, value in start(world, ready).items() if key != "progress"}
    drive_on(world, ready, {**state, "percent": 50})
    assert read_pinned(ready, PIPELINE.job("arrivals"))


def test_a_session_of_an_earlier_version_has_no_code_that_tells_progress(world: World, ready: Run) -> None:
    world.jobs.tells_progress = False
    drive(JOB, ready, world)
    assert read_pinned(ready, PIPELINE.job("arrivals"))


def test_the_sessions_start_is_told_with_its_length(
    world: World, ready: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="airflow_lib.steps.transform"):
        poll(world, ready, begin(ready), seconds=31)
    name = world.livy.made[0].name
    assert told_of(caplog, f"session {name} s", f"session {name} h") == [
        f"session {name} starts: the job waits for its driver",
        f"session {name} has started, after 31 s",
    ]


def test_the_lease_is_kept_for_as_long_as_the_job_runs(
    world: World, ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(livy_servers, "STATEMENT_S", 2 * ready.settings.mayfly.lease_s + 600)
    state = start(world, ready)
    for _ in range(8):
        world.advance(500)
        outcome = JOB.poll(ready, state)
        assert isinstance(outcome, Waiting)
        state = outcome.state
    document = world.register(ready.pipeline)
    (lease,) = document.emr.leases
    assert lease.until > world.now()


def test_a_run_that_lost_its_lease_submits_nothing(
    world: World, ready: Run, make_run: Callable[..., Run]
) -> None:
    world.advance(1801)
    make_run("run2").register.apply(Slot.EMR, rules.take_over)
    with pytest.raises(LeaseLost):
        JOB.begin(ready)
    assert world.livy.made == []


def test_a_run_whose_lease_ran_out_and_was_not_taken_submits_under_a_new_one(
    world: World, ready: Run
) -> None:
    """Its task was queued by Airflow for longer than a lease."""
    world.advance(1801)
    assert isinstance(JOB.begin(ready), Waiting)
    (lease,) = world.register(ready.pipeline).emr.leases
    assert lease.is_live(world.now())


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.DENIED, Kind.THROTTLED, Kind.TIMEOUT])
def test_a_log_that_cannot_be_read_fails_no_job(world: World, ready: Run, kind: Kind) -> None:
    world.wire.inject("livy.GET /sessions/{session}/log", kind, times=math.inf)
    assert drive(JOB, ready, world).result["written"] > 0
