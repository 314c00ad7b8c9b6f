"""Steps up to two clusters that can be used: leases, and each slot's resources up to its cluster.

Only a slot's creator creates; the others wait, and one of them takes over when the creator's lease expires.
Each poll may be the first or the tenth: what is there is adopted, what is missing is created.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from airflow_lib.aws.clients import READ_TIMEOUT_S
from airflow_lib.errors import (
    CredentialsRefused,
    LeaseLost,
    NotReady,
    ResourceError,
    ResponseLost,
    SnapshotAbsent,
    TerminalState,
    WarehouseUnreachable,
)
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import Phase, SlotState
from airflow_lib.lifecycle.rules import AcquireOutcome, Grant
from airflow_lib.lifecycle.teardown import tear_down_slot
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import emr_cluster, redshift_cluster, snapshots
from airflow_lib.resources.emr_cluster import ClusterView
from airflow_lib.resources.iam_roles import SETTLED_S, are_young
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.registry import REGISTRY
from airflow_lib.resources.subnet import probe_subnet
from airflow_lib.spark.batch import Batch
from airflow_lib.spark.sizing import configurations
from airflow_lib.steps import Done, Json, Outcome, Run
from airflow_lib.steps.batch import read_batch
from airflow_lib.steps.clusters import contact_livy, probe_emr_cluster, warehouse_endpoint
from airflow_lib.steps.leases import register_location, renew_leases
from airflow_lib.steps.polling_step import PollingStep
from airflow_lib.steps.transform import probe_job
from airflow_lib.warehouse.connection import connect

log = logging.getLogger(__name__)

# An answer to RunJobFlow was lost: how long after the request the cluster may still come to be listed. That is as
# long as the request may take before its answer counts as lost, and a minute.
_LISTED_AFTER_S = READ_TIMEOUT_S + 60
# A cluster that meets roles which EMR does not see yet ends at once.
_MAX_REPLACEMENTS = 2


def needs_emr(run: Run, batch: Batch | None = None) -> bool:
    """Whether any job of this run is still to be computed, of its batch unless another `batch` is given."""
    batch = batch or read_batch(run)
    return any(probe_job(run, job, batch) is None for job in run.pipeline.jobs)


class _ProvisionStep(PollingStep):
    """Base of the lease and the clusters: the deadline covers a teardown by another run, and then the creation."""

    def timeout_s(self, run: Run) -> float:
        emr, warehouse = run.settings.mayfly.emr, run.settings.mayfly.warehouse
        return max(
            emr.create_timeout_s + emr.delete_timeout_s,
            warehouse.create_timeout_s + warehouse.delete_timeout_s,
        )


@dataclass(frozen=True)
class TakeLease(_ProvisionStep):
    """Takes this run's leases: the warehouse's, and EMR's where there is anything to compute."""

    def begin(self, run: Run) -> Outcome:
        slots = [Slot.EMR, Slot.WAREHOUSE] if needs_emr(run) else [Slot.WAREHOUSE]
        return self.poll(run, {"slots": [slot.value for slot in slots]})

    def keep_leases(self, run: Run, state: Json) -> None:
        """Nothing: `rules.acquire` renews them."""

    def advance(self, run: Run, state: Json) -> Done:
        register = run.register
        grants = {slot: register.apply(Slot(slot), rules.acquire) for slot in state["slots"]}
        pending = [
            why for slot, grant in grants.items() if (why := _tear_down_or_explain(run, Slot(slot), grant))
        ]
        if pending:
            raise NotReady("; ".join(pending))
        leases = {slot: {"outcome": g.outcome, "generation": g.generation} for slot, g in grants.items()}
        log.info("leases: %s", leases)
        return Done({**leases, "location": register_location(run)})


def _tear_down_or_explain(run: Run, slot: Slot, grant: Grant) -> str | None:
    """What keeps the run from its lease. What a dead run was tearing down is torn down here."""
    if grant.outcome is AcquireOutcome.TEAR_DOWN:
        try:
            tear_down_slot(run.holder, slot, grant.generation)
        except NotReady as pending:
            return pending.message
        return f"{slot} to be empty"
    if grant.outcome is AcquireOutcome.WAIT and grant.state.lease(run.run_id) is None:
        return f"{slot}: {grant.why}"
    return None


