"""The shortest way to an EMR cluster that a run may use."""

from __future__ import annotations

from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import LivyRecord
from airflow_lib.naming import TAG_ENVIRONMENT, Names, Slot
from airflow_lib.steps import Run
from tests.world import World


def use_emr(world: World, run: Run) -> Run:
    """The run, with its batch fixed and a lease on a cluster that is ready; made where there is none."""
    world.fix_batch(run)
    state = run.register.apply(Slot.EMR, rules.acquire).state
    if state.cluster_id is not None:
        return run
    made = world.others.emr.run_job_flow(
        Name=Names(run.environment, Slot.EMR, state.generation).cluster,
        ReleaseLabel="emr-7.13.0",
        Instances={"KeepJobFlowAliveWhenNoSteps": True},
        Tags=[{"Key": TAG_ENVIRONMENT, "Value": run.environment.name}],
    )
    register, generation = run.register, state.generation
    register.apply(Slot.EMR, rules.record_cluster, generation=generation, cluster_id=made["JobFlowId"])
    livy = LivyRecord("https", world.livy.fingerprint(f"{made['JobFlowId'].lower()}.world.test"))
    register.apply(Slot.EMR, rules.record_livy, generation=generation, livy=livy)
    register.apply(Slot.EMR, rules.mark_ready, generation=generation)
    world.advance(300)
    return run
