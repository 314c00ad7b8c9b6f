"""Where this environment's clusters are, by the register and AWS: Livy's address, the warehouse's endpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ResourceError, TerminalState
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import SlotState
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import emr_cluster, redshift_cluster
from airflow_lib.resources.emr_cluster import ClusterView
from airflow_lib.resources.security_groups import WAREHOUSE_PORT
from airflow_lib.steps import Run
from airflow_lib.warehouse.connection import Connection, Endpoint, connect

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarehouseAccess:
    """How to connect to the warehouse, and with which role it copies."""

    aws: Aws
    endpoint: Endpoint
    copy_role_arn: str

    def connect(self) -> Connection:
        return connect(self.aws.redshift, self.endpoint)


def find_livy_url(run: Run) -> str:
    """The Livy server of the cluster that this run may use.

    Raises LeaseLost; TerminalState, with AWS's reason, where the cluster has ended.
    """
    state = run.register.apply(Slot.EMR, rules.check)
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
    return livy_url(run, view)


def probe_emr_cluster(run: Run, state: SlotState) -> ClusterView | None:
    """The slot's recorded cluster as it is, or None where none is recorded or EMR does not know it."""
    return emr_cluster.probe_cluster(run.aws.emr, state.cluster_id) if state.cluster_id else None


def livy_url(run: Run, view: ClusterView) -> str:
    """Livy's address on a cluster's master; plain HTTP, inside the VPC."""
    return f"http://{view.master_dns}:{run.settings.mayfly.livy.port}"


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
    state = run.register.apply(Slot.WAREHOUSE, rules.check)
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
    endpoint = Endpoint(
        host=str(view.host),
        port=int(view.port or WAREHOUSE_PORT),
        database=view.database,
        cluster_id=view.name,
        admin_user=view.admin_user,
    )
    return WarehouseAccess(run.aws, endpoint, role)
