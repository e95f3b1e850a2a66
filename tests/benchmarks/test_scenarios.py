"""Each scenario works on the peer, small: what is counted is what must be; and the page tells what was recorded."""

from __future__ import annotations

import socket
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .framing import Frames
from .load import Load
from .opening import LoadError, await_frame, open_clients
from .pace import Pace, Pacer, percentile
from .plots import bars, lines
from .report import growth, write
from .run import busy_seconds, measure
from .scenarios import GROWTH, SCENARIOS
from .servers import OURS, PEER, SERVERS, BenchmarkError, Kind, install, serving

# Small enough to be quick, and alike in kind.
SMALL: dict[str, dict[str, Any]] = {
    "one room, 10 senders": {"clients": 20},
    "one room, 1 sender": {"clients": 20},
    "100 rooms of 10": {"clients": 20, "rooms": 5, "senders": 5},
    "500 private pairs": {"clients": 20, "rooms": 10, "senders": 10},
    "open loop": {"clients": 20, "rooms": 4, "rate": 200},
    "5,000 idle": {"clients": 70},
    "10,000 idle": {"clients": 70},
    "churn": {"clients": 70},
    "join storm": {"clients": 70},
    "1 MiB to 100": {"clients": 5},
}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("server", [OURS, PEER])
def test_each_scenario_works(name: str, server: str) -> None:
    """Its load finds all promises kept, and the figures that its table shows are there."""
    scenario = SCENARIOS[name]
    with serving(server) as process:
        options = {**scenario.options, **SMALL[name], "warmup": 0.1, "seconds": 0.2}
        result = measure(process, options, module=scenario.module)

    assert result[scenario.columns[0].key] > 0
    assert {column.key for column in scenario.columns} | {"load_cpu", "server_cpu", "others"} <= set(result)
    if scenario.module == "load":
        members = options["clients"] // options.get("rooms", 1)
        assert result["delivered"] == result["sent"] * members


def test_a_server_with_a_log_file_works() -> None:
    """Its directory goes with it."""
    with serving("trio_chat, sqlite") as process:
        result = measure(process, {"clients": 4, "senders": 1, "warmup": 0.05, "seconds": 0.1})
        command = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
        file = Path(command[command.index("--log") + 1].removeprefix("sqlite:"))
        assert file.exists()
    assert result["delivered"] == 4 * result["sent"]
    assert not file.parent.exists()


def test_latency_counts_from_the_intended_time() -> None:
    """A message that is due at 0.25 s and comes at 0.75 s is 500 ms late, whenever it was sent; the warm-up is not."""
    pacer = Pacer(Pace(port=0, server_pid=1, clients=0, rooms=1, rate=4, seconds=0, warmup=0), [])
    pacer.start, pacer.first, pacer.latencies = 10.0, 1, []
    for n, at in ((0, 10.9), (1, 10.75)):
        pacer._count(n, at, pacer.latencies)
    assert pacer.latencies == [500.0]


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.501, 51), (0.99, 99), (0.999, 100)])
def test_nearest_rank(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == value
    assert percentile([], share) == 0


def test_clients_share_rooms_evenly() -> None:
    load = Load(port=0, server_pid=1, clients=6, senders=1, rooms=3)
    assert [load.room(n) for n in range(6)] == [f"room0000{n}" for n in (0, 0, 1, 1, 2, 2)]

    pairs = Load(port=0, server_pid=1, clients=4, senders=2, rooms=2, private=1)
    assert [pairs.target(n)["to"] for n in range(4)] == ["u00001", "u00000", "u00003", "u00002"]


@pytest.mark.parametrize("wrong", [{"clients": 7, "rooms": 2}, {"clients": 6, "rooms": 2, "private": 1}])
def test_rooms_that_do_not_divide_the_clients_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="rooms"):
        Load(port=0, server_pid=1, senders=1, **wrong)


def test_a_refused_client_is_an_error() -> None:
    """A room that cannot be joined: the load does not go on without that client."""
    with serving(OURS) as process, ExitStack() as sockets, pytest.raises(LoadError, match="u00002 waits for"):
        open_clients(process.port, ["u00002"], sockets, ["#not a room"])


def test_an_error_instead_of_the_awaited_frame_is_told() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'\x81\x10{"type":"error"}')
        with pytest.raises(LoadError, match='me waits for "ack"'):
            await_frame(ours, Frames(), "me", b'"ack"')


def test_an_unknown_kind_of_crowd_is_told() -> None:
    with serving(PEER) as process, pytest.raises(BenchmarkError, match="must be one of idle, churn, join"):
        measure(process, {"kind": "dance"}, module="crowd")


def test_what_cannot_be_installed_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no-such-thing"):
        install(Kind([], ("./no-such-thing",)), tmp_path)


def test_time_of_others_only_grows() -> None:
    before = busy_seconds()
    assert before > 0
    assert busy_seconds() >= before


def record() -> dict[str, Any]:
    def of(rate: float, cpu: float = 0.5) -> dict[str, float]:
        return {"deliveries_per_second": rate, "server_cpu": cpu, "load_cpu": 0.25, "others": 0}

    main = {OURS: [of(300), of(100)], PEER: [of(100), of(50)], "picows": []}
    grown = {name: {OURS: [of(100_000, 1.0)]} for name in GROWTH}
    return {
        "rounds": 2,
        "results": {"one room, 1 sender": main, **grown},
        "errors": {"one room, 1 sender": {"picows": "a line\nit lost 7 messages"}},
        "versions": {OURS: "", PEER: "websockets 17.0"},
        "missing": {"absent": "nobody has it"},
    }


def test_the_page_has_ratios_by_round_medians_errors_and_what_is_missing(tmp_path: Path) -> None:
    """3 and 2 times the peer: 2.5, not the ratio of the medians, 200 / 75."""
    text = write(record(), tmp_path / "benchmarks.md")

    assert (tmp_path / "benchmarks.md").read_text() == text
    assert f"| {OURS} | 2.50 (2.00 – 3.00) |" in text
    assert f"| {OURS} | 200 (100 – 300) | 50% (50% – 50%) | 25% (25% – 25%) |" in text
    assert "- picows: it lost 7 messages" in text
    assert "- absent: nobody has it" in text
    assert "- websockets: websockets 17.0" in text
    for name in ("ratios", "growth"):
        assert f"benchmarks-{name}.svg" in text
        ET.fromstring((tmp_path / f"benchmarks-{name}.svg").read_text())


def test_a_busy_load_is_told() -> None:
    busy = record()
    for one in busy["results"]["one room, 1 sender"][OURS]:
        one["load_cpu"] = 0.9
    assert f"- {OURS}: the load needed 80% of its core" in write(busy, None)


def test_growth_is_cpu_for_one_delivery() -> None:
    series = growth(record()["results"])
    assert set(series) == {"members", "rooms", "connections"}
    assert series["members"][0] == (10.0, 10.0), "one core does 100,000 a second: 10 µs each"


def test_plots_are_xml_whatever_the_names() -> None:
    for svg in (bars({"<a & b>": {"x": 0.1, "<y>": 30.0}}, "&", "x"), lines({"<n>": [(1.0, 2.0)]}, "<")):
        ET.fromstring(svg)


def test_all_servers_are_known_by_their_files() -> None:
    """A peer that is listed can be started: its module exists."""
    for kind in SERVERS.values():
        target = kind.command[0] if kind.node else kind.command[1]
        path = Path(target) if kind.node else Path(__file__).parents[2] / Path(*target.split("."))
        assert path.exists() or path.with_suffix(".py").exists() or (path / "__main__.py").exists()
