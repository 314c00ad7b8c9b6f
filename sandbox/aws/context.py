"""What the parts of this process share: its configuration, its state directory, and whether it is stopping."""

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
    """How this process was started. Delays are what AWS's own work is made to take, in seconds."""

    host: str
    port: int
    state_dir: Path
    fresh: bool = False
    emr_delay_s: float = 1.5
    redshift_delay_s: float = 1.0
    livy_restart_s: float = 5.0
    livy_command: str | None = None
    redshift_command: str | None = None

    @property
    def addresses(self) -> Addresses:
        """Clusters get addresses beside our own: the second byte of `host` is the sandbox's net."""
        return Addresses(int(self.host.split(".")[1]))

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass
class Delays:
    """How long AWS's own work takes from now on, in seconds."""

    emr_s: float
    redshift_s: float

    def change(self, changes: Mapping[str, float]) -> None:
        """Raises ValueError where a delay is unknown."""
        if unknown := set(changes) - set(asdict(self)):
            raise ValueError(f"unknown delays {sorted(unknown)}; there are {sorted(asdict(self))}")
        for name, seconds in changes.items():
            setattr(self, name, float(seconds))


@dataclass
class Context:
    """One running AWS."""

    config: Config
    stopping: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def delays(self) -> Delays:
        return Delays(self.config.emr_delay_s, self.config.redshift_delay_s)

    @cached_property
    def state(self) -> State:
        return State(self.config.state_dir)

    def spawn(self, work: Callable[[], None], name: str) -> None:
        """Run `work` in a thread that does not keep the process alive."""
        threading.Thread(target=work, name=name, daemon=True).start()


class AddressPool:
    """Hands out cluster numbers 1 to 254, the longest unused first: a late call hits no newer cluster."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = list(range(1, 255))

    def take(self) -> int:
        with self._lock:
            return self._free.pop(0)

    def give_back(self, number: int) -> None:
        with self._lock:
            self._free.append(number)
