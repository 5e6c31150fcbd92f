"""Entry point of ``python hack/demo``."""

import sys
from pathlib import Path

# Started as a folder, Python puts the package itself on the path, not its parent.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from demo.story import main  # noqa: E402 -- importable only after the line above

if __name__ == "__main__":
    sys.exit(main())
