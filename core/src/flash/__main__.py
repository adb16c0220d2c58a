"""``python -m flash`` does what the ``flash`` command does."""

import sys

from flash.cli import main

if __name__ == "__main__":
    sys.exit(main())
