"""The two trials: sites, protocol versions and limits, as the answer key knows them."""

from dataclasses import dataclass
from datetime import date, timedelta

D = date.fromisoformat


@dataclass(frozen=True)
class Site:
    """A site: when each amendment came into force, and the units of its laboratory."""

    id: str
    town: str
    country: str
    approvals: dict[int, tuple[str, str]]  # version -> (ethics approval, training complete)
    units: dict[str, str]
    birth_to_month: bool = False
    pounds: bool = False

    def effective(self, version: int) -> date | None:
        dates = self.approvals.get(version, ("", ""))
        return max(map(D, dates)) if all(dates) else None

    def version_at(self, day: date) -> int:
        known = [v for v in self.approvals if (e := self.effective(v)) and e <= day]
        return max([1, *known])


@dataclass(frozen=True)
class Study:
    """A trial and its rules; limits are given per protocol version."""

    code: str
    cut: date
    subjects: int
    sites: dict[str, Site]
    tests: list[str]
    limits: dict[str, dict[int, tuple[float | None, float | None]]]  # criterion -> version
    criterion_test: dict[str, str]
    windows: dict[int, dict[int, tuple[int, int]]]  # version -> week -> (early, late)
    primary: int
    kit_weeks: list[int]
    tablets_per_day: int
    gap_limit: dict[int, int]
    closure: tuple[str, date, date, int]
    first_dose_delay: int
    new_drug: tuple[str, str]  # verbatim and ingredient, prohibited since version 2 or 3
    combination: tuple[str, str]
    metabolite: tuple[str, str, int]  # verbatim, ingredient, washout in days
    long_acting: tuple[str, str, int]
    topical: str
    arms: tuple[str, str]

    def last_version(self) -> int:
        return max(self.windows)

    def moving_site(self) -> Site:
        """The site whose first amendment came late enough to have subjects on either side."""
        return self.sites["102" if "102" in self.sites else "205"]


def _both(weeks: dict[int, int]) -> dict[int, tuple[int, int]]:
    return {week: (days, days) for week, days in weeks.items()}


def _units(*units: str, tests: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(tests, units, strict=True))


_KT = ("HBA1C", "CREAT", "K", "ALT")
_MT = ("CRP", "HGB", "NEUT", "ALT")

KESTREL = Study(
    code="KST-201",
    cut=D("2025-09-30"),
    subjects=108,
    sites={
        s.id: s
        for s in (
            Site(
                "101",
                "Boston",
                "US",
                {2: ("2025-02-10", "2025-02-24")},
                _units("%", "mg/dL", "mEq/L", "U/L", tests=_KT),
                pounds=True,
            ),
            Site(
                "102",
                "Leipzig",
                "DE",
                {2: ("2025-04-14", "2025-04-03")},
                _units("mmol/mol", "umol/L", "mmol/L", "U/L", tests=_KT),
                birth_to_month=True,
            ),
            Site(
                "103",
                "Uppsala",
                "SE",
                {2: ("2025-03-17", "2025-03-17")},
                _units("mmol/mol", "umol/L", "mmol/L", "ukat/L", tests=_KT),
                birth_to_month=True,
            ),
            Site(
                "104",
                "Leeds",
                "GB",
                {2: ("2025-05-06", "")},
                _units("mmol/mol", "umol/L", "mmol/L", "U/L", tests=_KT),
            ),
        )
    },
    tests=list(_KT),
    limits={
        "I01": {1: (18, 75), 2: (18, 80)},
        "I02": {1: (7.0, 10.5), 2: (6.5, 10.5)},
        "I03": {1: (45, None), 2: (30, None)},
        "E01": {1: (None, 5.0), 2: (None, 4.8)},
        "E02": {1: (None, 3.0), 2: (None, 2.5)},
    },
    criterion_test={"I02": "HBA1C", "I03": "CREAT", "E01": "K", "E02": "ALT"},
    windows={
        1: _both({2: 2, 4: 3, 8: 3, 12: 4, 16: 4, 24: 5}),
        2: _both({2: 3, 4: 5, 8: 5, 12: 7, 16: 7, 20: 7, 24: 7}),
    },
    primary=24,
    kit_weeks=[0, 4, 8, 12, 16, 20],
    tablets_per_day=1,
    gap_limit={1: 3, 2: 5},
    closure=("102", D("2025-03-03"), D("2025-03-21"), 14),
    first_dose_delay=0,
    new_drug=("Diflucan", "fluconazole"),
    combination=("Bactrim DS", "trimethoprim"),
    metabolite=("Aldactide", "spironolactone", 4),
    long_acting=("Cordarone", "amiodarone", 305),
    topical="Nizoral 2% cream",
    arms=("velorenone", "placebo"),
)

