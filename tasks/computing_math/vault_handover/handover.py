"""The vault as it was left, the tables that go with it, and what the review makes of it.

Knows nothing of files: `Handover` is made of a random source, `Ruling` is its answer key.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from hashlib import sha1

SITES = {
    "works": {
        "prefix": "HV",
        "devices": "RTU,Dosing PLC,Telemetry router,Chlorine analyser,Historian,Pump drive",
        "areas": "Intake.Screens,Treatment.Dosing,Treatment.Filters,Network.Pumping,Network.Tanks",
        "people": "dferro,mhalloran,tokeke,sbrandt,lvance,pgriggs,anowak,rcole,jstroud,kfinch",
    },
    "lab": {
        "prefix": "BRX",
        "devices": "Analyser,Centrifuge controller,Slide scanner,Label server,Sequencer",
        "areas": "Core.Chemistry,Core.Haematology,Genetics.Wet lab,Genetics.Data,Reception.Intake",
        "people": "iquist,fabara,hlumsden,oreeve,wdarzi,cmoll,ypetit,etallis,bnkemelu,gsorley",
    },
}
STEMS = "tern,quay,moss,flint,larch,delta,ember,gorse,heron,ivory,kelp,lotus,maple,noble,onyx,pearl"
REMARKS = (
    "Console on port 4, 9600 8N1",
    "Spare unit in cabinet C, same firmware",
    "Ring the vendor before the first login of the day",
    "On the hold list until 2024, since released",
    "Locks for 15 minutes after three failures",
    "Reachable from the jump host only",
)


@dataclass(frozen=True)
class Person:
    """A member of staff; `left` is None for who is here with no end in sight."""

    id: str
    left: date | None = None
    successor: str = ""


@dataclass(frozen=True)
class Asset:
    """A row of the asset register."""

    number: str
    description: str
    area: str
    status: str
    since: date
    custodian: str


@dataclass(frozen=True)
class Entry:
    """An entry of the vault."""

    uuid: str
    asset: str
    custodian: str
    remarks: tuple[str, ...]
    group: str
    title: str
    account: str
    password: str
    url: str

    @property
    def notes(self) -> str:
        return "\n".join([f"Asset: {self.asset}", f"Custodian: {self.custodian}", *self.remarks])

    @property
    def held(self) -> bool:
        return any(line.startswith("Hold:") for line in self.remarks)

    def facts(self) -> dict[str, str]:
        """The entry as the answer key has it."""
        names = ("uuid", "group", "title", "account", "password", "url")
        return {name: getattr(self, name) for name in names} | {"notes": self.notes}


@dataclass
class Handover:
    """Everything a case is made of; each trap of the policy is put in by name."""

    rules: str
    review: date
    rng: random.Random
    staff: dict[str, Person] = field(default_factory=dict)
    assets: list[Asset] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    issued: dict[tuple[str, str], str] = field(default_factory=dict)
    breached: list[str] = field(default_factory=list)  # passwords

    def __post_init__(self) -> None:
        site = SITES[self.rules]
        self.devices, self.areas = site["devices"].split(","), site["areas"].split(",")
        numbers = sorted(self.rng.sample(range(1000, 9999), 60))
        self.numbers = [f"{site['prefix']}-{n}" for n in numbers]
        self.used: set[str] = set()
        self.hire(site["people"].split(","))
        self.fill()
        self.leave_gaps()
        self.breached += [self.password() for _ in range(40 - len(self.breached))]
        for things in (self.entries, self.breached):
            self.rng.shuffle(things)

    def hire(self, ids: list[str]) -> None:
        self.rng.shuffle(ids)
        self.here, (left, first, second, later) = ids[:6], ids[6:]
        ago = [self.review - timedelta(self.rng.randrange(3, 200)) for _ in range(2)]
        soon = self.review + timedelta(self.rng.randrange(1, 20))
        people = [Person(id) for id in self.here]
        people += [Person(left, self.review, self.here[0]), Person(first, ago[0], second)]
        people += [Person(second, ago[1], self.here[1]), Person(later, soon, self.here[2])]
        self.staff = {person.id: person for person in sorted(people, key=lambda p: p.id)}
        self.left, self.chained, self.later = left, first, later

    def password(self) -> str:
        """A password, unlike every other one."""
        words = self.rng.sample(STEMS.split(","), 2)
        made = f"{words[0].title()}-{words[1]}{self.rng.randrange(100, 999)}"
        if made in self.used:
            return self.password()
        self.used.add(made)
        return made

    def leaked(self) -> str:
        self.breached.append(self.password())
        return self.breached[-1]

    def before(self, days: int) -> date:
        return self.review - timedelta(days)

    def register(self, **changes: object) -> Asset:
        """Put an asset into the register; it has been in service for long unless told."""
        number = self.numbers.pop(self.rng.randrange(4, len(self.numbers)))
        area, device = self.rng.choice(self.areas), self.rng.choice(self.devices)
        text = f"{device}, {area.rpartition('.')[2].lower()} no. {len(self.assets) + 1}"
        since, custodian = self.before(self.rng.randrange(300, 2000)), self.rng.choice(self.here)
        asset = Asset(number, text, area, "in service", since, custodian)
        self.assets.append(replace(asset, **changes))  # type: ignore[arg-type]
        return self.assets[-1]

    def issue(self, asset: Asset, account: str) -> None:
        self.issued[asset.number, account] = self.password()

    def add(self, asset: Asset | None = None, **changes: object) -> Entry:
        """Put an entry into the vault: one that nothing is wrong with unless told."""
        asset = asset or self.register()
        remarks = tuple(self.rng.sample(REMARKS, self.rng.randrange(3)))
        account = "admin" if (asset.number, "admin") not in self.issued else "operator"
        self.issue(asset, account)
        uuid, url = self.rng.randbytes(16).hex(), f"https://10.{self.rng.randrange(200)}.4.17/"
        title = f"{asset.description.split(',')[0]} {len(self.entries) + 1:02} {account}"
        entry = Entry(
            uuid, asset.number, asset.custodian, remarks, asset.area, title, account, "", url
        )
        self.entries.append(replace(entry, password=self.password()))
        self.entries[-1] = replace(self.entries[-1], **changes)  # type: ignore[arg-type]
        return self.entries[-1]

    def retired(self, days: int, *, lowest: bool = False) -> Asset:
        asset = self.register(status="retired", since=self.before(days))
        if lowest:
            self.assets[-1] = asset = replace(asset, number=self.numbers.pop(0))
        return asset

    def elsewhere(self, asset: Asset) -> str:
        """The group of an asset that was moved since."""
        return self.rng.choice([area for area in self.areas if area != asset.area])

    def fill(self) -> None:
        for _ in range(3):
            self.add()
        self.add(self.retired(-self.rng.randrange(5, 60)))  # only planned
        self.custodians()
        self.add(password=self.leaked())
        both = self.register()
        self.add(both)
        self.add(both, password=self.leaked())
        self.shared()
        self.moves()
        self.works() if self.rules == "works" else self.lab()

    def custodians(self) -> None:
        self.add(custodian=self.left, remarks=(f"Installed by {self.left} in 2021", REMARKS[0]))
        self.add(custodian=self.chained)
        self.add(custodian=self.later)

    def shared(self) -> None:
        first = self.add()
        for _ in range(2):
            self.add(password=first.password)
        hold = self.retired(90, lowest=True)
        remarks = (REMARKS[1], "Hold: incident 24-017, do not log in")
        held = self.add(hold, custodian=self.left, remarks=remarks)
        self.add(password=held.password)
        gone = self.add(self.retired(200))
        self.add(password=gone.password)

    def moves(self) -> None:
        asset = self.register()
        self.add(asset, group=asset.area.lower())
        asset = self.register()
        self.add(asset, group=self.elsewhere(asset), password=self.leaked())
        asset = self.register()
        self.add(asset, group=self.elsewhere(asset), custodian=self.left)

    def works(self) -> None:
        self.add(self.retired(0))

    def lab(self) -> None:
        self.add(self.retired(30))
        self.add(self.retired(self.rng.randrange(5, 25)), password=self.leaked())
        kept = self.add(self.retired(29, lowest=True))
        self.add(password=kept.password)

    def leave_gaps(self) -> None:
        """Assets without entries; the last two are no reason to add one."""
        for asset, accounts in (
            (self.register(since=self.review), ("admin", "operator")),
            (self.register(since=self.before(9), custodian=self.chained), ("admin",)),
            (self.register(custodian=self.later), ("admin",)),
            (self.register(since=self.before(-4)), ("admin",)),
            (self.retired(70), ("admin",)),
        ):
            for account in accounts:
                self.issue(asset, account)


class Ruling:
    """The policy applied: which entries stay, as what, and which are new."""

    def __init__(self, case: Handover) -> None:
        self.case = case
        self.register = {asset.number: asset for asset in case.assets}
        self.hashes = {sha1(word.encode()).hexdigest() for word in case.breached}
        self.stay = [entry for entry in case.entries if entry.held or not self.goes(entry)]

    def days_retired(self, asset: Asset) -> int:
        """Since when an asset is retired, in days; -1 if it is not."""
        if asset.status != "retired":
            return -1
        return max((self.case.review - asset.since).days, -1)

    def goes(self, entry: Entry) -> bool:
        days = self.days_retired(self.register[entry.asset])
        return days >= (30 if self.case.rules == "lab" else 0)

    def frozen(self, entry: Entry) -> str:
        """The group that keeps an entry from any other change, or nothing."""
        if entry.held:
            return "Hold"
        return "Retired" if self.days_retired(self.register[entry.asset]) >= 0 else ""

    def custodian(self, id: str) -> str:
        person = self.case.staff[id]
        if person.left is None or person.left > self.case.review:
            return id
        return self.custodian(person.successor)

    def doubled(self, entry: Entry) -> bool:
        same = [other for other in self.stay if other.password == entry.password]
        if self.case.rules == "lab":
            return min(same, key=lambda other: other.asset) != entry
        return len(same) > 1

    def kept(self) -> list[Entry]:
        return list(map(self.reviewed, self.stay))

    def reviewed(self, entry: Entry) -> Entry:
        if group := self.frozen(entry):
            return replace(entry, group=group)
        custodian, password = self.custodian(entry.custodian), entry.password
        known = sha1(password.encode()).hexdigest() in self.hashes
        if custodian != entry.custodian or known or self.doubled(entry):
            password = self.case.issued[entry.asset, entry.account]
        area = self.register[entry.asset].area
        return replace(entry, group=area, custodian=custodian, password=password)

    def new(self) -> list[Entry]:
        known = {entry.asset for entry in self.case.entries}
        return [
            self.entry(self.register[number], account, password)
            for (number, account), password in self.case.issued.items()
            if number not in known and self.in_service(self.register[number])
        ]

    def in_service(self, asset: Asset) -> bool:
        return asset.status == "in service" and asset.since <= self.case.review

    def entry(self, asset: Asset, account: str, password: str) -> Entry:
        custodian, title = self.custodian(asset.custodian), asset.description
        return Entry("", asset.number, custodian, (), asset.area, title, account, password, "")
