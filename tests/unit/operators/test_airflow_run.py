"""The library's Run is built from what Airflow has: Variables, secrets, the window."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.sdk.log import redact
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from airflow_lib.aws.clients import AwsCache
from airflow_lib.errors import CredentialsRefused, SettingsError
from airflow_lib.pipeline import UNKNOWN_ZONE, Pipeline, Window, WindowUnit
from operators import airflow_run
from operators.airflow_run import nominal_window_of, open_run, read_settings, window_of
from tests.unit.operators.context import APRIL, PIPELINE, VARIABLES

CREDENTIALS = {"access_key_id": "AKIAKEY", "secret_access_key": "geheim", "session_token": "token"}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The Airflow Variables that are set."""
    values = dict(VARIABLES)
    get = lambda name, default=None: values.get(name, default)  # noqa: E731
    monkeypatch.setattr(airflow_run, "Variable", SimpleNamespace(get=get))
    return values


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    values: list[str] = []
    monkeypatch.setattr(airflow_run, "mask_secret", values.append)
    return values


def test_every_part_of_the_credentials_is_masked(variables: dict[str, str], masked: list[str]) -> None:
    variables["aws_credentials"] = json.dumps(CREDENTIALS)
    read_settings()
    assert set(masked) == {"AKIAKEY", "geheim", "token"}


def test_credentials_without_a_session_token_are_masked(variables: dict[str, str], masked: list[str]) -> None:
    variables["aws_credentials"] = json.dumps({**CREDENTIALS, "session_token": None})
    read_settings()
    assert set(masked) == {"AKIAKEY", "geheim"}


def test_what_a_notifiers_arguments_call_a_secret_is_masked(variables: dict[str, str]) -> None:
    arguments = {"password": "hunter-22", "headers": {"api_key": ["key-4711"]}, "to": "people@example.org"}
    notify = {"notifiers": [{"class": "a.Notifier", "arguments": arguments}]}
    variables["mayfly"] = json.dumps({**json.loads(VARIABLES["mayfly"]), "notify": notify})
    read_settings()
    assert redact("hunter-22 key-4711 people@example.org") == "*** *** people@example.org"


def test_without_the_variable_there_is_nothing_to_mask(variables: dict[str, str], masked: list[str]) -> None:
    assert read_settings().credentials is None
    assert masked == []


def test_a_missing_variable_is_named(variables: dict[str, str]) -> None:
    del variables["mayfly"]
    with pytest.raises(SettingsError, match="mayfly: the Variable is missing"):
        read_settings()


def test_the_variables_credentials_are_used(variables: dict[str, str], masked: list[str]) -> None:
    variables["aws_credentials"] = json.dumps(CREDENTIALS)
    run = open_run(PIPELINE, "run1", APRIL)
    found = run.aws.session.get_credentials()
    assert found is not None
    assert (found.access_key, found.secret_key, found.token) == ("AKIAKEY", "geheim", "token")
    assert run.aws.session.region_name == "us-east-1"


class Connections:
    """Stands for AwsBaseHook's look into Airflow's database: the connection `aws_default`, or none."""

    def __init__(self) -> None:
        self.values: dict[str, Any] | None = None
        self.sessions: list[AwsConnectionWrapper] = []
        self.refused: Exception | None = None

    def hook(self, *, aws_conn_id: str, region_name: str) -> Any:
        assert (aws_conn_id, region_name) == ("aws_default", "us-east-1")
        given = self.values
        conn = (
            AwsConnectionWrapper(None)
            if given is None
            else AwsConnectionWrapper.from_connection_metadata(conn_id=aws_conn_id, **given)
        )

        def get_session(region_name: str) -> Any:
            if self.refused:
                raise self.refused
            self.sessions.append(conn)
            return SimpleNamespace(number=len(self.sessions), client=lambda service, **given: given)

        return SimpleNamespace(conn_config=conn, get_session=get_session)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    made = Connections()
    monkeypatch.setattr(airflow_run, "AwsBaseHook", made.hook)
    return made


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> AwsCache:
    """What the process keeps: nothing, when a test begins."""
    kept = AwsCache()
    monkeypatch.setattr(airflow_run, "_cache", kept)
    return kept


