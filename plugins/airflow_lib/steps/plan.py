"""What a run will create, before it does. Touches nothing."""

from __future__ import annotations

from airflow_lib.lifecycle.document import Document, Phase
from airflow_lib.naming import TAG_EMR_MANAGED, Names, Slot
from airflow_lib.resources.subnet import probe_subnet
from airflow_lib.steps import Json, Run
from airflow_lib.steps.batch import look_at_sources, probe_batch
from airflow_lib.steps.held import find_idle
from airflow_lib.steps.transform import probe_job


def describe_plan(run: Run) -> Json:
    """The plan as lines to read and as facts. Raises whatever goes wrong first; the caller reports it.

    It may be made before the run's batch is fixed: then it tells of what is there now.
    """
    fixed = probe_batch(run)
    batch = fixed or look_at_sources(run)
    document = run.register.read()
    idle = find_idle(run, batch, document, sure=False)
    took = f"the batch, fixed at {batch.fixed_at:%Y-%m-%d %H:%M:%S} UTC" if fixed else "a batch as it is now"
    lines = [f"{run.environment.name}: window {run.window}, {took}: {len(batch.objects)} objects"]
    if idle is not None:
        return {"lines": [*lines, f"nothing to do: {idle.why}"], "nothing_to_do": idle.why}
    lines += _describe_slots(run, document)
    complete = [job.name for job in run.pipeline.jobs if probe_job(run, job, batch) is not None]
    hardware = run.settings.hardware(run.pipeline)
    size = run.session_size
    lines.append(
        f"EMR: 1 {hardware.master_type} + {hardware.core_count} {hardware.core_type}, {hardware.ebs_gib} GiB each; "
        f"{size.sessions} sessions of {size.driver_memory_mib} + "
        f"{size.executors} x {size.executor_memory_mib} MiB"
    )
    lines.append(f"Redshift: {hardware.warehouse_nodes} x {hardware.warehouse_node_type}")
    if complete:
        lines.append(f"complete already, not computed again: {', '.join(complete)}")
    subnet = probe_subnet(run.aws.ec2, run.settings.mayfly.network.subnet_id)
    if not subnet.has_managed_tag:
        key, value = TAG_EMR_MANAGED
        lines.append(
            f"subnet {subnet.subnet_id} lacks the tag {key}={value}: its owner must add it, EMR needs it"
        )
    return {"lines": lines, "complete": complete}


def _describe_slots(run: Run, document: Document) -> list[str]:
    lines = []
    for slot in Slot:
        state = document.slot(slot)
        if state.phase is Phase.EMPTY:
            names = Names(run.environment, slot, state.generation + 1)
            source = f" from snapshot {state.snapshot}" if state.snapshot else ""
            lines.append(f"{slot}: creates {names.cluster}{source}")
        else:
            lines.append(f"{slot}: generation {state.generation} is {state.phase.replace('_', ' ')}")
    return lines
