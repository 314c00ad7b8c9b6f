"""`python -m sandbox COMMAND`."""

import sys

from sandbox.cli import main

sys.exit(main())
