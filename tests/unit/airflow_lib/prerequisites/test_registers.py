"""The registers that earlier runs left; the faults that are named are in test_doctor.py."""

from __future__ import annotations

import json

from airflow_lib.lifecycle.document import Document, encode_document
from airflow_lib.prerequisites.registers import check_registers

from .account import BUCKET, Account

SNAPSHOT = "mayfly-dev-immigration-warehouse-g1"


def put(account: Account, key: str, body: bytes) -> None:
    account.aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def test_every_pipelines_register_is_read_and_one_that_is_corrupt_hides_no_other(account: Account) -> None:
    put(account, "state/flights/register.json", b"[")
    put(account, "state/immigration/register.json", encode_document(Document("dev-immigration")))
    put(account, "state/notes/readme.txt", b"x")
    found = {one.subject: one.standing for one in check_registers(account.aws, account.settings)}
    assert found == {"register of dev-flights": "wrong", "register of dev-immigration": "ok"}


def test_a_snapshot_that_is_there_is_told(account: Account) -> None:
    document = json.loads(encode_document(Document("dev-immigration")))
    document["warehouse"]["snapshot"] = SNAPSHOT
    put(account, "state/immigration/register.json", json.dumps(document).encode())
    account.answers["redshift.DescribeClusterSnapshots"] = {"Snapshots": [{"SnapshotIdentifier": SNAPSHOT}]}
    with account.watched():
        found = list(check_registers(account.aws, account.settings))
    assert [one.standing for one in found] == ["ok", "ok"]
    assert found[1].subject == f"snapshot {SNAPSHOT}"
