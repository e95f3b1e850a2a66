"""What the README shows works."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_server_embeds_as_shown() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = textwrap.dedent("  " + program.lstrip()).replace("trio.sleep(3600)", "trio.sleep(0)")

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert ran.stderr == ""
    assert re.fullmatch(r"\[\('127\.0\.0\.1', \d+\)\]\n", ran.stdout)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)

    assert len(links) >= 5
    assert [link for link in links if not (Path(__file__).parent.parent / link).exists()] == []
