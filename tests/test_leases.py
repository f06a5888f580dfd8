"""Leases: the ledger before the sandbox, and whatever is left behind is found and released."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ale.cli import main
from pytest_ale.leases import Entry, Ledger, Owner, Pool, append_line, ledgers, new_lease_id, reap
from pytest_ale.providers.local import LocalProvider, LocalSandbox
from pytest_ale.sandbox import Provider, ProviderFault, RecordFault, SandboxSpec

from .conftest import Project


class Shop:
    """A provider without machines: it notes what was asked of it, and fails where it is told."""

    name = "shop"
    isolation = "none"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.seen: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.anywhere = False

    def create(self, lease: str, spec: SandboxSpec) -> LocalSandbox:
        self._note("create", lease)
        return None  # type: ignore[return-value]  # nobody looks at it

    def destroy(self, lease: str) -> None:
        self._note("destroy", lease)

    def _note(self, what: str, lease: str) -> None:
        self.seen.append((what, self.ledger.entries()[lease].state))
        if what in self.broken:
            raise ProviderFault(f"cannot {what}")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    (tmp_path / "run").mkdir()
    return Ledger(tmp_path / "run" / "ledger.jsonl")


@pytest.fixture
def shop(ledger: Ledger) -> Shop:
    return Shop(ledger)


@pytest.fixture
def pool(shop: Shop, ledger: Ledger) -> Pool:
    return Pool(shop, ledger)  # type: ignore[arg-type]


def states(ledger: Ledger) -> list[str]:
    return [entry.state for entry in ledger.entries().values()]


GONE = Owner(socket.gethostname(), Owner.of(os.getpid()).boot, 2**22 + 1, "1")
ABROAD = replace(GONE, host="elsewhere")
REBOOTED = replace(Owner.of(os.getpid()), boot="before")
REUSED = replace(Owner.of(os.getpid()), start="1")


def left(ledger: Ledger, owner: Owner, state: str = "leased", lease: str = "") -> str:
    lease = lease or new_lease_id()
    ledger.write(Entry(lease, "shop", state, owner, label="legal/copy"))
    return lease


def test_a_lease_is_written_down_before_there_is_a_sandbox(pool: Pool, shop: Shop) -> None:
    lease = pool.lease(SandboxSpec())
    pool.release(lease.id)
    assert shop.seen == [("create", "leasing"), ("destroy", "leased")]
    assert states(shop.ledger) == ["released"]


def test_a_release_that_failed_is_tried_again_at_the_end(pool: Pool, shop: Shop) -> None:
    lease = pool.lease(SandboxSpec())
    shop.broken = {"destroy"}
    with pytest.raises(ProviderFault):
        pool.release(lease.id, "its attempt")
    pool.close()
    assert states(shop.ledger) == ["fault"]
    shop.broken = set()
    pool.close()
    (entry,) = shop.ledger.entries().values()
    assert (entry.state, entry.label) == ("released", "its attempt")


def test_a_sandbox_that_could_not_be_made_may_exist_all_the_same(pool: Pool, shop: Shop) -> None:
    shop.broken = {"create"}
    with pytest.raises(ProviderFault, match="cannot create"):
        pool.lease(SandboxSpec())
    assert states(shop.ledger) == ["leasing"]


def test_a_release_that_fails_is_written_down_for_the_next(pool: Pool, shop: Shop) -> None:
    lease = pool.lease(SandboxSpec())
    shop.broken = {"destroy"}
    with pytest.raises(ProviderFault, match=f"sandbox {lease.id} could not be released: cannot"):
        pool.release(lease.id)
    (entry,) = shop.ledger.entries().values()
    assert (entry.state, entry.message) == ("fault", "ProviderFault: cannot destroy")
    (failed,) = reap([shop.ledger], lambda _: shop)  # type: ignore[arg-type, return-value]
    assert not failed.done and "could not be released: cannot destroy" in failed.line
    shop.broken = set()
    (done,) = reap([shop.ledger], lambda _: shop)  # type: ignore[arg-type, return-value]
    assert done.done and states(shop.ledger) == ["released"]


def test_only_the_dead_of_this_host_are_reaped(shop: Shop, ledger: Ledger) -> None:
    dead = {left(ledger, owner) for owner in (GONE, REBOOTED, REUSED)}
    living = left(ledger, Owner.of(os.getpid()))
    abroad = left(ledger, ABROAD)
    kept = left(ledger, GONE, "kept")
    said = reap([ledger], lambda _: shop)  # type: ignore[arg-type, return-value]
    assert all(each.done for each in said) and len(said) == len(dead)
    open_ones = {lease for lease, entry in ledger.entries().items() if entry.open}
    assert open_ones == {living, abroad, kept}
    (one,) = reap([ledger], lambda _: shop, only=kept)  # type: ignore[arg-type, return-value]
    assert one.line == f"shop sandbox {kept} of legal/copy: released"


STATES = ("leasing", "leased", "kept", "fault")


def test_nothing_of_another_host_is_released_here(shop: Shop, ledger: Ledger) -> None:
    abroad = {left(ledger, ABROAD, state) for state in STATES}
    for words in ({}, {"kept": True}, {"dead": True}, *({"only": each} for each in abroad)):
        assert reap([ledger], lambda _: shop, **words) == []  # type: ignore[arg-type, return-value]
    assert shop.seen == [] and not ledger.closed
    assert states(ledger) == list(STATES)


def test_what_any_host_can_reach_is_released_from_any(shop: Shop, ledger: Ledger) -> None:
    shop.anywhere = True
    for state in STATES:
        left(ledger, ABROAD, state)
    reap([ledger], lambda _: shop)  # type: ignore[arg-type, return-value]
    assert states(ledger) == ["leasing", "leased", "kept", "released"]
    reap([ledger], lambda _: shop, kept=True)  # type: ignore[arg-type, return-value]
    assert states(ledger) == ["leasing", "leased", "released", "released"]  # others may be in use


@pytest.mark.parametrize("state", STATES)
def test_who_is_to_release_a_sandbox_of_another_host_is_said(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path, state: str
) -> None:
    """With the local provider, whose `destroy` finds nothing here and so has no complaint."""
    lease = new_lease_id()
    ledger.write(Entry(lease, "local", state, ABROAD))
    assert main(["reap", lease, f"--dir={tmp_path}"]) == 2
    where = "is on host elsewhere, where alone it can be released"
    there = f"run `ale reap {lease}` there, with the same --dir"
    assert capsys.readouterr().err == f"ale: sandbox {lease} {where}: {there}\n"
    assert main(["reap", "--kept", f"--dir={tmp_path}"]) == 0
    there = "run `ale reap` there, with the same --dir"
    assert capsys.readouterr().out == f"host elsewhere has 1 more, in use or left: {there}\n"
    assert states(ledger) == [state]
    main(["reap", f"--dir={tmp_path}"])
    assert ("nothing to reap" in capsys.readouterr().out) == (state == "kept")


def test_of_a_sandbox_that_another_host_may_use_that_is_said(
    ledger: Ledger,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(LocalProvider, "anywhere", True, raising=False)
    ledger.write(Entry("0" * 12, "local", "leased", ABROAD))
    assert main(["reap", "0" * 12, f"--dir={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert f"sandbox {'0' * 12} may be in use: only host elsewhere can tell" in said
    assert states(ledger) == ["leased"]


def test_a_zombie_is_dead(ledger: Ledger) -> None:
    process = subprocess.Popen(["sleep", "100"])
    owner = Owner.of(process.pid)
    assert not owner.dead
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not owner.dead and time.monotonic() < deadline:
        time.sleep(0.01)
    assert owner.dead  # though nobody has waited for it
    process.wait()


def test_a_provider_that_is_no_more_ends_no_reap(ledger: Ledger, shop: Shop) -> None:
    left(ledger, GONE, lease="0" * 12)
    ledger.write(Entry("1" * 12, "sold", "leased", GONE))

    def named(name: str) -> Provider:
        if name == "sold":
            raise LookupError("unknown provider 'sold'; known: shop")
        return shop  # type: ignore[return-value]

    said = reap([ledger], named)
    assert [each.done for each in said] == [True, False]
    assert said[1].line == (
        f"sold sandbox {'1' * 12} could not be released: unknown provider 'sold'; known: shop"
    )


def test_a_line_cut_short_hides_no_other(ledger: Ledger) -> None:
    first, second = left(ledger, GONE), left(ledger, GONE)
    with ledger.path.open("ab") as file:
        file.write(b'{"lease": "cut sho')
    third = left(ledger, GONE)
    assert list(ledger.entries()) == [first, second, third]


def test_a_ledger_that_cannot_be_written_leases_nothing(pool: Pool, shop: Shop) -> None:
    shop.ledger.path.mkdir()
    with pytest.raises(RecordFault, match=f"cannot write the ledger {shop.ledger.path}: "):
        pool.lease(SandboxSpec())
    assert shop.seen == []


def test_ledgers_in_which_nothing_is_open_are_not_read_again(
    ledger: Ledger, shop: Shop, tmp_path: Path
) -> None:
    left(ledger, GONE)
    assert [each.path for each in ledgers(tmp_path)] == [ledger.path]
    reap(ledgers(tmp_path), lambda _: shop)  # type: ignore[arg-type, return-value]
    assert ledgers(tmp_path) == []
    left(ledger, GONE)
    assert [each.path for each in ledgers(tmp_path)] == [ledger.path]


def test_many_processes_append_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    program = "import sys; from pathlib import Path; from pytest_ale.leases import append_line\n"
    program += "for n in range(200): append_line(Path(sys.argv[1]), {'n': n, 'text': 'x' * 5000})"
    running = [subprocess.Popen([sys.executable, "-c", program, path]) for _ in range(3)]
    append_line(path, {"n": -1})
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 601


def test_workers_that_reap_at_once_release_each_lease_once(tmp_path: Path) -> None:
    """Three processes find the same ten sandboxes of a dead one."""
    (tmp_path / "run").mkdir()
    provider, ledger = LocalProvider(), Ledger(tmp_path / "run/ledger.jsonl")
    for _ in range(10):
        provider.create(lease := new_lease_id(), SandboxSpec()).stop()
        ledger.write(Entry(lease, "local", "leased", GONE))
    words = [str(Path(sys.executable).with_name("ale")), "reap", f"--dir={tmp_path}"]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [line for process in running for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sum(line.endswith(": released") for line in said) == 10
    assert set(ledger.entries()).isdisjoint(provider.leases())


def test_a_sandbox_in_use_is_not_reaped(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lease = left(ledger, Owner.of(os.getpid()))
    assert main(["reap", lease, f"--dir={tmp_path}"]) == 2
    said = f"ale: sandbox {lease} is in use: the process that leased it is alive\n"
    assert capsys.readouterr().err == said
    assert states(ledger) == ["leased"]


STUBBORN = """
from pytest_ale.providers.local import LocalProvider
from pytest_ale.sandbox import ProviderFault

