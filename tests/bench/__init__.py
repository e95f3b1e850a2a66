"""The load that users get, on a real server."""
