"""`python -m sandbox COMMAND`."""

import sys

from sandbox.cli import main, settle_process

settle_process()
sys.exit(main())
