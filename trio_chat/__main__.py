"""`python -m trio_chat` is the same as the script `trio-chat`."""

import sys

if __name__ == "__main__":
    try:
        from trio_chat.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # Ctrl-C while the imports were still under way
        sys.exit(130)
