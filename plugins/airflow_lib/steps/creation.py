"""What a slot's creator makes, each thing written down before it is made and completed with its id after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from airflow_lib import naming
from airflow_lib.lifecycle.document import SlotState
from airflow_lib.lifecycle.register import Register
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import iam, subnet_group
from airflow_lib.resources import security_groups as network
from airflow_lib.resources.emr_cluster import ClusterSpec
from airflow_lib.resources.iam import EmrRoles
from airflow_lib.resources.iam_policies import EmrScope
from airflow_lib.resources.redshift_cluster import WarehouseSpec
from airflow_lib.resources.security_groups import EmrGroups, SubnetFacts
from airflow_lib.spark import sizing
from airflow_lib.steps import Json, Run
from airflow_lib.steps.leases import open_register


@dataclass
class Creation:
    """The making of one generation of one slot by its creator; `state` is kept as the register has it."""

    run: Run
    slot: Slot
    state: SlotState
    register: Register = field(init=False)

    def __post_init__(self) -> None:
        self.register = open_register(self.run)

    @property
    def names(self) -> Names:
        return Names(self.run.environment, self.slot, self.state.generation)

    @property
    def tags(self) -> dict[str, str]:
        now, max_age_s = self.run.services.clock.now(), self.run.settings.mayfly.max_age_s
        return naming.tags(self.run.environment, self.state.generation, now, max_age_s)

    def id_of(self, kind: str, name: str | None = None) -> str | None:
        """The id of something that is made already."""
        found = self.state.find(kind, name)
        return found.id if found else None

    def plan(self, kind: str, name: str) -> None:
        """Write down what is about to be made. Raises LeaseLost."""
        self.state = self.register.plan_resource(self.slot, self.run.run_id, kind, name)

    def complete(self, kind: str, name: str, id: str) -> None:
        """Write down its id. Raises LeaseLost; RegisterError where another one is recorded."""
        self.state = self.register.complete_resource(self.slot, self.run.run_id, kind, name, id)

    def ensure_roles(self) -> Json:
        """The slot's roles; names, for people to read. Raises NotReady while IAM lags."""
        return self._ensure_emr_roles() if self.slot is Slot.EMR else self._ensure_copy_role()

    def ensure_network(self) -> Json:
        """The slot's groups; ids, for people to read. Raises NotReady while EC2 lags."""
        return self._ensure_emr_groups() if self.slot is Slot.EMR else self._ensure_warehouse_groups()

    def cluster_spec(self) -> ClusterSpec:
        """The EMR cluster to ask for, out of what is recorded."""
        run = self.run
        hardware, livy = run.settings.hardware(run.pipeline), run.settings.mayfly.livy
        size = sizing.size_sessions(hardware, len(run.pipeline.jobs), run.pipeline.max_parallel_runs)
        names = self.names
        return ClusterSpec(
            names=names,
            tags=self.tags,
            hardware=hardware,
            settings=run.settings.mayfly.emr,
            roles=EmrRoles(service_role=names.service_role, instance_profile=names.instance_role),
            groups=EmrGroups(
                master=str(self.id_of(network.GROUP, names.master_security_group)),
                core=str(self.id_of(network.GROUP, names.core_security_group)),
                service=self.id_of(network.GROUP, names.service_security_group),
            ),
            subnet_id=self._subnet().subnet_id,
            log_uri=run.logs.uri("emr"),
            configurations=sizing.configurations(hardware, size, livy),
        )

    def warehouse_spec(self) -> WarehouseSpec:
        """The warehouse to ask for, out of what is recorded."""
        run, names = self.run, self.names
        hardware = run.settings.hardware(run.pipeline)
        return WarehouseSpec(
            names=names,
            tags=self.tags,
            node_type=hardware.warehouse_node_type,
            nodes=hardware.warehouse_nodes,
            database=run.settings.mayfly.warehouse.database,
            subnet_group=names.cluster,
            security_group_id=str(self.id_of(network.GROUP, names.security_group)),
            copy_role_arn=str(self.id_of(iam.ROLE, names.copy_role)),
        )

    def _ensure_emr_roles(self) -> Json:
        run, names = self.run, self.names
        wanted = [
            (iam.ROLE, names.service_role),
            (iam.ROLE, names.instance_role),
            (iam.PROFILE, names.instance_role),
        ]
        if not self._made(wanted):
            self._plan_all(wanted)
            scope = EmrScope(source=run.source, processed=run.processed, logs=run.logs.below("emr"))
            iam.ensure_emr_roles(run.aws.iam, names, self.tags, scope)
            self._complete_all((kind, name, name) for kind, name in wanted)
        return {"service_role": names.service_role, "instance_profile": names.instance_role}

    def _ensure_copy_role(self) -> Json:
        name = self.names.copy_role
        if not self._made([(iam.ROLE, name)]):
            self.plan(iam.ROLE, name)
            arn = iam.ensure_copy_role(self.run.aws.iam, self.names, self.tags, self.run.processed)
            self.complete(iam.ROLE, name, arn)
        return {"copy_role": name}

    def _ensure_emr_groups(self) -> Json:
        run, names = self.run, self.names
        if not self._groups_are_made():
            subnet = self._subnet()
            wanted = [
                (network.GROUP, names.master_security_group),
                (network.GROUP, names.core_security_group),
            ]
            if not subnet.public:
                wanted.append((network.GROUP, names.service_security_group))
            self._plan_all(wanted)
            groups = network.ensure_emr_groups(
                run.aws.ec2,
                names,
                self.tags,
                subnet,
                network=run.settings.mayfly.network,
                livy_port=run.settings.mayfly.livy.port,
            )
            ids = (groups.master, groups.core, groups.service)
            self._complete_all((kind, name, str(id)) for (kind, name), id in zip(wanted, ids, strict=False))
        return {item.name: item.id for item in self.state.resources if item.kind == network.GROUP}

    def _ensure_warehouse_groups(self) -> Json:
        run, names = self.run, self.names
        wanted = [(network.GROUP, names.security_group), (subnet_group.SUBNET_GROUP, names.cluster)]
        if not self._made(wanted):
            self._plan_all(wanted)
            subnet = self._subnet()
            group = network.ensure_warehouse_group(
                run.aws.ec2, names, self.tags, subnet, network=run.settings.mayfly.network
            )
            subnet_group.ensure_subnet_group(run.aws.redshift, names, self.tags, subnet.subnet_id)
            self._complete_all(
                (
                    (network.GROUP, names.security_group, group),
                    (subnet_group.SUBNET_GROUP, names.cluster, names.cluster),
                )
            )
        return {name: self.id_of(kind, name) for kind, name in wanted}

    def _subnet(self) -> SubnetFacts:
        return network.probe_subnet(self.run.aws.ec2, self.run.settings.mayfly.network.subnet_id)

    def _groups_are_made(self) -> bool:
        """All are planned at once, so the recorded ones are all there are: the subnet need not be asked again."""
        groups = [item for item in self.state.resources if item.kind == network.GROUP]
        return bool(groups) and all(item.id is not None for item in groups)

    def _made(self, wanted: list[tuple[str, str]]) -> bool:
        return all(self.id_of(kind, name) is not None for kind, name in wanted)

    def _plan_all(self, wanted: list[tuple[str, str]]) -> None:
        self.state = self.register.plan_resources(self.slot, self.run.run_id, wanted)

    def _complete_all(self, made: Iterable[tuple[str, str, str]]) -> None:
        self.state = self.register.complete_resources(self.slot, self.run.run_id, made)
