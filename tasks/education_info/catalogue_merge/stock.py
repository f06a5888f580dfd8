"""The stock of the libraries: publications as planned, records as their cataloguers wrote them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from libraries import EDITIONS, PATTERNS, PUBLISHERS, Merger
from names import AMBIGUOUS, DATED, PLAIN, REPLACED, UNKNOWN, Name


def check13(body: str) -> str:
    total = sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(body))
    return str(-total % 10)


def check10(body: str) -> str:
    total = sum(int(c) * (10 - i) for i, c in enumerate(body))
    return "0123456789X"[-total % 11]


@dataclass(eq=False)
class Publication:
    """One thing that should be one record in the new catalogue."""

    title: str
    subtitle: str
    name: Name
    edition: str
    year: int
    publisher: tuple[str, ...]
    form: str
    isbn: str  # ISBN-13 without hyphens
    call: str  # Dewey number, or LC class with first cutter
    cutter: str


@dataclass(eq=False)
class Record:
    """A source record: what stands in the export, and what is true of it."""

    site: int
    publication: Publication
    full: bool
    isbn_text: str
    isbn: str
    title: str
    author: str
    name_id: str
    edition: str
    year: int
    year_text: str
    publisher: str
    call_text: str
    call: str  # the class part if well formed
    items: list[tuple[str, bool]]  # barcode, withdrawn
    updated: str
    problems: list[tuple[str, str]] = field(default_factory=list)
    record_id: str = ""


class Stock:
    """Plan with `make`; then `records` is what the exports hold."""

    def __init__(self, merger: Merger, rng: random.Random) -> None:
        self.merger, self.rng = merger, rng
        self.records: list[Record] = []
        self.titles = iter(self.draw_titles())
        self.numbers: set[str] = set()

    # drawing publications

    def draw_titles(self) -> list[tuple[str, str]]:
        """Give titles and their classes in random order, every seventh or so a novel."""
        titles = [(p.format(topic), call) for p in PATTERNS for topic, call in self.merger.topics]
        titles = self.rng.sample(titles, 200)
        titles += [
            (novel, self.rng.choice(("823", "823.914", "823.92"))) for novel in self.merger.novels
        ]
        self.rng.shuffle(titles)
        return titles

    def isbn(self, new: bool = False, group: str = "01") -> str:
        """Draw an unused ISBN-13; every other one has an X when written as an ISBN-10."""
        want_x = len(self.numbers) % 2 == 0
        while True:
            body = ("9798" if new else "978") + "".join(
                self.rng.choice("0123456789") for _ in range(8 if new else 9)
            )
            fits = new or (body[3] in group and (check10(body[3:]) == "X") == want_x)
            if fits and body not in self.numbers:
                self.numbers.add(body)
                return body + check13(body)

    def publication(self, **wanted: object) -> Publication:
        title, call = next(self.titles)
        main, _, sub = title.partition(": ")
        novel = call.startswith("823")
        plain = {
            "title": main,
            "subtitle": "" if novel else sub or self.rng.choice(("", "", "a guide", "a new look")),
            "name": self.rng.choice(PLAIN),
            "edition": self.rng.choice(("1", "1", "1", "2", "3", "1 rev")),
            "year": self.rng.randrange(1976, 2010),
            "publisher": self.rng.choice(PUBLISHERS),
            "form": "book",
            "isbn": self.isbn(),
            "call": call,
            "cutter": f"{self.rng.choice('BCDFGHKMPRSTW')}{self.rng.randrange(21, 99)}",
        }
        return Publication(**(plain | wanted))  # type: ignore[arg-type]

    def sibling(self, original: Publication, **changes: object) -> Publication:
        return Publication(**(vars(original) | {"isbn": self.isbn()} | changes))  # type: ignore[arg-type]

    # writing things as cataloguers do

    def write_isbn(self, isbn: str, style: str = "") -> str:
        if not isbn:
            return ""
        short = isbn[3:12] + check10(isbn[3:12])
        styles = {
            "13": isbn,
            "13-": f"{isbn[:3]}-{isbn[3]}-{isbn[4:8]}-{isbn[8:12]}-{isbn[12]}",
            "13 (pbk.)": f"{isbn} (pbk.)",
        }
        if isbn.startswith("978"):
            styles |= {
                "10": short,
                "10-": f"{short[0]}-{short[1:5]}-{short[5:9]}-{short[9]}",
                "10x": short.lower() + " (hbk. : alk. paper)",
            }
        if style == "9":
            return short[1:]
        return styles[style or self.rng.choice(sorted(styles))]

    def bad_isbn(self) -> str:
        """Draw a number that is no ISBN: a wrong check digit, a lost digit, or a goods number."""
        isbn = self.isbn()
        short = isbn[3:12] + check10(isbn[3:12])
        kind = self.rng.randrange(4)
        if kind == 0:
            return isbn[:12] + str((int(isbn[12]) + self.rng.randint(1, 9)) % 10)
        if kind == 1:
            wrong = [c for c in "0123456789" if c != short[9]]
            return f"{short[0]}-{short[1:5]}-{short[5:9]}-{self.rng.choice(wrong)}"
        if kind == 2:
            goods = "501" + isbn[3:12]
            return goods + check13(goods)
        return isbn[:11]

    def write_title(self, made: Publication) -> str:
        title = made.title
        style = self.rng.randrange(5)
        if style == 0:
            title = title.upper()
        elif style == 1:
            title = title.replace("&", "and") if "&" in title else title.replace(" and ", " & ")
        elif style == 2 and title.startswith(("The ", "A ", "An ")):
            title = title.partition(" ")[2]
        if made.subtitle and self.rng.random() < 0.7:
            title += f" : {made.subtitle}"
        return title + self.rng.choice(("", "", " /", "."))

    def write_year(self, year: int) -> str:
        return self.rng.choice((f"{year}", f"{year}", f"c{year}", f"[{year}]"))

    def write_call(self, made: Publication) -> str:
        if made.form == "ebook":
            return ""
        if self.merger.dewey:
            return made.call
        letters, cutter = made.call.split(" .")
        styles = (
            f"{made.call} {made.cutter} {made.year}",
            f"{letters}.{cutter} {made.cutter}",
            f"{letters} .{cutter}{made.cutter} {made.year + 1}",
            f"{letters[:2].strip('0123456789')} {letters.lstrip('ABCDEFGHIJKLMNOPQRSTUVWXYZ')} "
            f".{cutter} {made.cutter}",
        )
        return self.rng.choice(styles)

    def bad_call(self) -> str:
        if self.merger.dewey:
            return self.rng.choice(("82.914", "823,914", "FIC MOR", "n/a"))
        return self.rng.choice(("QA .D3 M37", "76.9 .D3 M37", "FOLIO 12", "n/a"))

    def items(self, site: int, count: int) -> list[tuple[str, bool]]:
        prefix = self.merger.sites[site].barcode
        size = 12 if self.merger.sites[site].added else 14
        numbers = []
        while len(numbers) < count:
            number = prefix + str(self.rng.randrange(10 ** (size - len(prefix) - 1)))
            number = number.ljust(size, "7")
            if number not in self.numbers:
                self.numbers.add(number)
                numbers.append((number, False))
        return numbers

    # records

    def record(self, made: Publication, site: int = -1, **wanted: object) -> Record:
        """Write a record of a publication; `wanted` overrides what would be drawn."""
        site = self.rng.randrange(len(self.merger.sites)) if site < 0 else site
        author = self.rng.choice(made.name.forms)
        call_text = self.write_call(made)
        count = 0 if made.form == "ebook" else self.rng.randint(1, 3)
        plain = {
            "full": self.rng.random() < 0.75,
            "isbn_text": self.write_isbn(made.isbn),
            "isbn": made.isbn,
            "title": self.write_title(made),
            "author": author,
            "name_id": made.name.name_id,
            "edition": self.rng.choice(EDITIONS[made.edition]),
            "year": made.year,
            "publisher": self.rng.choice(made.publisher),
            "call_text": call_text,
            "call": made.call if call_text else "",
            "items": self.items(site, count),
            "updated": f"20{self.rng.randint(14, 25)}-{self.rng.randint(1, 12):02d}"
            f"-{self.rng.randint(1, 28):02d}",
        } | wanted
        year_text = self.write_year(plain["year"])  # type: ignore[arg-type]
        written = Record(site, made, year_text=year_text, **plain)  # type: ignore[arg-type]
        self.records.append(written)
        return written

    def no_isbn(self) -> dict[str, object]:
        return {"isbn_text": "", "isbn": ""}

    def spoil_isbn(self, record: Record) -> None:
        record.isbn_text, record.isbn = self.bad_isbn(), ""
        record.problems.append(("bad_isbn", record.isbn_text))

    def spoil_name(self, record: Record, issue: str) -> None:
        record.author = self.rng.choice(AMBIGUOUS if issue == "ambiguous_name" else UNKNOWN)
        record.name_id = ""
        record.problems.append((issue, record.author))

    def spoil_call(self, record: Record) -> None:
        record.call_text, record.call = self.bad_call(), ""
        record.problems.append(("bad_call_number", record.call_text))

    def withdraw(self, records: Iterable[Record]) -> None:
        for record in records:
            record.items = [(barcode, True) for barcode, _ in record.items]

    # plans

    def plan_singles(self) -> None:
        for n in range(self.merger.singles):
            new = self.merger.new_isbns and n % 5 == 0
            form = ("book", "book", "audio", "large_print", "ebook")[n % 5 if n < 30 else 0]
            recent = {"isbn": self.isbn(new=True), "year": self.rng.randint(2020, 2024)}
            made = self.publication(form=form, **(recent | {"edition": "4"} if new else {}))
            record = self.record(made, **({"updated": "2025-10-07"} if new else {}))
            if n % 8 == 1:
                self.spoil_isbn(record)
            if n % 11 == 5:
                self.spoil_call(record)
        for name in (*REPLACED, *DATED):
            self.record(self.publication(name=name))
        for issue in ("ambiguous_name", "unknown_name", "ambiguous_name", "unknown_name"):
            self.spoil_name(self.record(self.publication()), issue)

    def plan_early(self) -> None:
        """Books from before the ISBN; one of the two libraries has converted the SBN."""
        for n in range(4):
            made = self.publication(year=1967 + n, edition="1", isbn=self.isbn(group="0"))
            self.record(made, 0, isbn_text=self.write_isbn(made.isbn, "9"))
            if n % 2 == 0:
                self.record(made, 1, isbn_text=self.write_isbn(made.isbn, "10-"))

    def plan_isbn_pairs(self) -> None:
        for n in range(14):
            made = self.publication(name=self.rng.choice((*PLAIN, *REPLACED)))
            first = self.record(made, 0, isbn_text=self.write_isbn(made.isbn, "10-"))
            second = self.record(made, 1, isbn_text=self.write_isbn(made.isbn, "13-"))
            # a reprint's date, and sometimes an edition note that only says so
            later = self.rng.choice((first, second))
            later.year = made.year + self.rng.randint(1, 3)
            later.year_text = self.write_year(later.year)
            if n % 4 == 0:
                self.rng.choice((first, second)).full = False
            if n % 5 == 0:
                self.better(first, second).call_text = ""
                self.better(first, second).call = ""
            if n % 7 == 3:
                self.spoil_call(self.better(first, second))
            if n % 7 == 5:
                self.spoil_name(self.better(first, second), "ambiguous_name")

    def better(self, *records: Record) -> Record:
        return min(records, key=self.rank)

    def rank(self, record: Record) -> tuple[object, ...]:
        """Order records of one publication: the first is the one that stays."""
        age = -int(record.updated.replace("-", "")) if self.merger.newest_first else record.site
        return not record.full, not record.isbn, age, record.record_id

    def plan_editions(self) -> None:
        """The same book in several editions, one of them also known without its ISBN."""
        for _ in range(5):
            first = self.publication(edition="1", year=1989)
            second = self.sibling(first, edition="2", year=1996)
            third = self.sibling(first, edition="2 rev", year=1999)
            for made in (first, second, third):
                self.record(made)
            self.record(second, 1, **self.no_isbn())

    def plan_description_matches(self) -> None:
        for n in range(8):
            made = self.publication(isbn="")
            first, second = self.record(made, 0), self.record(made, 1)
            if n % 2 == 0:
                self.spoil_isbn(second)
            if n == 3:
                for record in (first, second):
                    record.author, record.name_id = "Smith, John", ""
                    record.problems.append(("ambiguous_name", "Smith, John"))
        for n in range(4):
            # where both are full, the valid ISBN decides, though site and date speak against it
            spoiled, sound = {"full": True, "updated": "2025-06-30"}, {"full": n < 2}
            made = self.publication()
            self.spoil_isbn(self.record(made, 0, **spoiled))
            self.record(made, 1, **sound, updated="2019-02-11")
        for _ in range(3):
            made = self.publication()
            self.record(made, 0, isbn_text=self.write_isbn(made.isbn, "10"))
            self.record(made, 1, full=True, **self.no_isbn())
            self.record(made, 0, full=False, isbn_text=self.write_isbn(made.isbn, "13"))

    def plan_spellings(self) -> None:
        """Titles that only the title key brings together."""
        for isbn in ("", self.isbn()):
            made = self.publication(isbn=isbn, title="", subtitle="")
            made.title = f"The {made.name.heading.split(',')[0]} Reader & Companion"
            self.record(made, 0, title=f"{made.title} : selected pieces /")
            self.record(made, 1, title=made.title[4:].replace("&", "and").upper())

    def plan_near_matches(self) -> None:
        """Pairs that differ in one thing that matters."""
        for change in (
            {"year": 1985},
            {"publisher": PUBLISHERS[1]},
            {"edition": "3"},
            {"form": "large_print"},
            {"form": "audio"},
            {"name": PLAIN[3]},
        ):
            made = self.publication(
                isbn="", year=1984, publisher=PUBLISHERS[0], edition="2", name=PLAIN[0]
            )
            self.record(made, 0)
            self.record(self.sibling(made, isbn="", **change), 1)

    def plan_several_matches(self) -> None:
        for _ in range(3):
            hardback = self.publication()
            paperback = self.sibling(hardback)
            self.record(hardback, 0)
            self.record(paperback, 0)
            lost = self.record(self.sibling(hardback, isbn=""), 1)
            lost.problems.append(("several_matches", ""))

    def plan_conflicts(self) -> None:
        for title in ("The Tivermouth Letters", "Collected Lectures"):
            first = self.publication(title=f"{title}. Vol. 1", subtitle="")
            self.conflict(first, self.sibling(first, title=f"{title}. Vol. 2", isbn=first.isbn))
        print_ = self.publication(year=2008)
        self.conflict(print_, self.sibling(print_, form="ebook", isbn=print_.isbn))
        second = self.publication(edition="2")
        self.conflict(second, self.sibling(second, edition="3", isbn=second.isbn), again=True)

    def conflict(self, one: Publication, other: Publication, again: bool = False) -> None:
        records = [self.record(one, 0), self.record(other, 1)]
        if again:
            records.append(self.record(one, 1))
        for record in records:
            record.problems.append(("isbn_conflict", record.isbn))

    def plan_sets(self) -> None:
        """Two volumes that name the set's ISBN first, as one should not."""
        whole = self.isbn()
        for number in (1, 2):
            made = self.publication(title=f"Survey of the Coast. Vol. {number}", subtitle="")
            text = f"{self.write_isbn(whole, '10-')} (set) ; {self.write_isbn(made.isbn, '13')}"
            self.record(made, 0, isbn_text=f"{text} (v. {number})")
            self.record(made, 1)
        made = self.publication()
        wrong = self.bad_isbn()
        both = self.record(
            made, 0, isbn_text=f"{wrong} (hbk.) ; {self.write_isbn(made.isbn, '13')}"
        )
        both.problems.append(("bad_isbn", wrong))

    def plan_withdrawals(self) -> None:
        self.withdraw([self.record(self.publication()) for _ in range(3)])
        gone = self.publication()
        self.withdraw([self.record(gone, 0), self.record(gone, 1)])
        half = self.publication()
        self.withdraw([self.record(half, 0, full=True)])
        self.record(half, 1, full=False)
        partly = self.record(self.publication(), 0)
        partly.items = [(b, n == 0) for n, (b, _) in enumerate(self.items(0, 3))]

    def make(self) -> Stock:
        self.plan_singles()
        self.plan_early()
        self.plan_isbn_pairs()
        self.plan_editions()
        self.plan_description_matches()
        self.plan_spellings()
        self.plan_near_matches()
        self.plan_several_matches()
        self.plan_conflicts()
        self.plan_sets()
        self.plan_withdrawals()
        self.number()
        return self

    def number(self) -> None:
        self.rng.shuffle(self.records)
        number = self.rng.randrange(1_000, 5_000)
        for record in self.records:
            number += self.rng.randint(1, 9)
            record.record_id = f"{self.merger.sites[record.site].prefix}{number:06d}"
