"""From instance types to the largest Spark sessions that all fit in YARN at the same time.

Every session is a YARN application in cluster mode: one driver container and its executors' containers. YARN's
default calculator schedules by memory alone, so memory is what must fit. vCPUs are divided evenly; where there are
more executors than vCPUs, executors share them. The master runs no containers: only core nodes count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_lib.errors import SizingError
from airflow_lib.pipeline import Hardware
from airflow_lib.settings import LivySettings


@dataclass(frozen=True)
class InstanceType:
    """One node's vCPUs, and the memory that EMR gives to YARN on it."""

    vcpus: int
    yarn_mib: int


# yarn.nodemanager.resource.memory-mb of each type, read row by row in
# https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-hadoop-task-config.html (without HBase);
# a type whose row was not read there is left out here. vCPUs: https://aws.amazon.com/ec2/instance-types/
INSTANCE_TYPES = {
    "m5.xlarge": InstanceType(4, 12288),
    "m5.2xlarge": InstanceType(8, 24576),
    "m5.4xlarge": InstanceType(16, 57344),
    "m5a.xlarge": InstanceType(4, 12288),
    "m5a.2xlarge": InstanceType(8, 24576),
    "m5a.4xlarge": InstanceType(16, 57344),
    "m5d.xlarge": InstanceType(4, 12288),
    "m5d.2xlarge": InstanceType(8, 24576),
    "m5d.4xlarge": InstanceType(16, 57344),
    "m6g.xlarge": InstanceType(4, 11712),
    "m6g.2xlarge": InstanceType(8, 23424),
    "m6g.4xlarge": InstanceType(16, 54272),
    "m6i.xlarge": InstanceType(4, 11712),
    "m6i.2xlarge": InstanceType(8, 23424),
    "m6i.4xlarge": InstanceType(16, 54272),
    "m6i.8xlarge": InstanceType(32, 116736),
    "m6id.xlarge": InstanceType(4, 11712),
    "m6id.2xlarge": InstanceType(8, 23424),
    "m6id.4xlarge": InstanceType(16, 54272),
    "m7g.xlarge": InstanceType(4, 11712),
    "m7g.2xlarge": InstanceType(8, 23424),
    "m7g.4xlarge": InstanceType(16, 54272),
    "m7g.8xlarge": InstanceType(32, 116736),
    "m7i.xlarge": InstanceType(4, 11712),
    "m7i.2xlarge": InstanceType(8, 23424),
    "m7i.4xlarge": InstanceType(16, 54272),
    "m7i.8xlarge": InstanceType(32, 116736),
    "r5.xlarge": InstanceType(4, 24576),
    "r5.2xlarge": InstanceType(8, 57344),
    "r5.4xlarge": InstanceType(16, 122880),
    "r6g.xlarge": InstanceType(4, 23424),
    "r6g.2xlarge": InstanceType(8, 54272),
    "r6g.4xlarge": InstanceType(16, 116736),
    "c5.xlarge": InstanceType(4, 6144),
    "c5.2xlarge": InstanceType(8, 12288),
    "c5.4xlarge": InstanceType(16, 24576),
    "c6g.xlarge": InstanceType(4, 5632),
    "c6g.2xlarge": InstanceType(8, 11712),
    "c6g.4xlarge": InstanceType(16, 23424),
}

# YARN rounds every container up to a multiple of this; `configurations` sets it, so that YARN computes as we do.
ALLOCATION_MIB = 128

# spark.{driver,executor}.memoryOverhead: https://spark.apache.org/docs/3.5.6/configuration.html
_OVERHEAD_PERCENT = 10
_MIN_OVERHEAD_MIB = 384

# The driver of a session also runs Livy's interpreter: 472 MiB is the smallest heap that worked when measured.
# The largest comes first: `size_sessions` takes the first that fits.
_DRIVER_HEAPS_MIB = (4096, 2048, 1024, 512)
_MIN_EXECUTOR_MIB = 1024
# With more than five tasks at a time a JVM gains little, and its garbage collection takes longer.
_MAX_EXECUTOR_CORES = 5
_LIVY_LATER_S = 120  # the longest time between two polls
_ENOUGH_PERCENT = 85  # of the most executor memory that any number of executors has


# Spark reads and writes times without a zone in its session's zone, by default the host's: a day would begin at another
# instant. TZ is the default zone of a JVM and of Python alike, here of driver and executors. As an environment variable
# it takes no option's place, as a value of spark.driver.extraJavaOptions would that of EMR's own.
# https://spark.apache.org/docs/3.5.6/configuration.html, https://spark.apache.org/docs/3.5.6/running-on-yarn.html
_UTC = {
    "spark.sql.session.timeZone": "UTC",
    "spark.yarn.appMasterEnv.TZ": "UTC",
    "spark.executorEnv.TZ": "UTC",
}


