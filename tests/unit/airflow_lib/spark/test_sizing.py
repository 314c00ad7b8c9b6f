"""Sessions fit the hardware together, none is too small to work, and the cluster's configuration agrees."""

from __future__ import annotations

import random

import pytest

from airflow_lib.errors import DeclarationError, SizingError
from airflow_lib.pipeline import Hardware
from airflow_lib.settings import LivySettings, MayflySettings
from airflow_lib.spark.sizing import (
    ALLOCATION_MIB,
    INSTANCE_TYPES,
    SessionSize,
    configurations,
    container_mib,
    size_sessions,
)

SHAPES = [
    (name, nodes, sessions) for name in INSTANCE_TYPES for nodes in (1, 2, 3, 7) for sessions in (1, 2, 4, 9)
]


def yarn_mib(hardware: Hardware) -> int:
    """YARN's memory over all core nodes."""
    node = INSTANCE_TYPES[hardware.core_type]
    return hardware.core_count * (node.yarn_mib // ALLOCATION_MIB * ALLOCATION_MIB)


def session_mib(size: SessionSize) -> int:
    """What one session takes of YARN's memory."""
    return container_mib(size.driver_memory_mib) + size.executors * container_mib(size.executor_memory_mib)


def _properties(hardware: Hardware, size: SessionSize, name: str) -> dict[str, str]:
    found = configurations(hardware, size, LivySettings())
    return next(dict(one["Properties"]) for one in found if one["Classification"] == name)


def test_four_jobs_fit_the_default_hardware_at_the_same_time() -> None:
    size = size_sessions(Hardware(), jobs=4, max_parallel_runs=1)
    assert size == SessionSize(
        sessions=4,
        driver_memory_mib=1024,
        driver_cores=1,
        executor_memory_mib=1280,
        executor_cores=1,
        executors=1,
    )
    assert size.sessions * session_mib(size) <= yarn_mib(Hardware()) == 12288


@pytest.mark.parametrize(
    ("heap", "container"), [(512, 896), (1024, 1408), (1280, 1664), (4096, 4608), (8192, 9088)]
)
def test_a_container_is_heap_and_overhead_rounded_up(heap: int, container: int) -> None:
    assert container_mib(heap) == container


@pytest.mark.parametrize(("name", "nodes", "sessions"), SHAPES)
def test_all_sessions_fit_wherever_yarn_puts_them(name: str, nodes: int, sessions: int) -> None:
    """Containers come in any order and go to any node with enough memory left: each finds one."""
    hardware = Hardware(core_type=name, core_count=nodes)
    try:
        size = size_sessions(hardware, sessions, 1)
    except SizingError:
        return
    chance = random.Random(f"{name}{nodes}{sessions}")
    for spread in ("any", "fullest", "emptiest"):
        containers = [container_mib(size.driver_memory_mib)] * sessions
        containers += [container_mib(size.executor_memory_mib)] * sessions * size.executors
        if spread == "any":
            chance.shuffle(containers)
        free = [INSTANCE_TYPES[name].yarn_mib] * nodes
        for container in containers:
            fitting = [node for node in range(nodes) if free[node] >= container]
            assert fitting, f"no node has {container} MiB left: {free}"
            if spread == "any":
                node = chance.choice(fitting)
            else:
                node = (min if spread == "fullest" else max)(fitting, key=lambda one: free[one])
            free[node] -= container


@pytest.mark.parametrize(("name", "nodes", "sessions"), SHAPES)
def test_no_session_is_too_small_to_work(name: str, nodes: int, sessions: int) -> None:
    try:
        size = size_sessions(Hardware(core_type=name, core_count=nodes), sessions, 1)
    except SizingError:
        return
    assert size.driver_memory_mib >= 512
    assert size.executor_memory_mib >= 1024
    assert 1 <= size.executor_cores <= 5
    assert size.executors >= 1
    assert container_mib(size.executor_memory_mib) % ALLOCATION_MIB == 0


def test_parallel_runs_share_the_cluster() -> None:
    hardware = Hardware(core_count=2)
    assert size_sessions(hardware, 2, 3) == size_sessions(hardware, 6, 1)


def test_a_larger_cluster_gives_larger_sessions() -> None:
    small = size_sessions(Hardware(core_count=1), 4, 1)
    large = size_sessions(Hardware(core_count=3), 4, 1)
    assert session_mib(large) > session_mib(small)


def test_a_large_cluster_is_used_by_a_single_session() -> None:
    hardware = Hardware(core_type="r5.4xlarge", core_count=2)
    size = size_sessions(hardware, 1, 1)
    assert size.executors * size.executor_cores >= 25
    assert session_mib(size) >= 0.8 * yarn_mib(hardware)


def test_what_cannot_fit_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(SizingError) as caught:
        size_sessions(Hardware(), jobs=3, max_parallel_runs=2)
    message = str(caught.value)
    assert isinstance(caught.value, DeclarationError)
    assert "3 jobs at once x 2 parallel runs = 6 Spark sessions" in message
    assert "896 MiB (driver) + 1408 MiB (executor) = 2304 MiB: 13824 MiB" in message
    assert "1 x m5.xlarge give YARN 1 x 12288 = 12288 MiB" in message
    assert "more or larger core nodes" in message


@pytest.mark.parametrize("which", ["master_type", "core_type"])
def test_an_unknown_instance_type_is_refused_with_the_known_ones_listed(which: str) -> None:
    with pytest.raises(SizingError, match=r"'m9\.huge'.*m5\.xlarge"):
        size_sessions(Hardware(**{which: "m9.huge"}), 1, 1)


def test_the_masters_memory_does_not_count() -> None:
    assert size_sessions(Hardware(master_type="r5.4xlarge"), 4, 1) == size_sessions(Hardware(), 4, 1)


def test_a_session_keeps_to_its_size() -> None:
    """EMR turns dynamic allocation on, and has another overhead than the arithmetic."""
    conf = size_sessions(Hardware(), 4, 1).conf
    assert conf["spark.dynamicAllocation.enabled"] == "false"
    assert conf["spark.driver.memoryOverhead"] == "384m"
    assert conf["spark.executor.memoryOverhead"] == "384m"


def test_a_session_and_the_cluster_are_in_utc_and_keep_emrs_own_java_options() -> None:
    conf = size_sessions(Hardware(), 4, 1).conf
    assert conf["spark.sql.session.timeZone"] == "UTC"
    assert conf["spark.yarn.appMasterEnv.TZ"] == conf["spark.executorEnv.TZ"] == "UTC"
    assert not [key for key in conf if "JavaOptions" in key]
    found = configurations(Hardware(), size_sessions(Hardware(), 4, 1), LivySettings())
    (defaults,) = (one["Properties"] for one in found if one["Classification"] == "spark-defaults")
    assert conf.items() <= defaults.items()


def test_yarn_is_configured_with_the_memory_that_the_arithmetic_uses() -> None:
    hardware = Hardware(core_type="m6g.xlarge")
    size = size_sessions(hardware, 2, 1)
    yarn = _properties(hardware, size, "yarn-site")
    assert yarn["yarn.nodemanager.resource.memory-mb"] == str(yarn_mib(hardware)) == "11648"
    assert yarn["yarn.scheduler.minimum-allocation-mb"] == str(ALLOCATION_MIB)


def test_every_driver_may_run_at_once() -> None:
    """Drivers are application masters, which YARN limits to a tenth of the memory by default."""
    size = size_sessions(Hardware(), 4, 1)
    scheduler = _properties(Hardware(), size, "capacity-scheduler")
    assert scheduler["yarn.scheduler.capacity.maximum-am-resource-percent"] == "1.0"
    assert scheduler["yarn.scheduler.capacity.resource-calculator"].endswith(".DefaultResourceCalculator")


def test_livy_runs_drivers_in_yarn_and_ends_sessions_that_nobody_reads() -> None:
    livy = LivySettings(port=8999, session_timeout_s=600, statement_timeout_s=7200)
    size = size_sessions(Hardware(), 4, 1)
    (conf,) = (
        one["Properties"]
        for one in configurations(Hardware(), size, livy)
        if one["Classification"] == "livy-conf"
    )
    assert conf["livy.server.port"] == "8999"
    assert conf["livy.spark.deploy-mode"] == "cluster"
    assert conf["livy.server.session.timeout-check"] == "true"
    assert conf["livy.server.session.timeout"] == "7800s"
    assert conf["livy.server.session.ttl-check"] == "true"
    assert conf["livy.server.session.max-creation"] == "8"


def test_livy_waits_longer_for_a_session_to_start_than_mayfly_does() -> None:
    """RSCConf.java of 0.8.0: RPC_CLIENT_HANDSHAKE_TIMEOUT("server.connect.timeout", "90s"), after which
    ContextLauncher.connectTimeout kills the driver."""
    livy, size = LivySettings(session_timeout_s=600), size_sessions(Hardware(), 4, 1)
    found = configurations(Hardware(), size, livy)
    (conf,) = (one["Properties"] for one in found if one["Classification"] == "livy-conf")
    timeout = conf["livy.rsc.server.connect.timeout"]
    assert timeout.endswith("s")
    assert int(timeout[:-1]) >= livy.session_timeout_s + MayflySettings.model_fields["poll_s"].metadata[1].le


def test_livy_has_a_thread_for_each_session_that_starts_and_each_that_ends() -> None:
    """LIVY-1003; numThreads is capped by maxThreads, which is the number of vCPUs by default
    (scala.concurrent.impl.ExecutionContextImpl, 2.12)."""
    size = size_sessions(Hardware(), 4, 1)
    (environment,) = (
        one for one in configurations(Hardware(), size, LivySettings()) if one["Classification"] == "livy-env"
    )
    assert environment["Properties"] == {}
    (export,) = environment["Configurations"]
    assert export["Classification"] == "export"
    options = export["Properties"]["LIVY_SERVER_JAVA_OPTS"].split()
    wanted = 2 * 2 * size.sessions
    assert options == [f"-Dscala.concurrent.context.{name}={wanted}" for name in ("numThreads", "maxThreads")]
