"""A WebSocket chat server on Trio.

`serve` and `Config` are all that an embedding program needs, and `open_chat_client` is where a client begins. Each is
loaded when it is first asked for, so that `import trio_chat.core`, which is pure, never imports Trio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_chat.client.client import ChatClient, open_chat_client
    from trio_chat.config import Config, ConfigError
    from trio_chat.server.app import serve

__all__ = ["ChatClient", "Config", "ConfigError", "__version__", "open_chat_client", "serve"]
__version__ = "0.1.0"

_HOME = {
    "ChatClient": "trio_chat.client.client",
    "Config": "trio_chat.config",
    "ConfigError": "trio_chat.config",
    "open_chat_client": "trio_chat.client.client",
    "serve": "trio_chat.server.app",
}

if not TYPE_CHECKING:  # a type checker shall still refuse `trio_chat.no_such_name`

    def __getattr__(name: str) -> object:
        """Load a public name from the module it lives in, once (PEP 562)."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_HOME[name]), name)
        return value
