"""Each place of each log, from all that was shown of it: one entry for ever, in a state that only moves forward."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection

from trio_chat.witness.evidence import Evidence, Shown
from trio_chat.witness.talks import is_part, whole
from trio_chat.witness.transcript import Frame, Place, brief

LASTING = ("sender", "timestamp", "of", "emoji", "remove", "topic", "reply_to")  # of an entry, whatever becomes of it


def kind_of(frame: Frame) -> str:
    """What an entry is; `erased`: a message or private that is shown as `deleted` in its own place."""
    if frame["type"] == "system":
        return str(frame["event"])
    if frame["type"] == "deleted" and frame["of"] == frame.get("seq"):
        return "erased"
    return str(frame["type"])


class Places:
    """What is known of all places."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._shown: dict[Place, list[Shown]] = {}
        for shown in evidence.shown:
            self._shown.setdefault(shown.place, []).append(shown)
        self.first_shown = {place: min(all_of, key=lambda one: one.at) for place, all_of in self._shown.items()}
        self.acked = {shown.place for shown in evidence.shown if shown.acked}
        self.acked_contents = {shown.frame.get("content") for shown in evidence.shown if shown.acked}
        self.contradicted: set[Place] = set()
        self.posts: dict[str, dict[Place, None]] = defaultdict(dict)  # content → where it was posted
        self._changes: dict[Place, dict[int, Shown]] = defaultdict(dict)  # entry → its edits and deletion by `seq`

    @staticmethod
    def place(room: str, epoch: str, entry: Frame) -> Place:
        """The place of an entry."""
        return Place(room, epoch, entry["seq"])

    def check(self) -> None:
        """Find all that is wrong."""
        for place, all_of in self._shown.items():
            self._same(place, all_of)
        for place, all_of in self._shown.items():
            self._forward(place, all_of)
        self._once()
        self._keys()

    def _same(self, place: Place, all_of: list[Shown]) -> None:
        """Everybody was shown the same entry; and note what it does to another."""
        lasting: dict[str, tuple[object, Shown]] = {}
        for shown in all_of:
            kind = kind_of(shown.frame)
            if kind in ("message", "private") and "edited" not in shown.frame:
                self.posts[shown.frame["content"]][place] = None
                self._agree(place, lasting, "content", shown.frame["content"], shown)
            if kind in ("edited", "deleted"):
                of = Place(place.room, place.epoch, shown.frame["of"])
                earlier = self._changes[of].get(place.seq)
                if earlier is None or shown.at < earlier.at:
                    self._changes[of][place.seq] = shown
            if kind == "edited" and "content" in shown.frame:
                self._agree(place, lasting, "content", shown.frame["content"], shown)
            if kind == "erased":
                kinds = [kind_of(one.frame) for one in all_of]
                if not {"message", "private", "erased"}.issuperset(kinds):
                    self._changed(place, all_of[0], shown)
                continue
            self._agree(place, lasting, "kind", kind, shown)
            for name in LASTING:
                if name in shown.frame:
                    self._agree(place, lasting, name, shown.frame[name], shown)

    def _agree(
        self, place: Place, lasting: dict[str, tuple[object, Shown]], name: str, value: object, shown: Shown
    ) -> None:
        known, first = lasting.setdefault(name, (value, shown))
        if known != value:
            self._changed(place, first, shown)

    def _changed(self, place: Place, one: Shown, other: Shown) -> None:
        if place not in self.contradicted:
            self.contradicted.add(place)
            was = "was acked" if one.acked else "was shown"
            text = f"{place}: {one.by} {was} one entry, {other.by} another"
            self._evidence.find(
                "lost" if place in self.acked else "changed", text, brief(one.frame), brief(other.frame)
            )

    def _forward(self, place: Place, all_of: list[Shown]) -> None:
        """Who knows of an edit or a deletion is never shown what was before it."""
        of = next((one.frame["of"] for one in all_of if kind_of(one.frame) == "edited"), place.seq)
        changes = self._changes.get(Place(place.room, place.epoch, of), {})
        deleted_by = next((seq for seq, one in changes.items() if kind_of(one.frame) == "deleted"), None)
        for shown in all_of:
            kind = kind_of(shown.frame)
            if shown.acked or kind not in ("message", "private", "edited", "erased"):
                continue
            known = [seq for seq, one in changes.items() if seq <= shown.version or one.at < shown.since]
            if kind != "erased" and "content" in shown.frame and deleted_by in known:
                excerpt = (brief(changes[deleted_by].frame), brief(shown.frame))
                self._evidence.find("deleted", f"{place}: {shown.by} is shown what was deleted before", *excerpt)
            elif kind in ("message", "private") and known:
                self._version(place, shown, changes, max(known))

    def _version(self, place: Place, shown: Shown, changes: dict[int, Shown], known: int) -> None:
        content = shown.frame["content"]
        version = 0
        if "edited" in shown.frame:
            version = max((seq for seq, one in changes.items() if one.frame.get("content") == content), default=-1)
            if version < 0 and self._evidence.edits.get(content) == (whole(place.room), place.seq):
                return  # an edit that nobody was shown yet
        if version < known:
            excerpt = (brief(changes[known].frame), brief(shown.frame))
            self._evidence.find("changed", f"{place}: {shown.by} is shown what was before an edit", *excerpt)

    def _once(self) -> None:
        """A post is in the log once, if it was sent once or always with one key by one user; so are edits."""
        for content, found in self.posts.items():
            sent = self._evidence.sent.get(content)
            if sent is None:
                places = ", ".join(map(str, found))
                self._evidence.find("changed", f"{places} holds what nobody sent: {content[:40]!r}")
                continue
            keyed = {one for one in sent if one[2] is not None}
            allowed = len(keyed) + sum(one[2] is None for one in sent)
            if _most(found) > allowed:
                text = f"{content[:40]!r}, sent by {sent[0][0]}, is in the log {len(found)} times"
                self._evidence.find("twice", text, *map(str, found))
        contents: dict[str, dict[Place, None]] = defaultdict(dict)
        for changes in self._changes.values():
            for shown in changes.values():
                if kind_of(shown.frame) == "edited" and "content" in shown.frame:
                    contents[shown.frame["content"]][shown.place] = None
            deletions = [one for one in changes.values() if kind_of(one.frame) == "deleted"]
            if len(deletions) > 1:
                self._evidence.find("twice", "one entry is deleted twice", *(brief(one.frame) for one in deletions))
        for content, found in contents.items():
            if len(found) > 1:
                self._evidence.find("twice", f"the edit {content[:40]!r} is in the log twice", *map(str, found))

    def _keys(self) -> None:
        """The same key of the same user in the same room is one post."""
        first: dict[tuple[tuple[str, int], str, str], tuple[Place, str]] = {}
        for keyed in self._evidence.keyed:
            known = first.setdefault((keyed.whose, keyed.room, keyed.key), (keyed.place, keyed.content))
            if known != (keyed.place, keyed.content):
                text = f"key {keyed.key!r} of {keyed.whose[0]} was acked as {known[0]}, and then as {keyed.place}"
                self._evidence.find("key", text, repr(known[1][:40]), repr(keyed.content[:40]))


def _most(places: Collection[Place]) -> int:
    """How often something is in the logs. Of several conversations of two names, in one: a retry may be in the next."""
    parts = Counter(place.room for place in places if is_part(place.room))
    return sum(not is_part(place.room) for place in places) + max(parts.values(), default=0)
