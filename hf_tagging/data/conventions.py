"""Conventions of entity tags: other tags than ``O`` outside of entities, other spellings of prefixes, blanks in types.

Tags are read as they are meant before anything else sees them, so that the package knows `B-PER` and ``O`` alone. What
is clear is read with a remark, and what is not is refused with the argument that settles it:

- Without an ``O``, a tag such as ``0``, ``_`` or ``OTHER`` is that of words outside of entities where it is the most
  frequent one or all others have prefixes. `outside` names any tag.
- Beside an ``O``, a tag such as ``-``, ``_`` or ``null`` marks a word that is not annotated. So does ``-100``, always.
- Prefixes are read from `B_PER`, `B:PER`, `B/PER`, `PER-B` and `b-per` where all tags are spelled alike; a few that
  are spelled otherwise than the rest are read as well if their types are known from the rest.
- Blanks in a tag become underscores: `B-Invoice Number` is `B-Invoice_Number`.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hf_tagging.data.notes import Remark, Severity
from hf_tagging.data.prefixes import (
    JOINTS,
    SINGLES,
    SPELLINGS,
    STANDARD,
    UNANNOTATED,
    UNSCORED,
    find_spelling,
    is_bare,
    is_outside,
    spelling_of,
)
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_MOST_SHOWN = 3
_BEGINNING = re.compile(r"(\W?)(BEGIN|BEG|B)(.{3,})", re.IGNORECASE)
_INSIDE = {"B": ("I",), "BEG": ("IN", "I", "INS", "MID"), "BEGIN": ("IN", "I", "INSIDE", "MIDDLE")}


@dataclass(frozen=True)
class TagReading:
    """Tags of a dataset with what they are read as.

    Args:
        read: Tag as it is written to the tag that it is read as; None for that of words that are not annotated.
        remarks: What was done, for the report of reading.
    """

    read: Mapping[str, str | None]
    remarks: list[Remark] = field(default_factory=list)


def plain_reading(counts: Mapping[str, int]) -> TagReading:
    """Return how tags without entities are read: as they are, but for blanks in them and ``-100``."""
    reader = _Reader(counts)
    reader.write_blanks()
    return reader.reading()


def entity_reading(counts: Mapping[str, int], *, outside: str | None = None) -> TagReading:
    """Return how the tags of entities are read; see the head of this module.

    Args:
        counts: Frequency of each tag as it is written.
        outside: Tag of words outside of entities; None: detected.

    Raises:
        DataError: It cannot be told how they are meant.
    """
    reader = _Reader(counts)
    reader.refuse_joined()
    reader.write_blanks()
    reader.read_outside(outside)
    reader.read_prefixes()
    return reader.reading()


class _Reader:
    """Tags with what they are read as so far.

    Args:
        counts: Frequency of each tag as it is written.
    """

    def __init__(self, counts: Mapping[str, int]):
        self.words = Counter(counts)
        self.read: dict[str, str | None] = {tag: None if tag.strip() == UNSCORED else tag for tag in counts}
        self.remarks: list[Remark] = []

    def reading(self) -> TagReading:
        return TagReading(dict(self.read), self.remarks)

    @property
    def counts(self) -> Counter[str]:
        """Frequency of each tag as it is read so far."""
        counts: Counter[str] = Counter()
        for tag, now in self.read.items():
            if now is not None:
                counts[now] += self.words[tag]
        return counts

    def change(self, change: Mapping[str, str | None]) -> None:
        self.read = {tag: now if now is None else change.get(now, now) for tag, now in self.read.items()}

    def say(self, kind: str, text: str, severity: Severity = "note") -> None:
        self.remarks.append(Remark(kind, text, severity))

    def write_blanks(self) -> None:
        """Write blanks inside a tag as underscores."""
        counts = self.counts
        change = {tag: "_".join(tag.split()) for tag in counts if re.search(r"\s", tag) and tag.split()}
        for tag, now in change.items():
            if now in counts and tag.strip() != now:
                raise DataError(
                    f"the tags {tag!r} and {now!r} would be the same without blanks; rename one in the data"
                )
        self.change(change)
        if inner := {tag: now for tag, now in change.items() if tag.strip() != now}:
            self.say("blanks", f"blanks in a tag are read as underscores: {_pairs(inner)}")

    def refuse_joined(self) -> None:
        """Refuse two tags in one."""
        counts = self.counts
        for tag in counts:
            parts = JOINTS.split(tag)
            if len(parts) < 2 or all(map(is_outside, parts)):
                continue
            if any(all(is_outside(part) or spelling.parts(part) for part in parts) for spelling in SPELLINGS):
                raise DataError(
                    f"the tag {tag!r} ({_words(counts[tag])} in this column) is {len(parts)} tags in one; "
                    f"expected one per word. Keep one of them, or give another column ({argument('tags_column')}); for "
                    "nested entities export each layer as a column of its own, and train a tagger on each"
                )

    def read_outside(self, asked: str | None) -> None:
        """Read the tag of words outside of entities as O, and tags of words that are not annotated as None."""
        outside = self._asked(asked) if asked is not None else self._detected()
        counts = self.counts
        if outside is None:
            return
        if outside != "O":
            if "O" in counts:  # a blood group, say
                self.change({tag: f"I-{tag}" for tag in counts if tag != outside and not STANDARD.parts(tag)})
            share = f"{counts[outside]:,} of {counts.total():,} words"
            self.say("outside", f"the tag {outside!r} is read as O, outside of entities: {share}")
        change: dict[str, str | None] = {outside: "O"}
        for tag in sorted(set(counts) - {outside}):
            if tag.lower() in UNANNOTATED:
                change[tag] = None
                text = f"the tag {tag!r} beside {outside!r} is read as: not annotated; {_words(counts[tag])}"
                severity: Severity = "note" if tag == "null" else "suspicious"
                advice = f"if they are outside of entities, write {outside} in the data"
                self.say("unannotated_tag", f"{text}; {advice}", severity)
            elif outside == "O" and tag in ("o", "0"):
                change[tag] = "O"
                self.say("outside", f"the tag {tag!r} beside O is read as O; {_words(counts[tag])}", "suspicious")
        self.change(change)

    def _asked(self, asked: str) -> str:
        counts = self.counts
        if asked not in counts:
            near = difflib.get_close_matches(asked, list(counts), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            most = ", ".join(tag for tag, _ in counts.most_common(_MOST_SHOWN))
            raise DataError(
                f"{argument('outside', asked)}: no word has this tag; the most frequent ones are {most}{hint}"
            )
        return asked

    def _detected(self) -> str | None:
        """Return the tag of words outside of entities; None where no tag says so."""
        counts = self.counts
        candidates = [tag for tag in counts if is_outside(tag)]
        if "O" in candidates:
            return "O"
        others = set(counts) - set(candidates)
        prefixed = find_spelling(others) is not None or is_bare({other.upper() for other in others})
        if len(candidates) > 1 and (prefixed or counts.most_common(1)[0][0] in candidates):
            named = " and ".join(f"{tag!r} ({_words(counts[tag])})" for tag in sorted(candidates))
            raise DataError(
                f"the tags {named} may each mean that a word is outside of entities; say which one does, with "
                f"{argument('outside', max(candidates, key=counts.__getitem__))}"
            )
        likely = len(candidates) == 1 and (prefixed or counts[candidates[0]] == max(counts.values()))
        return candidates[0] if likely else None

    def read_prefixes(self) -> None:
        """Read prefixes in any spelling as those of `B-PER`."""
        names = sorted(set(self.counts) - {"O"})
        found = find_spelling(names)
        if found is None:
            bare = {name: "S" if name.upper() in SINGLES else name.upper() for name in names}
            if is_bare(bare.values()) and not is_bare(names):
                self._respell(names, bare.__getitem__, "of bare prefixes")
            elif any(map(STANDARD.parts, names)):
                self._read_strays(names)
            else:
                self._refuse_partly_prefixed(names)
                self._refuse_unknown_prefixes(names)
                self._doubt_types(names)
            return
        spelling, certain = found
        standard = {name: spelling.standard(name) for name in names}
        if spelling != STANDARD:
            how = " in lower case" if spelling.lower else " behind the type" if spelling.behind else ""
            severity: Severity = "note" if certain else "suspicious"
            self._respell(names, standard.__getitem__, f"with a prefix{how}", severity)
        elif single := [name for name in names if name[0] in SINGLES]:
            self._respell(single, standard.__getitem__, f"with {single[0][0]} for an entity of one word")

    def _doubt_types(self, names: list[str]) -> None:
        """Say that types may be tags with a prefix that nothing makes certain: `LOC-B` has one, `HEPATITIS-B` none."""
        read = {name: spelling for name in names if (spelling := spelling_of(name)) is not None}
        meant = {name: spelling.standard(name) for name, spelling in read.items()}
        if len(meant) == len(names) and any(tag[0] in "BI" for tag in meant.values()):
            self.say(
                "doubtful_types",
                f"tags that may have a prefix are read as types: if it is one, write {_pairs(meant)} in the data",
                "suspicious",
            )

    def _respell(self, names: list[str], new: Callable[[str], str], how: str, severity: Severity = "note") -> None:
        change = {name: new(name) for name in names}
        likely = "" if severity == "note" else "; no type has a tag that goes on, so this is likely and not certain"
        self.say("spelling", f"tags {how} are read as others are spelled: {_pairs(change)}{likely}", severity)
        self.change(change)

    def _read_strays(self, names: list[str]) -> None:
        """Read tags that are spelled otherwise than the rest, where their types are known from the rest."""
        known = {parts[1] for name in names if (parts := STANDARD.parts(name))}
        change = {}
        for name in names:
            if STANDARD.parts(name):
                continue
            read = ((spelling, spelling.parts(name)) for spelling in SPELLINGS)
            if found := next((spelling for spelling, parts in read if parts and parts[1] in known), None):
                change[name] = found.standard(name)
        if change:
            counts = self.counts
            number = sum(counts[name] for name in change)
            text = f"tags of {_words(number)} are spelled otherwise than the rest and read alike: {_pairs(change)}"
            self.say("mixed_spelling", text, "suspicious")
            self.change(change)

    def _refuse_partly_prefixed(self, names: list[str]) -> None:
        """Refuse tags of which some certainly have a prefix, not spelled as the standard, and others have none."""
        counts = self.counts
        for spelling in SPELLINGS:
            fit = [name for name in names if spelling.parts(name)]
            if fit and (found := find_spelling(fit)) and found[1]:
                rest = sorted(set(names) - set(fit), key=lambda name: -counts[name])
                raise DataError(
                    f"some tags have a prefix ({', '.join(fit[:_MOST_SHOWN])}) and others have none "
                    f"({', '.join(rest[:_MOST_SHOWN])}). If {rest[0]!r} is the tag of words outside of entities, give "
                    f"{argument('outside', rest[0])}; else, is this the right column ({argument('tags_column')})?"
                )

    def _refuse_unknown_prefixes(self, names: list[str]) -> None:
        """Refuse types of which two are the same but for a prefix that is spelled in another way: `BPER`, `IPER`."""
        for name in names:
            if found := _BEGINNING.fullmatch(name):
                before, begin, kind = found.groups()
                inside = {f"{before}{other}{kind}".upper() for other in _INSIDE[begin.upper()]}
                if other := next((tag for tag in names if tag.upper() in inside), None):
                    raise DataError(
                        f"the tags {name!r} and {other!r} look like the beginning and the inside of entities of one "
                        "type; expected prefixes as in 'B-PER' and 'I-PER': write them so in the data"
                    )


def _pairs(change: Mapping[str, str]) -> str:
    shown = [f"{tag!r} as {now}" for tag, now in list(change.items())[:_MOST_SHOWN]]
    more = len(change) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _words(number: int) -> str:
    return "1 word" if number == 1 else f"{number:,} words"


def types_in_two_cases(types: Iterable[str]) -> list[list[str]]:
    """Return groups of entity types that differ in case only."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(types)):
        groups[name.casefold()].append(name)
    return [names for names in groups.values() if len(names) > 1]
