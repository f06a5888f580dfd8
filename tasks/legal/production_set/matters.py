"""The two matters: who is who, which dates count, what is searched for, which rules apply."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Person:
    """One line of the directory; `private` are the person's other addresses."""

    address: str
    name: str
    organisation: str
    role: str
    since: str = ""
    until: str = ""
    private: str = ""


@dataclass(frozen=True)
class Term:
    """A search term, sentences that hit it, and sentences that only look like it."""

    expression: str
    hits: tuple[str, ...]
    lookalikes: tuple[str, ...]


@dataclass(frozen=True)
class Matter:
    prefix: str
    start: date
    end: date
    winter: int  # hours ahead of UTC
    summer_from: date
    summer_until: date
    custodians: tuple[str, ...]  # names, first priority first; the last one is dropped
    core: int  # so many custodians, from the first, may instruct lawyers
    people: dict[str, Person]  # by their part in the plot
    lists: dict[str, tuple[str, ...]]
    terms: tuple[Term, ...]
    split_miss: tuple[str, str]  # subject and text that only together look like a w/n hit
    split_hit: tuple[str, str]  # subject and text that together are an AND hit
    left: date  # the former employee's last day
    anticipation: date
    engaged: date
    moved: date
    common_interest: date
    filed: date
    global_duplicates: bool
    numbers_per_page: bool
    slip_sheets: bool
    by_custodian: bool  # production order
    whole_families: bool
    agent_privileged: bool  # a consultant helping the lawyers does not break advice privilege
    staff_privileged: bool  # any employee counts as the client
    secret: str  # the issue tag with the higher designation
    ordinary: int


CORVANE, BRIGHTWELL = "Corvane Drives", "Brightwell Packaging"

US_PEOPLE = {
    "c1": Person(
        "odile.marchetti@corvane.example", "Odile Marchetti", CORVANE, "employee",
        private="odile.m@postbox.example",
    ),
    "c2": Person("p.sethuraman@corvane.example", "Pravin Sethuraman", CORVANE, "employee"),
    "c3": Person("gwen.tollefson@corvane.example", "Gwen Tollefson", CORVANE, "employee"),
    "c4": Person("marcus.abiodun@corvane.example", "Marcus Abiodun", CORVANE, "employee"),
    "c5": Person("ines.duarte@corvane.example", "Ines Duarte", CORVANE, "employee"),
    "staff": Person("lars.eikeland@corvane.example", "Lars Eikeland", CORVANE, "employee"),
    "namesake": Person("dan.whitlock@corvane.example", "Dan Whitlock", CORVANE, "employee"),
    "gc": Person(
        "dana.whitlock@corvane.example", "Dana Whitlock", CORVANE, "in_house_counsel"
    ),
    "junior": Person(
        "yuki.sandoval@corvane.example", "Yuki Sandoval", CORVANE, "in_house_counsel"
    ),
    "mover": Person(
        "theo.brandvold@corvane.example", "Theo Brandvold", CORVANE, "in_house_counsel",
        until="2023-06-30",
    ),
    "moved": Person(
        "theo.brandvold@corvane.example", "Theo Brandvold", CORVANE, "employee",
        since="2023-07-01",
    ),
    "former": Person(
        "ray.stroud@corvane.example", "Ray Stroud", CORVANE, "employee",
        until="2023-05-31", private="raystroud61@postbox.example",
    ),
    "outside": Person(
        "m.achterberg@sorrelpike.example", "Miriam Achterberg", "Sorrel Pike LLP",
        "litigation_counsel",
    ),
    "outside2": Person(
        "jonas.feld@sorrelpike.example", "Jonas Feld", "Sorrel Pike LLP", "litigation_counsel"
    ),
    "patent": Person("hana.ito@quarlesito.example", "Hana Ito", "Quarles Ito PC", "other_counsel"),
    "agent": Person(
        "peter.ansah@vantra.example", "Peter Ansah", "Vantra Metallurgy", "consultant",
        since="2023-06-12",
    ),
    "insurer": Person("celia.roth@northmark.example", "Celia Roth", "Northmark Mutual", "insurer"),
    "opponent": Person(
        "brent.kowal@haldenridge.example", "Brent Kowal", "Halden Ridge Wind", "opponent"
    ),
    "vendor": Person(
        "shaun.pell@tridentbearings.example", "Shaun Pell", "Trident Bearings", "third_party"
    ),
    "press": Person("kim.lowe@brightlowe.example", "Kim Lowe", "Bright & Lowe PR", "third_party"),
    "adviser": Person(
        "r.gupta@ferncroft.example", "Rohan Gupta", "Ferncroft tax accountants", "third_party"
    ),
}  # fmt: skip

