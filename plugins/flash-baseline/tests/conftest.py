"""A domain that the tests of this package share is importable, as the targets of a plugin have to be."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
