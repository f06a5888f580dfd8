"""Review the export by the protocol, the plan and the memo; works from the inputs alone."""

import csv
import json
import re
import sys
from collections import defaultdict
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

INPUTS, OUTPUT = Path(sys.argv[1]), Path(sys.argv[2])
KESTREL = "KST-201" in (INPUTS / "protocol.md").read_text()
CUT = date(2025, 9, 30) if KESTREL else date(2025, 10, 31)
PRIMARY = 24 if KESTREL else 12
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
CODES = (
    "ELIG",
    "VISIT_WINDOW",
    "VISIT_MISSED",
    "DOSE_WRONG",
    "DOSE_GAP",
    "COMPLIANCE",
    "PROHIBITED_MED",
    "RECONSENT",
    "CONSENT_LATE",
)

# visit windows as printed: week -> one (before, after) per version, None where not in use
if KESTREL:
    WINDOWS = {
        2: [(2, 2), (3, 3)],
        4: [(3, 3), (5, 5)],
        8: [(3, 3), (5, 5)],
        12: [(4, 4), (7, 7)],
        16: [(4, 4), (7, 7)],
        20: [None, (7, 7)],
        24: [(5, 5), (7, 7)],
    }
    CLOSED = ("102", date(2025, 3, 3), date(2025, 3, 21), 14)
    GAP = [3, 5]
else:
    WINDOWS = {
        2: [(2, 2), (2, 2), (3, 3)],
        4: [(3, 3), (3, 3), (4, 4)],
        6: [None, None, (3, 3)],
        8: [(3, 3), (5, 5), (5, 5)],
        12: [(3, 3), (3, 7), (3, 7)],
        18: [(5, 5), (7, 7), (7, 7)],
        24: [(7, 7), (7, 7), (7, 7)],
    }
    CLOSED = ("205", date(2025, 4, 28), date(2025, 5, 16), 10)
    GAP = [2, 2, 4]


