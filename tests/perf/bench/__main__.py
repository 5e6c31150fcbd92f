"""Entry point of ``python tests/perf/bench ROLE``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Started as a folder, Python puts the package itself on the path, not what it is made from.
sys.path[0:1] = [str(ROOT / "tests"), str(ROOT / "hack")]

from perf.bench.cli import main  # noqa: E402 -- importable only after the line above

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