@dataclass(frozen=True)
class SessionSize:
    """How large each of `sessions` equal sessions is; memory in MiB, as JVM heaps without overhead."""

    sessions: int
    driver_memory_mib: int
    driver_cores: int
    executor_memory_mib: int
    executor_cores: int
    executors: int

    @property
    def conf(self) -> dict[str, str]:
        """The Spark settings that keep a session to this size, and its clocks to UTC.

        EMR's own defaults differ: dynamic allocation is on, and the overhead is 18.75 %.
        """
        return {
            **_UTC,
            "spark.dynamicAllocation.enabled": "false",
            "spark.driver.memoryOverhead": f"{_overhead_mib(self.driver_memory_mib)}m",
            "spark.executor.memoryOverhead": f"{_overhead_mib(self.executor_memory_mib)}m",
        }


def container_mib(heap_mib: int) -> int:
    """The memory that YARN reserves for a JVM with this heap: heap + overhead, rounded up."""
    return _round_up(heap_mib + _overhead_mib(heap_mib))


def _find_instance_type(name: str) -> InstanceType:
    """The row of an instance type. Raises SizingError, listing the known ones."""
    try:
        return INSTANCE_TYPES[name]
    except KeyError:
        raise SizingError(
            f"Instance type {name!r} is not known to Mayfly, so its sessions cannot be sized. "
            f"Use one of: {', '.join(INSTANCE_TYPES)}."
        ) from None


def size_sessions(hardware: Hardware, jobs: int, max_parallel_runs: int) -> SessionSize:
    """The largest sessions of which jobs × max_parallel_runs run at the same time; `jobs` are those of one run.

    They fit on whichever nodes YARN places their containers (see `_largest_executor_mib`). Raises SizingError for an
    unknown instance type and, with the arithmetic, where not even the smallest sessions fit.
    """
    _find_instance_type(hardware.master_type)
    node = _find_instance_type(hardware.core_type)
    sessions = jobs * max_parallel_runs
    for driver_mib in _DRIVER_HEAPS_MIB:
        min_executor_mib = max(_MIN_EXECUTOR_MIB, driver_mib)
        candidates = list(_candidates(hardware.core_count, node, sessions, driver_mib, min_executor_mib))
        if candidates:
            return _fewest_executors(candidates)
    raise SizingError(_arithmetic(hardware, node, jobs, max_parallel_runs))


def configurations(hardware: Hardware, size: SessionSize, livy: LivySettings) -> list[dict[str, Any]]:
    """EMR's configuration classifications: YARN schedules by this arithmetic, and Livy ends unused sessions.

    https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-configure-apps.html
    """
    node_mib = str(_usable_mib(_find_instance_type(hardware.core_type)))
    return [
        _classification("livy-conf", _livy_conf(size, livy)),
        {
            **_classification("livy-env", {}),
            "Configurations": [_classification("export", _livy_env(size))],
        },
        _classification(
            "yarn-site",
            {
                "yarn.nodemanager.resource.memory-mb": node_mib,
                "yarn.scheduler.maximum-allocation-mb": node_mib,
                "yarn.scheduler.minimum-allocation-mb": str(ALLOCATION_MIB),
            },
        ),
        _classification(
            "capacity-scheduler",
            {
                "yarn.scheduler.capacity.resource-calculator": (
                    "org.apache.hadoop.yarn.util.resource.DefaultResourceCalculator"
                ),
                # Drivers are application masters. YARN's default limits those to a tenth of the memory, and
                # the second session would wait until the first one ends.
                "yarn.scheduler.capacity.maximum-am-resource-percent": "1.0",
            },
        ),
        _classification("spark-defaults", size.conf),
    ]


def _livy_conf(size: SessionSize, livy: LivySettings) -> dict[str, str]:
    """Livy's own settings. The keys are those of livy.conf.template and LivyConf.scala of apache/incubator-livy.

    `timeout` ends a session that nobody reads, even a busy one, so it is longer than a statement may take.
    Livy 0.8.0, which EMR 7.13.0 has, honours a session's own ttl by itself and does not read `ttl-check`;
    0.9.0 honours it only with `ttl-check`.
    `max-creation` limits the sessions that are starting: all of the runs', and as many again that killed runs left.
    `connect.timeout` is how long a session may take to start, 90 s by default (RSCConf.java), which it exceeds
    while YARN has no room for it. Livy gives up later than we do, so that our error is the one that is told.
    """
    return {
        "livy.server.port": str(livy.port),
        "livy.spark.deploy-mode": "cluster",
        "livy.server.session.timeout-check": "true",
        "livy.server.session.timeout": f"{livy.session_timeout_s + livy.statement_timeout_s}s",
        "livy.server.session.ttl-check": "true",
        "livy.server.session.max-creation": str(_max_creation(size)),
        "livy.rsc.server.connect.timeout": f"{livy.session_timeout_s + _LIVY_LATER_S}s",
        "livy.server.yarn.app-lookup-timeout": f"{livy.session_timeout_s}s",
    }