def aws() -> Any:
    return open_run(PIPELINE, "run1", APRIL).aws


def test_without_the_variable_the_connection_aws_default_is_asked(
    variables: dict[str, str], connections: Connections
) -> None:
    connections.values = {"login": "AKIA", "password": "geheim"}
    assert aws().session.number == 1
    assert aws().origin == "the Airflow connection aws_default"


def test_without_a_connection_boto3s_own_chain_is_named(
    variables: dict[str, str], connections: Connections
) -> None:
    assert "boto3's own chain" in aws().origin


# The keys are those of the Amazon provider's page on the connection:
# https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/aws.html
def test_the_connections_endpoints_certificates_and_configuration_are_those_of_the_clients(
    variables: dict[str, str], connections: Connections
) -> None:
    connections.values = {
        "extra": {
            "endpoint_url": "https://aws.example",
            "service_config": {"s3": {"endpoint_url": "https://s3.example"}},
            "verify": "/etc/ca.pem",
            "config_kwargs": {"proxies": {"https": "proxy:3128"}, "retries": {"max_attempts": 50}},
        }
    }
    run = aws()
    assert run.s3["endpoint_url"] == "https://s3.example"
    assert run.emr["endpoint_url"] == run.emr_no_retry["endpoint_url"] == "https://aws.example"
    assert run.iam["verify"] == "/etc/ca.pem"
    assert run.ec2["config"].proxies == {"https": "proxy:3128"}
    assert run.emr_no_retry["config"].retries["total_max_attempts"] == 1


def test_a_verify_that_is_off_is_honoured(variables: dict[str, str], connections: Connections) -> None:
    connections.values = {"extra": {"verify": False}}
    assert aws().s3["verify"] is False


def test_a_role_of_the_connection_that_cannot_be_assumed_is_named(
    variables: dict[str, str], connections: Connections
) -> None:
    role = "arn:aws:iam::123456789012:role/mayfly"
    connections.values = {"login": "AKIA", "password": "geheim", "extra": {"role_arn": role}}
    connections.refused = ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "AssumeRole")
    with pytest.raises(CredentialsRefused, match=rf"aws_default \(role {role}\): AWS answered ExpiredToken"):
        aws()
    connections.refused = None
    assert aws().session.number == 1


def test_a_process_keeps_one_session_for_each_credentials_and_region(
    variables: dict[str, str], connections: Connections, masked: list[str]
) -> None:
    connections.values = {"login": "AKIA", "password": "geheim"}
    first = aws()
    assert aws() is first
    connections.values = {"login": "AKIA", "password": "renewed"}
    renewed = aws()
    assert renewed is not first
    connections.values = {
        "login": "AKIA",
        "password": "renewed",
        "extra": {"endpoint_url": "https://x.example"},
    }
    assert aws() is not renewed
    variables["aws_credentials"] = json.dumps(CREDENTIALS)
    assert aws() is aws()
    assert aws().session.get_credentials().access_key == "AKIAKEY"
    variables["aws_credentials"] = json.dumps({**CREDENTIALS, "session_token": "another"})
    assert aws().session.get_credentials().token == "another"
    assert len(connections.sessions) == 3


def test_a_session_that_aws_refused_is_not_used_again(
    variables: dict[str, str], connections: Connections
) -> None:
    """The host's role or a file may have been renewed, which a session that is kept does not see."""
    refused = aws()
    airflow_run.forget_aws(refused)
    assert aws() is not refused


def test_what_is_kept_holds_no_secret_in_clear(
    variables: dict[str, str], connections: Connections, cache: AwsCache, masked: list[str]
) -> None:
    connections.values = {"login": "AKIA", "password": "geheim"}
    aws()
    variables["aws_credentials"] = json.dumps(CREDENTIALS)
    aws()
    assert len(cache._kept) == 2
    assert "geheim" not in repr(cache._kept)


def test_a_pipelines_own_settings_are_merged_in(variables: dict[str, str]) -> None:
    mayfly = json.loads(variables["mayfly"])
    mayfly["pipelines"] = {"immigration": {"source": "s3://theirs/source"}}
    variables["mayfly"] = json.dumps(mayfly)
    assert open_run(PIPELINE, "run1", APRIL).source.uri() == "s3://theirs/source/immigration"


