"""The network between a browser and the server: cut, and mended, whenever a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tests.client.proxy import Plan, Proxy


class Line:
    """A proxy in a thread of its own, for tests that do not run under Trio."""

    def __init__(self, to: int) -> None:
        self._proxy = Proxy(to, self._plan)
        self._whole = True
        self._ready = threading.Event()
        self._over = trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://127.0.0.1:{self._proxy.port}/"

    def cut(self) -> None:
        """Nothing goes through any more, and what was open is gone."""
        self._whole = False
        trio.from_thread.run(self._proxy.cut_all, trio_token=self._token)

    def mend(self) -> None:
        """Whoever tries from now on gets through."""
        self._whole = True

    def _plan(self) -> Plan:
        return Plan() if self._whole else Plan(cut_up=0)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._proxy.serve)
            self._ready.set()
            await self._over.wait()
            nursery.cancel_scope.cancel()

    def __enter__(self) -> Line:
        """It is whole."""
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        """It is gone, and all that goes through it."""
        trio.from_thread.run_sync(self._over.set, trio_token=self._token)
        self._thread.join(10)


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """A line that is whole at first."""
    with Line(port) as line:
        yield line
