"""Measures speed and memory: `python -m bench`. These are not tests, since the figures depend on the machine."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "plugins"))