def load(name):
    with (INPUTS / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [r for r in rows if r.get("record_status", "ACTIVE") == "ACTIVE"]


def grouped(name):
    groups = defaultdict(list)
    for row in load(name):
        groups[row["subject_id"]].append(row)
    return groups


def day(text):
    return date.fromisoformat(text) if text else None


def rounded(value, places):
    return Decimal(value).quantize(Decimal(10) ** -places, ROUND_HALF_UP)


AMENDED = defaultdict(dict)
for _row in load("site_amendments.csv"):
    if _row["ethics_approval"] and _row["training_complete"]:
        _both = sorted([_row["ethics_approval"], _row["training_complete"]])
        AMENDED[_row["site_id"]][int(_row["version"][0])] = day(_both[1])
BANNED = {r["ingredient"]: r for r in load("prohibited_medication.csv")}
PARTS = {r["verbatim"]: r["ingredients"].split(";") for r in load("medication_dictionary.csv")}
RANGES = sorted(load("lab_ranges.csv"), key=lambda r: r["valid_from"])
TABLES = {n: grouped(f"{n}.csv") for n in ("visits", "labs", "exposure", "conmeds", "reconsents")}


def version(site, when):
    return max([1] + [v for v, start in AMENDED[site].items() if start <= when])


class Patient:
    def __init__(self, row):
        self.row, self.id, self.site = row, row["subject_id"], row["site_id"]
        self.consent, self.randomised = day(row["consent_date"]), day(row["randomisation_date"])
        self.exit = day(row["exit_date"])
        birth = row["birth_date"]
        self.birth = day(birth + "-15" if len(birth) == 7 else birth)
        self.kits = sorted(TABLES["exposure"][self.id], key=lambda r: r["start_date"])
        self.first = day(self.kits[0]["start_date"]) if self.kits else None
        self.last = (day(self.kits[-1]["end_date"]) or CUT) if self.kits else None
        self.attended = {
            r["visit"]: day(r["visit_date"])
            for r in TABLES["visits"][self.id]
            if r["visit_status"] == "DONE"
        }
        self.found = []

    def age(self, when):
        years = when.year - self.birth.year
        return years - 1 if (when.month, when.day) < (self.birth.month, self.birth.day) else years

    def report(self, code, item, when, value, sure=True):
        self.found.append([code, item, when, value, "CONFIRMED" if sure else "POSSIBLE"])


def screening(patient, test):
    """Protocol value and sample date of the qualifying sample."""
    good = [
        r
        for r in TABLES["labs"][patient.id]
        if r["test"] == test
        and day(r["sample_date"]) <= patient.randomised
        and not re.search("unreliable|not reported", r["lab_comment"])
    ]
    row = sorted(good, key=lambda r: r["sample_date"])[-1]
    when, raw, unit = day(row["sample_date"]), Decimal(row["result"]), row["unit"]
    return convert(patient, test, raw, unit, when), when


def convert(patient, test, raw, unit, when):
    if test == "HBA1C":
        raw = raw if unit == "%" else Decimal("0.09148") * raw + Decimal("2.152")
        return rounded(raw, 1)
    if test == "CREAT":
        return rounded(ckd_epi(patient, raw, unit, when), 0)
    if test == "ALT":
        return rounded(units_per_litre(raw, unit) / normal(patient, when), 2)
    if test == "HGB":
        raw = raw / 10 if unit == "g/L" else raw * Decimal("1.611") if unit == "mmol/L" else raw
    if test == "CRP" and unit == "mg/dL":
        raw *= 10
    if test == "NEUT" and unit == "/uL":
        raw /= 1000
    return rounded(raw, 2 if test == "NEUT" else 1)


def ckd_epi(patient, raw, unit, when):
    scr = float(raw) / (88.4 if unit == "umol/L" else 1)
    female = patient.row["sex"] == "F"
    k, a = (0.7, -0.241) if female else (0.9, -0.302)
    value = 142 * min(scr / k, 1) ** a * max(scr / k, 1) ** -1.2 * 0.9938 ** patient.age(when)
    return value * 1.012 if female else value


def units_per_litre(value, unit):
    return value * 60 if unit == "ukat/L" else value


def normal(patient, when):
    for row in reversed(RANGES):
        same = row["site_id"] == patient.site and row["sex"] == patient.row["sex"]
        if same and day(row["valid_from"]) <= when:
            return units_per_litre(Decimal(row["upper_limit"]), row["unit"])
    raise ValueError(f"no range for {patient.id}")


def eligibility(patient):
    v = version(patient.site, patient.consent)
    age = patient.age(patient.consent)
    oldest = (75 if v == 1 else 80) if KESTREL else (70 if v == 1 else 75)
    if not 18 <= age <= oldest:
        patient.report("ELIG", "I01", patient.consent, age)
    for item, test, fails in kestrel_rules(v) if KESTREL else merlin_rules(v):
        value, when = screening(patient, test)
        if fails(float(value)):
            patient.report("ELIG", item, when, value)


def kestrel_rules(v):
    low, clearance, potassium, alt = [(7.0, 45, 5.0, 3.0), (6.5, 30, 4.8, 2.5)][v - 1]
    return [
        ("I02", "HBA1C", lambda x: x < low or x > 10.5),
        ("I03", "CREAT", lambda x: x < clearance),
        ("E01", "K", lambda x: x > potassium),
        ("E02", "ALT", lambda x: x > alt),
    ]


def merlin_rules(v):
    crp = {1: 6.0, 2: 5.0, 3: 3.0}[v]
    hgb, neut = (9.0, 1.5) if v == 1 else (8.5, 1.2)
    return [
        ("I02", "CRP", lambda x: x < crp),
        ("I03", "HGB", lambda x: x < hgb),
        ("E01", "NEUT", lambda x: x < neut),
        ("E02", "ALT", lambda x: x > (1.5 if v == 3 else 2.0)),
    ]


def bounds(text):
    """First and last possible day of a date as the site typed it."""
    if text == "ONGOING":
        return CUT, CUT
    dd, mon, year = text.split("-")
    if mon == "UNK":
        return date(int(year), 1, 1), min(date(int(year), 12, 31), CUT)
    month = MONTHS.index(mon) + 1
    if dd != "UN":
        return (date(int(year), month, int(dd)),) * 2
    following = date(int(year) + month // 12, month % 12 + 1, 1)
    return date(int(year), month, 1), min(following - timedelta(1), CUT)


def courses(patient):
    """Systemic use of listed ingredients: (ingredient, longest span, shortest span)."""
    for row in TABLES["conmeds"][patient.id]:
        if row["route"] not in ("ORAL", "IV", "IM", "SC"):
            continue
        start, end = bounds(row["start_date"]), bounds(row["end_date"])
        for part in PARTS[row["medication"]]:
            yield part, (start[0], end[1]), (start[1], max(end[0], start[1]))


def washout_days(drug):
    row = BANNED[drug]
    hours = max(Decimal(row[c] or 0) for c in ("half_life_h", "active_metabolite_half_life_h"))
    whole = -(-(hours * 5) // 24) if (hours * 5) % 24 == 0 else hours * 5 // 24 + 1
    return max(int(whole), int(row["minimum_washout_days"] or 0))


def eliminated(patient, drug, stop):
    """Leflunomide with a full colestyramine course afterwards."""
    if drug != "leflunomide":
        return False
    for part, (start, end), _ in courses(patient):
        long_enough = (end - start).days + 1 >= 11
        if part == "colestyramine" and start > stop and long_enough and end < patient.first:
            return True
    return False


def washout(patient):
    v = version(patient.site, patient.consent)
    for drug, longest, shortest in courses(patient):
        if drug not in BANNED or int(BANNED[drug]["from_version"][0]) > v:
            continue

        def short(span, drug=drug):
            starts, stop = span
            if starts >= patient.first or eliminated(patient, drug, stop):
                return False
            return (patient.first - stop).days < washout_days(drug)

        if short(longest):
            stop = min(longest[1], patient.first)
            left = (patient.first - stop).days
            patient.report("ELIG", f"E03/{drug}", stop, left, short(shortest))


def banned_days(patient, drug, span):
    start, end = max(span[0], patient.first), min(span[1], patient.last)
    days = [start + timedelta(n) for n in range((end - start).days + 1)]
    since = int(BANNED[drug]["from_version"][0])
    return [d for d in days if version(patient.site, d) >= since]


def medication(patient):
    for drug, longest, shortest in courses(patient):
        days = banned_days(patient, drug, longest) if drug in BANNED else []
        if days:
            sure = bool(banned_days(patient, drug, shortest))
            patient.report("PROHIBITED_MED", drug, days[0], len(days), sure)


def window(patient, week):
    """Target, first and last allowed day; None if the visit is not known then."""
    target = patient.first + timedelta(7 * week)
    rule = WINDOWS[week][version(patient.site, target) - 1]
    if rule is None:
        return None
    site, begin, end, extra = CLOSED
    relief = patient.site == site and begin <= target <= end and week != PRIMARY
    late = rule[1] + (extra if relief else 0)
    return target, target - timedelta(rule[0]), target + timedelta(late)


def visits(patient):
    for week in WINDOWS:
        span, when = window(patient, week), patient.attended.get(f"W{week}")
        if span is None:
            continue
        target, low, high = span
        if when is None:
            left = patient.exit and target > patient.exit
            if not left and high < CUT:
                patient.report("VISIT_MISSED", f"W{week}", target, None)
        elif when > high:
            patient.report("VISIT_WINDOW", f"W{week}", when, (when - high).days)
        elif when < low:
            patient.report("VISIT_WINDOW", f"W{week}", when, (when - low).days)


def protocol_dose(patient, when):
    v = version(patient.site, when)
    if KESTREL:
        return 20 if screening(patient, "CREAT")[0] >= (60, 45)[v - 1] else 10
    kilos = Decimal(patient.row["weight"])
    if patient.row["weight_unit"] == "lb":
        kilos *= Decimal("0.45359237")
    old = v == 3 and patient.age(patient.consent) >= 65
    return 15 if v >= 2 and (kilos < 60 or old) else 30


def tablets(kit):
    """Taken and due, or None if the period cannot be assessed."""
    if not kit["end_date"] or not kit["tablets_returned"]:
        return None
    length = (day(kit["end_date"]) - day(kit["start_date"])).days + 1
    taken = int(kit["tablets_dispensed"]) - int(kit["tablets_returned"])
    return taken, length * (1 if KESTREL else 2)


def percent(pairs):
    return rounded(Decimal(100 * sum(t for t, _ in pairs)) / sum(d for _, d in pairs), 1)


def dosing(patient):
    before = None
    for number, kit in enumerate(patient.kits, 1):
        start, item = day(kit["start_date"]), f"P{number}"
        if int(kit["daily_dose_mg"]) != protocol_dose(patient, start):
            patient.report("DOSE_WRONG", item, start, kit["daily_dose_mg"])
        if before:
            free = before + timedelta(1)
            gap = (start - free).days
            if gap > GAP[version(patient.site, free) - 1]:
                patient.report("DOSE_GAP", item, free, gap)
        pair = tablets(kit)
        if pair and not 80 <= percent([pair]) <= 120:
            patient.report("COMPLIANCE", item, start, percent([pair]))
        before = day(kit["end_date"])


def consent(patient):
    samples = [
        day(r["sample_date"])
        for r in TABLES["labs"][patient.id]
        if r["visit"].startswith("SCR") and day(r["sample_date"]) < patient.consent
    ]
    if samples:
        patient.report("CONSENT_LATE", "SCR", min(samples), (patient.consent - min(samples)).days)
    for v, start in sorted(AMENDED[patient.site].items()) if patient.kits else []:
        due = [d for name, d in patient.attended.items() if name != "SCR" and d >= start]
        if patient.consent < start and due:
            reconsent(patient, v, min(due))


def reconsent(patient, v, due):
    rows = TABLES["reconsents"][patient.id]
    signed = [day(r["signature_date"]) for r in rows if int(r["version"][0]) >= v]
    until = min(signed) if signed else min(patient.exit or CUT, CUT)
    if until > due:
        patient.report("RECONSENT", f"V{v}.0", due, (until - due).days)


def severe(code, item, value):
    if code in ("ELIG", "DOSE_WRONG", "CONSENT_LATE"):
        return True
    if item == f"W{PRIMARY}":
        return True
    if code == "COMPLIANCE":
        return value < 60 or value > 140
    limits = {"VISIT_WINDOW": 8, "DOSE_GAP": 15, "PROHIBITED_MED": 3, "RECONSENT": 31}
    return code in limits and abs(value) >= limits[code]


def line(patient, entry):
    code, item, when, value, certainty = entry
    major = certainty == "CONFIRMED" and severe(code, item, value)
    shown = "" if value is None else str(value)
    severity = "MAJOR" if major else "MINOR"
    return [patient.id, code, item, when.isoformat(), shown, severity, certainty]


def population(patient, lines):
    reasons, primary = [], f"W{PRIMARY}"
    missing = patient.kits and primary not in patient.attended
    over = missing and (patient.exit is not None or window(patient, PRIMARY)[2] < CUT)
    if not patient.kits:
        reasons.append("NOT_TREATED")
    if over:
        reasons.append("NO_PRIMARY")
    if any(x[1] == "VISIT_WINDOW" and x[2] == primary for x in lines):
        reasons.append("PRIMARY_WINDOW")
    major = {x[1] for x in lines if x[5] == "MAJOR"}
    wanted = ("ELIG", "DOSE_WRONG", "DOSE_GAP", "COMPLIANCE", "PROHIBITED_MED")
    reasons += [c for c in wanted if c in major]
    pairs = [p for p in map(tablets, patient.kits) if p]
    if pairs and not 80 <= percent(pairs) <= 120:
        reasons.append("OVERALL_COMPLIANCE")
    status = "EXCLUDED" if reasons else "PENDING" if missing else "INCLUDED"
    return [patient.id, patient.row["arm"], status, ";".join(reasons)]


def review(patient):
    eligibility(patient)
    consent(patient)
    if patient.kits:
        for part in (washout, medication, visits, dosing):
            part(patient)
    return sorted(line(patient, entry) for entry in patient.found)


def share(part, whole):
    return float(rounded(Decimal(100 * part) / whole, 1))


def totals(patients, lines, people):
    major = {x[0] for x in lines if x[5] == "MAJOR"}
    sites = {}
    for site in sorted({r["site_id"] for r in load("site_amendments.csv")}):
        here = [p.id for p in patients if p.site == site]
        hit = len(major & set(here))
        sites[site] = {"randomised": len(here), "with_major": hit}
        sites[site]["major_pct"] = share(hit, len(here))
    overall = share(len(major), len(patients))
    kinds = ("INCLUDED", "EXCLUDED", "PENDING")
    arms = sorted({x[1] for x in people})
    return {
        "randomised": len(patients),
        "treated": len([p for p in patients if p.kits]),
        "deviations": len(lines),
        "major": len([x for x in lines if x[5] == "MAJOR"]),
        "by_code": {c: len([x for x in lines if x[1] == c]) for c in CODES},
        "major_pct": overall,
        "sites": sites,
        "escalate": [s for s in sites if sites[s]["major_pct"] > overall],
        "per_protocol": {k: len([x for x in people if x[2] == k]) for k in kinds},
        "per_protocol_by_arm": {
            a: {k: len([x for x in people if x[1:3] == [a, k]]) for k in kinds} for a in arms
        },
        "queries": sorted({x[0] for x in lines if x[6] == "POSSIBLE"}),
    }


def save(name, header, rows):
    with (OUTPUT / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)


def main():
    patients = [Patient(r) for r in load("subjects.csv") if r["randomisation_date"]]
    reviewed = [(p, review(p)) for p in patients]
    lines = [x for _, found in reviewed for x in found]
    people = [population(p, found) for p, found in reviewed]
    save("deviations.csv", "subject_id,code,item,event_date,value,class,certainty", lines)
    save("per_protocol.csv", "subject_id,arm,status,reasons", people)
    report = totals(patients, lines, people)
    (OUTPUT / "summary.json").write_text(json.dumps(report, indent=1))


main()
