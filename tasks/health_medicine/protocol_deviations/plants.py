"""The deviations put into the cohort, and the look-alikes that are none.

Each planter makes its own subject, so that what it declares with `expect` is all there is.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from cohort import BENIGN, Med, Subject, World, right_dose
from laboratory import meaning, upper_limit
from studies import D, days

EARLY = ("2024-10-01", "2024-12-20")  # first doses long before any amendment
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def edc(day: date) -> str:
    return f"{day.day:02d}-{MONTHS[day.month - 1]}-{day.year}"


def month(day: date) -> str:
    return f"UN-{MONTHS[day.month - 1]}-{day.year}"


def month_end(day: date) -> date:
    following = (day.replace(day=1) + days(32)).replace(day=1)
    return following - days(1)


def outside(world: World, criterion: str, version: int, value: Decimal) -> bool:
    low, high = world.study.limits[criterion][version]
    return (low is not None and float(value) < low) or (high is not None and float(value) > high)


def any_site(world: World) -> str:
    return world.rng.choice(sorted(world.study.sites))


def anyone(world: World, **given: object) -> Subject:
    return world.subject(any_site(world), world.day(*EARLY), **given)


def straddling(world: World, *, before: bool, **given: object) -> Subject:
    """Consent just before or just after the amendment, first dose after it in both cases."""
    site = world.study.moving_site()
    effective = site.effective(2)
    consent = effective + days(-5 if before else world.rng.randint(0, 2))
    dose = consent + days(world.rng.randint(12, 16))
    return world.subject(site.id, dose, consent=consent, **given)


# -- eligibility ---------------------------------------------------------------------------


def set_lab(
    world: World, who: Subject, criterion: str, wanted: Callable[[Decimal], bool], *, bad: bool
) -> None:
    """Replace the screening result of a criterion's test."""
    test = world.study.criterion_test[criterion]
    old = next(x for x in who.labs if x.test == test and x.visit == "SCR")
    who.labs.remove(old)
    new = world.lab(who, "SCR", old.day, test, wanted)
    if bad:
        value = meaning(test, new.raw, new.unit, who.patient(new.day), new.day)
        who.expect("ELIG", criterion, new.day, value)


def near(world: World, criterion: str, version: int) -> Callable[[Decimal], bool]:
    """Values outside the limit, by a twelfth of it at most."""
    low, high = world.study.limits[criterion][version]
    side = [x for x in (low, high) if x is not None][-1]

    def wanted(value: Decimal) -> bool:
        close = abs(float(value) - side) <= side / 12
        return close and outside(world, criterion, version, value)

    return wanted


def plant_units(world: World) -> None:
    """Every laboratory unit once: a value outside the limit, and one exactly on it."""
    for site in world.study.sites.values():
        for criterion in world.rng.sample(sorted(world.study.criterion_test), 2):
            who = world.subject(site.id, world.day(*EARLY))
            set_lab(world, who, criterion, near(world, criterion, 1), bad=True)
    for criterion in world.study.criterion_test:
        limit = [x for x in world.study.limits[criterion][1] if x is not None][-1]
        who = anyone(world)
        set_lab(world, who, criterion, lambda v, x=limit: float(v) == x, bad=False)


def plant_age(world: World) -> None:
    top = world.study.limits["I01"][1][1]
    for before in (True, False):
        birth = date(2025 - top - 2, 1, world.rng.randint(2, 25))
        who = straddling(world, before=before, birth=birth)
        if before:
            who.expect("ELIG", "I01", who.consent, top + 2)
    site, dose = world.study.moving_site().id, D("2024-12-04")
    for late in (True, False):
        consent = date(2024, 11, world.rng.randint(17, 22) if late else world.rng.randint(4, 12))
        birth = date(2024 - top - 1, 11, 3)
        who = world.subject(site, dose, consent=consent, birth=birth)
        if late:
            who.expect("ELIG", "I01", consent, top + 1)


def plant_loosened(world: World) -> None:
    """A value that only the amendment admits: wrong before it, right after it."""
    new_low, old_low = (world.study.limits["I02"][v][0] for v in (2, 1))
    for before in (True, False):
        who = straddling(world, before=before)
        set_lab(world, who, "I02", lambda v: new_low <= float(v) < old_low, bad=before)


