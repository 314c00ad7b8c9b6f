"""`python -m sandbox COMMAND`."""

import sys

from sandbox.cli import main_of_process

sys.exit(main_of_process())
