"""Questions about a DAG's graph, asked by task id."""

from __future__ import annotations

from airflow.sdk import DAG


def upstream(dag: DAG, task_id: str) -> set[str]:
    """The tasks that must end before `task_id` starts, direct or not."""
    return {task.task_id for task in dag.get_task(task_id).get_flat_relatives(upstream=True)}


def tasks(dag: DAG) -> set[str]:
    return {task.task_id for task in dag.tasks}
