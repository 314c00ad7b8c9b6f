"""`python -m sandbox.redshift`: serve one cluster until SIGTERM. Prints `ready` when it can accept connections."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from sandbox.addresses import REDSHIFT_PORT
from sandbox.redshift.server import Options, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.redshift", description=__doc__)
    parser.add_argument("--host", required=True, help="the cluster's own loopback address")
    parser.add_argument("--port", type=int, default=REDSHIFT_PORT)
    parser.add_argument("--data-dir", type=Path, required=True, help="initialised if it is empty")
    parser.add_argument(
        "--accepting-file", type=Path, help="connections are refused until this file is there"
    )
    parser.add_argument("--cluster-id", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--admin-user", required=True)
    parser.add_argument(
        "--aws-url", required=True, help="the AWS process, which has the credentials and roles"
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return run(Options(**vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(main())