def _livy_env(size: SessionSize) -> dict[str, str]:
    """What Livy's JVM is started with: threads for all the sessions that start or end.

    In 0.8.0 each session holds a thread of Scala's global pool while it starts (InteractiveSession.start), and DELETE
    needs another (Session.stop): with as many as there are vCPUs, a second session that waits for YARN lets every
    DELETE hang (LIVY-1003, mended in 0.9.0). No key of livy.conf sets that pool's size, but these properties do, both
    together (scala.concurrent.impl.ExecutionContextImpl). livy-server reads the variable (bin/livy-server).
    """
    threads = 2 * _max_creation(size)
    options = (f"-Dscala.concurrent.context.{name}={threads}" for name in ("numThreads", "maxThreads"))
    return {"LIVY_SERVER_JAVA_OPTS": " ".join(options)}


def _max_creation(size: SessionSize) -> int:
    return 2 * size.sessions


def _classification(name: str, properties: dict[str, str]) -> dict[str, Any]:
    return {"Classification": name, "Properties": properties}


def _candidates(
    nodes: int, node: InstanceType, sessions: int, driver_mib: int, min_executor_mib: int
) -> Iterator[SessionSize]:
    """For each number of executors per session, the largest that fit; each executor has a vCPU if possible."""
    vcpus = nodes * node.vcpus // sessions
    for executors in range(1, max(1, vcpus) + 1):
        cores = max(1, vcpus // executors)
        if cores > _MAX_EXECUTOR_CORES:
            continue
        container = _largest_executor_mib(nodes, node, sessions, executors, container_mib(driver_mib))
        heap = _heap_mib(container)
        if heap >= min_executor_mib:
            yield SessionSize(sessions, driver_mib, 1, heap, cores, executors)


def _largest_executor_mib(
    nodes: int, node: InstanceType, sessions: int, executors: int, driver_container: int
) -> int:
    """The largest executor container with which everything fits; 0 where none does.

    YARN may place any container on any node, so it is not enough that the sum fits. When the last container, an
    executor of E MiB, finds no node, every node of M MiB has at most E - 128 free, that is, more than M - E
    is used on each. So all fit if  sessions x (driver + executors x E) - E  <=  nodes x (M - E).
    """
    memory = _usable_mib(node)
    total = nodes * memory - sessions * driver_container
    divisor = sessions * executors - 1 + nodes
    return max(0, min(memory, total // divisor) // ALLOCATION_MIB * ALLOCATION_MIB)


def _fewest_executors(candidates: list[SessionSize]) -> SessionSize:
    """The candidate with the fewest executors that still has nearly the most executor memory.

    Many small executors leave less memory unused; few large ones share more of it among their tasks.
    """
    most = max(size.executors * size.executor_memory_mib for size in candidates)
    enough = most * _ENOUGH_PERCENT // 100
    return next(size for size in candidates if size.executors * size.executor_memory_mib >= enough)


def _heap_mib(container: int) -> int:
    """The largest heap whose container has at most this size."""
    heap = container // ALLOCATION_MIB * ALLOCATION_MIB
    while heap > 0 and container_mib(heap) > container:
        heap -= ALLOCATION_MIB
    return max(0, heap)


def _overhead_mib(heap_mib: int) -> int:
    return max(_MIN_OVERHEAD_MIB, heap_mib * _OVERHEAD_PERCENT // 100)


def _round_up(mib: int) -> int:
    return -(-mib // ALLOCATION_MIB) * ALLOCATION_MIB


def _usable_mib(node: InstanceType) -> int:
    return node.yarn_mib // ALLOCATION_MIB * ALLOCATION_MIB


def _arithmetic(hardware: Hardware, node: InstanceType, jobs: int, max_parallel_runs: int) -> str:
    sessions = jobs * max_parallel_runs
    driver, executor = container_mib(_DRIVER_HEAPS_MIB[-1]), container_mib(_MIN_EXECUTOR_MIB)
    needed = sessions * (driver + executor)
    return (
        f"{jobs} jobs at once x {max_parallel_runs} parallel runs = {sessions} Spark sessions at the same time, each "
        f"at least {driver} MiB (driver) + {executor} MiB (executor) = {driver + executor} MiB: {needed} MiB. "
        f"{hardware.core_count} x {hardware.core_type} give YARN {hardware.core_count} x {_usable_mib(node)} "
        f"= {hardware.core_count * _usable_mib(node)} MiB, of which {(hardware.core_count - 1) * executor} MiB "
        "can stay unused between containers. Declare more or larger core nodes, fewer parallel runs, or fewer jobs."
    )
