"""Steps up to two clusters that can be used: what may be wanting, leases, roles, groups, EMR, Redshift.

Only a slot's creator creates; the others wait, and one of them takes over when the creator's lease expires.
Each look may be the first or the tenth: what is there is adopted, what is missing is made.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from airflow_lib.aws.s3 import list_objects
from airflow_lib.errors import LeaseLost, LivyError, ResourceError, SettingsError, TerminalState, WaitTimeout
from airflow_lib.lifecycle.document import Phase, SlotState
from airflow_lib.lifecycle.rules import AcquireOutcome, Grant
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources import redshift_cluster as redshift
from airflow_lib.resources import snapshots
from airflow_lib.resources.common import NotReady
from airflow_lib.resources.emr_cluster import ClusterView
from airflow_lib.spark.shipping import ensure_shipped
from airflow_lib.spark.sizing import size_sessions
from airflow_lib.steps import Done, ImmediateStep, Json, Outcome, Run, Waiting
from airflow_lib.steps.clusters import livy_url
from airflow_lib.steps.creation import Creation
from airflow_lib.steps.drain import drain
from airflow_lib.steps.leases import open_register, renew_held, renew_leases, tell_place
from airflow_lib.steps.transform import probe_job, resolve_job

log = logging.getLogger(__name__)

# An answer to RunJobFlow was lost: how long the cluster may take to be listed before it is asked for again.
_SETTLING_S = 60
# Roles just made may be unknown to EMR for up to two minutes, and a cluster that meets them ends at once.
MAX_REPLACEMENTS = 2


def needs_emr(run: Run) -> bool:
    """Whether any job of this run is still to be computed."""
    return any(probe_job(run, job) is None for job in run.pipeline.jobs)


@dataclass(frozen=True)
class Preflight(ImmediateStep):
    """Finds out what may be wanting before anything is made, and ships the Spark code.

    Raises SettingsError (credentials, locations), SourceError (input), SizingError (hardware).
    """

    def begin(self, run: Run) -> Outcome:
        hardware = run.settings.hardware(run.pipeline)
        size = size_sessions(hardware, len(run.pipeline.jobs), run.pipeline.max_parallel_runs)
        identity = self._who_am_i(run)
        inputs = {job.name: list(resolve_job(run, job).sources.uris) for job in run.pipeline.jobs}
        for location in (run.processed, run.state_location, run.logs):
            # A missing or closed bucket is told here, and not by whatever meets it first.
            next(list_objects(run.aws.s3, location.bucket, location.key("")), None)
        code = ensure_shipped(run.aws.s3, run.processed)
        return Done({"identity": identity, "inputs": inputs, "code": code, "sessions": size.sessions})

    def _who_am_i(self, run: Run) -> str:
        try:
            return str(run.aws.sts.get_caller_identity()["Arn"])
        except EndpointConnectionError as error:
            raise SettingsError(
                f"aws_region: AWS cannot be reached in {run.settings.region!r} ({error}). "
                "Check the region's name and the workers' network."
            ) from error
        except (ClientError, BotoCoreError) as error:
            where = (
                "aws_credentials"
                if run.settings.credentials
                else "The connection aws_default, or boto3's chain"
            )
            raise SettingsError(
                f"{where}: AWS does not accept the credentials: {error}. Renew them."
            ) from error


@dataclass(frozen=True)
class TakeLease:
    """Takes this run's leases: the warehouse's, and EMR's where there is anything to compute."""

    def begin(self, run: Run) -> Outcome:
        slots = [Slot.EMR, Slot.WAREHOUSE] if needs_emr(run) else [Slot.WAREHOUSE]
        return self.poll(run, {"slots": [slot.value for slot in slots], "by": _deadline(run)})

    def poll(self, run: Run, state: Json) -> Outcome:
        register = open_register(run)
        grants = {slot: register.acquire(Slot(slot), run.run_id) for slot in state["slots"]}
        pending = [why for slot, grant in grants.items() if (why := _obstacle(run, Slot(slot), grant))]
        if pending:
            return _waiting(run, state, "; ".join(pending))
        log.info(
            "leases: %s", {slot: f"{g.outcome}, generation {g.generation}" for slot, g in grants.items()}
        )
        taken = {slot: {"role": g.outcome, "generation": g.generation} for slot, g in grants.items()}
        return Done({**taken, "place": tell_place(run)})

    def cancel(self, run: Run, state: Json) -> None:
        """The release task gives the leases up."""


def _obstacle(run: Run, slot: Slot, grant: Grant) -> str | None:
    """What keeps the run from its lease. A dead run's drain is finished here."""
    if grant.outcome is AcquireOutcome.TEAR_DOWN:
        return drain(run.holder, slot, grant.generation).pending or f"{slot} to be empty"
    if grant.outcome is AcquireOutcome.WAIT and grant.state.lease(run.run_id) is None:
        return f"{slot}: {grant.why}"
    return None


