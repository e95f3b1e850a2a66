"""The real server with one fault in it: `python -m tests.fuzz.mutants FAULT FLAGS…`."""

from __future__ import annotations

import sys

from trio_chat.cli import main

from .faults import FAULTS, ONCE

if __name__ == "__main__":
    (FAULTS | ONCE)[sys.argv.pop(1)]()
    sys.exit(main())
