"""Trial subjects without any deviation, made day by day; plants.py then spoils some."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from random import Random

from laboratory import age_on, half_up, meaning, raw_values
from studies import D, Site, Study, days

CLEAN = {
    "HBA1C": (7.4, 9.8),
    "CREAT": (64, 105),
    "K": (3.8, 4.5),
    "ALT": (0.3, 1.2),
    "CRP": (8, 40),
    "HGB": (10.5, 14.5),
    "NEUT": (2, 6),
}
BENIGN = (
    "Metformin",
    "Ramipril",
    "Atorvastatin",
    "Amlodipine",
    "Paracetamol",
    "Omeprazole",
    "Methotrexate",
    "Folic acid",
    "Vitamin D3",
    "Losartan",
)


@dataclass
class Lab:
    visit: str
    day: date
    test: str
    raw: Decimal
    unit: str
    comment: str = ""


@dataclass
class Period:
    start: date
    end: date | None
    dose: int = 0
    share: float = 1.0  # of the tablets that should have been taken
    returned: bool = True
    counts: tuple[int, int | None] = (0, None)


@dataclass
class Med:
    verbatim: str
    route: str
    start: str
    end: str
    status: str = "ACTIVE"


@dataclass
class Row:
    """One expected line of the listing."""

    code: str
    item: str
    day: date
    value: Decimal | None
    certainty: str = "CONFIRMED"


@dataclass
class Subject:
    site: Site
    sex: str
    birth: date
    consent: date
    randomised: date
    first_dose: date
    weight: Decimal
    arm: str
    exit: date | None = None
    exit_reason: str = ""
    treated: bool = True
    last_dose: date | None = None
    visits: dict[int, date] = field(default_factory=dict)
    void_visits: list[tuple[int, date]] = field(default_factory=list)
    not_done: set[int] = field(default_factory=set)
    labs: list[Lab] = field(default_factory=list)
    periods: list[Period] = field(default_factory=list)
    meds: list[Med] = field(default_factory=list)
    signed: dict[int, date | None] = field(default_factory=dict)
    wrong_dose: set[int] = field(default_factory=set)
    skewed: list[int] = field(default_factory=list)  # periods with too few or many tablets
    expected: list[Row] = field(default_factory=list)
    id: str = ""

    def target(self, week: int) -> date:
        return self.first_dose + days(7 * week)

    def patient(self, day: date) -> tuple[str, str, int]:
        return self.site.id, self.sex, age_on(self.birth, day)

    def expect(self, code: str, item: str, day: date, value: object, sure: bool = True) -> None:
        number = None if value is None else Decimal(str(value))
        self.expected.append(Row(code, item, day, number, "CONFIRMED" if sure else "POSSIBLE"))


class World:
    """The study, the dice, and the subjects made so far."""

    def __init__(self, study: Study, rng: Random) -> None:
        self.study, self.rng = study, rng
        self.subjects: list[Subject] = []

    def day(self, first: str | date, last: str | date) -> date:
        low, high = (D(x) if isinstance(x, str) else x for x in (first, last))
        return low + days(self.rng.randint(0, (high - low).days))

    def subject(self, site: str, first_dose: date, **given: object) -> Subject:
        """A subject with nothing to report; `given` fixes consent, exit, age or weight."""
        made = self._person(site, first_dose, given)
        self._stay(made, given.get("exit"))
        self._attend(made)
        self._sample(made)
        self._dispense(made)
        self._medicate(made)
        self.subjects.append(made)
        return made

    def _person(self, site: str, first_dose: date, given: dict) -> Subject:
        rng, delay = self.rng, self.rng.randint(0, self.study.first_dose_delay)
        consent = given.get("consent") or first_dose - days(delay + rng.randint(9, 18))
        birth = given.get("birth") or self._birth(consent)
        place = self.study.sites[site]
        weight = Decimal(str(given.get("weight") or rng.choice([50, 54, 66, 71, 78, 84, 92])))
        return Subject(
            place,
            rng.choice("FM"),
            birth.replace(day=15) if place.birth_to_month else birth,
            consent,
            given.get("randomised") or first_dose - days(delay),
            first_dose,
            weight + Decimal(rng.randint(0, 9)) / 10,
            rng.choice(self.study.arms),
        )

    def _birth(self, consent: date) -> date:
        return consent - days(self.rng.randint(31 * 365, 68 * 365))

    def _stay(self, who: Subject, exit: date | None) -> None:
        """Decide when the subject leaves: as told, on completion, or not before the data cut."""
        if exit:
            who.exit, who.exit_reason = exit, self.rng.choice(["WITHDRAWN", "ADVERSE EVENT"])
            who.last_dose = exit - days(self.rng.randint(5, 9))
            return
        final = who.target(24) + days(self.rng.randint(0, 2))
        if final < self.study.cut:
            who.exit, who.exit_reason, who.last_dose = final, "COMPLETED", final - days(1)

    def _attend(self, who: Subject) -> None:
        weeks = sorted({w for rule in self.study.windows.values() for w in rule})
        for week in weeks:
            target = who.target(week)
            known = week in self.study.windows[who.site.version_at(target)]
            gone = who.exit and target > who.exit
            if known and not gone and target + days(2) < self.study.cut:
                day = target + days(self.rng.randint(-2, 2))
                who.visits[week] = min(day, who.exit) if who.exit else day
        if who.exit_reason == "COMPLETED":
            who.visits[24] = who.exit

    def _sample(self, who: Subject) -> None:
        day = min(who.consent + days(self.rng.randint(1, 4)), who.randomised)
        for test in self.study.tests:
            self.lab(who, "SCR", day, test)
        for week in (4, 12):
            if week in who.visits:
                for test in self.study.tests:
                    self.lab(who, f"W{week}", who.visits[week], test)

    def lab(self, who: Subject, visit: str, day: date, test: str, wanted=None) -> Lab:
        """Add a result; one that meets every version of the protocol unless `wanted` says."""
        low, high = CLEAN[test]
        unit, patient = who.site.units[test], who.patient(day)
        wish = wanted or (lambda v: low <= v <= high)
        raw = self.rng.choice(raw_values(test, unit, patient, day, wish))
        who.labs.append(Lab(visit, day, test, raw, unit))
        return who.labs[-1]

    def _dispense(self, who: Subject) -> None:
        last = who.last_dose or self.study.cut
        starts = [who.target(w) for w in self.study.kit_weeks if who.target(w) <= last]
        ends = [s - days(1) for s in starts[1:]] + [who.last_dose]
        if who.last_dose is None and (ends[-1] is None) and who.target(24) <= self.study.cut:
            ends[-1] = who.target(24) - days(1)
        for start, end in zip(starts, ends, strict=True):
            who.periods.append(Period(start, end, share=self.rng.uniform(0.94, 1.0)))

    def _medicate(self, who: Subject) -> None:
        for name in self.rng.sample(BENIGN, self.rng.randint(1, 3)):
            start = f"UN-UNK-{self.rng.randint(2015, 2023)}"
            who.meds.append(Med(name, "ORAL", start, "ONGOING"))


def screening_value(study: Study, who: Subject, test: str) -> Decimal:
    """The meaning of the last valid result up to randomisation."""
    rows = [
        x for x in who.labs if x.test == test and x.day <= who.randomised and not x.comment.strip()
    ]
    last = max(rows, key=lambda x: x.day)
    return meaning(test, last.raw, last.unit, who.patient(last.day), last.day)


def right_dose(study: Study, who: Subject, day: date) -> int:
    version = who.site.version_at(day)
    if study.code == "KST-201":
        return 20 if screening_value(study, who, "CREAT") >= (60 if version == 1 else 45) else 10
    frail = version == 3 and age_on(who.birth, who.consent) >= 65
    return 15 if version > 1 and (who.weight < 60 or frail) else 30


def finish(study: Study, who: Subject, rng: Random) -> None:
    """Fill in what follows from the rest: doses, tablet counts, consents to amendments."""
    if not who.treated:
        who.periods.clear()
    for number, period in enumerate(who.periods):
        period.dose = right_dose(study, who, period.start)
        if number in who.wrong_dose:
            wrong = {20: 10, 10: 20, 15: 30, 30: 15}[period.dose]
            period.dose = wrong
            who.expect("DOSE_WRONG", f"P{number + 1}", period.start, wrong)
        _count(study, period, rng)
    _sign(study, who)
    who.labs = [x for x in who.labs if x.visit.startswith("SCR") or int(x.visit[1:]) in who.visits]
    for lab in who.labs:
        if not lab.visit.startswith("SCR"):
            lab.day = who.visits[int(lab.visit[1:])]
    for number in who.skewed:
        period = who.periods[number]
        who.expect("COMPLIANCE", f"P{number + 1}", period.start, compliance(study, [period]))


def _count(study: Study, period: Period, rng: Random) -> None:
    last = period.end or study.cut
    need = ((last - period.start).days + 1) * study.tablets_per_day
    taken = round(need * period.share) if need > 14 else need
    given = (max(need, taken) // 7 + 2) * 7
    back = given - taken if period.returned and period.end else None
    period.counts = (given, back)


def _sign(study: Study, who: Subject) -> None:
    for version in range(2, study.last_version() + 1):
        deadline = amendment_visit(who, version)
        if deadline and version not in who.signed:
            who.signed[version] = deadline


def amendment_visit(who: Subject, version: int) -> date | None:
    """The first visit at which the subject should have signed the amended consent."""
    effective = who.site.effective(version)
    if not effective or who.consent >= effective:
        return None
    attended = sorted([who.first_dose, *who.visits.values()]) if who.treated else []
    return next((day for day in attended if day >= effective), None)


def compliance(study: Study, periods: list[Period]) -> Decimal | None:
    known = [p for p in periods if p.end and p.counts[1] is not None]
    if not known:
        return None
    need = sum(((p.end - p.start).days + 1) * study.tablets_per_day for p in known)
    taken = sum(p.counts[0] - p.counts[1] for p in known)
    return half_up(Decimal(100 * taken) / need, 1)
