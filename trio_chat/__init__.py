"""A WebSocket chat server on Trio.

`serve` and `Config` are all that an embedding program needs. `serve` is loaded when it is first asked for, so that
`import trio_chat.core`, which is pure, never imports Trio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_chat.config import Config, ConfigError
    from trio_chat.server.app import serve

__all__ = ["Config", "ConfigError", "__version__", "serve"]
__version__ = "0.1.0"

_HOME = {"Config": "trio_chat.config", "ConfigError": "trio_chat.config", "serve": "trio_chat.server.app"}

if not TYPE_CHECKING:  # a type checker shall still refuse `trio_chat.no_such_name`

    def __getattr__(name: str) -> object:
        """Load a public name from the module it lives in, once (PEP 562)."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_HOME[name]), name)
        return value
