"""`python -m sandbox.livy --host H --port P --work-dir DIR [--plain] [--livy-home DIR] [--conf livy.x=y ...]`.

It speaks TLS, with the key and certificate in `--certificate FILE`, made where there is none; `--plain` is without.
LIVY_SERVER_JAVA_OPTS are the options of the server's JVM, as livy-env.sh sets them.
With `--livy-home`, Apache Livy's server replaces this process; without it, this is the embedded server.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import livy, tls
from sandbox.addresses import LIVY_PORT
from sandbox.livy import apache, spark
from sandbox.livy.apache import JAVA_OPTIONS

if TYPE_CHECKING:
    from starlette.applications import Starlette


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.livy", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=LIVY_PORT)
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--livy-home", type=Path)
    parser.add_argument("--certificate", type=Path, help="PEM file of key and certificate")
    parser.add_argument("--plain", action="store_true", help="plain HTTP, as EMR's releases before 7.4.0")
    parser.add_argument("--conf", action="append", default=[], metavar="livy.KEY=VALUE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")

    work_dir, host, port = options.work_dir.resolve(), options.host, options.port
    conf = dict(pair.split("=", 1) for pair in options.conf)
    environment = {**livy.environment(work_dir, os.environ), "SPARK_LOCAL_IP": host}
    defaults = spark.defaults(host, environment)
    conf_dir = Path(environment["SPARK_CONF_DIR"])
    certificate = None if options.plain else (options.certificate or work_dir / livy.CERTIFICATE).resolve()
    if certificate is not None:
        tls.ensure_certificate(certificate, host)
    if options.livy_home:
        spark.write_configuration(conf_dir, {**defaults, **apache.driver_settings()})
        apache.exec_server(
            options.livy_home.resolve(),
            host=host,
            port=port,
            work_dir=work_dir,
            conf=conf,
            environment=environment,
            certificate=certificate,
        )
    spark.write_configuration(conf_dir, defaults)
    application = _application(work_dir, conf, environment)
    _serve(application, host, port, certificate)


def _application(work_dir: Path, conf: Mapping[str, str], environment: Mapping[str, str]) -> Starlette:
    from sandbox.livy import app
    from sandbox.livy.create_request import CreateRequest
    from sandbox.livy.driver import Driver
    from sandbox.livy.manager import Limits, SessionManager

    def make_driver(number: int, request: CreateRequest) -> Driver:
        name = request.name or f"livy-session-{number}"
        folder = work_dir / f"session-{number}"
        return Driver(request, name=name, folder=folder, environment=environment)

    limits = Limits.from_conf(conf, environment.get(JAVA_OPTIONS, ""))
    return app.build(SessionManager(limits, make_driver))


def _serve(application: Starlette, host: str, port: int, certificate: Path | None) -> None:
    import uvicorn

    uvicorn.run(
        application,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ssl_certfile=certificate,
        ssl_keyfile=certificate,
    )


if __name__ == "__main__":
    main()
