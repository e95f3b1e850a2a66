"""The server on Trio: one file a task. `app` holds the tree of all of them, and the order in which they end."""
