"""The safeguards without which the proof must fail: each a piece of the product, and what it becomes in a mutant.

Two are not here, for others stand behind them, and the proof holds without: that a run looks at its lease before it
uses a cluster (one without a lease finds the cluster gone), and that a drainer does before each look (names bear the
generation, and two drains of one do what one does; it matters where people clear a run whose trigger lives on, and
nobody clears here). tests/unit/airflow_lib/steps/test_leases.py and test_human_actions.py hold those.
"""

# One line a safeguard: they are read side by side.
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`old` in `file` becomes `new`. `likely` is a trouble under which it is looked for first."""

    name: str
    file: str
    old: str
    new: str = "pass"
    likely: str = ""


_RESOURCES, _STEPS = "plugins/airflow_lib/resources", "plugins/airflow_lib/steps"

# fmt: off
MUTANTS = (
    # Deletes.
    Mutant("EMR is not ended", f"{_RESOURCES}/emr.py", "emr.terminate_job_flows(JobFlowIds=[cluster_id])"),
    Mutant("Redshift is not deleted", f"{_RESOURCES}/redshift.py", "redshift.delete_cluster(ClusterIdentifier=name, **snapshot)"),
    Mutant("the subnet group is not deleted", f"{_RESOURCES}/subnet_group.py", "redshift.delete_cluster_subnet_group(ClusterSubnetGroupName=name)"),
    Mutant("security groups are not deleted", f"{_RESOURCES}/network.py", 'ec2.delete_security_group(GroupId=group["GroupId"])'),
    Mutant("security groups keep their rules", f"{_RESOURCES}/network.py", "ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=incoming)"),
    Mutant("the instance profile keeps its role", f"{_RESOURCES}/iam.py", 'iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])'),
    Mutant("the instance profile is not deleted", f"{_RESOURCES}/iam.py", "iam.delete_instance_profile(InstanceProfileName=name)"),
    Mutant("roles keep managed policies", f"{_RESOURCES}/iam.py", 'iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])'),
    Mutant("roles keep their own policies", f"{_RESOURCES}/iam.py", "iam.delete_role_policy(RoleName=name, PolicyName=policy_name)"),
    Mutant("roles are not deleted", f"{_RESOURCES}/iam.py", "iam.delete_role(RoleName=name)"),
    Mutant("old snapshots are not deleted", f"{_RESOURCES}/snapshots.py", "redshift.delete_cluster_snapshot(SnapshotIdentifier=name, SnapshotClusterIdentifier=view.cluster)"),
    Mutant("Livy sessions are not deleted", f"{_STEPS}/transform.py", "            livy.delete_session(self._name(run))\n        except LivyError", "            pass\n        except LivyError"),
    # Tags.
    Mutant("no environment tag", "plugins/airflow_lib/naming.py", "        TAG_ENVIRONMENT: environment.name,\n", ""),
    Mutant("no generation tag", "plugins/airflow_lib/naming.py", "        TAG_GENERATION: str(generation),\n", ""),
    Mutant("no expiry tag", "plugins/airflow_lib/naming.py", '        TAG_EXPIRES_AT: expires.strftime("%Y-%m-%dT%H:%M:%SZ"),\n', ""),
    Mutant("EMR clusters without EMR's tag", f"{_RESOURCES}/emr.py", "{**spec.tags, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}", "spec.tags"),
    Mutant("EMR's groups without EMR's tag", f"{_RESOURCES}/network.py", "    tags = {**tags, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}\n", ""),
    Mutant("a restored warehouse is not tagged", f"{_RESOURCES}/redshift.py", "    _ensure_tags(redshift, spec, view)\n", ""),
    Mutant("the final snapshot is not tagged", f"{_STEPS}/drain.py", "    snapshots.ensure_snapshot_tags(holder.aws.redshift, names, _tags(holder, names))\n    state = register", "    state = register"),
    # What is not ours.
    Mutant("a name is enough to be ours", "plugins/airflow_lib/naming.py", " and tags.get(TAG_ENVIRONMENT) == environment.name", ""),
    Mutant("a tag is enough to be ours", "plugins/airflow_lib/naming.py", "generation_of(environment, name) is not None and ", ""),
    # Leases.
    Mutant("who goes looks at nobody else's lease", "plugins/airflow_lib/lifecycle/rules.py", "    others = state.live(now)\n    if others:", "    others = state.live(now)\n    if False:"),
    Mutant("leases never expire", "plugins/airflow_lib/lifecycle/document.py", "tuple(lease.run for lease in self.leases if lease.until > now)", "tuple(lease.run for lease in self.leases)", "Airflow gone for good"),
    Mutant("a lease taken by force", "plugins/airflow_lib/lifecycle/rules.py", "    if owner not in state.live(now):", "    if True:"),
    # Write-ahead.
    Mutant("nothing is planned", f"{_STEPS}/creation.py", "        self.state = self.register.plan_resource(self.slot, self.run.run_id, kind, name)", "        pass"),
    Mutant("roles and groups are planned when they are there", f"{_STEPS}/creation.py", "        self.state = self.register.plan_resources(self.slot, self.run.run_id, wanted)", "        pass"),
    Mutant("EMR is planned when it is there", f"{_STEPS}/provision.py", "        creation.plan(emr.CLUSTER, creation.names.cluster)\n", ""),
    Mutant("Redshift is planned when it is there", f"{_STEPS}/provision.py", "            creation.plan(redshift.CLUSTER, names.cluster)\n", ""),
    # RunJobFlow.
    Mutant("RunJobFlow is sent again by botocore", f"{_STEPS}/provision.py", "run.aws.emr_no_retry", "run.aws.emr", "effect, then response lost"),
    Mutant("a lost answer to RunJobFlow is not waited for", f"{_STEPS}/provision.py", "return now - since >= timedelta(seconds=_SETTLING_S)", "return True", "effects seen late"),
    Mutant("a cluster of our name is not adopted", f"{_STEPS}/provision.py", "        found = emr.find_clusters(run.aws.emr, creation.names)\n", "        found = []\n", "killed before the answer is written down"),
    # Draining.
    Mutant("the slot is emptied without a sweep", f"{_STEPS}/drain.py", "sweep(holder.aws, names, keep_data=state.unsaved)", "__import__('airflow_lib.lifecycle.removal_tmp').teardown.Sweep()"),
    Mutant("a drain does not wait", f"{_STEPS}/drain.py", "    if not swept.clean:", "    if False:"),
    Mutant("the warehouse leaves no snapshot", f"{_STEPS}/drain.py", "keep_data=state.unsaved", "keep_data=False"),
    Mutant("the snapshot is not named", f"{_STEPS}/drain.py", "    state = register.name_snapshot(holder.id, names.final_snapshot)\n", "    state = register.admit_loss(holder.id)\n"),
    Mutant("a snapshot is named before it can be restored", f"{_STEPS}/drain.py", "    if not view.ready:\n        return f", "    if False:\n        return f"),
    Mutant("no rows are ever unsaved", "plugins/airflow_lib/lifecycle/rules.py", "unsaved=state.slot is Slot.WAREHOUSE", "unsaved=False"),
    Mutant("what a dead run left waits for the janitor", f"{_STEPS}/release.py", "        reaped = register.reap(self.slot, run.run_id)\n        return reaped if reaped.outcome is ReleaseOutcome.TEAR_DOWN else release", "        return release", "throttled for ever"),
    Mutant("only one cluster of a name is ended", "plugins/airflow_lib/lifecycle/removal_tmp.py", "    for view in found:\n", "    for view in found[1:]:\n"),
    # Loads.
    Mutant("the window is not replaced", "sql_templates/shared/replace_window.sql", "DELETE FROM {{ table | ident }}\n", "DELETE FROM {{ table | ident }} WHERE 1 = 0 AND 1 = 1;\nSELECT 1 FROM {{ table | ident }}\n", "effect, then response lost"),
    # The janitor.
    Mutant("the janitor takes no slot", "plugins/airflow_lib/lifecycle/sweeper.py", "                self._reap(document.slot(slot), owned, now)", "                pass", "Airflow gone for good"),
    Mutant("the janitor finds no strays", "plugins/airflow_lib/lifecycle/sweeper.py", "            self._find_strays(owned, document, now)\n", "", "effects seen late"),
    Mutant("the janitor takes slots in use", "plugins/airflow_lib/lifecycle/rules.py", "    live = tuple(lease for lease in state.leases if lease.until > now or lease.run == state.owner)", "    live = tuple(lease for lease in state.leases if lease.run == state.owner)", "the janitor passes by"),
)
# fmt: on