US_TERMS = (
    Term(
        '"halden ridge"',
        ("The Halden Ridge crew want an answer by Friday.", "Parts for HALDEN-RIDGE left today."),
        ("The Halden site and the ridge line are two different places.",),
    ),
    Term(
        "gearbox* w/5 (vibrat* OR nois*)",
        (
            "The gearbox on unit 9 has vibration again.",
            "They report noise, and then heat, from gearboxes in row four.",
        ),
        (
            "The gearbox was opened on Monday and the oil was changed before any vibration test.",
            "The gearbox on unit 9 has less vibration now.",
        ),
    ),
    Term(
        "warrant*",
        ("Is this still under warranty?", "We warranted the shafts for five years."),
        ("The criticism is unwarranted in my view.",),
    ),
    Term(
        "HX5 AND (crack* OR pitting)",
        (
            "Two HX5 planets came back. The teeth are cracked at the root.",
            "On the HX5-A we saw pitting.",
        ),
        (
            "The HX5 order book is full until spring.",
            "The HX-5 drawing shows no sign of pitting.",
            "Paint is cracking on the HX50 crate.",
        ),
    ),
    Term(
        '"field notice 12"',
        ("Has everybody signed for Field Notice 12?",),
        ("See field notice 21 for the torque table.", "Field notices 12 to 15 are withdrawn."),
    ),
)

UK_PEOPLE = {
    "c1": Person(
        "harriet.vane@brightwell.example", "Harriet Vane-Morris", BRIGHTWELL, "employee",
        private="hvanemorris@postbox.example",
    ),
    "c2": Person("colm.devlin@brightwell.example", "Colm Devlin", BRIGHTWELL, "employee"),
    "c3": Person("asha.rahman@brightwell.example", "Asha Rahman", BRIGHTWELL, "employee"),
    "c4": Person("piotr.zielak@brightwell.example", "Piotr Zielak", BRIGHTWELL, "employee"),
    "c5": Person("glenys.pugh@brightwell.example", "Glenys Pugh", BRIGHTWELL, "employee"),
    "staff": Person("tom.oakes@brightwell.example", "Tom Oakes", BRIGHTWELL, "employee"),
    "namesake": Person(
        "joan.farrow@brightwell.example", "Joan Farrow", BRIGHTWELL, "employee"
    ),
    "gc": Person(
        "john.farrow@brightwell.example", "John Farrow", BRIGHTWELL, "in_house_counsel"
    ),
    "junior": Person(
        "leila.haddad@brightwell.example", "Leila Haddad", BRIGHTWELL,
        "in_house_counsel",
    ),
    "mover": Person(
        "simon.tranter@brightwell.example", "Simon Tranter", BRIGHTWELL,
        "in_house_counsel", until="2022-07-31",
    ),
    "moved": Person(
        "simon.tranter@brightwell.example", "Simon Tranter", BRIGHTWELL, "employee",
        since="2022-08-01",
    ),
    "former": Person(
        "moira.kell@brightwell.example", "Moira Kell", BRIGHTWELL, "employee",
        until="2022-05-31", private="moira.kell@homepost.example",
    ),
    "outside": Person(
        "e.okonjo@hartleyquill.example", "Esther Okonjo", "Hartley Quill LLP", "litigation_counsel"
    ),
    "outside2": Person(
        "b.sawyer@hartleyquill.example", "Ben Sawyer", "Hartley Quill LLP", "litigation_counsel"
    ),
    "patent": Person(
        "m.delacroix@cabinetdl.example", "Mathilde Delacroix", "Cabinet Delacroix, Lyon",
        "other_counsel",
    ),
    "agent": Person(
        "ruth.benn@polymerlab.example", "Ruth Benn", "Polymer Laboratory", "consultant",
        since="2022-07-04",
    ),
    "insurer": Person("a.stroud@calderre.example", "Alan Stroud", "Calder Re", "insurer"),
    "opponent": Person("d.lomas@lowmoor.example", "Denise Lomas", "Lowmoor Foods", "opponent"),
    "vendor": Person("ivo.marek@filmtec.example", "Ivo Marek", "Filmtec Coatings", "third_party"),
    "press": Person("nina@tallhouse.example", "Nina Tall", "Tallhouse Press", "third_party"),
    "adviser": Person("j.prior@priorash.example", "Jane Prior", "Prior Ash (tax)", "third_party"),
}  # fmt: skip

