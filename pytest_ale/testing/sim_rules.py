"""Rules: what a simulation is made of, read from YAML, and the dice it throws.

Knows nothing of sandboxes. Every throw is a hash of the seed, of what is thrown for, and of who it
is for (an attempt's place in its run): all processes see the same, and so does the next run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_ale.sandbox import ProviderFault

__all__ = ["VARIABLE", "Fate", "Rules", "thrown"]

VARIABLE = "ALE_SIM"

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ZoneName = Annotated[str, Field(pattern="^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")]


class _Closed(BaseModel):
    """A word that nobody reads would be a fault that never happens."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Boot(_Closed):
    """Seconds until a sandbox is there: evenly between mean - spread and mean + spread."""

    mean: Seconds = 0
    spread: Seconds = 0


class Failures(_Closed):
    """Shares of sandboxes that fail in their start, work, stop and end."""

    create: Share = 0
    lost: Share = 0
    stop: Share = 0
    destroy: Share = 0
    hang: Share = 0
    hang_seconds: Seconds = 600


class Zone(_Closed):
    """A part of the cloud with a quota of its own; its failures are those of all, or its own."""

    quota: Annotated[int, Field(ge=0)] | None = None
    failures: Failures | None = None


@dataclass(frozen=True)
class Fate:
    """What one sandbox will come to."""

    boot: float  # simulated seconds
    starts: bool
    lost: float | None  # after this part of its first sleep
    stops: bool


class Rules(_Closed):
    """A simulation; all its seconds are divided by `scale`."""

    seed: int = 0
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    boot: Boot = Boot()
    quota: Annotated[int, Field(ge=0)] | None = None  # most sandboxes at once
    rate: Annotated[float, Field(gt=0)] | None = None  # creates a second
    failures: Failures = Failures()
    zones: Annotated[dict[ZoneName, Zone], Field(min_length=1)] = {"": Zone()}  # in order
    folder: Path = Path()  # of what processes share

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """The simulation that ALE_SIM names, or one in which all is well and at once."""
        if not (named := environ.get(VARIABLE)):
            common = Path(tempfile.gettempdir()) / f"pytest-ale-sim-{os.geteuid()}"
            return cls(folder=common)
        path = Path(named).expanduser().absolute()
        try:
            told = yaml.safe_load(path.read_text())
            rules = cls.model_validate({} if told is None else told)
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ProviderFault(f"{VARIABLE}={named}: {said}") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ProviderFault(f"{VARIABLE}={named} cannot be read: {error}") from error
        own = (
            path.parent / rules.folder.expanduser()
            if rules.folder.parts
            else path.with_suffix(".state")
        )
        return rules.model_copy(update={"folder": own})

    def falls(self, share: float, what: str, who: str) -> bool:
        return share > 0 and thrown(self.seed, what, who) < share

    def failures_in(self, zone: str) -> Failures:
        """What goes wrong in a zone; one that is known no more is like all."""
        known = self.zones.get(zone)
        return (known and known.failures) or self.failures

    def fate(self, who: str, zone: str = "") -> Fate:
        """What a sandbox will come to, by whose it is and where."""
        failures, spread = self.failures_in(zone), 0.0
        if self.boot.spread:
            spread = self.boot.spread * (2 * thrown(self.seed, "boot", who) - 1)
        lost = self.falls(failures.lost, "lost", who)
        return Fate(
            boot=max(self.boot.mean + spread, 0),
            starts=not self.falls(failures.create, "create", who),
            lost=thrown(self.seed, "lost when", who) if lost else None,
            stops=not self.falls(failures.stop, "stop", who),
        )


def thrown(seed: object, what: str, who: str) -> float:
    """A number in [0, 1), the same wherever and whenever it is thrown."""
    data = "\0".join((str(seed), what, who)).encode(errors="backslashreplace")
    return int.from_bytes(hashlib.blake2b(data, digest_size=6).digest(), "big") / (1 << 48)
