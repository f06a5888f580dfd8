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
    topics: tuple[str, ...]
    classes: tuple[str, ...]
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
        "Tide Tables", "Boat Building", "Allotment Keeping", "Lighthouses", "Bread", "Knots",
        "Sea Birds", "Dry Stone Walls", "Folk Song", "Weather", "Beekeeping", "Chess", "Harbours",
        "Railways", "Pottery", "Hedgerows", "Local Law", "Watercolour", "Fossils", "Sailing",
    ),
    classes=("387.5", "623.82", "641.815", "796.124", "598.177", "942.3562", "551.6", "823.914",
             "823.92", "638.1", "738.14", "560.94235", "346.42043", "751.422"),
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
        "Coastal Hydraulics", "Numerical Methods", "Soil Mechanics", "Labour Markets", "Phonology",
        "Graph Theory", "Marine Ecology", "Comparative Law", "Fluid Dynamics", "Statistics",
        "Databases", "Moral Philosophy", "Cartography", "Corrosion", "Epidemiology", "Rhetoric",
        "Thermodynamics", "Urban Design", "Semantics", "Accounting",
    ),
    classes=("QA76.9 .D3", "TC330 .C6", "QA297 .N8", "TA710 .S6", "HD5706 .L3", "P217 .P5",
             "QH541.5 .S3", "K559 .C7", "QA911 .F4", "QA276.12 .S8", "BJ1012 .M6", "GA105.3 .C2"),
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
