"""The collection: families planned one by one, each knowing what the right call on it is."""

from __future__ import annotations

import copy
import hashlib
import random
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from matters import FILES, FILLER, SUBJECTS, Matter

DAY = timedelta(days=1)
LEVELS = ("none", "part", "full")


@dataclass(eq=False)
class Doc:
    """A document; `upheld` is the plan's answer to who was on it."""

    kind: str  # email, attachment, loose or inline
    ext: str
    name: str
    subject: str
    text: str
    md5: str
    pages: int
    responsive: bool = False
    call: str = "none"
    ground: str = ""
    issues: tuple[str, ...] = ()
    control: str = ""


@dataclass(eq=False)
class Family:
    """An e-mail with attachments, or a loose file; people by their part in the matter."""

    owner: str
    local: datetime
    sender: str
    to: list[str]
    cc: list[str]
    bcc: list[str]
    docs: list[Doc]  # the parent first, then attachments in order, then inline images
    group: int
    hit: bool = True
    in_range: bool = True
    earlier: str = ""  # "" or which of the members are in the earlier volume: "all" or "some"
    upheld: bool = True
    unlogged: bool = False
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def members(self) -> list[Doc]:
        return [doc for doc in self.docs if doc.kind != "inline"]


@dataclass(frozen=True)
class Case:
    """A privilege question: who wrote to whom in which days, and the answer per matter."""

    sender: str
    to: str
    cc: str
    bcc: str
    since: date
    until: date
    kind: str  # "advice" or "litigation"
    us: bool
    england: bool
    unlogged: bool = False
    call: str = "full"


