"""Who AWS takes us for. The preflight's side of it is in steps/test_preflight.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from airflow_lib.errors import SettingsError
from airflow_lib.prerequisites.credentials import check_credentials, probe_identity

from .account import ROLE, Account


def test_the_identity_is_told(account: Account) -> None:
    with account.watched():
        assert probe_identity(account.aws, account.settings).endswith(f"assumed-role/{ROLE}/worker")


@pytest.mark.parametrize("error", [NoCredentialsError(), ReadTimeoutError(endpoint_url="https://sts")])
def test_no_credentials_are_a_mistake_and_no_answer_is_not(
    account: Account, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(account.aws.sts, "get_caller_identity", fail)
    expected = SettingsError if isinstance(error, NoCredentialsError) else ReadTimeoutError
    with pytest.raises(expected):
        probe_identity(account.aws, account.settings)


@pytest.mark.parametrize(("skew_s", "standing"), [(0, "ok"), (200, "ok"), (-250, "wrong"), (250, "wrong")])
def test_a_clock_is_wrong_before_aws_refuses_it(account: Account, skew_s: int, standing: str) -> None:
    with account.watched():
        now = datetime.now(UTC) + timedelta(seconds=skew_s)
        who, clock = check_credentials(account.aws, account.settings, now)
    assert (who.standing, clock.standing) == ("ok", standing)
    if standing == "wrong":
        assert ("ahead of" if skew_s > 0 else "behind") in clock.message


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Sat, 28 Nov 2026 25:99:99 GMT", "Sat, 28 Nov 2026 01:00:00"]
)
def test_a_date_that_is_none_is_unknown(account: Account, date: str) -> None:
    account.refuse("sts.GetCallerIdentity", "InvalidClientTokenId", headers={"date": date})
    with account.watched():
        who, clock = check_credentials(account.aws, account.settings, datetime.now(UTC))
    assert (who.standing, clock.standing) == ("wrong", "unknown")


def test_nothing_stays_behind_on_the_client(account: Account) -> None:
    list(check_credentials(account.aws, account.settings, datetime.now(UTC)))
    account.refuse("sts.GetCallerIdentity", "ExpiredToken")
    with account.watched(), pytest.raises(ClientError):
        account.aws.sts.get_caller_identity()
