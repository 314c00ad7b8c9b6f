"""A DAG that succeeds and leaves an IAM role behind."""

import boto3
from airflow.sdk import DAG, task

with DAG("leaky", schedule=None, params={"window_start": "", "window_end": ""}) as dag:

    @task
    def leak() -> None:
        iam = boto3.client(
            "iam", region_name="us-east-1", aws_access_key_id="task", aws_secret_access_key="x"
        )
        iam.create_role(RoleName="mayfly-leaky", AssumeRolePolicyDocument="{}")

    leak()
