"""The safeguards whose removal the proof must catch: each a piece of the product, and what it becomes.

Ten are not here, because the proof's end is clean without them:

- that a run checks its lease before it uses a cluster: one without a lease finds the cluster gone;
- that a teardown does: names bear the generation, and two teardowns of one do what one does (it matters where people
  clear a run whose trigger lives on, and nobody clears here);
- that a creator does, before it creates: what a late one creates is an orphan, and goes with the next run or pass;
- that roles and groups outlive their cluster: the world's EMR needs no role to end its instances, the real one does;
- that an older output is refused: nobody clears a run here whose output another run has replaced since;
- that a window is not emptied: no source loses a window's rows here;
- the loads' lock: the world's warehouse undoes whichever of two transactions was overtaken, and Mayfly repeats it;
- that the batch is read, and not listed anew, and that a job's files are compared with it: no source changes during a
  run here;
- that a load empties the copy of the ledger: no run here loads other rows into a warehouse whose copy was written.

tests/unit/airflow_lib/steps/test_leases.py, test_human_actions.py, test_provision.py and ../lifecycle/test_teardown.py
hold those; test_batch.py, test_transform.py and test_held.py in steps/ those of batches and of the ledger's copy;
test_load.py there, ../warehouse/test_publish.py and tests/sandbox/test_warehouse_loads.py those of loads.
"""