def plant_tightened(world: World) -> None:
    """A value that the amendment no longer admits."""
    kestrel = world.study.code == "KST-201"
    criterion, site, version = ("E01", "102", 2) if kestrel else ("E02", "201", 3)
    new, old = (world.study.limits[criterion][v][1] for v in (version, 1))
    effective = world.study.sites[site].effective(version)
    for after in (True, False):
        consent = effective + days(world.rng.randint(0, 3) if after else -4)
        who = world.subject(site, consent + days(12), consent=consent)
        set_lab(world, who, criterion, lambda v: new < float(v) <= old, bad=after)


def plant_repeats(world: World) -> None:
    """First and repeated sample disagree; the last valid one before randomisation counts."""
    kestrel = world.study.code == "KST-201"
    criterion = "E01"
    test = world.study.criterion_test[criterion]
    comment = "haemolysed - result unreliable" if kestrel else "clotted sample - not reported"
    for first_bad, repeat_bad, void in (
        (True, False, False),
        (False, True, False),
        (True, False, True),
        (False, True, True),
    ):
        who = anyone(world)
        counted = first_bad if void else repeat_bad
        bad = near(world, criterion, 1)
        if first_bad:
            set_lab(world, who, criterion, bad, bad=counted)
        day = who.randomised - days(world.rng.randint(1, 3))
        lab = world.lab(who, "SCR-R", day, test, bad if repeat_bad else None)
        lab.comment = comment if void else ""
        if counted and repeat_bad:
            value = meaning(test, lab.raw, lab.unit, who.patient(day), day)
            who.expect("ELIG", criterion, day, value)


def plant_after_randomisation(world: World) -> None:
    who = anyone(world)
    test = world.study.criterion_test["E01"]
    old = next(x for x in who.labs if x.test == test and x.visit == "W4")
    who.labs.remove(old)
    world.lab(who, "W4", old.day, test, near(world, "E01", 1))


def plant_range_change(world: World) -> None:
    """ALT against the limit in force on the day of the sample, not the site's other one."""
    kestrel = world.study.code == "KST-201"
    site, dose, limit = ("101", "2025-02-22", 3.0) if kestrel else ("202", "2025-03-06", 2.0)
    for bad in (True, False):
        who = world.subject(site, D(dose), consent=D(dose) - days(14 if bad else 40))
        for lab in [x for x in who.labs if x.visit == "SCR"]:
            lab.day = who.consent + days(2)
        new_limit = upper_limit(site, who.sex, D(dose))
        old_limit = upper_limit(site, who.sex, D("2024-06-01"))
        ratio = float(old_limit / new_limit)
        if bad:
            set_lab(world, who, "E02", lambda v, r=ratio: limit < float(v) <= limit * r, bad=True)
        else:
            set_lab(world, who, "E02", lambda v, r=ratio: limit / r < float(v) <= limit, bad=False)


# -- prohibited medication -----------------------------------------------------------------


def long_ago(world: World) -> str:
    return f"UN-UNK-{world.rng.randint(2019, 2022)}"


def give(who: Subject, name: str, start: str, end: str, route: str = "ORAL") -> Med:
    who.meds.append(Med(name, route, start, end))
    return who.meds[-1]


def plant_washout(world: World) -> None:
    """One day short, exactly long enough, and dates known only to the month."""
    for verbatim, drug, need in (world.study.metabolite, world.study.long_acting):
        route = "SC" if verbatim == "Humira" else "ORAL"
        for short in (1, 0):
            who = anyone(world)
            stop = who.first_dose - days(need - short)
            give(who, verbatim, long_ago(world), edc(stop), route)
            if short:
                who.expect("ELIG", f"E03/{drug}", stop, need - 1)
    _washout_by_month(world)


def _washout_by_month(world: World) -> None:
    verbatim, drug, need = world.study.long_acting
    route = "SC" if verbatim == "Humira" else "ORAL"
    for sure in (True, False):
        # the 10th of a month is the last day that would still do
        critical = date(2024, 11, 10) - days(need)
        shift = world.rng.randint(0, 12)
        who = world.subject(any_site(world), date(2024, 11, 10) + days(shift))
        stop = month_end(critical) + days(15 if sure else 0)
        give(who, verbatim, long_ago(world), month(stop), route)
        gap = (who.first_dose - month_end(stop)).days
        who.expect("ELIG", f"E03/{drug}", month_end(stop), gap, sure)