MERLIN = Study(
    code="MRL-302",
    cut=D("2025-10-31"),
    subjects=126,
    sites={
        s.id: s
        for s in (
            Site(
                "201",
                "Lyon",
                "FR",
                {2: ("2025-01-20", "2025-01-27"), 3: ("2025-06-02", "2025-05-28")},
                _units("mg/L", "g/dL", "10^9/L", "U/L", tests=_MT),
            ),
            Site(
                "202",
                "Toronto",
                "CA",
                {2: ("2025-02-03", "2025-02-03"), 3: ("2025-05-12", "2025-05-19")},
                _units("mg/L", "g/L", "10^9/L", "U/L", tests=_MT),
                pounds=True,
            ),
            Site(
                "203",
                "Copenhagen",
                "DK",
                {3: ("2025-04-22", "2025-04-28")},
                _units("mg/L", "mmol/L", "10^9/L", "U/L", tests=_MT),
                birth_to_month=True,
            ),
            Site(
                "204",
                "Brno",
                "CZ",
                {2: ("2025-03-10", "2025-03-03"), 3: ("2025-06-16", "")},
                _units("mg/L", "g/L", "10^9/L", "ukat/L", tests=_MT),
            ),
            Site(
                "205",
                "Osaka",
                "JP",
                {2: ("2025-02-17", "2025-03-05"), 3: ("2025-07-07", "2025-07-01")},
                _units("mg/dL", "g/dL", "/uL", "U/L", tests=_MT),
                birth_to_month=True,
            ),
        )
    },
    tests=list(_MT),
    limits={
        "I01": {1: (18, 70), 2: (18, 75), 3: (18, 75)},
        "I02": {1: (6.0, None), 2: (5.0, None), 3: (3.0, None)},
        "I03": {1: (9.0, None), 2: (8.5, None), 3: (8.5, None)},
        "E01": {1: (1.5, None), 2: (1.2, None), 3: (1.2, None)},
        "E02": {1: (None, 2.0), 2: (None, 2.0), 3: (None, 1.5)},
    },
    criterion_test={"I02": "CRP", "I03": "HGB", "E01": "NEUT", "E02": "ALT"},
    windows={
        1: _both({2: 2, 4: 3, 8: 3, 12: 3, 18: 5, 24: 7}),
        2: _both({2: 2, 4: 3, 8: 5, 18: 7, 24: 7}) | {12: (3, 7)},
        3: _both({2: 3, 4: 4, 6: 3, 8: 5, 18: 7, 24: 7}) | {12: (3, 7)},
    },
    primary=12,
    kit_weeks=[0, 4, 8, 12, 18],
    tablets_per_day=2,
    gap_limit={1: 2, 2: 2, 3: 4},
    closure=("205", D("2025-04-28"), D("2025-05-16"), 10),
    first_dose_delay=2,
    new_drug=("Diflucan", "fluconazole"),
    combination=("Rifater", "rifampicin"),
    metabolite=("Imurek", "azathioprine", 25),
    long_acting=("Humira", "adalimumab", 70),
    topical="Nizoral 2% cream",
    arms=("tavecitinib", "placebo"),
)

STUDIES = {"kestrel": KESTREL, "merlin": MERLIN}


def days(count: int) -> timedelta:
    return timedelta(days=count)
