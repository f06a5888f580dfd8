"""Local laboratory results made to order: units per site, ranges, and the value they mean."""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from studies import D

# site -> (valid from, unit of the range, upper limit for men, for women)
RANGES = {
    "101": [("2024-01-01", "U/L", "55", "45"), ("2025-02-01", "U/L", "50", "40")],
    "102": [("2024-01-01", "U/L", "50", "35")],
    "103": [("2024-01-01", "ukat/L", "1.10", "0.76"), ("2025-01-15", "U/L", "60", "45")],
    "104": [("2024-01-01", "U/L", "41", "33"), ("2025-03-01", "U/L", "40", "33")],
    "201": [("2024-01-01", "U/L", "45", "34")],
    "202": [("2024-01-01", "U/L", "55", "40"), ("2025-02-10", "U/L", "50", "36")],
    "203": [("2024-01-01", "U/L", "70", "45")],
    "204": [("2024-01-01", "ukat/L", "0.83", "0.58"), ("2025-02-01", "U/L", "48", "36")],
    "205": [("2024-01-01", "U/L", "42", "23")],
}
STEP = {
    "%": "0.1",
    "mmol/mol": "1",
    "mg/dL": "0.01",
    "umol/L": "1",
    "mEq/L": "0.1",
    "mmol/L": "0.1",
    "U/L": "1",
    "ukat/L": "0.01",
    "mg/L": "0.1",
    "g/dL": "0.1",
    "g/L": "1",
    "10^9/L": "0.01",
    "/uL": "10",
}
# where to look for a raw value: wide enough for every limit of both protocols
SPAN = {
    ("HBA1C", "%"): (4, 13),
    ("HBA1C", "mmol/mol"): (25, 120),
    ("CREAT", "mg/dL"): (Decimal("0.4"), 4),
    ("CREAT", "umol/L"): (35, 350),
    ("K", "mEq/L"): (3, 7),
    ("K", "mmol/L"): (3, 7),
    ("ALT", "U/L"): (8, 300),
    ("ALT", "ukat/L"): (Decimal("0.1"), 5),
    ("CRP", "mg/L"): (1, 60),
    ("CRP", "mg/dL"): (Decimal("0.1"), 6),
    ("HGB", "g/dL"): (6, 16),
    ("HGB", "g/L"): (60, 160),
    ("HGB", "mmol/L"): (4, 10),
    ("NEUT", "10^9/L"): (Decimal("0.5"), 8),
    ("NEUT", "/uL"): (500, 8000),
}


def half_up(value: Decimal | float, places: int) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def age_on(birth: date, day: date) -> int:
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def egfr(creatinine: float, sex: str, age: int) -> float:
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex == "F" else (0.9, -0.302, 1.0)
    ratio = creatinine / kappa
    low, high = min(ratio, 1.0), max(ratio, 1.0)
    return 142 * low**alpha * high**-1.200 * 0.9938**age * factor


def upper_limit(site: str, sex: str, day: date) -> Decimal:
    """The upper limit of normal for ALT, in U/L."""
    rows = [r for r in RANGES[site] if D(r[0]) <= day]
    _, unit, male, female = rows[-1]
    return Decimal(female if sex == "F" else male) * (60 if unit == "ukat/L" else 1)


def meaning(
    test: str, raw: Decimal, unit: str, patient: tuple[str, str, int], day: date
) -> Decimal:
    """The value a reviewer compares with the protocol; patient is (site, sex, age)."""
    site, sex, age = patient
    if test == "HBA1C":
        percent = raw if unit == "%" else raw * Decimal("0.09148") + Decimal("2.152")
        return half_up(percent, 1)
    if test == "CREAT":
        mg = float(raw) if unit == "mg/dL" else float(raw) / 88.4
        return half_up(egfr(mg, sex, age), 0)
    if test == "ALT":
        return half_up(raw * (60 if unit == "ukat/L" else 1) / upper_limit(site, sex, day), 2)
    factor = {"g/L": "0.1", "mmol/L": "1.611", "/uL": "0.001", "mg/dL": "10"}
    scale = Decimal("1" if test == "K" else factor.get(unit, "1"))
    return half_up(raw * scale, 2 if test == "NEUT" else 1)


def candidates(test: str, unit: str) -> Iterator[Decimal]:
    low, high = (Decimal(x) for x in SPAN[test, unit])
    step = Decimal(STEP[unit])
    while low <= high:
        yield low.quantize(step) if step < 1 else low
        low += step


def raw_values(
    test: str,
    unit: str,
    patient: tuple[str, str, int],
    day: date,
    wanted: Callable[[Decimal], bool],
) -> list[Decimal]:
    """Every reportable raw value whose meaning is wanted."""
    found = [r for r in candidates(test, unit) if wanted(meaning(test, r, unit, patient, day))]
    if not found:
        raise ValueError(f"no {test} in {unit} is as wanted for {patient}")
    return found