def plant_washout_into_treatment(world: World) -> None:
    """Still taken at the first dose: fails the washout and is prohibited use as well."""
    verbatim, drug = world.study.combination
    who = anyone(world)
    stop = who.first_dose + days(world.rng.randint(4, 9))
    give(who, verbatim, edc(who.first_dose - days(20)), edc(stop))
    who.expect("ELIG", f"E03/{drug}", who.first_dose, 0)
    who.expect("PROHIBITED_MED", drug, who.first_dose, (stop - who.first_dose).days + 1)


def plant_washout_maybe_into_treatment(world: World) -> None:
    """Stopped in the month of the first dose: only perhaps before it."""
    verbatim, drug = world.study.combination
    who = world.subject(any_site(world), date(2024, 11, world.rng.randint(22, 26)))
    give(who, verbatim, edc(date(2024, 10, world.rng.randint(2, 25))), "UN-NOV-2024")
    who.expect("ELIG", f"E03/{drug}", who.first_dose, 0, sure=False)
    count = (date(2024, 11, 30) - who.first_dose).days + 1
    who.expect("PROHIBITED_MED", drug, who.first_dose, count, sure=False)


def plant_colestyramine(world: World) -> None:
    """Leflunomide: the elimination course replaces the half-lives, if it was long enough."""
    if world.study.code != "MRL-302":
        return
    for course in (11, 8):
        who = anyone(world)
        stop = who.first_dose - days(world.rng.randint(35, 50))
        begin = stop + days(4)
        give(who, "Arava", long_ago(world), edc(stop))
        give(who, "Questran", edc(begin), edc(begin + days(course - 1)))
        if course < 11:
            who.expect("ELIG", "E03/leflunomide", stop, (who.first_dose - stop).days)


def plant_combination(world: World) -> None:
    """A combination product during treatment: long (major), short (minor), or not at all."""
    verbatim, drug = world.study.combination
    for length in (world.rng.randint(5, 9), 2):
        who = anyone(world)
        start = who.first_dose + days(world.rng.randint(30, 60))
        give(who, verbatim, edc(start), edc(start + days(length - 1)))
        who.expect("PROHIBITED_MED", drug, start, length)
    who = anyone(world)
    start = who.first_dose + days(40)
    give(who, verbatim, edc(start), edc(start + days(6))).status = "INACTIVATED"
    who = anyone(world)
    give(who, world.study.topical, edc(who.first_dose + days(20)), "ONGOING", "TOPICAL")
    who = anyone(world, exit=D("2025-02-10"))
    give(who, verbatim, edc(who.last_dose + days(1)), edc(who.last_dose + days(4)))


def plant_newly_prohibited(world: World) -> None:
    """Prohibited only since the amendment: the days before it do not count."""
    verbatim, drug = world.study.new_drug
    effective = world.study.moving_site().effective(2)
    for after in (True, False):
        dose = effective - days(world.rng.randint(30, 60))
        who = world.subject(world.study.moving_site().id, dose)
        length = world.rng.randint(4, 12)
        stop = effective + days(length - 1 if after else -1)
        give(who, verbatim, edc(effective - days(6)), edc(stop))
        if after:
            who.expect("PROHIBITED_MED", drug, effective, length)


def plant_partial_use(world: World) -> None:
    """Use with a month only: certain with the longest span, or merely possible."""
    verbatim, drug = world.study.combination
    who = anyone(world)
    start = (who.first_dose + days(40)).replace(day=1)
    stop = month_end(start) + days(world.rng.randint(2, 5))
    give(who, verbatim, month(start), edc(stop))
    who.expect("PROHIBITED_MED", drug, start, (stop - start).days + 1)
    left = date(2025, 3, world.rng.randint(19, 24))
    who = world.subject(any_site(world), world.day("2024-11-25", "2024-12-10"), exit=left)
    give(who, verbatim, "UN-MAR-2025", edc(left + days(20)))
    count = who.last_dose.day
    who.expect("PROHIBITED_MED", drug, date(2025, 3, 1), count, sure=False)


def plant_ongoing(world: World) -> None:
    verbatim, drug = world.study.combination
    site = sorted(world.study.sites)[0]
    who = world.subject(site, world.study.cut - days(world.rng.randint(60, 75)))
    start = world.study.cut - days(world.rng.randint(8, 20))
    give(who, verbatim, edc(start), "ONGOING")
    who.expect("PROHIBITED_MED", drug, start, (world.study.cut - start).days + 1)


# -- visits --------------------------------------------------------------------------------


def allowed(world: World, who: Subject, week: int) -> tuple[int, int]:
    version = who.site.version_at(who.target(week))
    return world.study.windows[version][week]


