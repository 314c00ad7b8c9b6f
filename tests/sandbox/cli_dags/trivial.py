"""A DAG with the task ids of a Mayfly pipeline that does nothing, for the sandbox's own tests."""

import os

import boto3
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, task, task_group

with DAG(
    "trivial",
    schedule=CronDataIntervalTimetable("* * * * *", "UTC"),
    params={"window_start": Param(None, type=["null", "string"]), "window_end": Param(None), "fail": False},
) as dag:

    @task
    def plan(**context: object) -> dict[str, object]:
        seen = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return {"params": dict(context["params"]), "environment": seen}

    @task_group
    def transform() -> None:
        @task
        def copy(**context: object) -> dict[str, object]:
            if context["params"]["window_start"] == "2016-01-01":
                raise ValueError("the window is the one that fails")
            s3 = boto3.client(
                "s3", region_name="us-east-1", aws_access_key_id="task", aws_secret_access_key="x"
            )
            found = s3.list_objects_v2(Bucket="mayfly-sandbox", Prefix="source/trivial/")
            return {"read": found["KeyCount"], "written": found["KeyCount"], "rejected": {}}

        copy()

    @task_group
    def answers() -> None:
        @task
        def nulls() -> dict[str, object]:
            return {"columns": ["a", "b"], "rows": [[1, None]]}

        nulls()

    plan() >> transform() >> answers()
