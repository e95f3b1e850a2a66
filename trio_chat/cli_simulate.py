"""The command `trio-chat simulate`.

Exit codes: 0 all promises were kept; 1 one was broken; 2 asked for the wrong; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

MOST_CLIENTS = 10_000
CLIENTS, AWAY = 200, 2.0
HELP = """Run the whole server in virtual time, with users, faults and a judge. SCENARIO is a file; without it each \
seed makes up its own.

The same seed and scenario give the same run, on any machine. A run that breaks a promise is made smaller, and written \
to simulate-SEED.toml.

With --storm: how long it takes until everybody is back after a deploy, or when the proxy in front dies, and who is \
banned on the way."""


def simulate(
    scenario: Annotated[Path | None, Parameter(help="file; see docs/simulate.md", metavar="SCENARIO")] = None,
    /,
    *,
    seed: Annotated[int | None, Parameter(help="else one that nobody chose", show_default=False)] = None,
    runs: Annotated[int, Parameter(help="as many seeds, one after the other")] = 1,
    minutes: Annotated[float, Parameter(help="go on with further seeds for so long", show_default=False)] = 0.0,
    length: Annotated[
        float, Parameter(help="virtual seconds of a scenario that is made up; else as it comes", show_default=False)
    ] = 0.0,
    trace: Annotated[
        Path | None, Parameter(help="write the last run as a page to be played", metavar="PATH", show_default=False)
    ] = None,
    keep: Annotated[
        Path, Parameter(help="directory for what failed; else this one", metavar="PATH", show_default=False)
    ] = Path(),
    json: Annotated[bool, Parameter(name="--json", help="for programs", negative="", show_default=False)] = False,
    storm: Annotated[
        bool, Parameter(help="everybody loses the server at once", negative="", show_default=False)
    ] = False,
    clients: Annotated[int, Parameter(help=f"of the storm, at most {MOST_CLIENTS:,}")] = CLIENTS,
    addresses: Annotated[int, Parameter(help="that they are behind, at most as many")] = 1,
    away: Annotated[float, Parameter(help="seconds that the server is gone")] = AWAY,
    config: Annotated[
        Path | None, Parameter(help="the server's own TOML file, for the storm", metavar="PATH", show_default=False)
    ] = None,
    chart: Annotated[
        Path | None, Parameter(help="write the storm as an SVG", metavar="PATH", show_default=False)
    ] = None,
) -> int:
    """See `HELP`."""
    from trio_chat.sim.scenario import ScenarioError  # here, so that --help loads no server
    from trio_chat.sim.tool import Wanted, play, storms

    bounds = (
        ("runs", runs, 1, 1_000_000),
        ("minutes", minutes, 0, 1440),
        ("length", length, 0, 100_000),
        ("clients", clients, 1, MOST_CLIENTS),
        ("addresses", addresses, 1, clients),
        ("away", away, 0, 3600),
    )
    for name, value, low, high in bounds:
        if not low <= value <= high:
            return _fail(f"--{name}: {value:g} must be from {low:,} to {high:,}")
    elsewhere = (
        ("SCENARIO", scenario is not None),
        ("--runs", runs != 1),
        ("--minutes", minutes != 0),
        ("--length", length != 0),
        ("--trace", trace is not None),
        ("--keep", keep != Path()),
    )
    of_storms = (
        ("--clients", clients != CLIENTS),
        ("--addresses", addresses != 1),
        ("--away", away != AWAY),
        ("--config", config is not None),
        ("--chart", chart is not None),
    )
    for name, given in elsewhere if storm else of_storms:
        if given:
            return _fail(f"{name}: it is {'not' if storm else 'only'} for --storm")
    if length and scenario is not None:
        return _fail(f"--length: {length:g}, and {scenario} says for itself how long it is")
    try:
        for name, path in (("trace", trace), ("chart", chart)):
            if path is not None:
                _writable(name, path)
        _writable("keep", keep / "simulate-0.toml")
        if storm:
            return storms(config, seed, clients, addresses, away, chart, as_json=json)
        wanted = Wanted(
            scenario=scenario,
            seed=seed,
            runs=runs,
            minutes=minutes,
            length=length,
            trace=trace,
            keep=keep,
            json=json,
        )
        return play(wanted)
    except ScenarioError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'stdout'}: {error.strerror}")


def _writable(option: str, path: Path) -> None:
    """Say now what would else be said when the work is done, and lost.

    Raises:
        ScenarioError: nothing can be written there.
    """
    from trio_chat.sim.scenario import ScenarioError

    where, number = path.parent, None
    if path.is_dir():
        number = errno.EISDIR
    elif not where.exists():
        number, path = errno.ENOENT, where
    elif not where.is_dir():
        number, path = errno.ENOTDIR, where
    elif not os.access(path if path.exists() else where, os.W_OK):
        number = errno.EACCES
    if number is not None:
        raise ScenarioError(f"--{option}: {path}: {os.strerror(number)}")


def _fail(line: str) -> int:
    if sys.stderr is not None:
        print(line, file=sys.stderr)
    return 2
