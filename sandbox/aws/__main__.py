"""`python -m sandbox.aws`: serve the simulated AWS until SIGTERM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sandbox.addresses import Addresses
from sandbox.aws.context import Config
from sandbox.aws.server import serve
from sandbox.errors import SandboxError


def main() -> None:
    """Serve the simulated AWS until SIGTERM or SIGINT; prints `ready` once it accepts requests."""
    try:
        _serve()
    except SandboxError as error:
        sys.exit(str(error))


def _serve() -> None:
    default = Addresses.from_environment()
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description=main.__doc__)
    parser.add_argument("--host", default=default.host)
    parser.add_argument("--port", type=int, default=default.aws_port)
    parser.add_argument("--state-dir", type=Path, default=Path(".sandbox"))
    parser.add_argument("--fresh", action="store_true", help="start from an empty account")
    parser.add_argument(
        "--emr-delay", type=float, default=1.5, help="seconds for an EMR cluster, without Livy"
    )
    parser.add_argument(
        "--redshift-delay", type=float, default=1.0, help="least seconds for a Redshift cluster"
    )
    parser.add_argument(
        "--iam-delay",
        type=float,
        default=2.0,
        help="seconds for which EMR and Redshift see no new role or policy",
    )
    parser.add_argument(
        "--livy-restart", type=float, default=5.0, help="seconds until a Livy server that died is restarted"
    )
    parser.add_argument(
        "--livy-command", help="command to run instead of sandbox.livy; {host} {port} {work_dir}"
    )
    parser.add_argument(
        "--redshift-command",
        help="command to run instead of sandbox.redshift; "
        "{host} {port} {data_dir} {cluster_id} {database} {admin_user} {aws_url}",
    )
    options = parser.parse_args()
    serve(
        Config(
            host=options.host,
            port=options.port,
            state_dir=options.state_dir.resolve(),
            fresh=options.fresh,
            emr_delay_s=options.emr_delay,
            redshift_delay_s=options.redshift_delay,
            iam_delay_s=options.iam_delay,
            livy_restart_s=options.livy_restart,
            livy_command=options.livy_command,
            redshift_command=options.redshift_command,
        )
    )


if __name__ == "__main__":
    main()
