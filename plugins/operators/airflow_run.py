"""The library's `Run`, built from what Airflow has: Variables, connection, run id, window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import Variable
from airflow.sdk.log import mask_secret

from airflow_lib.aws.clients import Aws, open_aws
from airflow_lib.errors import SettingsError
from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.polling import SystemClock
from airflow_lib.settings import VARIABLES, Settings, parse_settings
from airflow_lib.spark.livy import LivyClient
from airflow_lib.spark.livy_http import find_endpoint
from airflow_lib.steps import Run, Services


def read_settings() -> Settings:
    """The Variables as Settings; secrets are masked in every log from here on. Raises SettingsError."""
    settings = parse_settings({name: Variable.get(name, default=None) for name in VARIABLES})
    credentials = settings.credentials
    if credentials is not None:
        mask_secret(credentials.access_key_id)
        mask_secret(credentials.secret_access_key.get_secret_value())
        if credentials.session_token is not None:
            mask_secret(credentials.session_token.get_secret_value())
    return settings


def open_run(pipeline: Pipeline, run_id: str, window: Window) -> Run:
    """The run with its settings and services. Raises SettingsError."""
    settings = read_settings().for_pipeline(pipeline.name)
    services = open_services(settings)
    return Run(pipeline=pipeline, run_id=run_id, window=window, settings=settings, services=services)


def open_services(settings: Settings) -> Services:
    """AWS, by the credentials that Airflow has for it, Livy and the clock."""
    return Services(aws=_aws(settings), clock=SystemClock(), find_livy=find_endpoint, open_livy=LivyClient)


def _aws(settings: Settings) -> Aws:
    """By the Variable's credentials, else the connection `aws_default`'s, else boto3's chain (AwsBaseHook's rule)."""
    if settings.credentials is not None:
        return open_aws(settings)
    hook = AwsBaseHook(aws_conn_id="aws_default", region_name=settings.region)
    return Aws(hook.get_session(region_name=settings.region))


def window_of(context: Mapping[str, Any]) -> Window:
    """The run's window: its params, else its data interval. Raises SettingsError where there is neither."""
    params = context["params"]
    start, end = params.get("window_start"), params.get("window_end")
    if start and end:
        return Window(date.fromisoformat(start), date.fromisoformat(end))
    if start or end:
        raise SettingsError(
            "Only one of window_start and window_end is given: give both, or neither to load the run's data interval."
        )
    run = context["dag_run"]
    if run.data_interval_start is None or run.data_interval_end is None:
        raise SettingsError(
            "This run has no data interval, so its window is unknown: give the params window_start and window_end."
        )
    return Window(run.data_interval_start.date(), run.data_interval_end.date())
