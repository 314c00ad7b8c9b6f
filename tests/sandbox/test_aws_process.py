"""The AWS process: what is kept after its end, and what ends with it."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
from aws_fakes import AwsProcess, shared_aws, until

from sandbox.aws.state import State

pytestmark = pytest.mark.sandbox


def _start_warehouse(redshift, name="w"):
    redshift.create_cluster(
        ClusterIdentifier=name,
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="admin",
        MasterUserPassword="Passw0rd",
        DBName="mayfly",
        Tags=[{"Key": "team", "Value": "data"}],
    )
    _wait(redshift, name, "available")


def _wait(redshift, name, wanted):
    def probe():
        found = [c for c in redshift.describe_clusters()["Clusters"] if c["ClusterIdentifier"] == name]
        return found[0]["ClusterStatus"] if found else "gone"

    until(probe, lambda state: state == wanted)


def test_sigterm_stops_clusters_cleanly_and_the_next_start_has_the_objects_and_snapshots(tmp_path):
    with AwsProcess(tmp_path / "state") as aws:
        s3, redshift = aws.client("s3"), aws.client("redshift")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="kept", Body=b"old")
        kept = s3.put_object(Bucket="bucket", Key="kept", Body=b"new", Metadata={"who": "me"})
        s3.put_object(Bucket="bucket", Key="deleted", Body=b"x")
        s3.delete_object(Bucket="bucket", Key="deleted")
        s3.create_bucket(Bucket="dropped")
        s3.delete_bucket(Bucket="dropped")
        _start_warehouse(redshift)
        redshift.delete_cluster(ClusterIdentifier="w", FinalClusterSnapshotIdentifier="final")
        _wait(redshift, "w", "gone")
        before = redshift.describe_cluster_snapshots()["Snapshots"][0]
        _start_warehouse(redshift, "running")
        family = aws.server.children(recursive=True)

        aws.stop()
        assert aws.returncode == 0
        assert [process for process in family if process.is_running()] == []
        saved = list((aws.state_dir / "redshift").glob("running-*/data/lines"))
        assert saved, "the warehouse was stopped cleanly, not killed"

        aws.restart()
        assert not saved[0].exists(), "a running warehouse's data is not kept"
        assert redshift.describe_clusters()["Clusters"] == []
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["bucket"]
        assert [item["Key"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["kept"]
        answer = s3.get_object(Bucket="bucket", Key="kept")
        found = (answer["Body"].read(), answer["ETag"], answer["Metadata"])
        assert found == (b"new", kept["ETag"], {"who": "me"})
        s3.put_object(Bucket="bucket", Key="kept", Body=b"newer", IfMatch=kept["ETag"])
        after = redshift.describe_cluster_snapshots()["Snapshots"]
        assert len(after) == 1
        fields = (
            "SnapshotIdentifier",
            "ClusterIdentifier",
            "NodeType",
            "MasterUsername",
            "DBName",
            "Tags",
            "Status",
        )
        assert {name: after[0][name] for name in fields} == {name: before[name] for name in fields}
        redshift.restore_from_cluster_snapshot(
            ClusterIdentifier="back",
            SnapshotIdentifier="final",
            SnapshotClusterIdentifier=before["ClusterIdentifier"],
        )
        _wait(redshift, "back", "available")


def test_after_a_kill_no_process_is_left_and_no_object_is_lost(tmp_path):
    state = tmp_path / "state"
    with AwsProcess(state) as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=b"old")
        _start_warehouse(aws.client("redshift"))
        family = aws.server.children(recursive=True)
        assert any("aws_fake_redshift" in " ".join(process.cmdline()) for process in family)

        os.kill(aws.server.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []

        with (state / "s3" / "journal.jsonl").open("a") as journal:
            journal.write('{"in": "bucket", "key": "k", "fi')  # an interrupted write
        orphan = state / "s3" / "bucket" / "k@00000000"
        orphan.write_text("not in the journal")
        aws.restart()
        assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"old"
        assert not orphan.exists()


def test_a_fresh_start_keeps_nothing(tmp_path):
    state = State(tmp_path)
    state.prepare(fresh=False)
    for directory in (state.s3, state.snapshots, state.redshift, state.emr):
        (directory / "something").mkdir()
    state.prepare(fresh=False)
    assert (state.s3 / "something").exists()
    assert (state.snapshots / "something").exists()
    assert not (state.redshift / "something").exists()
    assert not (state.emr / "something").exists()
    state.prepare(fresh=True)
    assert not (state.s3 / "something").exists()
    assert not (state.snapshots / "something").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_an_address_outside_loopback_is_refused(tmp_path, host):
    answer = _run(tmp_path, host)
    assert answer.returncode != 0
    assert "127.0.0.0/8" in answer.stderr


def test_a_port_in_use_is_reported(tmp_path):
    aws = shared_aws()
    answer = _run(tmp_path, aws.host)
    assert answer.returncode != 0
    assert f"{aws.host}:5566" in answer.stderr
    assert "Traceback" not in answer.stderr


def _run(tmp_path, host):
    command = [sys.executable, "-m", "sandbox.aws", "--host", host, "--state-dir", str(tmp_path / "other")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