class _EnsureCluster(_ProvisionStep):
    """What EMR and the warehouse share: create as the creator, else wait, and take over from a dead one."""

    slot: ClassVar[Slot]

    def keep_leases(self, run: Run, state: Json) -> None:
        """Nothing: `advance` renews them, since it knows whether this run has a lease on the slot yet."""

    def advance(self, run: Run, state: Json) -> Done:
        register = run.register
        document, now = register.read_with_time()
        slot_state = document.slot(self.slot)
        if slot_state.phase is not Phase.CREATING or slot_state.owner != run.run_id:
            self._check_still_creating(run, state, slot_state)
            renew_leases(run, state, needs=None)
            # A slot that this run is tearing down is left to its release: it is not waited for here.
            holds = slot_state.lease(run.run_id) is not None and slot_state.phase is not Phase.TEARING_DOWN
            if not holds and not self.is_needed(run):
                log.info("%s is not needed: every job's output is complete", self.slot)
                return Done({"needed": False})
            grant = register.apply(self.slot, rules.acquire)
            if grant.outcome is AcquireOutcome.USE:
                self.check_usable(run, grant.state)
                return Done(self._describe(run, grant.state))
            if grant.outcome is not AcquireOutcome.CREATE:
                raise NotReady(_tear_down_or_explain(run, self.slot, grant) or f"{self.slot}: {grant.why}")
            slot_state = grant.state
        state["generation"] = slot_state.generation
        renew_leases(run, state, needs=self.slot)
        self.ensure_cluster(run, slot_state, state, now)
        return Done(
            self._describe(run, register.apply(self.slot, rules.mark_ready, generation=slot_state.generation))
        )

    def ensure_cluster(self, run: Run, slot_state: SlotState, state: Json, now: datetime) -> None:
        """Create the cluster or find it; return once it can be used. `now` is the register's time."""
        raise NotImplementedError

    def check_usable(self, run: Run, slot_state: SlotState) -> None:
        """Raise NotReady where the ready cluster of others is of no use, and will be replaced."""

    def is_needed(self, run: Run) -> bool:
        return True

    def _check_still_creating(self, run: Run, state: Json, slot_state: SlotState) -> None:
        """Raise LeaseLost where this step was creating (so it knows a generation) and its lease is gone.

        It may be the trigger of a task that was cleared, whose run is over: nobody would release what it creates.
        """
        if slot_state.lease(run.run_id) is None and "generation" in state:
            raise LeaseLost(
                f"Run {run.run_id} was creating generation {state['generation']} of the {self.slot} slot, and its "
                "lease is gone. Touch nothing: clear the task to take a new lease."
            )

    def _describe(self, run: Run, slot_state: SlotState) -> Json:
        names = Names(run.environment, self.slot, slot_state.generation)
        told: Json = {"cluster": names.cluster, "generation": slot_state.generation}
        return told if slot_state.cluster_id is None else {**told, "cluster_id": slot_state.cluster_id}


