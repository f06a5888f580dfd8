"""From what was planted to the answer key: class, population and summary."""

from collections import Counter
from decimal import Decimal

from cohort import Row, Subject, compliance
from laboratory import half_up
from studies import Study, days

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
EXCLUDING = ("ELIG", "DOSE_WRONG", "DOSE_GAP", "COMPLIANCE", "PROHIBITED_MED")


def severity(study: Study, row: Row) -> str:
    primary = row.item == f"W{study.primary}"
    size = abs(row.value or Decimal(0))
    major = {
        "ELIG": True,
        "VISIT_WINDOW": primary or size > 7,
        "VISIT_MISSED": primary,
        "DOSE_WRONG": True,
        "DOSE_GAP": size > 14,
        "COMPLIANCE": size < 60 or size > 140,
        "PROHIBITED_MED": size >= 3,
        "RECONSENT": size > 30,
        "CONSENT_LATE": True,
    }[row.code]
    return "MAJOR" if major and row.certainty == "CONFIRMED" else "MINOR"


def listing(study: Study, subjects: list[Subject]) -> list[dict[str, str]]:
    return [
        {
            "subject_id": who.id,
            "code": row.code,
            "item": row.item,
            "event_date": row.day.isoformat(),
            "value": "" if row.value is None else f"{row.value:f}",
            "class": severity(study, row),
            "certainty": row.certainty,
        }
        for who in subjects
        for row in who.expected
    ]


def reasons(study: Study, who: Subject) -> list[str]:
    major = {r.code for r in who.expected if severity(study, r) == "MAJOR"}
    found = [] if who.treated else ["NOT_TREATED"]
    if who.treated and study.primary not in who.visits and not pending(study, who):
        found.append("NO_PRIMARY")
    if any(r.code == "VISIT_WINDOW" and r.item == f"W{study.primary}" for r in who.expected):
        found.append("PRIMARY_WINDOW")
    found += [code for code in EXCLUDING if code in major]
    pooled = compliance(study, who.periods)
    if pooled is not None and not Decimal(80) <= pooled <= Decimal(120):
        found.append("OVERALL_COMPLIANCE")
    return found


def pending(study: Study, who: Subject) -> bool:
    """The primary visit has not happened, and may still come."""
    target = who.target(study.primary)
    late = study.windows[who.site.version_at(target)][study.primary][1]
    return study.primary not in who.visits and not who.exit and target + days(late) >= study.cut


def population(study: Study, subjects: list[Subject]) -> list[dict[str, str]]:
    table = []
    for who in subjects:
        why = reasons(study, who)
        status = "EXCLUDED" if why else "PENDING" if pending(study, who) else "INCLUDED"
        row = {"subject_id": who.id, "arm": who.arm, "status": status, "reasons": ";".join(why)}
        table.append(row)
    return table


def summary(study: Study, subjects: list[Subject]) -> dict:
    rows, people = listing(study, subjects), population(study, subjects)
    codes = Counter(r["code"] for r in rows)
    status = Counter(p["status"] for p in people)
    arms = Counter((p["arm"], p["status"]) for p in people)
    kinds = ("INCLUDED", "EXCLUDED", "PENDING")
    hit = {r["subject_id"] for r in rows if r["class"] == "MAJOR"}
    sites = _sites(study, subjects, hit)
    overall = float(half_up(Decimal(100 * len(hit)) / len(subjects), 1))
    return {
        "randomised": len(subjects),
        "treated": sum(who.treated for who in subjects),
        "deviations": len(rows),
        "major": sum(r["class"] == "MAJOR" for r in rows),
        "by_code": {code: codes[code] for code in CODES},
        "major_pct": overall,
        "sites": sites,
        "escalate": [s for s, x in sites.items() if x["major_pct"] > overall],
        "per_protocol": {k: status[k] for k in kinds},
        "per_protocol_by_arm": {a: {k: arms[a, k] for k in kinds} for a in sorted(study.arms)},
        "queries": sorted({r["subject_id"] for r in rows if r["certainty"] == "POSSIBLE"}),
    }


def _sites(study: Study, subjects: list[Subject], major: set[str]) -> dict[str, dict]:
    table = {}
    for site in sorted(study.sites):
        here = [who.id for who in subjects if who.site.id == site]
        hit = sum(name in major for name in here)
        share = half_up(Decimal(100 * hit) / max(1, len(here)), 1)
        table[site] = {"randomised": len(here), "with_major": hit, "major_pct": float(share)}
    return table
