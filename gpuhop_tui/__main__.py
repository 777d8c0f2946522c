"""`python -m gpuhop_tui` is `gpuhop-tui`."""

import sys

from gpuhop_tui.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
