"""The two companies: their accounts, words and habits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class House:
    bank: str
    receivable: str
    payable: str
    charges: str
    interest: str
    unclaimed: str
    suspense: str
    returned_fee_account: str
    day_format: str
    cheque: str
    transfer: str  # prefix of our electronic payment references
    transfer_word: str
    debit: str  # how the bank marks a payment collected from us
    opening: int  # the bank balance at the start, about
    payments: int
    slips: int
    stale_dates: tuple[date, ...]  # one long stale, one stale by a day
    fresh_dates: tuple[date, ...]  # the first is on the very edge and not stale
    suppliers: tuple[str, ...]
    customers: tuple[str, ...]
    mandates: tuple[tuple[str, str, str], ...]  # originator on the statement, account, note
    monthly_fees: tuple[str, ...]
    loan: bool = False
    cards: bool = False


# fmt: off
UK = House(
    bank="1200",
    receivable="1100",
    payable="2100",
    charges="7900",
    interest="4900",
    unclaimed="2290",
    suspense="2990",
    returned_fee_account="7900",
    day_format="%d/%m/%Y",
    cheque="CHQ",
    transfer="BP",
    transfer_word="BACS",
    debit="DD",
    opening=34_000_000,
    payments=62,
    slips=12,
    stale_dates=(date(2026, 1, 14), date(2026, 3, 29)),
    fresh_dates=(date(2026, 3, 30), date(2026, 7, 17), date(2026, 8, 26), date(2026, 8, 28)),
    suppliers=(
        "Marlow Hardwoods", "Kestrel Fixings", "Dunmore Glass", "Pennine Haulage",
        "Calder Coatings", "Thorne Ironmongery", "Wye Valley Timber", "Orchard Print",
        "Brackley Veneers", "Hallam Waste", "Ferris Adhesives", "Ludlow Machinery",
        "Garston Packaging", "Norwood Safety", "Selby Tools", "Rudd & Sons",
    ),
    customers=(
        "Beech House Builders", "Tolland Interiors", "Cross & Pike", "Mabel Street School",
        "Wexcombe Parish Council", "Lark Rise Homes", "Harper Shopfitters", "Old Mill Kitchens",
        "Denby Restoration", "Fenwick Stairs", "St Aldate Trust", "Quayside Lofts",
    ),
    mandates=(
        ("WEXCOMBE DC RATES", "7110", "business rates, ten instalments a year"),
        ("SEVERN TELECOM", "2100", "invoice is on the purchase ledger; clear the supplier account"),
        ("CALDER LEASING", "7350", "van lease rentals"),
        ("NORTHGATE TERM LOAN", "see loan_schedule.csv", "split capital and interest"),
    ),
    monthly_fees=("ACCOUNT FEE", "CASH HANDLING CHARGE", "BACS FILE CHARGE"),
    loan=True,
)

US = House(
    bank="10100",
    receivable="12000",
    payable="20100",
    charges="61500",
    interest="43000",
    unclaimed="23500",
    suspense="29900",
    returned_fee_account="12000",
    day_format="%m/%d/%Y",
    cheque="CHECK",
    transfer="AP",
    transfer_word="ACH",
    debit="ACH DEBIT",
    opening=52_000_000,
    payments=110,
    slips=16,
    stale_dates=(date(2025, 6, 19), date(2025, 8, 31)),
    fresh_dates=(date(2025, 9, 1), date(2025, 11, 20), date(2026, 1, 27), date(2026, 1, 29)),
    suppliers=(
        "Blue Mesa Canvas", "Tallgrass Freight", "Ozark Cordage", "Lindqvist Stoves",
        "Redfern Leather", "Pawnee Propane", "Cimarron Signs", "Delgado Cleaning", "Juniper IT",
        "Hutch Printing",
        "Sunflower Packaging", "Kaw River Outfitting", "Summit Zippers", "Flint Hills Storage",
        "Bonner Electric", "Wabash Tools", "Meridian Labels", "Osage Down & Fill",
    ),
    customers=(
        "Camp Tecumseh", "Three Forks Guides", "Elkhorn Scout Council", "Bison Ridge Lodge",
        "Harlan County Parks", "Larkspur Rentals", "Cedar Bluff Marina", "Two Rivers College",
        "High Plains Search & Rescue", "Wilson Lake Store", "Northfork Anglers", "Trailhead Co-op",
    ),
    mandates=(
        ("KS DEPT REVENUE", "22400", "sales tax"),
        ("HEARTLAND PREMIUM FIN", "14500", "insurance premium financing, prepaid insurance"),
        ("PITNEY POSTAGE", "62200", "postage meter"),
    ),
    monthly_fees=("SERVICE CHARGE", "OUTGOING WIRE FEE", "COIN AND CURRENCY FEE"),
    cards=True,
)
# fmt: on

HOUSES = {"uk": UK, "us": US}
