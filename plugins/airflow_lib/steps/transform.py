"""One Spark job in a Livy session of its own, from session to manifest.

The session's name says run and job, so every poll finds out from Livy alone where the job stands: a retry,
another triggerer or a repeated request goes on from there. What is complete is not computed again.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_lib.errors import (
    InputChanged,
    JobFault,
    LivyError,
    MayflyError,
    NotReady,
    OutputError,
    OutputRefused,
    SessionInactive,
    SourceError,
    TerminalState,
    WaitTimeout,
)
from airflow_lib.naming import Slot, session_name
from airflow_lib.pipeline import JobOutput, SparkJob
from airflow_lib.polling import time_after
from airflow_lib.spark.batch import Batch, ResolvedSources
from airflow_lib.spark.job_graph import most_jobs_at_once
from airflow_lib.spark.livy import (
    SESSION_FAILED,
    SESSION_PENDING,
    LivyClient,
    SessionSpec,
    SessionState,
    SessionView,
    StatementView,
)
from airflow_lib.spark.log_lines import is_noise, lines_after
from airflow_lib.spark.manifest import Manifest, probe_manifest, write_manifest
from airflow_lib.spark.outputs import Output, address_output
from airflow_lib.spark.progress import read_progress
from airflow_lib.spark.rejects import refuse_rejects
from airflow_lib.spark.shipping import ensure_shipped, hash_code
from airflow_lib.steps import Done, Json, Outcome, Run
from airflow_lib.steps.batch import read_batch, refuse_changed
from airflow_lib.steps.clusters import endpoint_at, find_livy
from airflow_lib.steps.pinned_output import pin_output, read_pinned
from airflow_lib.steps.polling_step import PollingStep
from airflow_lib.steps.session_room import is_surplus, wait_for_room
from airflow_lib.steps.statement import parse_answer, parse_counts, render_statement

log = logging.getLogger(__name__)

_LOG_LINES = 100
# A Livy server that restarts loses every session, and one is lost where no triggerer ran for ten minutes. What is lost
# more often than that in one task is lost by what the job does, such as taking the memory of Livy's host.
_MAX_REPLACEMENTS = 3


@dataclass(frozen=True)
class JobInput:
    """What a job reads of files, and where its output belongs."""

    sources: ResolvedSources
    output: Output


def resolve_job(run: Run, job: SparkJob, batch: Batch | None = None) -> JobInput:
    """Where `job` of this run reads and writes: the files of the run's batch, unless another `batch` is given.

    It is the same before and after the jobs whose outputs it reads have run.
    Raises OutputError where no batch is fixed, SourceError where a source is not in it.
    """
    taken = batch or read_batch(run)
    resolved: dict[str, JobInput] = {}

    def resolve(one: SparkJob) -> JobInput:
        if one.name not in resolved:
            upstream = {other.name: resolve(other).output.address for other in run.pipeline.upstream(one)}
            resolved[one.name] = _resolve(run, one, upstream, taken)
        return resolved[one.name]

    return resolve(job)


def _resolve(run: Run, job: SparkJob, upstream: Mapping[str, str], batch: Batch) -> JobInput:
    sources = batch.resolve(job)
    output = address_output(
        run.processed,
        job,
        sources,
        window=run.window,
        code=hash_code(run.pipeline.name),
        upstream=upstream,
        forced_by=run.run_id if run.force else None,
    )
    return JobInput(sources, output)


@dataclass(frozen=True)
class ChainedInput(JobInput):
    """With the URIs of each of the job's sources, in declared order; of another job's output its one folder."""

    inputs: list[list[str]]


def resolve_chained(run: Run, job: SparkJob) -> ChainedInput:
    """As `resolve_job`, once the jobs whose outputs it reads have run: it reads those that this run loads.

    Raises OutputError where one of them has no complete output in this run, or no batch is fixed.
    """
    upstream = {other.name: read_pinned(run, other) for other in run.pipeline.upstream(job)}
    addresses = {name: one.output.address for name, one in upstream.items()}
    found = _resolve(run, job, addresses, read_batch(run))
    files = iter([list(uris) for uris in found.sources.uris])
    inputs = [
        [upstream[run.pipeline.job_of(source.name).name].uri(source.name)]
        if isinstance(source, JobOutput)
        else next(files)
        for source in job.sources
    ]
    return ChainedInput(found.sources, found.output, inputs)


def probe_job(run: Run, job: SparkJob, batch: Batch | None = None) -> Manifest | None:
    """The job's complete output, or None where it is yet to be computed."""
    return probe_manifest(run.aws.s3, resolve_job(run, job, batch).output)


