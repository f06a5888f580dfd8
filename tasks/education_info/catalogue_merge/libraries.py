"""The two mergers: sites, their habits, their subjects and call numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    name: str  # of the export file
    prefix: str  # of record ids
    formats: dict[str, str]
    barcode: str  # how barcodes begin in the export
    added: str  # what the new system wants in front of them
    imprint: bool  # publisher and year in one field, semicolons between columns


@dataclass(frozen=True)
class Merger:
    sites: tuple[Site, ...]
    dewey: bool
    newest_first: bool  # ties go to the record updated last, not to the first site
    singles: int
    topics: tuple[tuple[str, str], ...]  # with their Dewey number, or LC class and first cutter
    novels: tuple[str, ...]
    new_isbns: bool  # has ISBNs that start with 979


CODES = {"book": "BK", "large_print": "LP", "ebook": "EB", "audio": "CD"}
WORDS = {"book": "Book", "large_print": "Large print", "ebook": "E-book", "audio": "Audio CD"}

TOWN = Merger(
    sites=(
        Site("tivermouth", "TV", CODES, "30112", "", imprint=False),
        Site("harbour", "HB", WORDS, "7700", "24", imprint=True),
    ),
    dewey=True,
    newest_first=False,
    singles=84,
    topics=(
        ("Tides", "551.464"), ("Boat Building", "623.8202"), ("Allotments", "635"),
        ("Lighthouses", "387.155"), ("Bread", "641.815"), ("Knots", "623.88820"),
        ("Sea Birds", "598.177"), ("Dry Stone Walls", "693.1"), ("Folk Song", "782.42162"),
        ("Weather", "551.6"), ("Beekeeping", "638.1"), ("Chess", "794.1"), ("Harbours", "387.1"),
        ("Railways", "385.0941"), ("Pottery", "738.14"), ("Hedgerows", "577.55509"),
        ("Tivermouth", "942.35625"), ("Watercolour", "751.42235"), ("Fossils", "560.94235"),
        ("Sailing", "797.124"),
    ),
    novels=(
        "The Salt Ledger", "Low Water", "A House on the Strand Road", "The Ropewalk", "Ebb",
        "Mrs Carew's Lodger", "The Quarry Lane Affair", "An Honest Pilot", "Gorse", "Undertow",
        "The Last Ferry & Other Stories", "Winter Moorings", "A Lamp for the Bar", "Saltmarsh",
        "The Harbourmaster's Daughters", "Cold Slip", "The Net Loft", "Bellwether", "Spindrift",
        "A Small Wreck", "The Chandler", "Lee Shore", "Seven Fathoms", "The Tenth Wave",
    ),
    new_isbns=False,
)  # fmt: skip

COLLEGE = Merger(
    sites=(
        Site("main_campus", "MC", CODES, "39002", "", imprint=False),
        Site("harbour_campus", "HC", WORDS, "7700", "24", imprint=True),
        Site("north_campus", "NC", CODES, "31830", "", imprint=False),
    ),
    dewey=False,
    newest_first=True,
    singles=96,
    topics=(
        ("Coastal Hydraulics", "TC330 .C6"), ("Numerical Methods", "QA297 .N8"),
        ("Soil Mechanics", "TA710 .S6"), ("Labour Markets", "HD5706 .L3"),
        ("Phonology", "P217 .P5"), ("Graph Theory", "QA166 .G7"), ("Marine Ecology", "QH541.5 .S3"),
        ("Comparative Law", "K559 .C7"), ("Fluid Dynamics", "QA911 .F4"),
        ("Statistics", "QA276.12 .S8"), ("Databases", "QA76.9 .D3"),
        ("Moral Philosophy", "BJ1012 .M6"), ("Cartography", "GA105.3 .C2"),
        ("Corrosion", "TA418.74 .C5"), ("Epidemiology", "RA651 .E6"), ("Rhetoric", "P301 .R4"),
        ("Thermodynamics", "QC311 .T4"), ("Urban Design", "NA9031 .U7"),
        ("Semantics", "P325 .S4"), ("Accounting", "HF5636 .A2"),
    ),
    novels=(),
    new_isbns=True,
)  # fmt: skip

MERGERS = {"town": TOWN, "college": COLLEGE}
PATTERNS = (
    "The {0} Handbook", "{0} for Beginners", "A History of {0}", "Understanding {0}",
    "{0}: an Introduction", "The Story of {0}", "Essays on {0}", "{0} and Its Critics",
    "An Atlas of {0}", "Practical {0}", "{0} & Society", "Notes on {0}",
)  # fmt: skip
PUBLISHERS = (
    ("Quayside Press", "Quayside Press Ltd.", "Quayside"),
    ("Harrow & Finch", "Harrow and Finch", "Harrow & Finch Publishers"),
    ("Mereside Books", "Mereside Books Limited", "Mereside"),
    ("Tern Publishing", "Tern Publishing Co.", "Tern"),
    ("Eastgate Academic", "Eastgate Academic Press", "Eastgate Academic, Inc."),
)
EDITIONS = {
    "1": ("", "", "1st ed.", "First edition", "Reprinted 2014", "1st ed., 3rd impression"),
    "2": ("2nd ed.", "Second edition", "2e", "2nd ed., reprinted 2012", "Ed. 2"),
    "3": ("3rd ed.", "Third edition", "3e", "3rd edition"),
    "4": ("4th ed.", "Fourth edition", "Ed. 4"),
    "1 rev": ("Rev. ed.", "Revised edition"),
    "2 rev": ("2nd rev. ed.", "Second revised edition", "2nd ed. (revised)"),
}