class Corpus:
    """Build with `make`; then `families` is the numbered collection."""

    def __init__(self, matter: Matter, rules: str, rng: random.Random) -> None:
        self.matter, self.rules, self.rng = matter, rules, rng
        self.families: list[Family] = []
        self.times: set[datetime] = set()
        self.last = rng.randrange(2_000, 9_000)  # last number of the earlier volume

    # small draws

    def when(self, since: date, until: date) -> datetime:
        """Draw a working hour nobody has used: order by time is then never a tie."""
        while True:
            day = since + self.rng.randrange((until - since).days + 1) * DAY
            moment = datetime.combine(day, time(self.rng.randrange(8, 18), self.rng.randrange(60)))
            moment += timedelta(seconds=self.rng.randrange(60))
            if moment not in self.times:
                self.times.add(moment)
                return moment

    def prose(self, *extra: str) -> str:
        lines = self.rng.sample(FILLER, self.rng.randint(3, 6))
        for sentence in extra:
            lines.insert(self.rng.randrange(len(lines) + 1), sentence)
        return "\n".join(lines) + "\n"

    def hit(self) -> str:
        return self.rng.choice(self.rng.choice(self.matter.terms).hits)

    def doc(self, kind: str, ext: str, *extra: str, subject: str = "") -> Doc:
        text = "" if kind == "inline" else self.prose(*extra)
        name = f"{self.rng.choice(FILES)}_{self.rng.randrange(100, 999)}.{ext}"
        if kind == "email":
            name, subject = "", subject or self.rng.choice(SUBJECTS)
        salt = f"{kind}{name}{subject}{text}{self.rng.random()}"
        md5 = hashlib.md5(salt.encode(), usedforsecurity=False).hexdigest()
        return Doc(kind, ext, name, subject, text, md5, self.pages(kind, ext))

    def pages(self, kind: str, ext: str) -> int:
        if kind == "inline":
            return 1
        return self.rng.randint(4, 30) if ext == "xlsx" else self.rng.choice((1, 1, 2, 3, 5, 8))

    def attachment(self, *extra: str, ext: str = "") -> Doc:
        return self.doc(
            "attachment", ext or self.rng.choice(("pdf", "docx", "pdf", "xlsx")), *extra
        )

    def logo(self) -> Doc:
        return self.doc("inline", "png")

    def owners(self) -> tuple[str, ...]:
        return self.matter.custodians[:4]

    def boss(self) -> str:
        """Draw a custodian who may instruct lawyers in either matter."""
        return self.rng.choice(self.matter.custodians[: self.matter.core])

    # families

    def family(self, local: datetime, docs: list[Doc], **people: object) -> Family:
        owner = self.rng.choice(self.owners())
        other = self.rng.choice([c for c in (*self.owners(), "staff", "vendor") if c != owner])
        cc = self.rng.sample(["namesake", "staff", "vendor", "opponent"], self.rng.randint(0, 1))
        plain = {"owner": owner, "sender": other, "to": [owner], "cc": cc, "bcc": []}
        made = Family(local=local, docs=docs, group=len(self.families), **(plain | people))  # type: ignore[arg-type]
        self.families.append(made)
        return made

    def inside(self) -> datetime:
        return self.when(self.matter.start, self.matter.end)

    def plain(self, *extra: str, parts: int = 0, **people: object) -> Family:
        """A responsive family in range, with `extra` sentences in the parent."""
        docs = [self.doc("email", "msg", *extra), *(self.attachment() for _ in range(parts))]
        made = self.family(self.inside(), docs, **people)
        docs[0].responsive = True
        return made

    def plan_ordinary(self) -> None:
        for n in range(self.matter.ordinary):
            made = self.plain(self.hit(), parts=self.rng.choice((0, 0, 1, 2)))
            self.rng.choice(made.members).issues = self.tags(n)
            if n % 4 == 0:
                made.docs.append(self.logo())
            if n % 3 == 0:
                made.members[-1].text += self.hit() + "\n"
        for n in range(5):
            loose = self.loose(self.inside(), self.hit())
            loose.members[0].issues = self.tags(n)

    def tags(self, n: int) -> tuple[str, ...]:
        secret = self.matter.secret
        return ((), ("pricing",), (), ("delay",), (secret,), ("delay", "pricing"))[n % 6]

    def loose(self, local: datetime, *extra: str, author: str = "") -> Family:
        ext = self.rng.choice(("pdf", "docx", "xlsx"))
        doc = self.doc("loose", ext, *extra)
        doc.responsive = True
        owner = self.rng.choice(self.owners())
        return self.family(
            local, [doc], owner=owner, sender=author or owner, to=[], cc=[], bcc=[]
        )  # fmt: skip

    def plan_designations(self) -> None:
        """Both tags in one family, and pricing on either side of the day the rule changes."""
        mixed = self.plain(self.hit(), parts=2)
        mixed.docs[1].issues, mixed.docs[2].issues = ("pricing",), (self.matter.secret,)
        both = self.plain(self.hit(), parts=1)
        both.docs[1].issues = (self.matter.secret, "pricing")
        for day in (date(2023, 6, 30), date(2023, 7, 1)):
            moved = day if self.rules == "us" else date(2022, day.month, day.day)
            made = self.plain(self.hit(), parts=1)
            made.local, made.docs[0].issues = self.when(moved, moved), ("pricing",)

    def plan_dates(self) -> None:
        start, end = self.matter.start, self.matter.end
        for day, hour, inside in (
            (start - DAY, 23, False),
            (start, 0, True),
            (end, 23, True),
            (end + DAY, 0, False),
        ):
            docs = [self.doc("email", "msg", self.hit()), self.attachment()]
            docs[0].responsive = True
            self.family(self.near_midnight(day, hour), docs).in_range = inside
            loose = self.loose(self.near_midnight(day, hour), self.hit())
            loose.in_range = inside
        # the month that the first agreement left out
        late = self.plain(self.hit(), parts=1)
        late.local = self.when(end - 20 * DAY, end - 5 * DAY)
        for day in (start - 40 * DAY, end + 25 * DAY, end + 3 * DAY):
            out = self.plain(self.hit(), parts=1)
            out.local, out.in_range = self.when(day, day), False

    def near_midnight(self, day: date, hour: int) -> datetime:
        while True:
            minute, second = self.rng.randrange(60), self.rng.randrange(60)
            moment = datetime.combine(day, time(hour, minute, second))
            if moment not in self.times:
                self.times.add(moment)
                return moment

    def plan_searches(self) -> None:
        for term in self.matter.terms:
            for sentence in term.lookalikes:
                self.plain(sentence, parts=self.rng.randint(0, 1)).hit = False
            for sentence in term.hits:
                self.plain(sentence)
                hidden = self.plain(parts=2)
                hidden.docs[2].text = self.prose(sentence)
        self.plan_split_searches()
        for _ in range(3):
            self.plain(parts=1).hit = False

    def plan_split_searches(self) -> None:
        for (subject, text), hit in (
            (self.matter.split_miss, False),
            (self.matter.split_hit, True),
        ):
            docs = [self.doc("email", "msg", text, subject=subject)]
            docs[0].responsive = True
            self.family(self.inside(), docs).hit = hit
        # the two halves in two members of one family are no hit
        subject, text = self.matter.split_hit
        docs = [self.doc("email", "msg", subject=subject), self.attachment(text)]
        docs[0].responsive = True
        self.family(self.inside(), docs).hit = False

    def plan_responsiveness(self) -> None:
        for _ in range(4):
            self.plain(self.hit(), parts=1).docs[0].responsive = False
        for _ in range(3):
            # an attachment alone is responsive; its sibling is not
            mixed = self.plain(self.hit(), parts=2)
            mixed.docs[0].responsive, mixed.docs[1].responsive = False, True

    def plan_earlier(self) -> None:
        for earlier in ("all", "all", "some", "some"):
            self.plain(self.hit(), parts=2).earlier = earlier

    # duplicates

    def twin(self, original: Family, owner: str, **changes: object) -> Family:
        made = copy.deepcopy(original)
        made.owner, made.notes = owner, {}
        for name, value in changes.items():
            setattr(made, name, value)
        self.families.append(made)
        return made

    def plan_duplicates(self) -> None:
        first, second, third, fourth = self.owners()
        for owner, copies in ((first, (second, third)), (fourth, (second,)), (third, (third,))):
            original = self.plain(self.hit(), parts=2, owner=owner)
            for holder in copies:
                self.twin(original, holder)
        reordered = self.twin(self.plain(self.hit(), parts=2, owner=second), second)
        reordered.docs[1:] = reordered.docs[:0:-1]
        dressed = self.twin(self.plain(self.hit(), parts=1, owner=fourth), fourth)
        dressed.docs.append(self.logo())
        self.plan_false_duplicates(first, second)
        dropped = self.matter.custodians[4]
        self.twin(self.plain(self.hit(), parts=1, owner=third), dropped)
        for _ in range(4):
            self.plain(self.hit(), parts=1, owner=dropped)
        self.plan_conflicts(second, dropped)

    def plan_false_duplicates(self, first: str, second: str) -> None:
        original = self.plain(self.hit(), parts=2, owner=first)
        for owner in (first, second):
            stripped = self.twin(original, owner, group=len(self.families))
            stripped.docs.pop()
        group = stripped.group
        # the two stripped copies are each other's duplicates, where custodians are compared
        self.families[-2].group = group
        source = self.plain(self.hit(), parts=1, owner=second)
        source.docs[1].text += self.hit() + "\n"
        loose = copy.deepcopy(source.docs[1])
        loose.kind, loose.responsive = "loose", True
        people = {"sender": second, "to": [], "cc": [], "bcc": []}
        self.family(self.inside(), [loose], owner=second, **people)

    def plan_conflicts(self, owner: str, dropped: str) -> None:
        """Copies that reviewers coded differently; the dropped custodian's coding is void."""
        quiet = self.plain(self.hit(), parts=1, owner=owner)
        loud = self.twin(quiet, owner)
        self.rng.choice((quiet, loud)).docs[0].responsive = False
        ignored = self.plain(self.hit(), parts=1, owner=owner)
        ignored.docs[0].responsive = False
        self.twin(ignored, dropped).docs[0].responsive = True
        for calls in (("none", "full"), ("full", "part"), ("part", "none")):
            people = {"owner": owner, "sender": "gc", "to": [self.boss()], "cc": []}
            made = self.plain(self.hit(), **people)
            made.local = self.when(self.matter.start, self.matter.filed - DAY)
            for family, call in zip((made, self.twin(made, owner)), calls, strict=True):
                self.mark(family.docs[0], call, "advice")

    def mark(self, doc: Doc, call: str, kind: str) -> None:
        names = {"us": ("AC", "WP"), "england": ("LAP", "LIP")}[self.rules]
        doc.call = call
        doc.ground = "" if call == "none" else names[kind == "litigation"]

    # privilege

    def cases(self) -> list[Case]:
        m = self.matter
        g, h = self.rng.sample(m.custodians[:2], 2)
        all_days = (m.start, m.filed - DAY)
        later = (m.filed + DAY, m.end)
        advice = [
            ("gc", g, "", "", *all_days, True, True),
            ("gc", g, h, "", *all_days, True, True),
            (g, "outside", "gc", "", m.filed - DAY, m.filed - DAY, True, True),
            ("outside", g, "vendor", "", *all_days, False, False),
            (g, "gc", "", "press", *all_days, False, False),
            (g, "gc", "@1", "", *all_days, False, False),
            ("@0", g, "", "", *all_days, True, True),
            (g, "namesake", h, "", *all_days, False, False),
            (g, h, "", "gc", *all_days, True, True),
            ("mover", g, "", "", m.start, m.moved - DAY, True, True),
            ("mover", g, "", "", m.moved, m.filed - DAY, False, False),
            ("agent", "outside", g, "", m.anticipation, m.engaged - DAY, False, False),
            ("agent", "outside", g, "", m.engaged, m.filed - DAY, True, False),
            ("gc", "insurer", g, "", m.start, m.common_interest - DAY, False, False),
            ("gc", "insurer", g, "", m.common_interest, m.filed - DAY, True, True),
            ("gc", "c1+", "", "", *all_days, True, True),
            ("gc", "former", g, "", m.start, m.left, True, True),
            ("gc", "former+", g, "", m.start, m.left, True, True),
            ("gc", "former+", g, "", m.left + DAY, m.filed - DAY, False, False),
            ("gc", "staff", g, "", *all_days, True, False),
            ("gc", "c3", "", "", *all_days, True, False),
            ("adviser", g, "", "", *all_days, False, False),
            ("patent", g, "", "", *later, True, True),
            ("gc", g, "", "", *later, True, True),
        ]
        made = [Case(*row[:6], "advice", *row[6:]) for row in advice]  # type: ignore[arg-type]
        return made + self.litigation_cases(g) + self.late_cases(g, h)

    def litigation_cases(self, g: str) -> list[Case]:
        m = self.matter
        before, after = (m.start, m.anticipation - DAY), (m.anticipation, m.filed - DAY)
        first = (m.anticipation, m.anticipation)
        return [
            Case(g, "vendor", "", "", *before, "litigation", False, False),
            Case(g, "vendor", "", "", *after, "litigation", True, True),
            Case("staff", "c3", "", "", *first, "litigation", True, True),
            Case("vendor", g, "opponent", "", *after, "litigation", False, False),
            Case(g, "outside", "agent", "", m.filed + DAY, m.end, "litigation", True, True),
        ]

    def late_cases(self, g: str, h: str) -> list[Case]:
        m = self.matter
        on, after = (m.filed, m.filed), (m.filed + DAY, m.end)
        return [
            Case("outside", g, "", "", *on, "advice", True, True, unlogged=True),
            Case(g, "outside2", h, "", *after, "advice", True, True, unlogged=True),
            Case("outside2", "gc", "", g, *after, "advice", True, True, unlogged=True),
            Case("outside", g, "", "", *after, "advice", True, True, unlogged=True, call="part"),
            Case("outside", "insurer", g, "", *after, "advice", True, True),
            Case("gc", g, "", "", m.start, m.filed - DAY, "advice", True, True, call="part"),
            Case("gc", "press", g, "", m.start, m.filed, "advice", False, False, call="part"),
        ]

    def plan_privilege(self) -> None:
        for n, case in enumerate(self.cases()):
            docs = [self.doc("email", "msg", self.hit())]
            docs[0].responsive = True
            self.mark(docs[0], case.call, case.kind)
            made = self.family(self.when(case.since, case.until), docs, **self.people(case))
            made.upheld = case.us if self.rules == "us" else case.england
            made.unlogged = case.unlogged
            if n % 2 == 0:
                self.attach_to_privileged(made, case, n)
        for author, upheld in (("gc", True), ("namesake", False)):
            made = self.loose(self.when(self.matter.start, self.matter.filed - DAY), self.hit())
            made.sender, made.upheld = author, upheld
            self.mark(made.docs[0], "full", "advice")

    def attach_to_privileged(self, made: Family, case: Case, n: int) -> None:
        """A pre-existing paper (not privileged), and for some also a privileged draft."""
        made.docs.append(self.attachment())
        made.docs[0].issues, made.docs[1].issues = (self.matter.secret,), ("pricing",)
        if n % 4 == 0:
            draft = self.attachment(ext=self.rng.choice(("docx", "xlsx")))
            self.mark(draft, "full", case.kind)
            made.docs.append(draft)

    def people(self, case: Case) -> dict[str, object]:
        ends = [[name] if name else [] for name in (case.to, case.cc, case.bcc)]
        named = [name.rstrip("+") for name in (case.sender, case.to, case.cc, case.bcc)]
        holders = [name for name in self.owners() if name in named] or ["c1"]
        owner = self.rng.choice(holders)
        return {"owner": owner, "sender": case.sender, "to": ends[0], "cc": ends[1], "bcc": ends[2]}

    # the whole

    def make(self) -> Corpus:
        self.plan_ordinary()
        self.plan_designations()
        self.plan_dates()
        self.plan_searches()
        self.plan_responsiveness()
        self.plan_earlier()
        self.plan_duplicates()
        self.plan_privilege()
        self.number()
        return self

    def number(self) -> None:
        """Give control numbers as a collection does: custodian by custodian, in no other order."""
        self.rng.shuffle(self.families)
        order = list(self.matter.custodians)
        self.rng.shuffle(order)
        self.families.sort(key=lambda f: order.index(f.owner))
        number = self.rng.randrange(100, 900)
        for family in self.families:
            for doc in family.docs:
                number += self.rng.choice((1, 1, 1, 2))
                doc.control = f"REV{number:06d}"

    def utc(self, local: datetime) -> datetime:
        m = self.matter
        summer = m.summer_from <= local.date() < m.summer_until
        return local - timedelta(hours=m.winter + (1 if summer else 0))