def move(world: World, who: Subject, week: int, late: int) -> None:
    """Put a visit `late` days after its window (before it, if negative) and expect it listed."""
    early_limit, late_limit = allowed(world, who, week)
    shift = late_limit + late if late > 0 else late - early_limit
    who.visits[week] = who.target(week) + days(shift)
    who.expect("VISIT_WINDOW", f"W{week}", who.visits[week], late)


def plant_windows(world: World) -> None:
    move(world, anyone(world), 8, world.rng.randint(1, 6))
    move(world, anyone(world), 4, -world.rng.randint(1, 3))
    move(world, anyone(world), 2, -1)
    move(world, anyone(world), 8, world.rng.choice([8, 9]))
    move(world, anyone(world), 8, 7)
    who = anyone(world)
    who.visits[8] = who.target(8) + days(allowed(world, who, 8)[1])
    who = anyone(world)
    who.visits[4] = who.target(4) - days(allowed(world, who, 4)[0])


def plant_window_amended(world: World) -> None:
    """The same lateness under the old window and under the amended one."""
    site = world.study.moving_site()
    effective = site.effective(2)
    for before in (True, False):
        target = effective + days(-1 if before else world.rng.randint(0, 4))
        who = world.subject(site.id, target - days(56))
        who.visits[8] = target + days(5)
        if before:
            who.expect("VISIT_WINDOW", "W8", who.visits[8], 2)


def plant_primary_late(world: World) -> None:
    week = world.study.primary
    who = anyone(world)
    move(world, who, week, 1)
    if week == 24:
        who.exit = who.visits[week]
    who = anyone(world)
    move(world, who, week, -2)
    if week == 24:
        who.exit = who.visits[week]
        who.last_dose = who.exit - days(1)
        who.periods[-1].end = who.last_dose


def plant_missed(world: World) -> None:
    who = anyone(world)
    who.visits.pop(2)
    who.expect("VISIT_MISSED", "W2", who.target(2), None)
    who = anyone(world)
    who.visits.pop(8)
    who.not_done.add(8)
    who.expect("VISIT_MISSED", "W8", who.target(8), None)
    who = anyone(world)
    week = world.study.primary
    who.visits.pop(week)
    who.not_done.add(week)
    if week == 24:
        who.exit, who.exit_reason = who.target(24) + days(30), "LOST TO FOLLOW-UP"
    who.expect("VISIT_MISSED", f"W{week}", who.target(week), None)


def plant_discontinued(world: World) -> None:
    """Left early: later visits are not missed, but the primary assessment never came."""
    first = world.day(*EARLY)
    world.subject(any_site(world), first, exit=first + days(world.rng.randint(62, 75)))


def plant_open_window(world: World) -> None:
    """At the data cut the window of the primary visit is open, or closed since yesterday."""
    week, site = world.study.primary, sorted(world.study.sites)[0]
    late = world.study.windows[world.study.last_version()][week][1]
    for closed in (False, True):
        target = world.study.cut - days(late + (1 if closed else 0))
        who = world.subject(site, target - days(7 * week))
        who.visits.pop(week, None)
        who.exit, who.exit_reason = None, ""
        if closed:
            who.expect("VISIT_MISSED", f"W{week}", target, None)


def plant_added_visit(world: World) -> None:
    """The visit an amendment added is due from the day it is in force, and not before."""
    kestrel = world.study.code == "KST-201"
    week, site, version = (20, "102", 2) if kestrel else (6, "203", 3)
    effective = world.study.sites[site].effective(version)
    for due in (True, False):
        target = effective + days(world.rng.randint(0, 5) if due else -1)
        who = world.subject(site, target - days(7 * week))
        if due:
            who.visits.pop(week)
            who.expect("VISIT_MISSED", f"W{week}", target, None)


def plant_closure(world: World) -> None:
    """The relief for the closed site: late side only, and never for the primary visit."""
    site, first, last, extra = world.study.closure
    for week, beyond in ((8, extra), (8, extra + 2), (4, -2), (world.study.primary, 3)):
        target = world.day(first + days(1), last - days(1))
        who = world.subject(site, target - days(7 * week))
        if beyond < 0:
            move(world, who, week, beyond)
            continue
        who.visits[week] = target + days(allowed(world, who, week)[1] + beyond)
        if week == 24:
            who.exit = who.visits[week]
        over = beyond if week == world.study.primary else beyond - extra
        if over > 0:
            who.expect("VISIT_WINDOW", f"W{week}", who.visits[week], over)