# One line a safeguard: they are read side by side.
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`old` in `file` becomes `new`. `likely` is the fault that is tried first."""

    name: str
    file: str
    old: str
    new: str = "pass"
    likely: str = ""


_RESOURCES, _STEPS = "plugins/airflow_lib/resources", "plugins/airflow_lib/steps"
_LIFECYCLE = "plugins/airflow_lib/lifecycle"

# fmt: off
MUTANTS = (
    # Deletes.
    Mutant("EMR is not ended", f"{_RESOURCES}/emr_cluster.py", "emr.terminate_job_flows(JobFlowIds=[cluster_id])"),
    Mutant("Redshift is not deleted", f"{_RESOURCES}/redshift_cluster.py", "redshift.delete_cluster(ClusterIdentifier=name, **snapshot)"),
    Mutant("the subnet group is not deleted", f"{_RESOURCES}/subnet_groups.py", "redshift.delete_cluster_subnet_group(ClusterSubnetGroupName=name)"),
    Mutant("security groups are not deleted", f"{_RESOURCES}/security_groups.py", 'ec2.delete_security_group(GroupId=group["GroupId"])'),
    Mutant("security groups keep their rules", f"{_RESOURCES}/security_groups.py", "ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=incoming)"),
    Mutant("the instance profile keeps its role", f"{_RESOURCES}/instance_profiles.py", 'iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])'),
    Mutant("the instance profile is not deleted", f"{_RESOURCES}/instance_profiles.py", "iam.delete_instance_profile(InstanceProfileName=name)"),
    Mutant("roles keep managed policies", f"{_RESOURCES}/iam_roles.py", 'iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])'),
    Mutant("roles keep their own policies", f"{_RESOURCES}/iam_roles.py", "iam.delete_role_policy(RoleName=name, PolicyName=policy_name)"),
    Mutant("roles are not deleted", f"{_RESOURCES}/iam_roles.py", "iam.delete_role(RoleName=name)"),
    Mutant("old snapshots are not deleted", f"{_RESOURCES}/snapshots.py", "redshift.delete_cluster_snapshot(SnapshotIdentifier=name, SnapshotClusterIdentifier=view.cluster)"),
    Mutant("Livy sessions are not deleted", f"{_STEPS}/transform.py", "            livy.delete_session(self._name(run))\n        except LivyError", "            pass\n        except LivyError"),
    # Tags.
    Mutant("no environment tag", "plugins/airflow_lib/naming.py", "        TAG_ENVIRONMENT: environment.name,\n", ""),
    Mutant("no generation tag", "plugins/airflow_lib/naming.py", "        TAG_GENERATION: str(generation),\n", ""),
    Mutant("no expiry tag", "plugins/airflow_lib/naming.py", '        TAG_EXPIRES_AT: expires.strftime("%Y-%m-%dT%H:%M:%SZ"),\n', ""),
    Mutant("EMR clusters without EMR's tag", f"{_RESOURCES}/emr_cluster.py", "{**spec.tags, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}", "spec.tags"),
    Mutant("EMR's groups without EMR's tag", f"{_RESOURCES}/security_groups.py", "    tags = {**tags, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}\n", ""),
    Mutant("a restored warehouse is not tagged", f"{_RESOURCES}/redshift_cluster.py", "    _ensure_tags(redshift, spec, view, attached)\n", ""),
    Mutant("the final snapshot is not tagged", f"{_LIFECYCLE}/teardown.py", "    snapshots.ensure_snapshot_tags(holder.aws.redshift, names, holder.tags(names.generation))\n    state = holder", "    state = holder"),
    # What is not ours.
    Mutant("names with a zero in front are ours", "plugins/airflow_lib/naming.py", "(?P<generation>0|[1-9][0-9]{0,6})", r"(?P<generation>\d+)"),
    Mutant("a neighbour's register stops the janitor", f"{_LIFECYCLE}/sweeper.py", "self._attempt(self._survey)", "self._survey()", likely="Airflow gone for good"),
    Mutant("a neighbour's tag is an error", f"{_RESOURCES}/owned.py", "        except ValueError:\n            return None\n", "        except KeyError:\n            return None\n", likely="Airflow gone for good"),
    Mutant("a name is enough to be ours", "plugins/airflow_lib/naming.py", " and tags.get(TAG_ENVIRONMENT) == environment.name", ""),
    Mutant("a tag is enough to be ours", "plugins/airflow_lib/naming.py", "generation_of(environment, name) is not None and ", ""),
    # Leases.
    Mutant("who releases ignores the others' leases", f"{_LIFECYCLE}/rules.py", "    others = state.live(caller.now)\n    if others:", "    others = state.live(caller.now)\n    if False:"),
    Mutant("leases never expire", f"{_LIFECYCLE}/document.py", "tuple(lease.run for lease in self.leases if lease.is_live(now))", "tuple(lease.run for lease in self.leases)", "Airflow gone for good"),
    Mutant("a lease is taken although it is alive", f"{_LIFECYCLE}/rules.py", "    if owner not in state.live(caller.now):", "    if True:"),
    # Write-ahead: every name follows from the generation, so opening it comes first, and its number never comes again.
    Mutant("a generation is opened again", f"{_LIFECYCLE}/rules.py", "generation=state.generation + 1,", "generation=max(1, state.generation),"),
    Mutant("a cluster's names do not bear the generation", "plugins/airflow_lib/naming.py", 'return f"{self.environment.prefix}{middle}g{self.generation}"', 'return f"{self.environment.prefix}{middle}g1"'),
    # RunJobFlow.
    Mutant("RunJobFlow is sent again by botocore", f"{_RESOURCES}/emr_cluster.py", "aws.emr_no_retry.run_job_flow", "aws.emr.run_job_flow", "effect, then response lost"),
    Mutant("a lost answer to RunJobFlow is not waited for", f"{_STEPS}/provision.py", "if abs(now - requested_at) < timedelta(seconds=_LISTED_AFTER_S):", "if False:", "effects seen late"),
    Mutant("the request is not recorded", f"{_LIFECYCLE}/rules.py", "requested = replace(state, requested_at=caller.now)", "requested = state", "killed before the answer is written down"),
    Mutant("a cluster of our name is not adopted", f"{_STEPS}/provision.py", "        found = emr_cluster.find_clusters(run.aws.emr, names)\n", "        found = []\n", "killed before the answer is written down"),
    Mutant("the next cluster asks as early as the one that met young roles", f"{_STEPS}/provision.py", 'if state.get("lagged") and', "if False and", "EMR takes roles that it does not see"),
    Mutant("roles that EMR does not see are a refusal at once", f"{_RESOURCES}/emr_cluster.py", "and are_young(aws, spec.names, now):", "and False:"),
    # Tearing down.
    Mutant("the slot is emptied and its resources are not", f"{_LIFECYCLE}/teardown.py", "    tear_down_resources(holder.aws, names, keep_data=state.unsaved)\n", ""),
    Mutant("a teardown does not wait", f"{_LIFECYCLE}/teardown.py", "    if pending:\n        raise NotReady", "    if False:\n        raise NotReady"),
    Mutant("the warehouse leaves no snapshot", f"{_LIFECYCLE}/teardown.py", "keep_data=state.unsaved", "keep_data=False"),
    Mutant("the snapshot is not recorded", f"{_LIFECYCLE}/teardown.py", "Slot.WAREHOUSE, rules.record_snapshot, generation=names.generation, name=names.final_snapshot\n", "Slot.WAREHOUSE, rules.record_loss, generation=names.generation\n"),
    Mutant("a snapshot is recorded before it can be restored", f"{_LIFECYCLE}/teardown.py", "    if not view.ready:\n        raise NotReady", "    if False:\n        raise NotReady"),
    Mutant("one answer is enough to give rows up", f"{_LIFECYCLE}/teardown.py", "if view is None and absent_s < holder.settings.mayfly.warehouse.absent_after_s:", "if False:", "snapshots not shown for a while"),
    Mutant("no rows are ever unsaved", f"{_LIFECYCLE}/rules.py", "unsaved=state.slot is Slot.WAREHOUSE", "unsaved=False"),
    Mutant("what a dead run left waits for the janitor", f"{_STEPS}/release.py", "        taken = register.apply(self.slot, rules.take_over, end_keep_alive=not run.expects_more)\n        return taken if taken.outcome is ReleaseOutcome.TEAR_DOWN else release", "        return release", "throttled for ever"),
    Mutant("only one cluster of a name is ended", f"{_RESOURCES}/emr_cluster.py", "view.id) for view in found)\n    if found:", "view.id) for view in found[1:])\n    if found:"),
    # Livy.
    Mutant("statements that cannot be listed are none", "plugins/airflow_lib/spark/livy.py", "        if answer.status >= 500:\n            raise NotReady(", "        if answer.status >= 500:\n            return ()\n            raise NotReady(", "Livy lists no statements for a while"),
    # Loads.
    Mutant("the window is not replaced", "sql_templates/shared/load/replace_window.sql", "DELETE FROM {{ table | ident }}\n", "DELETE FROM {{ table | ident }} WHERE 1 = 0 AND 1 = 1;\nSELECT 1 FROM {{ table | ident }}\n", "effect, then response lost"),
    Mutant("a batch is appended again", "plugins/airflow_lib/warehouse/publish.py", "        held = self._list_held(cursor)\n", "        held = frozenset()\n", "effect, then response lost"),
    Mutant("what a run loaded counts although it did not come through", "sql_templates/shared/list_loads.sql", "CASE WHEN finished THEN code END AS code", "code", "access denied for ever"),
    Mutant("the checks run after the commit", "plugins/airflow_lib/warehouse/publish.py", "        verdicts = self._audit(cursor, context, failing_before)\n", "        self._write_ledger(cursor, Loaded(tables))\n        cursor._connection.commit()\n        verdicts = self._audit(cursor, context, failing_before)\n"),
    Mutant("a check that finds rows does not stop the load", "plugins/airflow_lib/warehouse/publish.py", "        if mine:\n            others", "        if False:\n            others"),
    # The janitor.
    Mutant("the janitor takes over no slot", f"{_LIFECYCLE}/sweeper.py", "            self._attempt(partial(self._take_over, document.slot(slot), findings, now))", "            pass", "Airflow gone for good"),
    Mutant("the janitor finds no orphans", f"{_LIFECYCLE}/sweeper.py", "        self._attempt(partial(self._plan_orphans, findings, now))\n", "", "asleep past its lease"),
    Mutant("the janitor takes slots in use", f"{_LIFECYCLE}/rules.py", "    if end_keep_alive and state.phase is Phase.READY:\n", "    state = replace(state, leases=tuple(lease for lease in state.leases if lease.run == state.owner))\n    if end_keep_alive and state.phase is Phase.READY:\n", "the janitor passes by"),
)
# fmt: on
