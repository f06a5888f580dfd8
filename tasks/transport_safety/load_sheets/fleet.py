"""Two small operators: their types, aircraft, standard masses and units."""

from __future__ import annotations

from typing import Any

ISLES: dict[str, Any] = {
    "name": "Skerry Air",
    "unit": "kg",
    "arm_unit": "m",
    "arm_digits": 3,
    "fuel_unit": "litres",
    "density": 800,  # thousandths of a kg per litre
    "day": "2026-06-18",
    "kinds": "OK OK MASS OK RTOM OK MLM HOLD TEAM SEAT OK CG OK MULTI",
    "masses_text": "adult male 96 kg, adult female 78 kg, child (2 to 11 years) 35 kg",
    "standard": {"M": 96, "F": 78, "C": 35, "I": 0},
    "crew": 85,
    "final_min": 30,
    "no_alternate_min": 15,
    "ports": ("EGPA", "EGPB", "EGPC", "EGPE", "EGPO", "EGPL", "EGED", "EGET"),
    "bag": (4, 20),
    "types": {
        "BN2T": {
            "mzfm": 2980, "mtom": 3175, "mlm": 3084, "tank": 490, "taxi": 8, "holding": 105,
            "crew_arm": 2.10, "seats": 2, "rows": {"R1": 2.95, "R2": 3.68, "R3": 4.42, "R4": 5.16},
            "holds": {"NOSE": (0.85, 70), "AFT": (6.12, 160)}, "bem": (1960, 3.405),
            "fuel": [(0, 3.52), (200, 3.56), (490, 3.61)],
            "envelope": [(2000, 3.28, 3.69), (2700, 3.36, 3.69), (3175, 3.46, 3.68)],
            "trip": (60, 180),
        },
        "DHC6": {
            "mzfm": 5340, "mtom": 5670, "mlm": 5535, "tank": 1120, "taxi": 15, "holding": 240,
            "crew_arm": 2.41, "seats": 3, "rows": {"R1": 3.95, "R2": 4.73, "R3": 5.51, "R4": 6.29,
                                                     "R5": 7.07, "R6": 7.85},
            "holds": {"NOSE": (1.02, 130), "AFT": (9.30, 225)}, "bem": (3470, 5.165),
            "fuel": [(0, 5.18), (500, 5.24), (1120, 5.33)],
            "envelope": [(3500, 5.00, 5.50), (5000, 5.10, 5.50), (5670, 5.20, 5.47)],
            "trip": (150, 420),
        },
    },
    "fleet": {"G-SKRA": "BN2T", "G-SKRB": "BN2T", "G-SKTO": "DHC6", "G-SKTP": "DHC6"},
}  # fmt: skip

BUSH: dict[str, Any] = {
    "name": "Tanana River Aviation",
    "unit": "lb",
    "arm_unit": "in",
    "arm_digits": 2,
    "fuel_unit": "US gallons",
    "density": 6700,
    "day": "2026-11-12",
    "kinds": "OK RTOM TEAM CG OK MULTI OK MLM OK SEAT OK OK HOLD MASS OK OK",
    "masses_text": "in summer (1 May to 31 October) adult male 200 lb, adult female 179 lb, child"
    " (2 to 12 years) 87 lb; in winter 5 lb more for each of them",
    "standard": {"M": 205, "F": 184, "C": 92, "I": 0},
    "crew": 195,
    "final_min": 45,
    "no_alternate_min": 20,
    "ports": ("PAFA", "PANC", "PABE", "PAGA", "PARY", "PATA", "PAMC", "PAHL"),
    "bag": (10, 55),
    "types": {
        "C208B": {
            "mzfm": 8350, "mtom": 8807, "mlm": 8500, "tank": 2220, "taxi": 35, "holding": 330,
            "crew_arm": 135.5, "seats": 2, "rows": {"R1": 173.9, "R2": 209.9, "R3": 245.9,
                                                      "R4": 281.9},
            "holds": {"POD": (182.1, 480), "AFT": (321.0, 320)}, "bem": (5480, 188.9),
            "fuel": [(0, 200.4), (1000, 203.1), (2220, 204.6)],
            "envelope": [(5500, 179.6, 201.6), (8000, 191.4, 201.6), (8807, 195.4, 201.0)],
            "trip": (260, 700),
        },
        "BE99": {
            "mzfm": 10480, "mtom": 10900, "mlm": 10650, "tank": 2460, "taxi": 60, "holding": 520,
            "crew_arm": 129.0, "seats": 3, "rows": {"R1": 165.0, "R2": 195.0, "R3": 225.0,
                                                      "R4": 255.0, "R5": 285.0},
            "holds": {"NOSE": (70.0, 400), "AFT": (325.0, 600)}, "bem": (6480, 193.0),
            "fuel": [(0, 190.2), (1200, 192.8), (2460, 196.4)],
            "envelope": [(6500, 183.0, 206.5), (9500, 188.0, 206.5), (10900, 192.0, 204.8)],
            "trip": (380, 900),
        },
    },
    "fleet": {"N71TR": "C208B", "N72TR": "C208B", "N904T": "BE99", "N905T": "BE99",
              "N73TR": "C208B"},
}  # fmt: skip

OPERATORS = {"isles": ISLES, "bush": BUSH}
