"""What the parts of the AWS process share: its configuration, its state directory, and its stop event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from sandbox.addresses import Addresses
from sandbox.aws.state import State

logger = logging.getLogger(__name__)

ACCOUNT = "123456789012"
PARTITION = "aws"


@dataclass(frozen=True)
class Config:
    """The options of this process; the delays are how long AWS's own work takes, in seconds."""

    host: str
    port: int
    state_dir: Path
    fresh: bool = False
    emr_delay_s: float = 1.5
    redshift_delay_s: float = 1.0
    redshift_refusing_s: float = 1.5
    iam_delay_s: float = 2.0
    livy_restart_s: float = 5.0
    livy_command: str | None = None
    redshift_command: str | None = None

    @property
    def addresses(self) -> Addresses:
        """The addresses of the clusters: the second byte of `host` is the sandbox's net."""
        return Addresses(int(self.host.split(".")[1]))

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass
class Delays:
    """How long AWS's own work takes, in seconds; can be changed at run time."""

    emr_s: float
    redshift_s: float
    redshift_refusing_s: float
    iam_s: float

    def change(self, changes: Mapping[str, float]) -> None:
        """Set the named delays. Raises ValueError if a name is unknown."""
        if unknown := set(changes) - set(asdict(self)):
            raise ValueError(f"unknown delays {sorted(unknown)}: use {sorted(asdict(self))}")
        for name, seconds in changes.items():
            setattr(self, name, float(seconds))


@dataclass
class Context:
    """One AWS process."""

    config: Config
    stopping: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def delays(self) -> Delays:
        config = self.config
        return Delays(
            config.emr_delay_s, config.redshift_delay_s, config.redshift_refusing_s, config.iam_delay_s
        )

    @cached_property
    def state(self) -> State:
        return State(self.config.state_dir)

    def spawn(self, work: Callable[[], None], name: str) -> None:
        """Run `work` in a daemon thread."""
        threading.Thread(target=work, name=name, daemon=True).start()


class AddressPool:
    """Assigns cluster numbers 1 to 254, the one unused longest first, so that late requests reach no newer cluster."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = list(range(1, 255))

    def take(self) -> int:
        with self._lock:
            return self._free.pop(0)

    def give_back(self, number: int) -> None:
        with self._lock:
            self._free.append(number)
