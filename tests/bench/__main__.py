"""Measures and prints the table."""

from __future__ import annotations

import argparse
import platform
import sys

from tests.bench import first_paint, forty, hop, probe
from tests.bench.rows import table
from tests.lab.world import missing

BENCHES = {"first-paint": first_paint, "forty": forty, "hop": hop, "probe": probe}
NEED_A_LAB = {"forty", "hop"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("bench", nargs="*", choices=[[], *BENCHES], help="all where none is named")
    chosen = parser.parse_args().bench or list(BENCHES)
    rows = []
    for name in chosen:
        if name in NEED_A_LAB and (reason := missing()):
            print(f"{name}: left out, {reason}", file=sys.stderr)
            continue
        print(f"{name} …", file=sys.stderr)
        rows += BENCHES[name].measure()
    print(f"Python {platform.python_version()}, {platform.machine()}\n")
    print(table(rows))
    return 0 if all(row.limit is None or row.value <= row.limit for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