class _Creating:
    """What the steps share that make something: only the slot's creator acts, and `NotReady` is waited for."""

    def begin(self, run: Run) -> Outcome:
        return self.poll(run, {"by": _deadline(run)})

    def poll(self, run: Run, state: Json) -> Outcome:
        state = renew_leases(run, state, Slot.WAREHOUSE)
        made: dict[str, Json] = {}
        try:
            document = open_register(run).read()
            for slot in Slot:
                slot_state = document.slot(slot)
                if slot_state.phase is Phase.CREATING and slot_state.owner == run.run_id:
                    made[slot.value] = self.make(Creation(run, slot, slot_state))
        except NotReady as error:
            return _waiting(run, state, error.message)
        return Done(dict(made))

    def make(self, creation: Creation) -> Json:
        raise NotImplementedError

    def cancel(self, run: Run, state: Json) -> None:
        """What was made is recorded: the release task removes it."""


@dataclass(frozen=True)
class EnsureRoles(_Creating):
    """IAM roles and the instance profile of each slot that this run creates."""

    def make(self, creation: Creation) -> Json:
        return creation.ensure_roles()


@dataclass(frozen=True)
class EnsureNetwork(_Creating):
    """Security groups (and Redshift's subnet group) of each slot that this run creates."""

    def make(self, creation: Creation) -> Json:
        return creation.ensure_network()


class _EnsureCluster:
    """What EMR and the warehouse share: create as the creator, else wait, and take over from a dead one."""

    slot: Slot

    def begin(self, run: Run) -> Outcome:
        return self.poll(run, {"by": _deadline(run)})

    def poll(self, run: Run, state: Json) -> Outcome:
        register = open_register(run)
        slot_state = register.read().slot(self.slot)
        if slot_state.phase is not Phase.CREATING or slot_state.owner != run.run_id:
            self._check_is_not_over(run, state, slot_state)
            state = renew_held(run, state)
            # What this run drains itself its release drains on: nobody need wait for it here.
            holds = slot_state.lease(run.run_id) is not None and slot_state.phase is not Phase.TEARING_DOWN
            if not holds and not self.needed(run):
                log.info("%s is not needed: every job's output is complete", self.slot)
                return Done({"needed": False})
            grant = register.acquire(self.slot, run.run_id)
            if grant.outcome is AcquireOutcome.USE:
                return Done(self.describe(run, grant.state))
            if grant.outcome is not AcquireOutcome.CREATE:
                return _waiting(run, state, _obstacle(run, self.slot, grant) or f"{self.slot}: {grant.why}")
            slot_state = grant.state
        state = renew_leases(run, {**state, "generation": slot_state.generation}, self.slot)
        try:
            creation = Creation(run, self.slot, slot_state)
            creation.ensure_roles()
            creation.ensure_network()
            pending = self.advance(creation, state)
        except NotReady as error:
            return _waiting(run, state, error.message)
        if pending is not None:
            return _waiting(run, state, pending)
        return Done(self.describe(run, register.mark_ready(self.slot, run.run_id)))

    def cancel(self, run: Run, state: Json) -> None:
        """The cluster is recorded: the release task removes it."""

    def _check_is_not_over(self, run: Run, state: Json, slot_state: SlotState) -> None:
        """Raise LeaseLost where this step was creating (so it knows a generation) and its lease is gone.

        It may be the trigger of a task that was cleared, whose run is over: nobody would let go what it makes.
        """
        if slot_state.lease(run.run_id) is None and "generation" in state:
            raise LeaseLost(
                f"Run {run.run_id} was creating generation {state['generation']} of the {self.slot} slot, and its "
                "lease is gone. Touch nothing: clear the task to take a new lease."
            )

    def needed(self, run: Run) -> bool:
        return True

    def advance(self, creation: Creation, state: Json) -> str | None:
        """One look at the cluster: what is pending, or None once it can be used."""
        raise NotImplementedError

    def describe(self, run: Run, slot_state: SlotState) -> Json:
        names = Names(run.environment, self.slot, slot_state.generation)
        return {"cluster": names.cluster, "generation": slot_state.generation}


