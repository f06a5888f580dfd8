"""The answer key: dispositions, index and log, from what the plan knows of each family."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

from corpus import LEVELS, Corpus, Doc, Family

NUMBERED = ("produced", "native", "redacted", "withheld")
SENT_OUT = ("produced", "native", "redacted")


class Ruling:
    """Rule on a finished corpus; read `dispositions`, `index` and `log`."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.matter = corpus, corpus.matter
        self.dropped = self.matter.custodians[4]
        self.dispositions: dict[str, str] = {}
        self.holders: dict[int, list[str]] = {}
        self.groups: dict[object, list[Family]] = defaultdict(list)
        for family in corpus.families:
            if family.owner != self.dropped:
                self.groups[self.group_of(family)].append(family)
        for family in corpus.families:
            self.rule(family)

    def group_of(self, family: Family) -> object:
        if self.matter.global_duplicates:
            return family.group
        return family.group, family.owner

    def priority(self, family: Family) -> tuple[int, str]:
        return self.matter.custodians.index(family.owner), family.docs[0].control

    def copies(self, family: Family) -> list[Family]:
        return sorted(self.groups[self.group_of(family)], key=self.priority)

    def name(self, part: str) -> str:
        return self.matter.people[part].name

    def rule(self, family: Family) -> None:
        reason = self.family_reason(family)
        for doc in family.docs:
            if doc.kind == "inline":
                self.dispositions[doc.control] = "inline_image"
            else:
                self.dispositions[doc.control] = reason or self.doc_ruling(family, doc)

    def family_reason(self, family: Family) -> str:
        if family.owner == self.dropped:
            return "custodian_removed"
        if self.copies(family)[0] is not family:
            return "duplicate"
        if not family.in_range:
            return "out_of_range"
        if not family.hit:
            return "no_search_hit"
        if not any(self.responsive(family, doc) for doc in family.members):
            return "not_responsive"
        return "previously_produced" if family.earlier == "all" else ""

    def counterparts(self, family: Family, doc: Doc) -> list[Doc]:
        return [d for f in self.copies(family) for d in f.members if d.md5 == doc.md5]

    def responsive(self, family: Family, doc: Doc) -> bool:
        return any(d.responsive for d in self.counterparts(family, doc))

    def call(self, family: Family, doc: Doc) -> tuple[str, str]:
        best = max(self.counterparts(family, doc), key=lambda d: LEVELS.index(d.call))
        return (best.call, best.ground) if family.upheld else ("none", "")

    def doc_ruling(self, family: Family, doc: Doc) -> str:
        parent = family.docs[0]
        stays = not self.matter.whole_families and not self.responsive(family, parent)
        if stays and doc is not parent and not self.responsive(family, doc):
            return "not_responsive"
        call, _ = self.call(family, doc)
        if call == "full":
            return "withheld_unlogged" if family.unlogged else "withheld"
        if call == "part":
            return "redacted"
        return "native" if doc.ext == "xlsx" else "produced"

    # numbers

    def order(self, family: Family) -> tuple[Any, ...]:
        rank = self.matter.custodians.index(family.owner) if self.matter.by_custodian else 0
        return rank, self.corpus.utc(family.local), family.docs[0].control

    def numbered(self, family: Family) -> list[Doc]:
        wanted = NUMBERED if self.matter.slip_sheets else SENT_OUT
        return [d for d in family.docs if self.dispositions[d.control] in wanted]

    def pages(self, doc: Doc, treatment: str) -> int:
        if not self.matter.numbers_per_page or treatment in ("withheld", "native"):
            return 1
        return doc.pages

    def bates(self, number: int) -> str:
        return f"{self.matter.prefix}{number:07d}"

    def index(self) -> list[dict[str, str]]:
        rows, last = [], self.corpus.last
        for family in sorted(self.corpus.families, key=self.order):
            block = []
            for doc in self.numbered(family):
                first, last = last + 1, last + self.pages(doc, self.dispositions[doc.control])
                block.append(self.index_row(family, doc, first, last))
            for row in block:
                row |= {"family_begin": block[0]["begin"], "family_end": block[-1]["end"]}
            rows += block
        return rows

    def index_row(self, family: Family, doc: Doc, first: int, last: int) -> dict[str, str]:
        owners = dict.fromkeys(self.name(f.owner) for f in self.copies(family))
        return {
            "begin": self.bates(first),
            "end": self.bates(last),
            "control_no": doc.control,
            "custodian": self.name(family.owner),
            "all_custodians": ";".join(owners),
            "date": str(family.local.date()),
            "treatment": self.dispositions[doc.control],
            "designation": self.designation(family, doc),
        }

    def designation(self, family: Family, doc: Doc) -> str:
        if self.dispositions[doc.control] == "withheld":
            return ""
        out = [d for d in family.docs if self.dispositions[d.control] in SENT_OUT]
        grades = [self.grade(family, d) for d in (out if self.matter.whole_families else [doc])]
        return ("", "CONFIDENTIAL", self.top())[max(grades)]

    def top(self) -> str:
        return "AEO" if self.matter.whole_families else "RING"

    def grade(self, family: Family, doc: Doc) -> int:
        if self.matter.secret in doc.issues:
            return 2
        if "pricing" not in doc.issues:
            return 0
        late = family.local.date() >= date(2023, 7, 1)
        return 2 if self.corpus.rules == "us" and late else 1

    # the log

    def log(self) -> list[dict[str, str]]:
        begins = {row["control_no"]: row["begin"] for row in self.index()}
        return [
            self.log_row(family, doc, begins.get(doc.control, ""))
            for family in self.corpus.families
            for doc in family.members
            if self.dispositions[doc.control] in ("withheld", "redacted")
        ]

    def log_row(self, family: Family, doc: Doc, begin: str) -> dict[str, str]:
        people = {self.address(p) for p in (*family.to, *family.cc, *family.bcc)}
        return {
            "begin": begin,
            "control_no": doc.control,
            "date": str(family.local.date()),
            "from": self.address(family.sender),
            "recipients": ";".join(sorted(people)),
            "basis": self.call(family, doc)[1],
            "treatment": self.dispositions[doc.control],
        }

    def address(self, part: str) -> str:
        """Give a part's address: @N is list N, a + is the person's private address."""
        if part.startswith("@"):
            return list(self.matter.lists)[int(part[1:])]
        person = self.matter.people[part.rstrip("+")]
        return person.private if part.endswith("+") else person.address

    def key(self) -> dict[str, Any]:
        families = sorted(self.corpus.families, key=self.order)
        return {
            "last": self.corpus.last,
            "prefix": self.matter.prefix,
            "per_page": self.matter.numbers_per_page,
            "order": [[d.control for d in f.members] for f in families],
            "pages": {d.control: d.pages for f in families for d in f.members},
            "dispositions": self.dispositions,
            "index": self.index(),
            "log": self.log(),
        }
