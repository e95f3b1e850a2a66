"""Which of the server's tasks did something when: for the trace player, and for nothing that a run depends on."""

from __future__ import annotations

import trio

from trio_chat.sim.trace import Trace

MOST = 200_000  # steps that are remembered; a player with more of them could not be scrubbed
LANES = {
    "trio_chat.server.broker.Broker.run": "broker",
    "trio_chat.sim.disk.VirtualLog.run": "log",
    "trio_chat.server.listener.Listener.accept": "listener",
}
OURS = ("reader ", "writer ", "heartbeat ")  # and the number of the connection


class Steps(trio.abc.Instrument):
    """Notes each moment at which a task of the server ran."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._last: dict[str, float] = {}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task runs."""
        lane = LANES.get(task.name) or (task.name if task.name.startswith(OURS) else None)
        if lane is None:
            return
        now = trio.current_time()
        if self._last.get(lane) != now and len(self._trace.steps) < MOST:
            self._last[lane] = now
            self._trace.steps.append((now, lane))
