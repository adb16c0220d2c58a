"""Entry point of ``python -m flash``, the same as the ``flash`` command."""

import sys

from flash.cli import main

if __name__ == "__main__":
    sys.exit(main())
