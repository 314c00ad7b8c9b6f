"""Where a run's report lies, and its writing: beside the run's other files, encrypted as they are."""

from __future__ import annotations

import logging

from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.naming import run_key
from airflow_lib.report.facts import ReportFacts
from airflow_lib.report.render import render_report
from airflow_lib.steps import Run

log = logging.getLogger(__name__)


def report_uri(run: Run) -> str:
    """The URI of the run's report, whether or not it was written yet."""
    return run.logs.uri("runs", run_key(run.run_id), "report.html")


def store_report(run: Run, facts: ReportFacts) -> str:
    """Write the page over that of an earlier verdict of the run; its URI. Raises ResourceError where S3 refuses."""
    uri = report_uri(run)
    page = render_report(facts).encode()
    with translate_aws_errors(f"write {uri}"):
        run.aws.s3.put_object(
            Bucket=run.logs.bucket,
            Key=run.logs.key("runs", run_key(run.run_id), "report.html"),
            Body=page,
            ContentType="text/html; charset=utf-8",
        )
    log.info("report: %s (%s bytes)", uri, len(page))
    return uri
