"""Write the database export: what the reviewer sees of the cohort."""

import csv
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from random import Random

from cohort import Subject, World
from laboratory import RANGES
from studies import Study, days

POUND = Decimal("0.45359237")


def table(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows([["" if x is None else x for x in row] for row in rows])


def number_subjects(world: World) -> None:
    """Give out ids in order of consent, leaving room in each site for the screen failures."""
    for site in sorted(world.study.sites):
        here = [who for who in world.subjects if who.site.id == site]
        here.sort(key=lambda who: who.consent)
        numbers = sorted(world.rng.sample(range(1, len(here) + 3), len(here)))
        for who, number in zip(here, numbers, strict=True):
            who.id = f"{site}-{number:03d}"
    world.subjects.sort(key=lambda who: who.id)


def write(world: World, folder: Path) -> None:
    people, study, rng = world.subjects, world.study, world.rng
    amendments(study, folder)
    ranges(study, folder)
    failures = [_failure(world, name) for name in _free_ids(world)]
    header = "subject_id,site_id,sex,birth_date,consent_date,randomisation_date,arm"
    rows = sorted([_subject(who) for who in people] + failures)
    table(folder / "subjects.csv", f"{header},weight,weight_unit,exit_date,exit_reason", rows)
    visits(people, folder)
    labs(people, folder)
    exposure(people, folder)
    medication(people, folder, rng)
    header = "subject_id,version,signature_date"
    signed = [
        (who.id, f"{version}.0", day)
        for who in people
        for version, day in sorted(who.signed.items())
        if day
    ]
    table(folder / "reconsents.csv", header, signed)


def amendments(study: Study, folder: Path) -> None:
    rows = [
        (s.id, s.town, s.country, f"{version}.0", *s.approvals.get(version, ("", "")))
        for s in study.sites.values()
        for version in range(2, study.last_version() + 1)
    ]
    header = "site_id,town,country,version,ethics_approval,training_complete"
    table(folder / "site_amendments.csv", header, rows)


def ranges(study: Study, folder: Path) -> None:
    rows = [
        (site, "ALT", start, sex, upper, unit)
        for site in study.sites
        for start, unit, male, female in RANGES[site]
        for sex, upper in (("F", female), ("M", male))
    ]
    table(folder / "lab_ranges.csv", "site_id,test,valid_from,sex,upper_limit,unit", rows)


def _free_ids(world: World) -> list[str]:
    free = []
    for site in sorted(world.study.sites):
        taken = {who.id for who in world.subjects}
        count = sum(who.site.id == site for who in world.subjects)
        names = [f"{site}-{n:03d}" for n in range(1, count + 3)]
        free += [name for name in names if name not in taken]
    return free


def _failure(world: World, name: str) -> list[str]:
    """A screen failure: consented, never randomised."""
    site, consent = world.study.sites[name[:3]], world.day("2024-10-01", "2025-06-30")
    birth = f"{world.rng.randint(1940, 1990)}-{world.rng.randint(1, 12):02d}"
    birth += "" if site.birth_to_month else f"-{world.rng.randint(1, 28):02d}"
    weight = f"{world.rng.randint(52, 99)}.0"
    unit = "lb" if site.pounds else "kg"
    end = [(consent + days(9)).isoformat(), "SCREEN FAILURE"]
    sex = world.rng.choice("FM")
    return [name, site.id, sex, birth, consent.isoformat(), "", "", weight, unit, *end]


def _subject(who: Subject) -> list[str]:
    weight = who.weight / POUND if who.site.pounds else who.weight
    return [
        who.id,
        who.site.id,
        who.sex,
        who.birth.isoformat()[: 7 if who.site.birth_to_month else 10],
        who.consent.isoformat(),
        who.randomised.isoformat(),
        who.arm,
        f"{weight:.1f}",
        "lb" if who.site.pounds else "kg",
        who.exit.isoformat() if who.exit else "",
        who.exit_reason,
    ]


def visits(people: list[Subject], folder: Path) -> None:
    rows = []
    for who in people:
        mine = [(who.consent, "SCR", "DONE", "ACTIVE")]
        if who.treated:
            mine.append((who.first_dose, "D1", "DONE", "ACTIVE"))
        mine += [(day, f"W{week}", "DONE", "ACTIVE") for week, day in who.visits.items()]
        mine += [(day, f"W{week}", "DONE", "INACTIVATED") for week, day in who.void_visits]
        mine.sort()
        mine += [("", f"W{week}", "NOT DONE", "ACTIVE") for week in sorted(who.not_done)]
        rows += [(who.id, name, day, done, status) for day, name, done, status in mine]
    header = "subject_id,visit,visit_date,visit_status,record_status"
    table(folder / "visits.csv", header, rows)


def labs(people: list[Subject], folder: Path) -> None:
    rows = [
        (who.id, x.visit, x.day, x.test, x.raw, x.unit, x.comment)
        for who in people
        for x in sorted(who.labs, key=lambda x: (x.day, x.visit, x.test))
    ]
    header = "subject_id,visit,sample_date,test,result,unit,lab_comment"
    table(folder / "labs.csv", header, rows)


def exposure(people: list[Subject], folder: Path) -> None:
    rows = [(who.id, p.start, p.end, p.dose, *p.counts) for who in people for p in who.periods]
    header = "subject_id,start_date,end_date,daily_dose_mg,tablets_dispensed,tablets_returned"
    table(folder / "exposure.csv", header, rows)


def medication(people: list[Subject], folder: Path, rng: Random) -> None:
    rows = []
    for who in people:
        mine = rng.sample(who.meds, len(who.meds))
        rows += [(who.id, m.verbatim, m.route, m.start, m.end, m.status) for m in mine]
    header = "subject_id,medication,route,start_date,end_date,record_status"
    table(folder / "conmeds.csv", header, rows)