@dataclass(frozen=True)
class EnsureEmr(_EnsureCluster):
    """An EMR cluster whose Livy server answers. Raises TerminalState with AWS's reason."""

    slot = Slot.EMR

    def is_needed(self, run: Run) -> bool:
        return needs_emr(run)

    def check_usable(self, run: Run, slot_state: SlotState) -> None:
        """A cluster that has ended is released; whoever releases it last tears it down, and it is replaced.

        A dead run may hold it until its lease expires. The warehouse has rows: there a person has to look.
        """
        view = probe_emr_cluster(run, slot_state)
        if view is not None and not view.failed:
            view.check_known()
            return
        release = run.register.apply(
            self.slot, rules.release, generation=slot_state.generation, end_keep_alive=True
        )
        name = Names(run.environment, self.slot, slot_state.generation).cluster
        reason = f" ({view.reason})" if view and view.reason else ""
        held = f", once it is released by {', '.join(release.others)}" if release.others else ""
        raise NotReady(f"a new cluster: {name} has ended{reason}{held}")

    def ensure_cluster(self, run: Run, slot_state: SlotState, state: Json, now: datetime) -> None:
        cluster_id = slot_state.cluster_id or self._find_or_request(run, slot_state, state, now)
        view = emr_cluster.probe_cluster(run.aws.emr, cluster_id)
        if view is None:
            raise NotReady(f"EMR does not find {cluster_id} yet")
        why = self._why_replace(run, slot_state, view, state, now)
        if why is not None:
            # We tear it down; then the next generation is ours.
            run.register.apply(self.slot, rules.release, generation=slot_state.generation)
            state.pop("generation")
            raise NotReady(f"a new cluster: {view.name} {why} ({view.reason})")
        if view.failed:
            raise TerminalState(
                f"EMR cluster {view.name} ({view.id}) is {view.state}, WAITING was expected. "
                f"{view.reason or 'AWS gives no reason'}. {view.hint}"
            )
        view.check_known()
        if not view.ready:
            raise NotReady(f"EMR cluster {view.name} ({view.id}), which is {view.state}")
        contact_livy(run, slot_state, view)

    def _why_replace(
        self, run: Run, slot_state: SlotState, view: ClusterView, state: Json, now: datetime
    ) -> str | None:
        """Why a cluster that failed by no fault of this run is replaced, or None; at most _MAX_REPLACEMENTS times.

        That is in all tries of the task: a retry has inherited whatever failed in the try before.
        """
        if not view.failed:
            return None
        names = Names(run.environment, self.slot, slot_state.generation)
        # EMR looks at the roles as the cluster starts: what matters is how old they were then.
        lagged = view.failed_as_by_lag and are_young(run.aws, names, view.created_at or now)
        inherited = view.id != state.get("requested")
        if not lagged and not inherited:
            return None
        if self.count(run, state, "replacements") > _MAX_REPLACEMENTS:
            return None
        state["lagged"] = lagged
        return "met roles that AWS did not see yet" if lagged else "had failed when this run took it over"

    def _find_or_request(self, run: Run, slot_state: SlotState, state: Json, now: datetime) -> str:
        """The id of the cluster of our name, or of one requested just now."""
        names = Names(run.environment, self.slot, slot_state.generation)
        found = emr_cluster.find_clusters(run.aws.emr, names)
        if found:
            cluster_id = found[0].id
        else:
            self._check_no_request_is_open(slot_state, state, now)
            cluster_id = self._request(run, slot_state, state, now)
        run.register.apply(
            self.slot, rules.record_cluster, generation=slot_state.generation, cluster_id=cluster_id
        )
        state["requested"] = cluster_id
        return cluster_id

    def _check_no_request_is_open(self, slot_state: SlotState, state: Json, now: datetime) -> None:
        """Raise NotReady while a request, of this try or of one that was killed, may yet turn out to have worked."""
        requested_at = slot_state.requested_at
        if requested_at is None or state.get("refused_at") == requested_at.isoformat():
            return
        # A request of the future was never made: it must not be waited for until then.
        if abs(now - requested_at) < timedelta(seconds=_LISTED_AFTER_S):
            raise NotReady("EMR to list the cluster that a request without an answer may have created")

    def _request(self, run: Run, slot_state: SlotState, state: Json, now: datetime) -> str:
        spec = _ensure_prerequisites(run, slot_state, state)
        # The next cluster's roles are as new as the last one's were: this time they are given the time to be seen.
        if state.get("lagged") and are_young(run.aws, spec.names, now, below_s=SETTLED_S):
            raise NotReady(f"EMR to see the roles of {spec.names.cluster}, until they are {SETTLED_S} s old")
        requested_at = run.register.apply(
            self.slot,
            rules.record_request,
            generation=slot_state.generation,
            last=slot_state.requested_at,
        ).requested_at
        try:
            cluster_id = emr_cluster.request_cluster(run.aws, spec, now)
        except ResponseLost as error:
            log.warning("%s", error)
            raise NotReady(f"EMR to show whether it created a cluster: {error}") from error
        except (NotReady, CredentialsRefused):
            state["refused_at"] = requested_at.isoformat() if requested_at else None  # nothing was created
            raise
        log.info("EMR cluster %s requested: %s", spec.names.cluster, cluster_id)
        return cluster_id


