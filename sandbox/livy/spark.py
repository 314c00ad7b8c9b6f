"""Spark's configuration for the sandbox's Livy: its defaults file, and the driver's command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import machine

# Tuned for a fast start, not for long runs: only the C1 compiler, and no garbage collector threads.
_QUICK_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

# The packages that Spark's own launcher opens for Java 17 (JavaModuleOptions.java, Spark 3.5).
_OPENED_PACKAGES = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "jdk.internal.ref",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)
_DEFAULT_DRIVER_MEMORY = "1g"


def defaults(host: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Spark's settings for every session: loopback only, `s3://` through S3A, no UI and no event log.

    The S3 endpoint and region come from the AWS variables in `environment`.
    """
    settings = {
        "spark.driver.host": host,
        "spark.driver.bindAddress": host,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.aws.credentials.provider": (
            "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"
        ),
        # The file output committer publishes by renaming; version 2 renames only once, at task commit.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
    }
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        settings |= {
            "spark.hadoop.fs.s3a.endpoint": endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https:")).lower(),
        }
    if region := environment.get("AWS_DEFAULT_REGION"):
        settings["spark.hadoop.fs.s3a.endpoint.region"] = region
    return settings


def write_configuration(folder: Path, settings: Mapping[str, str]) -> None:
    """Write spark-defaults.conf and log4j2.properties into `folder`, which SPARK_CONF_DIR names."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (f"{key} {value}\n" for key, value in settings.items())
    (folder / "spark-defaults.conf").write_text("".join(lines), encoding="utf-8")
    (folder / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")


_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
"""


def s3_class_path() -> str:
    """The class path of the jars that let a driver read `s3://`."""
    return ":".join(str(jar) for jar in machine.spark_jars())


def driver_options() -> str:
    """JVM options for a driver that Spark's launcher starts, as with Apache Livy."""
    return " ".join(_QUICK_JVM)


def driver_command(
    conf: Mapping[str, str], arguments: Sequence[str], *, conf_dir: Path, scratch: Path
) -> list[str]:
    """The command line of a driver JVM that waits for Python to attach.

    `conf` holds the session's own settings, `arguments` are spark-submit's. Spark's launcher is not used, since it
    would start another JVM only to compute this command line.
    """
    home = machine.spark_home()
    class_path = [
        *_list_of(conf.get("spark.driver.extraClassPath")),
        s3_class_path(),
        str(conf_dir),
        f"{home}/jars/*",
    ]
    settings = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
    return [
        str(machine.java_home() / "bin" / "java"),
        *_QUICK_JVM,
        "-XX:+IgnoreUnrecognizedVMOptions",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED_PACKAGES),
        "-Djdk.reflect.useDirectMethodHandle=false",
        f"-Djava.io.tmpdir={scratch}",
        f"-Xmx{conf.get('spark.driver.memory', _DEFAULT_DRIVER_MEMORY)}",
        *conf.get("spark.driver.extraJavaOptions", "").split(),
        "-cp",
        ":".join(class_path),
        "org.apache.spark.deploy.SparkSubmit",
        *settings,
        *arguments,
        "pyspark-shell",
    ]


def _list_of(value: str | None) -> list[str]:
    return [value] if value else []
