"""The transcript that documents show is one that runs."""

from __future__ import annotations

import json
import subprocess
import sys

from .process import ROOT, Server


def test_transcript_is_readable(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.transcript", server.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    said = [(who, json.loads(frame)["type"]) for who, way, frame in lines if way == "→"]
    assert said == [
        ("alice", "connect"),
        ("bob", "connect"),
        ("alice", "message"),
        ("bob", "typing"),
        ("bob", "private"),
        ("alice", "ping"),
        ("Alice", "connect"),
    ]
    heard = {(who, json.loads(frame)["type"]) for who, way, frame in lines if way == "←"}
    both = {"system", "user_list", "message", "private"}
    assert heard == {(who, kind) for who in ("alice", "bob") for kind in both} | {
        ("alice", "typing"),
        ("alice", "pong"),
        ("Alice", "error"),
    }
