"""Make the production from the input files alone: oracle.py INPUTS OUTPUT RULES."""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

INPUTS, OUTPUT, US = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "us"

# as protocol, memo and e-mails say
if US:
    CUSTODIANS = ["Odile Marchetti", "Pravin Sethuraman", "Gwen Tollefson", "Marcus Abiodun"]
    RANGE, WINTER, SUMMER = ("2023-03-01", "2023-09-30"), -6, ("2023-03-12", "2023-11-05")
    ANTICIPATED, INSURED, FILED = "2023-06-02", "2023-07-05", "2023-08-18"
    PREFIX = "CORV"
else:
    CUSTODIANS = ["Harriet Vane-Morris", "Colm Devlin", "Asha Rahman", "Piotr Zielak"]
    RANGE, WINTER, SUMMER = ("2022-04-01", "2022-11-30"), 0, ("2022-03-27", "2022-10-30")
    ANTICIPATED, INSURED, FILED = "2022-06-20", "2022-08-15", "2022-10-10"
    PREFIX = "BWP"
CLIENTS = {"Harriet Vane-Morris", "Colm Devlin", "Moira Kell"}
COUNSEL = {"in_house_counsel", "litigation_counsel", "other_counsel"}


def rows(name: str) -> list[dict[str, str]]:
    with (INPUTS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


# search terms, read as the protocol defines them


def word_places(field: list[str], pattern: str) -> list[int]:
    if pattern.endswith("*"):
        return [i for i, word in enumerate(field) if word.startswith(pattern[:-1])]
    return [i for i, word in enumerate(field) if word == pattern]


def group_places(field: list[str], group: str) -> list[int]:
    return [i for p in group.strip("() ").split(" or ") for i in word_places(field, p.strip())]


def term_hits(term: str, fields: list[list[str]]) -> bool:
    term = term.lower()
    near = re.fullmatch(r"(.+) w/(\d+) (.+)", term)
    if near:
        left, reach, right = near.group(1), int(near.group(2)), near.group(3)
        return any(
            0 < abs(i - j) <= reach
            for field in fields
            for i in group_places(field, left)
            for j in group_places(field, right)
        )
    if " and " in term:
        return all(any(group_places(f, part) for f in fields) for part in term.split(" and "))
    if term.startswith('"'):
        phrase = words(term)
        size = len(phrase)
        return any(f[i : i + size] == phrase for f in fields for i in range(len(f)))
    return any(group_places(field, term) for field in fields)


TERMS = [row["expression"] for row in rows("search_terms.csv")]


def document_hits(doc: dict[str, str]) -> bool:
    text = (INPUTS / "text" / f"{doc['control_no']}.txt").read_text(encoding="utf-8")
    fields = [words(doc["subject"]), words(text)]
    return any(term_hits(term, fields) for term in TERMS)


# people

ROLES = defaultdict(list)
for person in rows("directory.csv"):
    for address in [person["address"], *person["other_addresses"].split(";")]:
        ROLES[address.strip().lower()].append(person)
LISTS = defaultdict(list)
for member in rows("lists.csv"):
    LISTS[member["list_address"].lower()].append(member["member_address"].lower())


def addresses(field: str) -> list[str]:
    found = []
    for part in field.split(";"):
        bracketed = re.search(r"<([^>]+)>", part)
        address = (bracketed.group(1) if bracketed else part).strip().lower()
        if address:
            found.append(address)
    return found


def role(address: str, day: str) -> tuple[str, str]:
    for person in ROLES.get(address, []):
        if (person["from_date"] or "0") <= day <= (person["to_date"] or "9"):
            return person["role"], person["name"]
    return "nobody", address


def participants(parent: dict[str, str], day: str) -> list[tuple[str, str]]:
    named = [a for side in ("from", "to", "cc", "bcc") for a in addresses(parent[side])]
    spread = [a for address in named for a in LISTS.get(address, [address])]
    return [role(address, day) for address in spread]


def protected(ground: str, people: list[tuple[str, str]], day: str) -> bool:
    roles = {r for r, _ in people}
    if ground in ("WP", "LIP"):
        return day >= ANTICIPATED and "opponent" not in roles
    if not roles & COUNSEL:
        return False
    allowed = set(COUNSEL)
    if day >= INSURED:
        allowed.add("insurer")
    if US:
        return roles <= allowed | {"employee", "consultant"}
    return all(r in allowed or (r == "employee" and name in CLIENTS) for r, name in people)


def unlogged(people: list[tuple[str, str]], day: str) -> bool:
    roles = {r for r, _ in people}
    return day >= FILED and "litigation_counsel" in roles and roles <= COUNSEL | {"employee"}


# families

documents = rows("documents.csv")
review = {row["control_no"]: row for row in rows("review.csv")}
earlier = rows("previous_volume.csv")
earlier_hashes = {row["md5"] for row in earlier}
families = {d["control_no"]: [d] for d in documents if not d["parent_control_no"]}
disposition = {}
for doc in documents:
    if doc["inline"] == "Y":
        disposition[doc["control_no"]] = "inline_image"
    elif doc["parent_control_no"]:
        families[doc["parent_control_no"]].append(doc)
for members in families.values():
    members[1:] = sorted(members[1:], key=lambda d: int(d["attachment_no"]))


def moment(parent: dict[str, str]) -> str:
    return parent["sent_utc"] or parent["modified_utc"]


def local_day(parent: dict[str, str]) -> str:
    utc = datetime.strptime(moment(parent), "%Y-%m-%dT%H:%M:%SZ")
    standard = utc + timedelta(hours=WINTER)
    summer = SUMMER[0] <= standard.date().isoformat() < SUMMER[1]
    return (standard + timedelta(hours=1 if summer else 0)).date().isoformat()


def rank(parent: dict[str, str]) -> tuple[int, str]:
    return CUSTODIANS.index(parent["custodian"]), parent["control_no"]


copies = defaultdict(list)
for control, members in families.items():
    if members[0]["custodian"] in CUSTODIANS:
        print_ = (members[0]["md5"], *sorted(d["md5"] for d in members[1:]))
        scope = "" if US else members[0]["custodian"]
        copies[scope, print_].append(control)

kept = {}
for controls in copies.values():
    controls.sort(key=lambda c: rank(families[c][0]))
    kept[controls[0]] = controls


def codings(doc: dict[str, str], control: str) -> list[dict[str, str]]:
    twins = (d for c in kept[control] for d in families[c] if d["md5"] == doc["md5"])
    return [review[d["control_no"]] for d in twins]


def is_coded(doc: dict[str, str], control: str) -> bool:
    return any(coding["responsive"] == "R" for coding in codings(doc, control))


def family_reason(control: str, members: list[dict[str, str]]) -> str:
    if members[0]["custodian"] not in CUSTODIANS:
        return "custodian_removed"
    if control not in kept:
        return "duplicate"
    if not RANGE[0] <= local_day(members[0]) <= RANGE[1]:
        return "out_of_range"
    if not any(document_hits(d) for d in members):
        return "no_search_hit"
    if not any(is_coded(d, control) for d in members):
        return "not_responsive"
    if all(d["md5"] in earlier_hashes for d in members):
        return "previously_produced"
    return ""


GROUNDS = {}


def decide(doc: dict[str, str], control: str) -> str:
    parent = families[control][0]
    # in England a parent comes along with a responsive attachment, a sibling does not
    alone = not is_coded(parent, control) and not is_coded(doc, control)
    if not US and alone and doc is not parent:
        return "not_responsive"
    best = {c["content_call"]: c["ground"] for c in codings(doc, control)}
    call = next(name for name in ("full", "part", "none") if name in best)
    day = local_day(parent)
    people = participants(parent, day)
    if call != "none" and protected(best[call], people, day):
        GROUNDS[doc["control_no"]] = best[call]
        if call == "part":
            return "redacted"
        return "withheld_unlogged" if unlogged(people, day) else "withheld"
    return "native" if doc["type"] == "xlsx" else "produced"


for control, members in families.items():
    reason = family_reason(control, members)
    for doc in members:
        disposition[doc["control_no"]] = reason or decide(doc, control)

# numbers

NUMBERED = {"produced", "native", "redacted"} | ({"withheld"} if US else set())
OUT = ("produced", "native", "redacted")


def order(control: str) -> tuple[int, str, str]:
    parent = families[control][0]
    return (rank(parent)[0] if US else 0), moment(parent), control


def grade(doc: dict[str, str], day: str) -> int:
    issues = review[doc["control_no"]]["issues"].split(";")
    if "formula" in issues or "recipe" in issues:
        return 2
    if "pricing" in issues:
        return 2 if US and day >= "2023-07-01" else 1
    return 0


def designate(doc: dict[str, str], members: list[dict[str, str]], day: str) -> str:
    if disposition[doc["control_no"]] == "withheld":
        return ""
    group = [d for d in members if disposition[d["control_no"]] in OUT] if US else [doc]
    return ["", "CONFIDENTIAL", "AEO" if US else "RING"][max(grade(d, day) for d in group)]


number = max(int(row["end"].removeprefix(PREFIX)) for row in earlier)
index = []
for control in sorted(kept, key=order):
    members = families[control]
    day, block = local_day(members[0]), []
    holders = dict.fromkeys(families[c][0]["custodian"] for c in kept[control])
    for doc in members:
        treatment = disposition[doc["control_no"]]
        if treatment not in NUMBERED:
            continue
        single = not US or treatment in ("withheld", "native")
        begin, number = number + 1, number + (1 if single else int(doc["pages"]))
        row = {"begin": f"{PREFIX}{begin:07d}", "end": f"{PREFIX}{number:07d}"}
        row |= {"family_begin": "", "family_end": "", "control_no": doc["control_no"]}
        row |= {"custodian": doc["custodian"], "all_custodians": ";".join(holders), "date": day}
        row |= {"treatment": treatment, "designation": designate(doc, members, day)}
        block.append(row)
    for row in block:
        row |= {"family_begin": block[0]["begin"], "family_end": block[-1]["end"]}
    index += block

begins = {row["control_no"]: row["begin"] for row in index}
log = []
for members in families.values():
    parent = members[0]
    named = {a for side in ("to", "cc", "bcc") for a in addresses(parent[side])}
    for doc in members:
        name = doc["control_no"]
        if disposition[name] in ("withheld", "redacted"):
            row = {"begin": begins.get(name, ""), "control_no": name, "date": local_day(parent)}
            row |= {"from": addresses(parent["from"])[0], "recipients": ";".join(sorted(named))}
            log.append(row | {"basis": GROUNDS[name], "treatment": disposition[name]})


def save(name: str, table: list[dict[str, str]]) -> None:
    with (OUTPUT / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


made = [
    {"control_no": d["control_no"], "disposition": disposition[d["control_no"]]} for d in documents
]
save("dispositions.csv", made)
save("production_index.csv", index)
save("privilege_log.csv", log)
