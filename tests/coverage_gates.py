"""Hold the coverage gates: ``make coverage`` runs this on the data of the test run before it."""

from __future__ import annotations

import io
import sys

import coverage

GATES = {  # percent of lines and branches together
    "src/backstream/*.py": 100,
    "src/backstream/chunks/*": 100,
    "src/backstream/request/*": 100,
    "src/backstream/reply/*": 100,
    "src/backstream/schema/*": 100,
    "src/backstream/media/*": 100,
    "src/backstream/wire/*": 100,
    "src/backstream/dialects/*": 100,
    "src/backstream/transport/*": 95,
    "src/backstream/providers/*": 95,
    "src/backstream/registry/*": 95,
    "src/backstream/tools/*": 95,
    "src/backstream/client/*": 95,
    "src/backstream/server/*": 90,
}


def main() -> int:
    """Print each gate and what was reached; return how many were missed."""
    data = coverage.Coverage()
    data.load()
    missed = 0
    for pattern, wanted in GATES.items():
        report = io.StringIO()
        reached = data.report(include=[pattern], file=report, show_missing=True, skip_covered=True)
        missed += reached < wanted
        print(f"{pattern:32} {reached:6.2f} %  (gate {wanted} %)")
        if reached < wanted:
            print(report.getvalue())
    return missed


if __name__ == "__main__":
    sys.exit(main())
