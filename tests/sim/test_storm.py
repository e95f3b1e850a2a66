"""The storm calculator: an office behind one address comes back, or is banned, by what its clients know."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from trio_chat.config import Config
from trio_chat.sim.chart import MOST_TICKS, RIGHT, svg, ticks
from trio_chat.sim.storm import Aftermath, Storm, blow, table


def after(
    clients: int = 60, *, simple: bool = False, addresses: int = 1, kind: str = "deploy", **options: int
) -> Aftermath:
    storm = Storm(clients=clients, addresses=addresses, blow=kind, simple=simple)  # type: ignore[arg-type]
    return blow(Config.of(log="memory", **options), storm, 1)


def test_clients_with_tickets_come_back_whatever_their_address() -> None:
    for kind in ("deploy", "proxy"):
        one = after(kind=kind)
        assert (len(one.back), one.banned, one.gone) == (60, 0, 0)
        whole = one.share_back(1.0)
        assert whole is not None
        assert whole < 30


def test_clients_without_are_banned_behind_one_address_and_not_behind_many() -> None:
    office = after(simple=True)
    assert office.banned == 1
    whole = office.share_back(1.0)
    assert whole is not None
    assert whole > 60  # a ban is as long
    spread = after(simple=True, addresses=10)
    assert spread.banned == 0
    raised = after(simple=True, max_attempts=200)
    assert raised.banned == 0


def test_one_client_comes_back_too() -> None:
    """It is the last who came: the blow fell before it had read its first welcome, which was taken for its return."""
    for simple in (False, True):
        one = after(1, simple=simple)
        assert len(one.back) == 1
        assert one.back[0] >= 2  # the server is away for so long
        assert one.share_back(0.5) == one.share_back(1.0) == one.back[0]


def test_it_is_the_same_each_time() -> None:
    assert after(20) == after(20)


def test_a_table_and_a_chart() -> None:
    found = [after(20), after(20, simple=True, addresses=2)]
    rows = table(found)
    assert {len(row) for row in rows} == {len(rows[0])}
    assert rows[2][:4] == ["deploy", "20", "simple", "2"]
    drawn = ElementTree.fromstring(svg(found))
    lines = [element for element in drawn.iter() if element.tag.endswith("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [21, 21]
    for mark in ("prefers-color-scheme: dark", "color-scheme: light dark", 'class="ground"'):
        assert mark in svg(found)
    assert table([Aftermath(Storm(clients=5, addresses=1))])[1][-3:] == ["0", "0", "0"]


@given(longest=st.floats(0.001, 20_000))
def test_no_two_ticks_are_alike_and_all_can_be_read(longest: float) -> None:
    marks = ticks(longest)
    assert marks[0][0] == 0
    assert marks[-2][0] < longest <= marks[-1][0] * (1 + 1e-6)
    assert len(marks) <= MOST_TICKS + 1
    assert len({written for _, written in marks}) == len(marks)
    assert len(marks[-1][1]) / 2 * 8 <= RIGHT  # 8: pixels of the widest figure


def test_ticks_are_round() -> None:
    assert [written for _, written in ticks(2.7)] == [f"{at:.1f} s" for at in (0, 0.5, 1, 1.5, 2, 2.5, 3)]
    assert [written for _, written in ticks(76.1)] == [f"{at} s" for at in range(0, 81, 10)]
    assert [written for _, written in ticks(1790)] == [f"{at} min" for at in range(0, 31, 5)]