def context(interval: tuple[datetime, ...] | None = None, **params: Any) -> dict[str, Any]:
    start, end = interval or (None, None)
    run = SimpleNamespace(data_interval_start=start, data_interval_end=end)
    return {"params": {"window_start": None, "window_end": None, **params}, "dag_run": run}


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This host is not in UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


INTERVAL = (datetime(2016, 4, 3, 0, 1, tzinfo=UTC), datetime(2016, 4, 4, 0, 1, tzinfo=UTC))
TEN_MINUTES = (datetime(2016, 4, 1, 23, 50, tzinfo=UTC), datetime(2016, 4, 2, tzinfo=UTC))
INSTANTS = replace(PIPELINE, window_unit=WindowUnit.INSTANT)


def test_the_params_are_the_window_whatever_the_interval() -> None:
    given = context(INTERVAL, window_start="2016-04-01", window_end="2016-05-01")
    assert window_of(given, PIPELINE) == APRIL


def test_without_params_the_window_is_the_data_interval() -> None:
    assert window_of(context(INTERVAL), PIPELINE) == Window(date(2016, 4, 3), date(2016, 4, 4))
    assert window_of(context(INTERVAL), INSTANTS) == Window(*INTERVAL)


def test_a_window_of_instants_is_the_very_interval_in_utc_whatever_its_zone() -> None:
    elsewhere = tuple(pendulum.instance(one).in_timezone("America/New_York") for one in TEN_MINUTES)
    window = window_of(context(elsewhere), INSTANTS)
    assert window == Window(*TEN_MINUTES)
    assert [type(window.start), window.end.isoformat()] == [datetime, "2016-04-02T00:00:00+00:00"]


def test_the_days_of_an_interval_are_those_of_utc() -> None:
    elsewhere = tuple(one.astimezone(timezone(timedelta(hours=14))) for one in INTERVAL)
    assert window_of(context(elsewhere), PIPELINE) == Window(date(2016, 4, 3), date(2016, 4, 4))


def test_the_days_of_an_interval_are_those_of_the_pipelines_zone() -> None:
    """From midnight to midnight in Berlin is 1 April there; in UTC it begins on 31 March."""
    midnight = datetime(2016, 3, 31, 22, tzinfo=UTC)
    berlin = replace(PIPELINE, timezone="Europe/Berlin")
    interval = (midnight, midnight + timedelta(days=1))
    assert window_of(context(interval), berlin) == Window(date(2016, 4, 1), date(2016, 4, 2))
    assert window_of(context(interval), PIPELINE) == Window(date(2016, 3, 31), date(2016, 4, 1))
    assert window_of(context(interval), replace(berlin, window_unit=WindowUnit.INSTANT)) == Window(*interval)


def test_where_the_zone_is_not_known_only_what_loads_nothing_has_a_window() -> None:
    unknown = replace(PIPELINE, timezone=UNKNOWN_ZONE)
    with pytest.raises(
        SettingsError, match="Which days the run's data interval.* cannot be known: [A-Z]{6}_SCHEDULES"
    ):
        window_of(context(TEN_MINUTES), unknown)
    assert nominal_window_of(context(TEN_MINUTES), unknown) == Window(*TEN_MINUTES)
    assert nominal_window_of(context(INTERVAL), PIPELINE) == window_of(context(INTERVAL), PIPELINE)
    assert window_of(context(INTERVAL), replace(unknown, window_unit=WindowUnit.INSTANT)) == Window(*INTERVAL)


def test_where_the_zone_is_not_known_a_window_by_params_is_loaded() -> None:
    given = context(INTERVAL, window_start="2016-04-01", window_end="2016-05-01")
    for find in (window_of, nominal_window_of):
        window = find(given, replace(PIPELINE, timezone=UNKNOWN_ZONE))
        assert (str(window.start)[:10], str(window.end)[:10]) == ("2016-04-01", "2016-05-01")


