"""`python -m sandbox.livy --host H --port P --work-dir DIR [--livy-home DIR] [--conf livy.x=y ...]`.

With `--livy-home`, Apache Livy's server replaces this process; without it, this is the embedded server.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from sandbox import livy
from sandbox.addresses import LIVY_PORT
from sandbox.livy import apache, spark


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.livy", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=LIVY_PORT)
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--livy-home", type=Path)
    parser.add_argument("--conf", action="append", default=[], metavar="livy.KEY=VALUE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")

    work_dir, host, port = options.work_dir.resolve(), options.host, options.port
    conf = dict(pair.split("=", 1) for pair in options.conf)
    environment = {**livy.environment(work_dir, os.environ), "SPARK_LOCAL_IP": host}
    defaults = spark.defaults(host, environment)
    conf_dir = Path(environment["SPARK_CONF_DIR"])
    if options.livy_home:
        spark.write_configuration(conf_dir, {**defaults, **apache.driver_settings()})
        apache.exec_server(
            options.livy_home.resolve(),
            host=host,
            port=port,
            work_dir=work_dir,
            conf=conf,
            environment=environment,
        )
    spark.write_configuration(conf_dir, defaults)
    _serve(host, port, work_dir, conf, environment)


def _serve(
    host: str, port: int, work_dir: Path, conf: Mapping[str, str], environment: Mapping[str, str]
) -> None:
    import uvicorn

    from sandbox.livy import app
    from sandbox.livy.create_request import CreateRequest
    from sandbox.livy.driver import Driver
    from sandbox.livy.manager import Limits, SessionManager

    def make_driver(number: int, request: CreateRequest) -> Driver:
        name = request.name or f"livy-session-{number}"
        folder = work_dir / f"session-{number}"
        return Driver(request, name=name, folder=folder, environment=environment)

    application = app.build(SessionManager(Limits.from_conf(conf), make_driver))
    uvicorn.run(application, host=host, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