@dataclass(frozen=True)
class EnsureEmr(_EnsureCluster):
    """An EMR cluster whose Livy server answers. Raises TerminalState with AWS's reason."""

    slot = Slot.EMR

    def needed(self, run: Run) -> bool:
        return needs_emr(run)

    def advance(self, creation: Creation, state: Json) -> str | None:
        run = creation.run
        cluster_id = creation.id_of(emr.CLUSTER) or self._adopt_or_request(creation, state)
        if cluster_id is None:
            return "EMR to tell whether it made a cluster"
        view = emr.probe_cluster(run.aws.emr, cluster_id)
        if view is None:
            raise NotReady(f"EMR does not find {cluster_id} yet")
        why = self._reason_to_begin_anew(view, state)
        if why is not None:
            creation.register.release(self.slot, run.run_id)  # we drain it; then the next generation is ours
            state.pop("generation")
            return f"a new cluster: {view.name} {why} ({view.reason})"
        if view.failed:
            raise TerminalState(
                f"EMR cluster {view.name} ({view.id}) is {view.state}, WAITING was expected. "
                f"{view.reason or 'AWS tells no reason'}. {view.mend}"
            )
        if not view.ready:
            return f"EMR cluster {view.name} ({view.id}), which is {view.state}"
        try:
            run.services.open_livy(livy_url(run, view)).list_sessions()
        except LivyError as error:
            return f"Livy on {view.master_dns}: {error}"
        return None

    def _reason_to_begin_anew(self, view: ClusterView, state: Json) -> str | None:
        """Why a cluster that failed is no failure of this run's; not more often than a retry may help."""
        if not view.failed or state.get("replacements", 0) >= MAX_REPLACEMENTS:
            return None
        inherited = view.id != state.get("asked")
        if not view.ended_by_iam_lag and not inherited:
            return None
        state["replacements"] = state.get("replacements", 0) + 1
        return "had failed when this run took it over" if inherited else "met roles that AWS did not see yet"

    def _adopt_or_request(self, creation: Creation, state: Json) -> str | None:
        """The id of the cluster that bears our name, or of one asked for just now."""
        run = creation.run
        found = emr.find_clusters(run.aws.emr, creation.names)
        if found:
            creation.complete(emr.CLUSTER, creation.names.cluster, found[0].id)
            state["asked"] = found[0].id
            return found[0].id
        planned_before = creation.state.find(emr.CLUSTER, creation.names.cluster) is not None
        if planned_before and not self._settled(run, state):
            return None
        creation.plan(emr.CLUSTER, creation.names.cluster)
        try:
            cluster_id = emr.request_cluster(run.aws.emr_no_retry, creation.cluster_spec())
        except emr.ResponseLost as error:
            log.warning("%s", error)
            state["unsettled_at"] = run.services.clock.now().isoformat()
            return None
        except NotReady:
            state["unsettled_at"] = _LONG_AGO  # refused: nothing was made
            raise
        log.info("EMR cluster %s requested: %s", creation.names.cluster, cluster_id)
        state["asked"] = cluster_id
        creation.complete(emr.CLUSTER, creation.names.cluster, cluster_id)
        return cluster_id

    def _settled(self, run: Run, state: Json) -> bool:
        """Whether an earlier request, of this try or of one that was killed, would be listed by now."""
        now = run.services.clock.now()
        since = datetime.fromisoformat(state.setdefault("unsettled_at", now.isoformat()))
        return now - since >= timedelta(seconds=_SETTLING_S)


@dataclass(frozen=True)
class EnsureWarehouse(_EnsureCluster):
    """A Redshift cluster that takes connections: new if there never was one, else restored from its snapshot."""

    slot = Slot.WAREHOUSE

    def advance(self, creation: Creation, state: Json) -> str | None:
        run, names = creation.run, creation.names
        view = (
            redshift.probe_cluster(run.aws.redshift, names.cluster)
            if creation.id_of(redshift.CLUSTER)
            else None
        )
        if view is None:
            restore = creation.state.snapshot
            if restore is None:
                _check_never_saved(run)
            creation.plan(redshift.CLUSTER, names.cluster)
            view = redshift.ensure_cluster(run.aws.redshift, creation.warehouse_spec(), restore)
            log.info(
                "Redshift cluster %s requested, %s", names.cluster, f"from {restore}" if restore else "empty"
            )
            creation.complete(redshift.CLUSTER, names.cluster, names.cluster)
        if view.failed:
            raise TerminalState(
                f"Redshift cluster {view.name} is {view.state}, available was expected. "
                "Look at its events in the Redshift console."
            )
        return None if view.ready else f"Redshift cluster {view.name}, which is {view.state}"


def _check_never_saved(run: Run) -> None:
    """A warehouse is created empty only if there never was one: the register may have been deleted or replaced.

    Raises ResourceError naming our snapshots where there are any.
    """
    owned = snapshots.list_owned_snapshots(run.aws.redshift, run.environment)
    if owned:
        names = ", ".join(item.name for item in owned)
        raise ResourceError(
            f"The register of {run.environment.name} names no snapshot, yet the account holds {names}: an empty "
            "warehouse would lose what they hold. Restore the register's last version (the bucket's versioning "
            "keeps it), or delete the snapshots if nobody needs them."
        )


_LONG_AGO = "2000-01-01T00:00:00+00:00"


def _deadline(run: Run) -> str:
    """By when a slot must be usable: another run may drain it first, and then it is created."""
    emr_s, warehouse_s = run.settings.mayfly.emr, run.settings.mayfly.warehouse
    longest_s = max(
        emr_s.create_timeout_s + emr_s.delete_timeout_s,
        warehouse_s.create_timeout_s + warehouse_s.delete_timeout_s,
    )
    return (run.services.clock.now() + timedelta(seconds=longest_s)).isoformat()


def _waiting(run: Run, state: Json, what: str) -> Waiting:
    if run.services.clock.now() >= datetime.fromisoformat(state["by"]):
        raise WaitTimeout(
            f"Waited in vain until {state['by'][:19]} UTC for {what}. "
            "If AWS is only slow, raise create_timeout_s in the Airflow Variable `mayfly`."
        )
    return Waiting(what, state, run.settings.mayfly.poll_s)