@pytest.mark.parametrize(
    ("start", "end"), [("10:20", "10:30"), ("00:00", "23:59:59.999999")], ids=["ten minutes", "nearly a day"]
)
def test_a_run_whose_interval_holds_no_whole_day_is_refused_by_a_pipeline_that_loads_days(
    start: str, end: str
) -> None:
    interval = tuple(datetime.fromisoformat(f"2016-04-01T{time}+00:00") for time in (start, end))
    with pytest.raises(SettingsError, match=r"lies within one day.*Give the params.*WindowUnit\.INSTANT"):
        window_of(context(interval), PIPELINE)
    assert window_of(context(interval), INSTANTS) == Window(*interval)


@pytest.mark.parametrize("pipeline", [PIPELINE, INSTANTS])
def test_an_empty_interval_as_a_dag_without_a_schedule_has_it_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(SettingsError, match="is empty.* give the params window_start and window_end"):
        window_of(context((INTERVAL[0], INTERVAL[0])), pipeline)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2016-04-01T10:20:00+00:00", "2016-04-01T10:20:00+00:00"),
        ("2016-04-01T10:20:00Z", "2016-04-01T10:20:00+00:00"),
        ("2016-04-01T10:20:00", "2016-04-01T10:20:00+00:00"),
        ("2016-04-01T12:20:00.5+02:00", "2016-04-01T10:20:00.500000+00:00"),
        ("2016-04-01", "2016-04-01T00:00:00+00:00"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_params_of_a_pipeline_of_instants_are_times_and_in_utc_where_they_do_not_say(
    given: str, meant: str
) -> None:
    params = {"window_start": given, "window_end": "2016-04-01T11:00:00+00:00"}
    assert window_of(context(INTERVAL, **params), INSTANTS).start.isoformat() == meant


@pytest.mark.parametrize("params", [{"window_start": "2016-04-01"}, {"window_end": "2016-04-01"}])
def test_half_a_window_is_refused(params: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="give both, or neither"):
        window_of(context(INTERVAL, **params), PIPELINE)


@pytest.mark.parametrize("pipeline", [PIPELINE, INSTANTS])
def test_a_run_with_neither_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(SettingsError, match="no data interval"):
        window_of(context(), pipeline)


@pytest.mark.parametrize("pipeline", [PIPELINE, INSTANTS])
@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [("2016-05-01", "2016-04-01", "swap the two"), ("2016-05-01", "2016-05-01", "empty")],
)
def test_params_that_are_no_window_are_refused(
    pipeline: Pipeline, start: str, end: str, problem: str
) -> None:
    with pytest.raises(SettingsError, match=rf"window_start and window_end are no window.*{problem}"):
        window_of(context(INTERVAL, window_start=start, window_end=end), pipeline)


@pytest.mark.parametrize("name", ["window_start", "window_end"])
@pytest.mark.parametrize(
    ("pipeline", "text"),
    [
        (PIPELINE, "1.4.2016"),
        (PIPELINE, "2016-04-31"),
        (PIPELINE, "2016-04-01T10:20:00+00:00"),
        (PIPELINE, 20160401),
        (INSTANTS, "soon"),
        (INSTANTS, "2016-04-01T25:00:00Z"),
        (INSTANTS, "9999-12-31T23:00:00-05:00"),
        (INSTANTS, 1459506000),
    ],
)
def test_a_param_that_is_none_is_named_with_what_it_should_be(
    name: str, pipeline: Pipeline, text: Any
) -> None:
    params = {"window_start": "2016-04-01", "window_end": "2016-05-01", name: text}
    with pytest.raises(SettingsError, match=rf"The param {name} is .*: give a date.* 2016-04-01"):
        window_of(context(INTERVAL, **params), pipeline)


@given(
    bounds=st.tuples(
        *2 * [st.one_of(st.text(), st.datetimes().map(str), st.dates().map(str), st.integers())]
    ),
    pipeline=st.sampled_from([PIPELINE, INSTANTS]),
)
def test_whatever_the_params_are_they_are_a_window_or_refused(
    bounds: tuple[Any, Any], pipeline: Pipeline
) -> None:
    params = dict(zip(("window_start", "window_end"), bounds, strict=True))
    try:
        window = window_of(context(INTERVAL, **params), pipeline)
    except SettingsError as error:
        assert len(str(error)) < 1000  # noqa: PT017  whichever of the two it is
    else:
        assert window.start < window.end
        assert (
            isinstance(window.start, datetime) == isinstance(window.end, datetime) == (pipeline is INSTANTS)
        )
