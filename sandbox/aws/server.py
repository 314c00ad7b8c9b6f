"""Serves moto behind the gateway until a signal."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import threading
from typing import Any

from werkzeug.serving import make_server

from sandbox.addresses import check_free
from sandbox.aws.context import Config, Context
from sandbox.errors import SandboxError

logger = logging.getLogger(__name__)


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then end every cluster's process.

    Raises SandboxError if the address is taken, or is not in the loopback network.
    """
    if not ipaddress.ip_address(config.host).is_loopback:
        raise SandboxError(f"The sandbox's AWS listens on 127.0.0.0/8 only, not on {config.host}")
    check_free(config.host, config.port, "The sandbox's AWS")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    context = Context(config)
    context.state.prepare(fresh=config.fresh)
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    from sandbox.aws.assembly import assemble  # moto reads the setting above when it is imported

    parts = assemble(context)
    server = make_server(
        config.host, config.port, parts.application, threaded=True, request_handler=parts.request_handler
    )

    def stop(*_: Any) -> None:
        context.stopping.set()
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print("ready", flush=True)
    server.serve_forever(poll_interval=0.05)
    parts.stop()
    logging.shutdown()
    os._exit(0)  # everything is saved, and a regular exit would take a second to unload moto's modules
