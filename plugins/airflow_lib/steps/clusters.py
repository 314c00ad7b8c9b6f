"""Where this environment's clusters are, by the register and AWS: Livy's address, the warehouse's endpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import (
    LivyDenied,
    LivyError,
    LivyUntrusted,
    NotReady,
    RegisterError,
    ResourceError,
    TerminalState,
)
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import LivyRecord, SlotState
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import emr_cluster, redshift_cluster
from airflow_lib.resources.emr_cluster import ClusterView
from airflow_lib.resources.owned import check_ours
from airflow_lib.resources.redshift_cluster import WarehouseView
from airflow_lib.resources.security_groups import WAREHOUSE_PORT
from airflow_lib.spark.livy_http import LivyEndpoint
from airflow_lib.steps import Run
from airflow_lib.steps.leases import hold, keeping_lease
from airflow_lib.warehouse.connection import Connection, Endpoint, connect

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarehouseAccess:
    """How to connect to the warehouse, with which role it copies, and which generation it is."""

    aws: Aws
    endpoint: Endpoint
    copy_role_arn: str
    generation: int

    def connect(self) -> Connection:
        return connect(self.aws.redshift, self.endpoint)


def find_livy(run: Run) -> LivyEndpoint:
    """The Livy server of the cluster that this run may use.

    Raises LeaseLost; TerminalState, with AWS's reason, where the cluster has ended; LivyUntrusted where the settings
    demand more of it than was recorded.
    """
    state = hold(run, Slot.EMR)
    view = probe_emr_cluster(run, state)
    if view is None:
        name = Names(run.environment, Slot.EMR, state.generation).cluster
        raise ResourceError(
            f"EMR does not know cluster {name} ({state.cluster_id}), which the register records. "
            "Wait until release_emr has torn it down, then clear the run."
        )
    view.check_known()
    if not view.ready:
        raise TerminalState(
            f"EMR cluster {view.name} is {view.state}, WAITING was expected: "
            f"{view.reason or 'AWS gives no reason'}. {view.hint}"
        )
    if state.livy is None:  # `rules.mark_ready` lets no slot be ready without it
        raise RegisterError(f"{state}: how its Livy is reached is not recorded. Clear provision.emr.")
    return recorded_livy(run, view, state.livy)


def probe_emr_cluster(run: Run, state: SlotState) -> ClusterView | None:
    """The slot's recorded cluster as it is, or None where none is recorded or EMR does not know it.

    Raises ForeignResource where the id that is recorded is that of somebody else's cluster.
    """
    view = emr_cluster.probe_cluster(run.aws.emr, state.cluster_id) if state.cluster_id else None
    if view is not None:
        check_ours(emr_cluster.CLUSTER, view.name, view.tags, run.environment)
    return view


def contact_livy(run: Run, state: SlotState, view: ClusterView) -> None:
    """Return once the Livy of a cluster that this run creates answers, and the register says how it is reached.

    Raises NotReady until then, and LivyDenied or LivyUntrusted at once: waiting would not change that.
    """
    livy = run.settings.mayfly.livy
    try:
        if state.livy is not None:
            endpoint = recorded_livy(run, view, state.livy)
        else:
            endpoint = run.services.find_livy(str(view.master_dns), livy.port, scheme=livy.scheme, ca=livy.ca)
        run.services.open_livy(endpoint).probe_server()
    except (LivyDenied, LivyUntrusted):
        raise
    except LivyError as error:
        raise NotReady(f"Livy on {view.master_dns}: {error}") from error
    record = LivyRecord("https" if endpoint.url.startswith("https:") else "http", endpoint.fingerprint)
    if state.livy != record:
        run.register.apply(Slot.EMR, rules.record_livy, generation=state.generation, livy=record)


def recorded_livy(run: Run, view: ClusterView, record: LivyRecord) -> LivyEndpoint:
    """Livy on a cluster's master, as the register says that it is reached: never by less than that.

    Raises LivyUntrusted where the settings demand TLS by now, and the record is plain HTTP.
    """
    settings = run.settings.mayfly.livy
    url = f"{record.scheme}://{view.master_dns}:{settings.port}"
    if record.scheme == "http" and (settings.scheme == "https" or settings.ca):
        raise LivyUntrusted(
            f"Livy at {url} was reached without TLS when this cluster was made, and mayfly.livy demands TLS now. Clear "
            "the run: its release tears the cluster down, and the next one is reached by TLS; or undo the setting."
        )
    return endpoint_at(run, url, record.fingerprint)


def endpoint_at(run: Run, url: str, fingerprint: str | None) -> LivyEndpoint:
    """The endpoint of a recorded address: where no certificate is pinned, the CA of the settings verifies it."""
    ca = run.settings.mayfly.livy.ca if fingerprint is None and url.startswith("https:") else None
    return LivyEndpoint(url, fingerprint, ca)


def is_usable(run: Run, state: SlotState) -> bool:
    """Whether the slot's cluster is seen to be able to serve the runs that come after this one."""
    try:
        if state.slot is Slot.EMR:
            view = probe_emr_cluster(run, state)
            return view is not None and view.ready
        names = Names(run.environment, state.slot, state.generation)
        warehouse = redshift_cluster.probe_cluster(run.aws.redshift, names.cluster)
        return warehouse is not None and warehouse.ready
    except ResourceError as error:
        log.warning("whether the cluster of %s is usable cannot be seen: %s", state, error)
        return False


def find_warehouse(run: Run) -> WarehouseAccess:
    """The warehouse that this run may use. Raises LeaseLost; ResourceError where it is not available."""
    state = hold(run, Slot.WAREHOUSE)
    names = Names(run.environment, Slot.WAREHOUSE, state.generation)
    view = redshift_cluster.probe_cluster(run.aws.redshift, names.cluster)
    if view is not None:
        view.check_known()
    role = view.find_role(names.copy_role) if view else None
    if view is None or not view.ready or role is None:
        seen = view.state if view else "absent"
        raise ResourceError(
            f"Redshift cluster {names.cluster} is {seen}; available with role {names.copy_role} was expected. "
            "If it is only restarting, clear this task later; else wait until release_warehouse has torn it down, "
            "then clear the run."
        )
    return WarehouseAccess(run.aws, warehouse_endpoint(view), role, state.generation)


def warehouse_endpoint(view: WarehouseView) -> Endpoint:
    """Where a warehouse that is ready takes connections."""
    return Endpoint(
        host=str(view.host),
        port=int(view.port or WAREHOUSE_PORT),
        database=view.database,
        cluster_id=view.name,
        admin_user=view.admin_user,
    )


@contextmanager
def connected(run: Run) -> Iterator[tuple[WarehouseAccess, Connection]]:
    """A connection for as long as the run's lease is kept."""
    access = find_warehouse(run)
    with keeping_lease(run, Slot.WAREHOUSE), closing(access.connect()) as connection:
        yield access, connection
