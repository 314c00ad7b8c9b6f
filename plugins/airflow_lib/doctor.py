"""The doctor: would this account and these Variables work? Makes, changes and removes nothing. Needs no Airflow.

    python -m airflow_lib.doctor

    MAYFLY_SETTINGS     path of a JSON file in the form of variables.example.json
    MAYFLY_AWS_REGION   the region, where the file does not say it

One line each, on stdout: `ok`, `wrong` with what to do, or `unknown` with why it cannot be known. It ends with 0
where nothing is wrong, 1 where something is, and 2 where it could not look. It asks with the credentials of the file or
of boto3's chain, and reads no DAG: a pipeline's own declaration (files, hardware) is checked by its preflight.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from airflow_lib.aws.clients import Aws, open_aws
from airflow_lib.aws.errors import AWS_ERRORS
from airflow_lib.errors import MayflyError
from airflow_lib.janitor import load_settings
from airflow_lib.naming import Slot
from airflow_lib.pipeline import Hardware
from airflow_lib.polling import SystemClock
from airflow_lib.prerequisites import buckets, network, offers, permissions, quotas, registers, services
from airflow_lib.prerequisites.credentials import CREDENTIALS, check_credentials
from airflow_lib.prerequisites.finding import Finding, Standing, examine, ok
from airflow_lib.resources.subnet import Subnet, find_subnet
from airflow_lib.settings import Settings

HEALTHY, WRONG, ERROR = 0, 1, 2

Check = tuple[str, Callable[[], Iterable[Finding]]]


def diagnose(settings: Settings, aws: Aws, now: datetime) -> Iterator[Finding]:
    """Every check's findings, as they come. `now` is the host's time. Raises SettingsError (overrides)."""
    settings.check_overrides()
    hardware = list(_hardware(settings))
    who = examine(CREDENTIALS, partial(check_credentials, aws, settings, now))
    yield from who
    if not any((one.subject, one.standing) == (CREDENTIALS, Standing.OK) for one in who):
        return
    caller = next(one.message for one in who if one.subject == CREDENTIALS)
    found: list[Subnet] = []
    for subject, check in _account_checks(aws, settings, caller):
        yield from examine(subject, check)
    yield from examine("subnet", partial(_find_subnet, aws, settings, found))
    for subject, check in _network_checks(aws, settings, found, hardware):
        yield from examine(subject, check)
    for subject, check in _service_checks(aws, settings, caller, hardware):
        yield from examine(subject, check)


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at everything, print a line for each finding to stdout, and return the exit code."""
    argparse.ArgumentParser(
        prog="python -m airflow_lib.doctor",
        description="Say whether this account and these settings would work. Changes nothing.",
    ).parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    wrong = 0
    try:
        settings = load_settings(os.environ)
        for finding in diagnose(settings, open_aws(settings), SystemClock().now()):
            sys.stdout.write(f"{finding.standing:<8} {_one_line(str(finding))}\n")
            sys.stdout.flush()
            wrong += finding.standing is Standing.WRONG
    except (MayflyError, *AWS_ERRORS) as error:
        sys.stderr.write(f"{error}\n")
        return ERROR
    return WRONG if wrong else HEALTHY


def _hardware(settings: Settings) -> Iterator[Hardware]:
    """What the settings come to where a pipeline declares nothing else: for the deployment, and for each override."""
    yield settings.hardware_over(Hardware())
    for name in settings.mayfly.pipelines:
        yield settings.for_pipeline(name).hardware_over(Hardware())


def _account_checks(aws: Aws, settings: Settings, caller: str) -> Iterator[Check]:
    yield permissions.PERMISSIONS, partial(permissions.check_permissions, aws, settings, caller)
    yield "buckets", partial(buckets.check_buckets, aws, settings)
    yield "registers", partial(registers.check_registers, aws, settings)


def _find_subnet(aws: Aws, settings: Settings, found: list[Subnet]) -> Iterator[Finding]:
    """Put the subnet into `found`, for the checks that need it."""
    subnet = find_subnet(aws.ec2, settings.mayfly.network.subnet_id)
    found.append(subnet)
    yield ok("subnet", f"{subnet.subnet_id} of {subnet.vpc_id} in {subnet.zone}")


def _network_checks(
    aws: Aws, settings: Settings, subnets: list[Subnet], hardware: list[Hardware]
) -> Iterator[Check]:
    largest = max(hardware, key=lambda one: one.core_count + one.warehouse_nodes)
    types = frozenset(kind for one in hardware for kind in (one.master_type, one.core_type))
    warehouses = {(one.warehouse_node_type, one.warehouse_nodes == 1): one for one in hardware}
    for subnet in subnets:
        name = subnet.subnet_id
        yield f"tag of {name}", partial(network.check_tag, subnet)
        yield f"DNS of {subnet.vpc_id}", partial(network.check_dns, aws, subnet)
        yield f"addresses of {name}", partial(network.check_addresses, subnet, largest, tuple(Slot))
        yield f"route to S3 from {name}", partial(network.check_route, aws, subnet, settings.region)
        yield "clients", partial(network.check_clients, aws, settings.mayfly.network, subnet)
        yield "instance types", partial(offers.check_instance_types, aws, subnet, types)
        for (node, _), one in warehouses.items():
            yield f"Redshift node type {node}", partial(offers.check_node_type, aws, subnet, one)


def _service_checks(aws: Aws, settings: Settings, caller: str, hardware: list[Hardware]) -> Iterator[Check]:
    most_nodes = max(hardware, key=lambda one: one.core_count)
    largest_warehouse = max(hardware, key=lambda one: one.warehouse_nodes)
    for release in sorted(_releases(settings)):
        yield f"EMR release {release}", partial(offers.check_release, aws, release)
    yield "EMR block public access", partial(offers.check_public_access, aws)
    yield "EMR's service policy", partial(services.check_emr_policy, aws, caller)
    yield "service-linked roles", partial(services.check_service_linked_roles, aws)
    yield "quota of EC2 vCPUs", partial(quotas.check_vcpus, aws, most_nodes)
    yield "quota of Redshift nodes", partial(quotas.check_redshift_nodes, aws, largest_warehouse)
    yield "quota of security groups", partial(quotas.check_security_groups, aws)
    yield "quotas of IAM", partial(quotas.check_iam, aws)
    yield "notifications", partial(services.check_topic, aws, settings)


def _releases(settings: Settings) -> set[str]:
    """The deployment's, and those of the pipelines."""
    own = {settings.for_pipeline(name).mayfly.emr.release for name in settings.mayfly.pipelines}
    return {settings.mayfly.emr.release, *own}


def _one_line(text: str) -> str:
    """What AWS said may have line breaks, and characters that a terminal obeys."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


if __name__ == "__main__":
    sys.exit(main())