@dataclass(frozen=True)
class RunJob(PollingStep):
    """Runs one job; done when its manifest is in S3. The result: counts, and whether they were there before."""

    job: str
    slot = Slot.EMR

    @property
    def name(self) -> str:
        return f"{type(self).__name__}-{self.job}"

    def timeout_s(self, run: Run) -> float:
        """As long as a session and its job may take, once for each job that may have to end before there is room."""
        livy, jobs = run.settings.mayfly.livy, len(run.pipeline.jobs)
        turns = math.ceil(jobs / most_jobs_at_once(run.pipeline))
        return turns * (livy.session_timeout_s + livy.statement_timeout_s)

    def timed_out(self, run: Run, what: str, deadline: str) -> WaitTimeout:
        return WaitTimeout(
            f"Timed out waiting (until {deadline[:19]} UTC): {what}. Read the end of this task's log; if it only "
            "needs longer, raise mayfly.livy.session_timeout_s (a session to start or end) or "
            "mayfly.livy.statement_timeout_s (the job), and clear the task."
        )

    def give_up(self, run: Run, state: Json) -> None:
        """End the session: others need the cluster, and no retry comes back to it."""
        try:
            self.cancel(run, state)
        except MayflyError as error:
            log.warning("session %s is left to its heartbeat and its cluster: %s", self._name(run), error)

    def begin(self, run: Run) -> Outcome:
        output = resolve_chained(run, run.pipeline.job(self.job)).output
        manifest = probe_manifest(run.aws.s3, output)
        if manifest is not None:
            log.info("%s is complete already (%s): not computed again", self.job, manifest.uri)
            return self._accept(run, output, manifest, reused=True)
        endpoint = find_livy(run)
        state: Json = {
            "url": endpoint.url,
            "fingerprint": endpoint.fingerprint,
            "progress": output.progress_uri,
        }
        livy = self._open_livy(run, state)
        session = livy.probe_session(self._name(run))
        if session is not None and self._is_spent(run, livy, session):
            log.info("session %s failed in an earlier try: it is replaced", session.name)
            livy.delete_session(self._name(run))
            self._note_session(run, session, state)
            state["ending"] = session.id
        return self.poll(run, state)

    def advance(self, run: Run, state: Json) -> Done:
        try:
            return self._advance_job(run, state)
        except (SourceError, JobFault, OutputRefused, InputChanged):
            self.give_up(run, state)
            raise

    def _advance_job(self, run: Run, state: Json) -> Done:
        livy = self._open_livy(run, state)
        session = self._find_ready_session(run, livy, state)
        try:
            statements = livy.list_statements(session.id)
        except SessionInactive as error:
            raise NotReady(f"Livy session {session.name} to end") from error
        if not statements:
            if "attempt" in state:
                self._count_replacement(
                    run, state, f"session {session.name} knows no statement of it any more"
                )
            self._give_way(run, livy, session, state)
            self._submit(run, livy, session, state)
            raise NotReady(f"job {self.job}")
        if not statements[0].finished:
            raise NotReady(self._tell_progress(run, statements[0], state))
        output, manifest = self._complete(run, statements[0])
        self._delete_session(run, livy)
        return self._accept(run, output, manifest, reused=False)

    def cancel(self, run: Run, state: Json) -> None:
        """End the session that this try was watching, whatever it is doing; the cluster is not touched.

        By name and id: after a clear the next try's session may bear the name, and after a restart of the server
        another job's session the id.
        """
        if "session" in state:
            livy = self._open_livy(run, state)
            session = livy.probe_session(self._name(run))
            if session is not None and session.id == state["session"]:
                livy.delete_session(str(session.id))

    def _open_livy(self, run: Run, state: Json) -> LivyClient:
        """The server that this try uses. What the version before deferred knows no fingerprint: it is plain HTTP."""
        return run.services.open_livy(endpoint_at(run, state["url"], state.get("fingerprint")))

    def _name(self, run: Run) -> str:
        return session_name(run.environment, run.run_id, self.job)

    def _is_spent(self, run: Run, livy: LivyClient, session: SessionView) -> bool:
        """Whether nothing can come of the session: it failed, or its job did, or made no output of this input."""
        if session.state in SESSION_FAILED:
            return True
        if session.state in SESSION_PENDING - {SessionState.SHUTTING_DOWN}:
            return False  # it cannot tell its statements yet: Livy may answer 500
        try:
            statements = livy.list_statements(session.id)
        except SessionInactive:  # the trigger of a try that was cleared is ending it right now
            return True
        except NotReady:  # not known: the polls to come find out
            return False
        if not statements or not statements[0].finished:
            return False
        try:
            self._complete(run, statements[0])
        except (SourceError, OutputError, LivyError) as error:
            log.info("of the earlier try: %s", error)
            return True
        return False

    def _find_ready_session(self, run: Run, livy: LivyClient, state: Json) -> SessionView:
        """The session that runs the job or may be given it; one is created where there is none.

        Raises NotReady until then, SessionFailed, TerminalState where sessions are lost again and again.
        """
        session = livy.probe_session(self._name(run))
        if session is None:
            # Ids tell nothing here: a server that was restarted counts its sessions from 0 again.
            if state.pop("ending", None) is None and "session" in state:
                self._count_replacement(run, state, f"session {self._name(run)} is gone")
            for of_that in ("session", "start_by", "until"):
                state.pop(of_that, None)
            wait_for_room(run, livy)
            session = self._create(run, livy, state)
            self._give_way(run, livy, session, state)
            raise NotReady(f"Livy session {session.name} to start")
        if state.get("session") != session.id or "start_by" not in state:
            self._note_session(run, session, state)
        if session.id == state.get("ending"):
            raise NotReady(f"the session of an earlier try to end: it is {session.state}")
        if session.state in SESSION_FAILED:
            raise livy.failure(session)
        self._follow_log(livy, session, state)
        if session.state in SESSION_PENDING:
            self._give_way(run, livy, session, state)
            raise NotReady(f"Livy session {session.name} to start: it is {session.state}")
        if asked_at := state.pop("asked_at", None):
            took = run.services.clock.now() - datetime.fromisoformat(asked_at)
            log.info("session %s has started, after %.0f s", session.name, took.total_seconds())
        state["until"] = state.get("end_by")
        return session

    def _create(self, run: Run, livy: LivyClient, state: Json) -> SessionView:
        size = run.session_size
        spec = SessionSpec(
            name=self._name(run),
            py_files=(ensure_shipped(run.aws.s3, run.processed),),
            driver_memory_mib=size.driver_memory_mib,
            driver_cores=size.driver_cores,
            executor_memory_mib=size.executor_memory_mib,
            executor_cores=size.executor_cores,
            executors=size.executors,
            conf=size.conf,
        )
        session = livy.create_session(spec)
        log.info("session %s (%s) created: %s", session.name, session.id, spec.body())
        self._note_session(run, session, state)
        log.info("session %s starts: the job waits for its driver", session.name)
        state["asked_at"] = run.services.clock.now().isoformat()
        return session

    def _give_way(self, run: Run, livy: LivyClient, session: SessionView, state: Json) -> None:
        """End the session where it is one too many, before it is given its job. Raises NotReady then.

        Asked once of each session, by whoever sees it first: the try that made it may have died before it could ask.
        """
        if state.get("fits") == session.id:
            return
        if is_surplus(run, livy, session):
            livy.delete_session(str(session.id))
            state["ending"] = session.id
            raise NotReady("room for a Livy session: others took it at the same time")
        state["fits"] = session.id

    def _note_session(self, run: Run, session: SessionView, state: Json) -> None:
        """Remember which session is polled, and by when it must have started (or ended, for a new one to start)."""
        start_by = time_after(run.services.clock, run.settings.mayfly.livy.session_timeout_s)
        state.update(session=session.id, start_by=start_by, until=start_by, last_log_line=None)
        for of_another_session in ("attempt", "end_by", "fits", "asked_at", "told"):
            state.pop(of_another_session, None)

    def _count_replacement(self, run: Run, state: Json, why: str) -> None:
        """Before the job is begun anew because Livy lost it. Raises TerminalState where that happened too often."""
        if self.count(run, state, "replacements") > _MAX_REPLACEMENTS:
            self.give_up(run, state)
            raise TerminalState(
                f"Livy lost job {self.job!r} {_MAX_REPLACEMENTS + 1} times (now {why}), so it is not begun again; "
                "once or twice is a restart of the server. Look for the reason in Livy's log on the cluster, then "
                "clear the task."
            )
        log.warning("%s: job %s is begun again", why, self.job)

    def _submit(self, run: Run, livy: LivyClient, session: SessionView, state: Json) -> None:
        job = run.pipeline.job(self.job)
        attempt = uuid.uuid4().hex
        found = resolve_chained(run, job)
        livy.submit_statement(session.id, render_statement(run, job, found.output, found.inputs, attempt))
        log.info("job %s submitted to session %s as attempt %s", self.job, session.id, attempt)
        end_by = time_after(run.services.clock, run.settings.mayfly.livy.statement_timeout_s)
        state.update(attempt=attempt, end_by=end_by, until=end_by)

    def _tell_progress(self, run: Run, statement: StatementView, state: Json) -> str:
        """Log how far the job is, where that changed: by what its driver says, for Livy's own number tells little."""
        uri = state.get("progress")  # what the version before deferred has none
        text = f"job {self.job}: {(read_progress(run.aws.s3, uri) if uri else '') or statement.state}"
        if text != state.get("told"):
            log.info("%s", text)
        state["told"] = text
        return text

    def _accept(self, run: Run, output: Output, manifest: Manifest, *, reused: bool) -> Done:
        """The result: this run loads the output. Raises SourceError where the job rejected too much."""
        refuse_rejects(run.pipeline.job(self.job), output, manifest)
        pin_output(run, output)
        return Done(_result(output, manifest, reused=reused))

    def _complete(self, run: Run, statement: StatementView) -> tuple[Output, Manifest]:
        """The output of a finished statement, and its manifest; the same where they are asked for again.

        Raises SourceError or LivyError where the job failed, OutputError where it wrote no output of this input.
        """
        answer = parse_answer(statement.text(self._name(run), self.job), self.job)
        job = run.pipeline.job(self.job)
        output = resolve_chained(run, job).output
        if answer.get("address") != output.address:
            raise OutputError(
                f"The session of job {self.job!r} has computed another input than that of the run's batch: somebody "
                "cleared provision.preflight while it ran. Clear the task: it computes the batch that is fixed now."
            )
        counts = parse_counts(answer, job)
        refuse_changed(run, job)
        return output, write_manifest(run.aws.s3, job, output, str(answer["attempt"]), counts)

    def _delete_session(self, run: Run, livy: LivyClient) -> None:
        """The output is safe: a session that cannot be ended now goes with its cluster."""
        try:
            livy.delete_session(self._name(run))
        except LivyError as error:
            log.warning("session %s is left to its heartbeat and its cluster: %s", self._name(run), error)

    def _follow_log(self, livy: LivyClient, session: SessionView, state: Json) -> None:
        """The log is for people: a job does not fail because it cannot be read."""
        try:
            lines = livy.read_log(session.id, size=_LOG_LINES)
        except LivyError as error:
            log.warning("the log of session %s cannot be read: %s", session.name, error)
            return
        for line in lines_after(lines, state.get("last_log_line")):
            if not is_noise(line):
                log.info("livy | %s", line.rstrip())
        if lines:
            state["last_log_line"] = lines[-1]


def _result(output: Output, manifest: Manifest, *, reused: bool) -> Json:
    counts = manifest.counts
    rejects = {"rejects": output.rejected_uri(manifest.attempt)} if any(counts.rejected.values()) else {}
    return {
        "read": counts.read,
        "written": counts.rows_written,
        "outputs": counts.written,
        "rejected": counts.rejected,
        **rejects,
        "notes": counts.notes,
        "reused": reused,
        "manifest": manifest.uri,
    }
