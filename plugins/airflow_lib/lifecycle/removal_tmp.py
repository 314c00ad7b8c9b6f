"""Takes one generation of a slot away, look by look.

Each `sweep_` asks once for everything that can be asked for now, and tells what is still going and what failed.
It is called again until nothing is left: by a run's release, or by the janitor. Order matters to AWS: the
cluster first, then what it used. Failing at one thing never keeps the others from being tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import MayflyError, TeardownError
from airflow_lib.naming import Environment, Names, Slot
from airflow_lib.patience import is_transient
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources import iam, snapshots, subnet_group
from airflow_lib.resources import redshift_cluster as redshift
from airflow_lib.resources import security_groups as network
from airflow_lib.resources.common import NotReady, Owned


@dataclass(frozen=True)
class Sweep:
    """What one look found: `pending` will be gone, `failed` needs another look or a person."""

    pending: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.pending and not self.failed

    def raise_failed(self, thing: str) -> None:
        """Raise TeardownError naming all that is left."""
        lines = "\n".join(f"- {line}" for line in (*self.failed, *self.pending))
        raise TeardownError(
            f"{thing} could not be removed whole; left are:\n{lines}\n"
            "Mend the cause and clear this task; until then the janitor goes on trying."
        )


def sweep(aws: Aws, names: Names, *, keep_data: bool) -> Sweep:
    """Ask for the removal of the slot's generation; `keep_data` is whether a warehouse leaves a final snapshot."""
    if names.slot is Slot.EMR:
        return _in_order(
            partial(_clusters, aws, names),
            (
                partial(network.delete_groups, aws.ec2, names.environment, network.emr_group_names(names)),
                partial(iam.delete_emr_roles, aws.iam, names),
            ),
        )
    return _in_order(
        partial(_warehouse, aws, names, keep_data),
        (
            partial(subnet_group.delete_subnet_group, aws.redshift, names.environment, names.cluster),
            partial(network.delete_groups, aws.ec2, names.environment, (names.security_group,)),
            partial(iam.delete_copy_role, aws.iam, names),
        ),
    )


@dataclass(frozen=True)
class Listing:
    """What bears our name and tag; `unlisted` are the kinds that AWS did not tell, each with the reason."""

    owned: tuple[Owned, ...]
    unlisted: Mapping[str, str]

    @property
    def problems(self) -> list[str]:
        """One line a kind that could not be listed."""
        return [f"{kind}: cannot be listed: {reason}" for kind, reason in self.unlisted.items()]


def list_owned(aws: Aws, environment: Environment) -> Listing:
    """Everything in the account that bears the environment's name and tag, snapshots included.

    What cannot be listed keeps nothing else from being listed.
    """
    listings: dict[str, Callable[[], list[Owned]]] = {
        emr.CLUSTER: partial(emr.list_owned_clusters, aws.emr, environment),
        redshift.CLUSTER: partial(redshift.list_owned_clusters, aws.redshift, environment),
        subnet_group.SUBNET_GROUP: partial(subnet_group.list_owned_subnet_groups, aws.redshift, environment),
        network.GROUP: partial(network.list_owned_groups, aws.ec2, environment),
        iam.PROFILE: partial(iam.list_owned_instance_profiles, aws.iam, environment),
        iam.ROLE: partial(iam.list_owned_roles, aws.iam, environment),
        snapshots.SNAPSHOT: partial(snapshots.list_owned_snapshots, aws.redshift, environment),
    }
    owned: list[Owned] = []
    unlisted: dict[str, str] = {}
    for kind, listing in listings.items():
        try:
            owned += listing()
        except (MayflyError, ClientError, BotoCoreError) as error:
            unlisted[kind] = str(error)
    return Listing(tuple(owned), unlisted)


def _in_order(clusters: Callable[[], list[str]], used: Iterable[Callable[[], None]]) -> Sweep:
    """The clusters; and, once none is there, what they used, each tried whatever the others do."""
    pending, failed = _try_all((clusters,))
    if not pending and not failed:
        pending, failed = _try_all(used)
    return Sweep(tuple(pending), tuple(failed))


def _try_all(actions: Iterable[Callable[[], list[str] | None]]) -> tuple[list[str], list[str]]:
    pending: list[str] = []
    failed: list[str] = []
    for action in actions:
        try:
            pending += action() or ()
        except NotReady as error:
            pending.append(error.message)
        except MayflyError as error:
            failed.append(error.message.removeprefix("- "))
        except (ClientError, BotoCoreError) as error:
            if not is_transient(error):
                raise
            pending.append(f"AWS is busy: {error}")
    return pending, failed


def _clusters(aws: Aws, names: Names) -> list[str]:
    """End every cluster of this name: a lost answer to RunJobFlow may have left more than one."""
    found = emr.find_clusters(aws.emr, names)
    for view in found:
        emr.delete_cluster(aws.emr, names.environment, view.id)
    return [f"EMR cluster {view.name} ({view.id}) is {view.state}" for view in found]


def _warehouse(aws: Aws, names: Names, keep_data: bool) -> list[str]:
    view = redshift.probe_cluster(aws.redshift, names.cluster)
    if view is None:
        return []
    snapshot = names.final_snapshot if keep_data else None
    redshift.delete_cluster(aws.redshift, names.environment, names.cluster, final_snapshot=snapshot)
    return [f"Redshift cluster {view.name} is {view.state}"]
