"""The library's `Run`, built from what Airflow has: Variables, connection, run id, window.

Each process keeps its boto3 sessions and clients, one for each credentials and region: a triggerer has a run open
for every task that waits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import Variable
from airflow.sdk.log import mask_secret

from airflow_lib.aws.clients import Aws, AwsCache, ClientOptions, open_aws
from airflow_lib.aws.errors import AWS_ERRORS, describe_credentials_error, is_credentials_error
from airflow_lib.errors import CredentialsRefused, SettingsError
from airflow_lib.pipeline import UNKNOWN_ZONE, Pipeline, Window, WindowUnit
from airflow_lib.pipeline.window import parse_window
from airflow_lib.polling import SystemClock
from airflow_lib.settings import VARIABLES, Settings, parse_settings
from airflow_lib.spark.livy import LivyClient
from airflow_lib.spark.livy_http import find_endpoint
from airflow_lib.steps import Run, Services

_CONNECTION = "aws_default"
_SERVICES = ("ec2", "emr", "iam", "redshift", "s3", "sns", "sts")

_cache = AwsCache()


def read_settings() -> Settings:
    """The Variables as Settings; secrets are masked in every log from here on. Raises SettingsError."""
    settings = parse_settings({name: Variable.get(name, default=None) for name in VARIABLES})
    credentials = settings.credentials
    if credentials is not None:
        mask_secret(credentials.access_key_id)
        mask_secret(credentials.secret_access_key.get_secret_value())
        if credentials.session_token is not None:
            mask_secret(credentials.session_token.get_secret_value())
    for notifier in settings.mayfly.notify.notifiers:
        mask_secret(notifier.arguments)  # of an object, what is under a key that Airflow takes for a secret's
    return settings


def open_run(pipeline: Pipeline, run_id: str, window: Window) -> Run:
    """The run with its settings and services. Raises SettingsError."""
    settings = read_settings().for_pipeline(pipeline.name)
    services = open_services(settings)
    return Run(pipeline=pipeline, run_id=run_id, window=window, settings=settings, services=services)


def open_services(settings: Settings) -> Services:
    """AWS, by the credentials that Airflow has for it, Livy and the clock."""
    return Services(aws=_aws(settings), clock=SystemClock(), find_livy=find_endpoint, open_livy=LivyClient)


def forget_aws(aws: Aws) -> None:
    """AWS refused these credentials: whoever opens a run next gets a session of its own, and not this one."""
    _cache.forget(aws)


def _aws(settings: Settings) -> Aws:
    """By the Variable's credentials, else the connection `aws_default`'s, else boto3's chain (AwsBaseHook's rule).

    Raises CredentialsRefused where the connection's role cannot be assumed.
    """
    given = settings.credentials
    if given is not None:
        token = given.session_token
        secrets = (given.secret_access_key.get_secret_value(), token.get_secret_value() if token else None)
        return _cache.get(_key(settings.region, given.access_key_id, secrets), lambda: open_aws(settings))
    hook = AwsBaseHook(aws_conn_id=_CONNECTION, region_name=settings.region)
    conn = hook.conn_config  # read anew each time: it may have been changed
    what = (conn.login, conn.password, conn.extra_config)
    return _cache.get(_key(settings.region, _CONNECTION, what), lambda: _open_connection(hook, settings))


def _open_connection(hook: AwsBaseHook, settings: Settings) -> Aws:
    """Clients as the hook's own would be, with the connection's endpoints, certificates and configuration."""
    conn = hook.conn_config
    origin = f"the Airflow connection {_CONNECTION}" + (f" (role {conn.role_arn})" if conn.role_arn else "")
    try:
        session = hook.get_session(region_name=settings.region)
    except AWS_ERRORS as error:
        if not is_credentials_error(error):
            raise
        raise CredentialsRefused(f"{origin}: {describe_credentials_error(error)}") from error
    if not conn:
        return Aws(session)
    urls = {name: conn.get_service_endpoint_url(name) for name in _SERVICES}
    options = ClientOptions(
        endpoint_urls={name: url for name, url in urls.items() if url},
        verify=conn.verify,
        config=conn.botocore_config,
    )
    return Aws(session, origin, options)


def _key(*parts: object) -> str:
    """A digest of what identifies credentials, so that the cache holds no secret."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def is_forced(context: Mapping[str, Any]) -> bool:
    """Whether the run is to compute all the same, by its param `force`."""
    return context["params"].get("force") is True


def window_of(context: Mapping[str, Any], pipeline: Pipeline) -> Window:
    """The run's window, made of what the pipeline's windows are: its params, else its data interval.

    The days are those of the pipeline's time zone that the interval begins and ends on.
    Raises SettingsError where there is neither, where they are none, where the interval holds no whole day of a
    pipeline that loads days (such a run would load nothing, and be green), and where this host does not know the zone.
    """
    params, unit = context["params"], pipeline.window_unit
    given = {name: params.get(name) for name in ("window_start", "window_end")}
    if all(given.values()):
        return parse_window(given, unit)
    if any(given.values()):
        raise SettingsError(
            "Only one of window_start and window_end is given: give both, or neither to load the run's data interval."
        )
    run = context["dag_run"]
    if run.data_interval_start is None or run.data_interval_end is None:
        raise SettingsError(
            "This run has no data interval, so its window is unknown: give the params window_start and window_end."
        )
    return _window_of_interval(_in_utc(run.data_interval_start), _in_utc(run.data_interval_end), pipeline)


def nominal_window_of(context: Mapping[str, Any], pipeline: Pipeline) -> Window:
    """The run's window, for a task that loads nothing of it: where the days are not known, the instants.

    Raises SettingsError as `window_of`, but not for want of a time zone: a teardown needs none.
    """
    if pipeline.timezone == UNKNOWN_ZONE:
        pipeline = replace(pipeline, timezone="UTC", window_unit=WindowUnit.INSTANT)
    return window_of(context, pipeline)


def _window_of_interval(start: datetime, end: datetime, pipeline: Pipeline) -> Window:
    if start >= end:
        raise SettingsError(
            f"This run's data interval, {start} to {end}, is empty, as that of a DAG without a schedule is: give the "
            "params window_start and window_end."
        )
    if pipeline.window_unit is WindowUnit.INSTANT:
        return Window(start, end)
    if pipeline.timezone == UNKNOWN_ZONE:
        raise SettingsError(
            f"Which days the run's data interval, {start} to {end}, is of cannot be known: MAYFLY_SCHEDULES of this "
            "host cannot be used, and it may say the time zone. This task's log says what is wrong with it, at its "
            "begin. Correct it, the same on every host, then clear this task."
        )
    zone = ZoneInfo(pipeline.timezone)
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    if first == last:
        raise SettingsError(
            f"This run's data interval, {start} to {end}, lies within one day, and this pipeline loads whole days "
            f"({pipeline.timezone}): it would load none. Give the params window_start and window_end; or let the "
            "pipeline run at most once a day, or declare window_unit=WindowUnit.INSTANT."
        )
    return Window(first, last)


def _in_utc(moment: datetime) -> datetime:
    """The same instant in UTC, as a datetime of the standard library: Airflow's are of a class of its own."""
    return datetime.fromisoformat(moment.astimezone(UTC).isoformat())