class Stubborn(LocalProvider):
    name = "stubborn"

    def destroy(self, lease):
        super().destroy(lease)
        raise ProviderFault("the machine does not answer")

def pytest_ale_providers(register):
    register("stubborn", Stubborn.from_settings)
"""


def test_a_release_that_fails_changes_no_score_and_is_told(project: Project) -> None:
    project.pytester.makeconftest(STUBBORN)
    project.task()
    result = project.run("tasks", "--ale-provider=stubborn", "-W", "error")
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    lease = project.results[0]["lease"]
    said = f"not released {lease}: ProviderFault: the machine does not answer; try `ale reap`"
    result.stdout.fnmatch_lines([said])
    assert (project.results[0]["outcome"], project.results[0]["score"]) == ("scored", 1.0)


def test_what_a_killed_run_left_is_released_by_hand(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.path)
    project.task(main="def solve(sandbox): sandbox.exec('sleep 99')\ndef evaluate(): return 1.0")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "tasks"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 20
    while not (events := [*project.path.glob(".ale/*/*/*/*/*/*/*/events.jsonl")]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while '"stage"' not in events[0].read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (lease,) = Ledger(project.runs[0] / "ledger.jsonl").entries()
    assert lease in LocalProvider().leases()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert main(["reap"]) == 0
    assert capsys.readouterr().out.startswith(f"local sandbox {lease} of legal/copy/base/oracle/")
    assert lease not in LocalProvider().leases()