@dataclass(frozen=True)
class EnsureWarehouse(_EnsureCluster):
    """A Redshift cluster that takes connections: new if there never was one, else restored from its snapshot."""

    slot = Slot.WAREHOUSE

    def ensure_cluster(self, run: Run, slot_state: SlotState, state: Json, now: datetime) -> None:
        names = Names(run.environment, self.slot, slot_state.generation)
        believed = True
        if slot_state.snapshot is None:
            _check_never_saved(run)
            believed = _is_believed(run, state, now)
        view = None
        if state.get("requested") == names.cluster:
            view = redshift_cluster.probe_cluster(run.aws.redshift, names.cluster)
        if view is None:
            view = self._create(run, slot_state, state, now)
            state["requested"] = names.cluster
        if view.failed:
            raise TerminalState(
                f"Redshift cluster {view.name} is {view.state}, available was expected. "
                "Look at its events in the Redshift console."
            )
        view.check_known()
        if not view.ready:
            raise NotReady(f"Redshift cluster {view.name}, which is {view.state}")
        try:
            connect(run.aws.redshift, warehouse_endpoint(view)).close()
        except WarehouseUnreachable as error:
            # A cluster may be available and refuse connections for a while (trinodb/trino issue 29011).
            raise NotReady(f"Redshift cluster {view.name} to take connections: {error.message}") from error
        if not believed:
            # Told only now: by the time that a warehouse is ready it is believed, and nobody has loaded anything yet.
            raise NotReady(f"further answers that {run.environment.name} has no snapshot")

    def _create(
        self, run: Run, slot_state: SlotState, state: Json, now: datetime
    ) -> redshift_cluster.WarehouseView:
        spec = _ensure_prerequisites(run, slot_state, state)
        run.register.apply(self.slot, rules.check_creating, generation=slot_state.generation)
        try:
            view = redshift_cluster.ensure_cluster(run.aws, spec, now)
        except SnapshotAbsent as error:
            if not _is_believed(run, state, now):
                raise NotReady(f"further answers: {error.message}") from error
            raise
        source = f"from {spec.restore_from}" if spec.restore_from else "empty"
        log.info("Redshift cluster %s requested, %s", view.name, source)
        return view


def _ensure_prerequisites(run: Run, slot_state: SlotState, state: Json) -> GenerationSpec:
    """Create all that the slot's cluster needs, or adopt our own; returns what the cluster is made from.

    Raises NotReady while AWS lags; LeaseLost.
    """
    spec = generation_spec(run, slot_state)
    if state.get("ensured") == slot_state.generation:
        return spec
    for kind in reversed(REGISTRY):
        if kind.ensure is not None and kind.names(spec.names):
            run.register.apply(slot_state.slot, rules.check_creating, generation=slot_state.generation)
            kind.ensure(run.aws, spec)
    state["ensured"] = slot_state.generation
    return spec


def generation_spec(run: Run, slot_state: SlotState) -> GenerationSpec:
    """All that the slot's generation is made from."""
    hardware = run.settings.hardware(run.pipeline)
    return GenerationSpec(
        names=Names(run.environment, slot_state.slot, slot_state.generation),
        tags=run.holder.tags(slot_state.generation),
        hardware=hardware,
        settings=run.settings.mayfly,
        subnet=probe_subnet(run.aws.ec2, run.settings.mayfly.network.subnet_id),
        source=run.source,
        processed=run.processed,
        published=run.published,
        logs=run.logs,
        configurations=configurations(hardware, run.session_size, run.settings.mayfly.livy),
        restore_from=slot_state.snapshot,
    )


def _is_believed(run: Run, state: Json, now: datetime) -> bool:
    """Whether AWS has answered for long enough, since the first such look of this try, that there is no snapshot.

    One answer may be late or wrong, and an empty warehouse would take the place of the rows.
    """
    since = datetime.fromisoformat(state.setdefault("absent_since", now.isoformat()))
    return (now - since).total_seconds() >= run.settings.mayfly.warehouse.absent_after_s


def _check_never_saved(run: Run) -> None:
    """A warehouse is created empty only if there never was one: the register may have been deleted or replaced.

    It is asked at every look, since one empty answer is not believed (`_is_believed`).
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
