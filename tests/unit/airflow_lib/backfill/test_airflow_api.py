"""Runs are started once, by whom the environment says; and nothing of that is told to anybody else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests
import responses

from airflow_lib.backfill.airflow_api import CA, PASSWORD, TOKEN, URL, USER, Access, AirflowApi, read_access
from airflow_lib.errors import ResourceError, SettingsError

AIRFLOW = "https://airflow.example.com:8080"
RUNS = f"{AIRFLOW}/api/v2/dags/immigration/dagRuns"
CONF = {"window_start": "2016-04-01", "window_end": "2016-05-01"}


@pytest.fixture
def api() -> AirflowApi:
    return AirflowApi(Access(AIRFLOW, "the-token"))


def sent() -> list[Any]:
    return [call.request for call in responses.calls]


@responses.activate
def test_a_run_is_started_with_its_window_by_the_token(api: AirflowApi) -> None:
    responses.post(RUNS, json={"dag_run_id": "r", "state": "queued"})
    assert api.start_run("immigration", "r", CONF) == ("r", True)
    (request,) = sent()
    assert json.loads(request.body) == {"logical_date": None, "dag_run_id": "r", "conf": CONF}
    assert request.headers["Authorization"] == "Bearer the-token"


@pytest.mark.parametrize("state", ["queued", "running"])
@responses.activate
def test_a_run_that_is_under_way_is_not_started_again(api: AirflowApi, state: str) -> None:
    responses.post(RUNS, status=409, json={"detail": {"reason": "Unique constraint violation"}})
    responses.get(f"{RUNS}/r", json={"state": state})
    assert api.start_run("immigration", "r", CONF) == ("r", False)


@pytest.mark.parametrize("state", ["failed", "success"])
@responses.activate
def test_where_a_run_of_the_id_is_over_the_next_has_a_number(api: AirflowApi, state: str) -> None:
    responses.post(RUNS, status=409, json={"detail": "there is one"})
    responses.get(f"{RUNS}/r", json={"state": state})
    responses.post(RUNS, json={"dag_run_id": "r-2"})
    assert api.start_run("immigration", "r", CONF) == ("r-2", True)


@responses.activate
def test_runs_that_are_over_again_and_again_are_an_error(api: AirflowApi) -> None:
    responses.post(RUNS, status=409, json={})
    responses.get(re.compile(f"{RUNS}/r.*"), json={"state": "success"})
    with pytest.raises(ResourceError, match="has 100 runs r already"):
        api.start_run("immigration", "r", CONF)


@responses.activate
def test_a_login_gets_the_token_that_all_requests_have() -> None:
    api = AirflowApi(Access(AIRFLOW, user="ann", password="secret"))
    responses.post(f"{AIRFLOW}/auth/token", status=201, json={"access_token": "fresh"})
    responses.get(f"{AIRFLOW}/api/v2/dags/immigration", json={"is_paused": True})
    assert api.is_paused("immigration")
    assert api.is_paused("immigration")
    assert json.loads(sent()[0].body) == {"username": "ann", "password": "secret"}
    assert [request.headers.get("Authorization") for request in sent()] == [
        None,
        "Bearer fresh",
        "Bearer fresh",
    ]


@responses.activate
def test_a_login_that_is_refused_says_what_to_check_and_no_secret() -> None:
    api = AirflowApi(Access(AIRFLOW, user="ann", password="secret"))
    responses.post(f"{AIRFLOW}/auth/token", status=401, json={"detail": "Invalid credentials"})
    with pytest.raises(ResourceError, match=rf"refuses the login of 'ann' \(401\). Check {USER}") as raised:
        api.is_paused("immigration")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {"status": 404, "json": {"detail": "Dag with dag_id: 'immigration' not found"}},
            "404: Dag with dag_id",
        ),
        ({"status": 403, "body": "<html>"}, "403: no reason that can be read"),
        ({"status": 200, "body": "[1]"}, "200: no reason"),
        ({"status": 200, "body": "x" * 2_000_000}, "200: no reason"),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example.com/"}}, "302: no reason"),
        ({"body": requests.ConnectionError("refused")}, "cannot be reached: refused"),
        ({"body": requests.exceptions.SSLError("certificate verify failed")}, "certificate verify failed"),
    ],
)
@responses.activate
def test_whatever_airflow_answers_is_an_error_in_words(api: AirflowApi, answer: Any, told: str) -> None:
    responses.get(f"{AIRFLOW}/api/v2/dags/immigration", **answer)
    with pytest.raises(ResourceError, match=told):
        api.is_paused("immigration")
    assert len(sent()) == 1


def test_certificates_are_verified_and_neither_a_proxy_nor_a_netrc_is_asked() -> None:
    http = requests.Session()
    AirflowApi(Access(AIRFLOW, "t"), http)
    assert (http.verify, http.trust_env) == (True, False)
    AirflowApi(Access(AIRFLOW, "t", ca="/etc/ca.pem"), http)
    assert http.verify == "/etc/ca.pem"


def test_the_environment_says_who_asks() -> None:
    token = {URL: f"{AIRFLOW}/", TOKEN: " t\n", CA: "/ca.pem"}
    assert read_access(token) == Access(AIRFLOW, "t", ca="/ca.pem")
    assert read_access({URL: AIRFLOW, USER: "ann", PASSWORD: "p"}) == Access(AIRFLOW, "", "ann", "p")
    assert "p4ss" not in repr(Access(AIRFLOW, "p4ss", "ann", "p4ss"))


@pytest.mark.parametrize("environ", [{}, {URL: AIRFLOW}, {TOKEN: "t"}, {URL: AIRFLOW, USER: "ann"}])
def test_an_environment_that_says_too_little_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"To start runs, set {URL}"):
        read_access(environ)


@pytest.mark.parametrize(
    "url", ["airflow:8080", "ftp://x", "http://airflow.example.com", "https://a:b@x", "https://"]
)
def test_a_url_that_would_give_a_secret_away_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=URL):
        read_access({URL: url, TOKEN: "t"})


def test_this_host_may_be_asked_by_http() -> None:
    assert read_access({URL: "http://127.0.0.1:8080", TOKEN: "t"}).url == "http://127.0.0.1:8080"
