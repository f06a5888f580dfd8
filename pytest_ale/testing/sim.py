"""A provider to rehearse with: sandboxes that are nothing but memory, and an agent for them.

    ALE_SIM=sim.yaml pytest tasks --ale-provider=sim --ale-agent=sim -n 8

A sandbox of `sim` takes no process and no disk, and the processor for less than 1 ms: a run of a
thousand machines is rehearsed on a laptop. What a simulation is made of is said in YAML, of which
every word may be left out; without ALE_SIM all is well and at once:

    seed: 1
    scale: 20                       # 20 simulated seconds take one
    boot: {mean: 40, spread: 20}    # seconds: evenly between 20 and 60
    quota: 1000                     # most sandboxes at once; beyond, create is Busy
    rate: 10                        # creates a second, up to ten at once; likewise
    failures:                       # shares of the sandboxes
      create: 0.02                  # that never start
      lost: 0.01                    # that go away in their first command
      stop: 0.01                    # that cannot be stopped
      destroy: 0.01                 # of tries to remove one that fail, each thrown for anew
      hang: 0.001                   # of tries that take hang_seconds (600) more
    zones:                          # each with a quota, and failures instead of those above
      a: {quota: 500}
      b: {quota: 500, failures: {create: 1.0}}
    folder: /dev/shm/sim            # default: sim.state, beside sim.yaml

All seconds in it are divided by `scale`; deadlines (a card's, `--ale-timeout`) are not. What
happens to a sandbox depends on the seed and on which attempt it is for, so that workers agree, and
so do two runs. Which sandboxes there are, quota and rate lie in the folder, for all processes: what
a killed run left is found by the next with the same ALE_SIM, and by `ale reap`. Files are in the
memory of the process that made the sandbox: nobody else can attach to it.

A sandbox is made in the first of the zones that has room, but in none that is to be avoided
(`SandboxSpec.avoid`) unless all are; `sandbox.about["zone"]` tells which, and so does the fault of
one that did not start.

Commands: `sleep N` (simulated seconds), `cp A B`, `echo TEXT`, `cat F`, `true`, `false`, `> F`,
chains with `;` and `&&`. All else is a SandboxError. The agent `sim` works for a while, and then
runs what a task's `inputs/sim.sh` says in these words; see `ale agents` for its knobs.
"""

from __future__ import annotations

import os
import time

from pytest_ale.sandbox import ProviderFault, SandboxSpec
from pytest_ale.settings import Settings
from pytest_ale.testing.sim_agent import SimAgent
from pytest_ale.testing.sim_cloud import Cloud
from pytest_ale.testing.sim_files import Files
from pytest_ale.testing.sim_rules import VARIABLE, Rules
from pytest_ale.testing.sim_sandbox import SimSandbox

__all__ = ["Rules", "SimAgent", "SimProvider", "SimSandbox"]


class SimProvider:
    """Sandboxes of a simulation; satisfies `Provider`."""

    name = "sim"
    isolation = "simulated"

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        rate = rules.rate and rules.rate * rules.scale
        quotas = {name: zone.quota for name, zone in rules.zones.items()}
        self._cloud = Cloud(rules.folder, quota=rules.quota, rate=rate, zones=quotas)
        failures = [rules.failures_in(zone) for zone in ("", *rules.zones)]
        self._stumbles = any(each.destroy or each.hang for each in failures)
        self._here: dict[str, SimSandbox] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> SimProvider:
        return cls(Rules.load(os.environ))

    def preflight(self) -> list[str]:
        """Say what it is and what is missing, a line each (`ale doctor`)."""
        rules, named = self.rules, os.environ.get(VARIABLE)
        told = rules.model_dump(mode="json", exclude_defaults=True, exclude={"folder"})
        what = f"{VARIABLE}={named}: {told}" if named else f"no {VARIABLE}: all is well and at once"
        return [what, f"{len(self.leases())} sandboxes in {rules.folder}"]

    def refuses(self, spec: SandboxSpec, *, trusted: bool) -> str | None:
        """Say why it cannot host this, or None."""
        reasons = {
            "sim provider has no desktop": spec.desktop,
            "sim provider runs no programs of agents": spec.kits,
            "sim provider leads no port to a model": spec.sockets,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def create(self, lease: str, spec: SandboxSpec) -> SimSandbox:
        """Make a clean sandbox, after the time that it takes to boot."""
        who = spec.labels.get("attempt") or lease
        zone = self._cloud.admit(lease, who, spec.avoid)
        sandbox = self._here[lease] = self._new(lease, who, zone, None)
        if sandbox.fate.boot:
            sandbox.wait(sandbox.fate.boot / self.rules.scale)
        if not self._cloud.has(lease, zone):
            raise ProviderFault(f"sandbox {lease} was destroyed while it booted")
        if not sandbox.fate.starts:  # it is there, as in a cloud, and is to be destroyed
            where = f" in zone {zone}" if zone else ""
            said = "500 Internal Error: the machine did not boot"
            fault = ProviderFault(f"sandbox {lease}{where}: {said}")
            fault.zone = zone
            raise fault
        return sandbox

    def attach(self, lease: str, spec: SandboxSpec) -> SimSandbox:
        """Reach a sandbox of this process anew."""
        known = self._here.get(lease)
        if known is None or not self._cloud.has(lease, known.zone):
            why = "it is gone, or its files are in the memory of another process"
            raise ProviderFault(f"sandbox {lease} cannot be reached: {why}")
        who = spec.labels.get("attempt") or lease
        self._here[lease] = self._new(lease, who, known.zone, known.files)
        return self._here[lease]

    def _new(self, lease: str, who: str, zone: str, files: Files | None) -> SimSandbox:
        fate, exists = self.rules.fate(who, zone), self._cloud.has
        return SimSandbox(lease, fate, self.rules.scale, lambda: exists(lease, zone), files, zone)

    def destroy(self, lease: str) -> None:
        """Remove a sandbox; one that is gone is no error."""
        here = self._here.get(lease)
        if here is not None:
            here.lose("was destroyed")
        if self._stumbles:
            self._stumble(lease)
        self._cloud.remove(lease, here.zone if here else None)
        self._here.pop(lease, None)

    def _stumble(self, lease: str) -> None:
        """Let this try take long, or fail."""
        if (known := self._cloud.tried(lease)) is None:
            return
        (who, number, zone) = known
        failures = self.rules.failures_in(zone)
        if self.rules.falls(failures.hang, f"hang {number}", who):
            time.sleep(failures.hang_seconds / self.rules.scale)
        if self.rules.falls(failures.destroy, f"destroy {number}", who):
            raise ProviderFault(f"sandbox {lease}: 503 Service Unavailable: delete, try {number}")

    def leases(self) -> list[str]:
        """The ids of the sandboxes that exist, whoever made them."""
        return self._cloud.leases()
