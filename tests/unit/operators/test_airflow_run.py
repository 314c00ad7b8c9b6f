"""The library's Run is built from what Airflow has: Variables, secrets, the window."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_lib.errors import DeclarationError, SettingsError
from airflow_lib.pipeline import Window
from operators import airflow_run
from operators.airflow_run import open_run, read_settings, window_of
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


def test_without_the_variable_the_connection_aws_default_is_asked(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Hook:
        def __init__(self, **arguments: Any) -> None:
            asked.append(arguments)

        def get_session(self, region_name: str) -> str:
            return f"session in {region_name}"

    monkeypatch.setattr(airflow_run, "AwsBaseHook", Hook)
    assert open_run(PIPELINE, "run1", APRIL).aws.session == "session in us-east-1"
    assert asked == [{"aws_conn_id": "aws_default", "region_name": "us-east-1"}]


def test_a_pipelines_own_settings_are_merged_in(variables: dict[str, str]) -> None:
    mayfly = json.loads(variables["mayfly"])
    mayfly["pipelines"] = {"immigration": {"source": "s3://theirs/source"}}
    variables["mayfly"] = json.dumps(mayfly)
    assert open_run(PIPELINE, "run1", APRIL).source.uri() == "s3://theirs/source/immigration"


def context(interval: tuple[datetime, datetime] | None = None, **params: str | None) -> dict[str, Any]:
    start, end = interval or (None, None)
    run = SimpleNamespace(data_interval_start=start, data_interval_end=end)
    return {"params": {"window_start": None, "window_end": None, **params}, "dag_run": run}


INTERVAL = (datetime(2016, 4, 3, 0, 1, tzinfo=UTC), datetime(2016, 4, 4, 0, 1, tzinfo=UTC))


def test_the_params_are_the_window_whatever_the_interval() -> None:
    given = context(INTERVAL, window_start="2016-04-01", window_end="2016-05-01")
    assert window_of(given) == APRIL


def test_without_params_the_window_is_the_data_interval() -> None:
    assert window_of(context(INTERVAL)) == Window(date(2016, 4, 3), date(2016, 4, 4))


@pytest.mark.parametrize("params", [{"window_start": "2016-04-01"}, {"window_end": "2016-04-01"}])
def test_half_a_window_is_refused(params: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="give both, or neither"):
        window_of(context(INTERVAL, **params))


def test_a_run_with_neither_is_refused() -> None:
    with pytest.raises(SettingsError, match="no data interval"):
        window_of(context())


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(DeclarationError, match="swap the two"):
        window_of(context(window_start="2016-05-01", window_end="2016-04-01"))