def plant_double_entry(world: World) -> None:
    """An inactivated record beside the valid one."""
    who = anyone(world)
    who.void_visits.append((8, who.target(8) + days(12)))
    who = anyone(world)
    who.void_visits.append((8, who.target(8)))
    move(world, who, 8, 4)


# -- dosing --------------------------------------------------------------------------------


def plant_wrong_dose(world: World) -> None:
    for number in (0, 2):
        anyone(world).wrong_dose.add(number)


def plant_dose_rule_changed(world: World) -> None:
    """Doses that the amendment changes in mid-treatment: followed once, missed once."""
    effective = world.study.moving_site().effective(2)
    site = world.study.moving_site().id
    for missed in (True, False):
        dose = effective - days(world.rng.randint(35, 50))
        who = world.subject(site, dose, weight=53)
        if world.study.code == "KST-201":
            set_lab(world, who, "I03", lambda v: 47 <= v <= 57, bad=False)
        after = [n for n, p in enumerate(who.periods) if p.start >= effective]
        changed = right_dose(world.study, who, who.periods[after[0]].start)
        if changed == right_dose(world.study, who, who.first_dose):
            raise ValueError("the amendment should have changed the dose")
        if missed:
            who.wrong_dose.add(after[0])


def plant_gaps(world: World) -> None:
    limit = world.study.gap_limit[1]
    for length in (limit + 1, world.rng.randint(16, 20), limit):
        who = anyone(world)
        stop = who.periods[1].start - days(1 + length)
        who.periods[0].end = stop
        if length > limit:
            who.expect("DOSE_GAP", "P2", stop + days(1), length)


def plant_compliance(world: World) -> None:
    for share in (0.72, 0.5, 1.3):
        who = anyone(world)
        who.periods[2].share = share
        who.skewed = [2]
    who = anyone(world)
    for period in who.periods:
        period.share = world.rng.uniform(0.7, 0.76)
    who.skewed = list(range(len(who.periods)))
    who = anyone(world)
    who.periods[1].share, who.periods[1].returned = 0.4, False


# -- consent -------------------------------------------------------------------------------


def plant_reconsent(world: World) -> None:
    """Signed late (minor, major), never signed, and left before the amendment."""
    kestrel = world.study.code == "KST-201"
    site, version = ("103", 2) if kestrel else ("203", 3)
    effective = world.study.sites[site].effective(version)
    for late in (world.rng.randint(5, 25), world.rng.randint(31, 45), None):
        who = world.subject(site, effective - days(world.rng.randint(20, 50)))
        visit = min(d for d in who.visits.values() if d >= effective)
        who.signed[version] = visit + days(late) if late else None
        end = min(who.exit or world.study.cut, world.study.cut)
        who.expect("RECONSENT", f"V{version}.0", visit, late or (end - visit).days)
    first = effective - days(90)
    world.subject(site, first, exit=effective - days(10))


def plant_early_sample(world: World) -> None:
    """A screening sample drawn before the consent was signed."""
    who = anyone(world)
    early = world.rng.randint(1, 4)
    for lab in [x for x in who.labs if x.visit == "SCR"]:
        who.labs.remove(lab)
        world.lab(who, "SCR", who.consent - days(early), lab.test)
    who.expect("CONSENT_LATE", "SCR", who.consent - days(early), early)


def plant_several(world: World) -> None:
    """One subject with a dose, a visit and a medication to report."""
    verbatim, drug = world.study.combination
    who = anyone(world)
    who.wrong_dose.add(1)
    move(world, who, 2, 1)
    start = who.first_dose + days(70)
    give(who, verbatim, edc(start), edc(start + days(3)))
    who.expect("PROHIBITED_MED", drug, start, 4)


def plant_untreated(world: World) -> None:
    """Randomised, never dosed: no visit, no dosing, out of the per-protocol population."""
    who = anyone(world, exit=D("2024-12-28"))
    who.treated, who.last_dose, who.exit_reason = False, None, "WITHDRAWN"
    who.visits.clear()
    who.labs = [x for x in who.labs if x.visit == "SCR"]
    give(who, BENIGN[0], long_ago(world), "ONGOING")


PLANTERS = tuple(f for name, f in sorted(globals().items()) if name.startswith("plant_"))


def fill(world: World) -> None:
    """Ordinary subjects, spread over the sites and the enrolment period."""
    last = world.study.cut - days(50)
    while len(world.subjects) < world.study.subjects:
        world.subject(any_site(world), world.day("2024-10-01", last))
