"""Where this environment's clusters are, as the register and AWS tell: Livy's address, the warehouse's endpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ResourceError, TerminalState
from airflow_lib.lifecycle.document import SlotState
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources import iam
from airflow_lib.resources import redshift_cluster as redshift
from airflow_lib.resources.emr_cluster import ClusterView
from airflow_lib.steps import Run
from airflow_lib.steps.leases import open_register
from airflow_lib.warehouse.connection import Connection, Endpoint, connect

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarehouseAccess:
    """How the warehouse is entered, and with which role it copies."""

    aws: Aws
    endpoint: Endpoint
    copy_role_arn: str

    def connect(self) -> Connection:
        return connect(self.aws.redshift, self.endpoint)


def find_livy_url(run: Run) -> str:
    """The Livy server of the cluster that this run may use.

    Raises LeaseLost; TerminalState, with AWS's reason, where the cluster has ended.
    """
    state = open_register(run).check(Slot.EMR, run.run_id)
    names = Names(run.environment, Slot.EMR, state.generation)
    recorded = state.find(emr.CLUSTER, names.cluster)
    view = emr.probe_cluster(run.aws.emr, recorded.id) if recorded and recorded.id else None
    if view is None:
        raise ResourceError(f"EMR cluster {names.cluster} is not known to EMR. Clear provision.emr.")
    if not view.ready:
        raise TerminalState(
            f"EMR cluster {view.name} is {view.state}: {view.reason or 'no reason told'}. {view.mend}"
        )
    return livy_url(run, view)


def livy_url(run: Run, view: ClusterView) -> str:
    """Livy's address on a cluster's master; plain HTTP, inside the VPC."""
    return f"http://{view.master_dns}:{run.settings.mayfly.livy.port}"


def is_usable(run: Run, state: SlotState) -> bool:
    """Whether the slot's cluster, as recorded, is seen to be able to serve the runs that come after this one."""
    names = Names(run.environment, state.slot, state.generation)
    try:
        if state.slot is Slot.WAREHOUSE:
            warehouse = redshift.probe_cluster(run.aws.redshift, names.cluster)
            return warehouse is not None and warehouse.ready
        recorded = state.find(emr.CLUSTER, names.cluster)
        view = emr.probe_cluster(run.aws.emr, recorded.id) if recorded and recorded.id else None
        return view is not None and view.ready
    except ResourceError as error:
        log.warning("whether %s is usable cannot be seen: %s", names.cluster, error)
        return False


def find_warehouse(run: Run) -> WarehouseAccess:
    """The warehouse that this run may use. Raises LeaseLost; ResourceError where it is not available."""
    state = open_register(run).check(Slot.WAREHOUSE, run.run_id)
    names = Names(run.environment, Slot.WAREHOUSE, state.generation)
    role = state.find(iam.ROLE, names.copy_role)
    view = redshift.probe_cluster(run.aws.redshift, names.cluster)
    if view is None or not view.ready or role is None or role.id is None:
        seen = view.state if view else "absent"
        raise ResourceError(f"Redshift cluster {names.cluster} is {seen}, available was expected.")
    endpoint = Endpoint(
        host=str(view.host),
        port=int(view.port or redshift.PORT),
        database=view.database,
        cluster_id=view.name,
        admin_user=view.admin_user,
    )
    return WarehouseAccess(run.aws, endpoint, role.id)
