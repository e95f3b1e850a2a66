"""The WebSocket transport against Autobahn's test suite, as an echo server."""