UK_TERMS = (
    Term(
        '"project linnet"',
        ("Minutes of the Project Linnet meeting follow.", "PROJECT-LINNET slipped a week."),
        ("The project was called Linnet once.",),
    ),
    Term(
        "(seal* OR laminat*) w/6 (fail* OR peel*)",
        (
            "The seal on the new line 3 failed overnight.",
            "Peeling was seen on the laminate.",
        ),
        (
            "The seal arrived on Monday and nobody in the store had failed to sign for it.",
            "The seal on the other new line 3 failed overnight.",
        ),
    ),
    Term(
        "recall*",
        ("Lowmoor may start a recall.", "Which pallets were recalled?"),
        ("The precalled meeting is off.",),
    ),
    Term(
        "batch* AND tracea*",
        (
            "We keep every batch for a year. Traceability is by roll.",
            "Which batches? None is traceable past the mixer.",
        ),
        ("The batch of invoices is ready.", "There is no trace of the parcel in this batch."),
    ),
    Term(
        '"spec 4417"',
        ("The film was made to Spec 4417.",),
        ("Specs 4417 and later use metric units.", "See spec 4471 for the core."),
    ),
)

MATTERS = {
    "us": Matter(
        prefix="CORV", start=date(2023, 3, 1), end=date(2023, 9, 30), winter=-6,
        summer_from=date(2023, 3, 12), summer_until=date(2023, 11, 5),
        custodians=("c1", "c2", "c3", "c4", "c5"), core=4, people=US_PEOPLE,
        lists={
            "legal-team@corvane.example": ("gc", "junior"),
            "hx5-project@corvane.example": ("c1", "c2", "vendor"),
        },
        terms=US_TERMS, split_miss=("gearbox", "Vibration is within limits."),
        split_hit=("HX5 planets", "Two of them are cracked."),
        left=date(2023, 5, 31), anticipation=date(2023, 6, 2),
        engaged=date(2023, 6, 12), moved=date(2023, 7, 1), common_interest=date(2023, 7, 5),
        filed=date(2023, 8, 18), global_duplicates=True, numbers_per_page=True, slip_sheets=True,
        by_custodian=True, whole_families=True, agent_privileged=True, staff_privileged=True,
        secret="formula", ordinary=34,
    ),
    "england": Matter(
        prefix="BWP", start=date(2022, 4, 1), end=date(2022, 11, 30), winter=0,
        summer_from=date(2022, 3, 27), summer_until=date(2022, 10, 30),
        custodians=("c1", "c2", "c3", "c4", "c5"), core=2, people=UK_PEOPLE,
        lists={
            "legal@brightwell.example": ("gc", "junior"),
            "linnet-team@brightwell.example": ("c1", "c2", "vendor"),
        },
        terms=UK_TERMS, split_miss=("RE: seal", "Failed to reach you by phone."),
        split_hit=("batches", "None of it is traceable."),
        left=date(2022, 5, 31), anticipation=date(2022, 6, 20),
        engaged=date(2022, 7, 4), moved=date(2022, 8, 1), common_interest=date(2022, 8, 15),
        filed=date(2022, 10, 10), global_duplicates=False, numbers_per_page=False,
        slip_sheets=False, by_custodian=False, whole_families=False, agent_privileged=False,
        staff_privileged=False, secret="recipe", ordinary=24,
    ),
}  # fmt: skip

# none of these words is in a term
FILLER = (
    "Thanks for the quick turnaround on this.",
    "I will be out on Thursday and back on Monday.",
    "Please use the new form for travel claims.",
    "The forklift is booked from eight to ten.",
    "Can we move the call to the afternoon?",
    "Numbers are in the usual folder.",
    "The auditors would like two more samples.",
    "Let me know if anything is missing.",
    "We agreed to wait for the drawings.",
    "The supplier promised the samples this week.",
    "I have put the photographs on the shared drive.",
    "Finance asked who approved the overtime.",
    "The second shift starts half an hour later from now on.",
    "Could you print this for the file?",
    "No change since the last report.",
    "He said the crate was wet when it came in.",
    "The measuring room is closed on Tuesday.",
    "Our visitors arrive at the main gate.",
    "Nobody has signed the delivery note yet.",
    "I would rather talk than write about it.",
    "The temperature log covers only half the night.",
    "We still need a name for the minutes.",
    "Sales want a date they can quote.",
    "The tooling budget is nearly used up.",
)
SUBJECTS = (
    "weekly notes", "RE: schedule", "open points", "FW: samples", "call tomorrow", "RE: delivery",
    "numbers", "visit", "draft for comment", "RE: question", "follow-up", "status",
)  # fmt: skip
FILES = ("notes", "photos", "minutes", "drawing", "report", "quote", "overview", "letter")
