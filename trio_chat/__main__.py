"""`python -m trio_chat` is the same as the script `trio-chat`."""

import sys


def main() -> int:
    """Load the command line and run it, and return the exit code. Ctrl-C while it is being loaded is 130, too."""
    try:
        from trio_chat.cli import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
