"""The oracle: reviews the vault in Password Safe, with mouse, keyboard and clipboard alone."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Any

from verdict import Shown, Verdict, Wanted

from pytest_ale.hands import Hands

TABLES = ("assets.csv", "staff.csv", "issued.csv", "breached.txt")
# Where the fields of the entry dialog are, from its window's top left corner.
FIELDS = {"group": (170, 128), "title": (170, 175), "account": (170, 224), "notes": (250, 490)}
PASSWORDS, OK, YES = ((170, 273), (170, 322)), (455, 540), (219, 81)


def review(desktop: Any, inputs: str, output: str, params: dict[str, Any]) -> None:
    hands = Hands(desktop)
    tables = {name: hands.text(f"{inputs}/{name}") for name in TABLES}
    verdict = Verdict(tables, params["review"], lab=params["rules"] == "lab")
    hands.run(f"cp {inputs}/vault.psafe3 {output}; pwsafe {output}/vault.psafe3 &")
    vault = Vault(hands, params["combination"])
    shown = vault.read()
    for row in reversed(range(len(shown))):
        vault.change(row, shown[row], verdict.of(shown[row], shown))
    for wanted in verdict.missing(shown):
        vault.add(wanted)
    vault.save_as(params["combination"], params["next"])


class Vault:
    """The program with the vault open, as a flat list with one row per entry."""

    def __init__(self, hands: Hands, combination: str) -> None:
        self.hands, self.desktop = hands, hands.desktop
        prompt = hands.window("Safe Combination Entry")
        time.sleep(0.5)
        self.desktop.type(combination + "\n")
        hands.closed(prompt)
        self.main = hands.window("PasswordSafe")
        self.flatten()

    def flatten(self) -> None:
        """View > Flattened List, and the keyboard into its first row; again until it is so."""
        for _ in range(5):
            time.sleep(0.5)
            self.desktop.click(self.main.x + 104, self.main.y + 12)
            time.sleep(0.5)
            self.desktop.click(self.main.x + 150, self.main.y + 38)
            time.sleep(0.5)
            self.desktop.click(self.main.x + 40, self.main.y + 144)
            with suppress(TimeoutError):
                self.select(1)
                self.current()
                return

    def select(self, row: int) -> None:
        self.desktop.keys("ctrl+Home")
        for _ in range(row):
            self.desktop.keys("Down")
        time.sleep(0.1)

    def current(self) -> Shown:
        """The selected entry; ctrl+c would copy its group, so the password is had by its button."""
        copied = self.hands.copied
        account = copied(lambda: self.desktop.keys("ctrl+u"))
        password = copied(lambda: self.desktop.click(self.main.x + 311, self.main.y + 45))
        return Shown(account, password, copied(lambda: self.desktop.keys("ctrl+g")).rstrip("\n"))

    def read(self) -> list[Shown]:
        """Every entry from the first row on; in the last row, Down changes nothing."""
        self.select(0)
        shown = [self.current()]
        while (entry := self.below(shown[-1])) != shown[-1]:
            shown.append(entry)
        return shown

    def below(self, entry: Shown) -> Shown:
        """The next entry, or the same one; a busy program may miss a key."""
        for pause in (0.05, 0.5, 1):
            self.desktop.keys("Down")
            time.sleep(pause)
            if (found := self.current()) != entry:
                return found
        return entry

    def go(self, row: int, entry: Shown) -> None:
        """See that the selected row shows this entry, and select it if it does not."""

        def there() -> bool:
            return self.current() == entry or self.select(row) or self.current() == entry

        self.hands.until(f"row {row} to show {entry.asset}", there)

    def change(self, row: int, entry: Shown, wanted: Wanted | None) -> None:
        self.go(row, entry)
        if wanted is None:
            return self.delete()
        self.desktop.keys("ctrl+Return")
        self.fill(wanted)
        password, notes = wanted.password or entry.password, wanted.notes or entry.notes
        self.go(row, Shown(entry.account, password, notes))
        return self.desktop.keys("Up")

    def delete(self) -> None:
        self.desktop.keys("Delete")
        prompt = self.hands.window("Delete Confirmation")
        self.desktop.click(prompt.x + YES[0], prompt.y + YES[1])
        self.hands.closed(prompt)

    def add(self, wanted: Wanted) -> None:
        self.desktop.keys("ctrl+a")
        self.fill(wanted)

    def fill(self, wanted: Wanted) -> None:
        dialog = self.hands.window("Entry")
        for name, place in FIELDS.items():
            if text := getattr(wanted, name):
                probe = partial(self.written, dialog, place, text)
                self.hands.until(f"{name} to be {text!r}", probe, 20)
        if wanted.password:
            for place in PASSWORDS:
                self.write(dialog, place, wanted.password)
        self.desktop.click(dialog.x + OK[0], dialog.y + OK[1])
        self.hands.closed(dialog)
        self.hands.window("PasswordSafe")

    def write(self, dialog: Any, place: tuple[int, int], text: str) -> None:
        self.desktop.click(dialog.x + place[0], dialog.y + place[1])
        time.sleep(0.2)  # the notes take the keyboard that much later
        self.desktop.keys("ctrl+a")
        self.desktop.type(text)

    def written(self, dialog: Any, place: tuple[int, int], text: str) -> bool:
        """Write a field, and see whether it was written."""
        self.write(dialog, place, text)
        self.desktop.keys("ctrl+a")
        return self.hands.copied(lambda: self.desktop.keys("ctrl+c")) == text

    def save_as(self, old: str, new: str) -> None:
        """Manage > Change Safe Combination, then save."""
        self.desktop.keys("alt+m")
        time.sleep(0.5)
        self.desktop.keys("Return")
        dialog = self.hands.window("Change Safe Combination")
        for height, text in ((140, old), (191, new), (243, new)):
            self.write(dialog, (300, height), text)
        self.desktop.click(dialog.x + 423, dialog.y + 360)
        self.hands.closed(dialog)
        self.desktop.keys("ctrl+s")
        time.sleep(1)
        self.desktop.keys("ctrl+q")
        self.hands.closed(self.main)
