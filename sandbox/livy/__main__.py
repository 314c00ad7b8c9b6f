"""`python -m sandbox.livy --host H --port P --work-dir DIR [--conf livy.x=y ...]`: the embedded server."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import uvicorn

from sandbox import livy
from sandbox.livy import app, spark
from sandbox.livy.creation import Creation
from sandbox.livy.driver import Driver
from sandbox.livy.manager import Limits, SessionManager


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.livy", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=8998)
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--conf", action="append", default=[], metavar="livy.KEY=VALUE")
    wanted = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")

    work_dir = wanted.work_dir.resolve()
    environment = {**livy.environment(work_dir, os.environ), "SPARK_LOCAL_IP": wanted.host}
    spark.write_configuration(Path(environment["SPARK_CONF_DIR"]), spark.defaults(wanted.host, environment))

    def make_driver(number: int, creation: Creation) -> Driver:
        name = creation.name or f"livy-session-{number}"
        folder = work_dir / f"session-{number}"
        return Driver(creation, name=name, folder=folder, environment=environment)

    limits = Limits.from_conf(dict(pair.split("=", 1) for pair in wanted.conf))
    application = app.build(SessionManager(limits, make_driver))
    uvicorn.run(application, host=wanted.host, port=wanted.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
