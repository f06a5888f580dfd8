"""Card: what is known of a task without running any of its code.

Knows nothing of pytest.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from pytest_ale.taxonomy import CLUSTERS, TIERS

__all__ = ["Card", "CardError", "Check", "Deliverable", "Environment", "Variant", "load_card"]


class CardError(ValueError):
    """A card that cannot be used; one line: file, key, given value, what is allowed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Line = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]+$")]
Slug = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*$", max_length=80)
]


class Environment(_Strict):
    """The machine a task needs."""

    os: Literal["linux", "windows"] = "linux"
    packages: list[Line] = []
    python: list[Line] = []
    desktop: bool = False
    cpus: Annotated[float, Field(gt=0)] = 2
    memory_gb: Annotated[float, Field(gt=0)] = 4
    disk_gb: Annotated[float, Field(gt=0)] = 10
    gpu: Annotated[int, Field(ge=0)] = 0
    licence: Line | None = None
    network: Literal["none", "open"] | list[Line] = "none"


class Deliverable(_Strict):
    """A file the agent is to leave in `output/`."""

    path: Line
    about: str = ""

    @field_validator("path")
    @classmethod
    def _inside_output(cls, path: str) -> str:
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError("allowed: a path below output/, without ..")
        return path


class Variant(_Strict):
    """One concrete case of a task."""

    id: Slug
    params: dict[str, JsonValue] = {}


class Check(_Strict):
    """One declared milestone; a failed gate makes the whole score 0."""

    gate: bool = False
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1


class Card(_Strict):
    """A task's card.yaml."""

    title: Line
    summary: Annotated[str, Field(min_length=1)]
    tier: Literal["near_term", "full_spectrum", "last_exam"]
    cluster: str
    subfield: str
    soc: list[Annotated[str, Field(pattern=r"^\d\d-\d{4}(\.\d\d)?$")]] = []
    environment: Environment = Environment()
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3600
    deliverables: list[Deliverable] = []
    variants: Annotated[list[Variant], Field(min_length=1)] = [Variant(id="base")]
    checks: dict[Line, Check] = {}
    pass_at: Annotated[float, Field(gt=0, le=1)] = 1.0
    tags: list[Line] = []
    canary: str | None = None

    @field_validator("environment", mode="before")
    @classmethod
    def _empty_is_default(cls, value: object) -> object:
        return {} if value is None else value

    @field_validator("checks", mode="before")
    @classmethod
    def _bare_checks(cls, checks: object) -> object:
        """`name:` without a value is a check of weight 1."""
        if not isinstance(checks, dict):
            return checks
        return {name: {} if check is None else check for name, check in checks.items()}

    @field_validator("cluster")
    @classmethod
    def _known_cluster(cls, cluster: str) -> str:
        if cluster not in CLUSTERS:
            raise ValueError(f"allowed: {', '.join(CLUSTERS)}")
        return cluster

    @field_validator("canary")
    @classmethod
    def _is_uuid(cls, canary: str | None) -> str | None:
        if canary is not None:
            try:
                uuid.UUID(canary)
            except ValueError:
                raise ValueError("allowed: a fresh UUID") from None
        return canary

    @field_validator("variants")
    @classmethod
    def _distinct_ids(cls, variants: list[Variant]) -> list[Variant]:
        doubled = [id for id, n in Counter(v.id for v in variants).items() if n > 1]
        if doubled:
            raise ValueError(f"id {doubled[0]!r} is given twice; allowed: each id once")
        return variants

    @field_validator("checks")
    @classmethod
    def _some_weight(cls, checks: dict[str, Check]) -> dict[str, Check]:
        if checks and not sum(check.weight for check in checks.values()):
            raise ValueError("all weights are 0; allowed: at least one above 0")
        return checks

    @model_validator(mode="after")
    def _subfield_of_cluster(self) -> Self:
        if self.subfield not in CLUSTERS[self.cluster]:
            allowed = ", ".join(CLUSTERS[self.cluster])
            raise ValueError(f"subfield {self.subfield!r} in {self.cluster}; allowed: {allowed}")
        return self

    def variant(self, id: str) -> Variant:
        return next(variant for variant in self.variants if variant.id == id)

    @property
    def markers(self) -> list[str]:
        """The names this card is selected by with `-m`."""
        env = self.environment
        features = {
            "gui": env.desktop,
            "windows": env.os == "windows",
            "gpu": env.gpu > 0,
            "licensed": env.licence is not None,
        }
        assert self.tier in TIERS
        return [self.tier, self.cluster, self.subfield, *(f for f, has in features.items() if has)]


# libyaml's loader is eight times faster; wheels without it fall back.
_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc, valid-type]
    """Refuses a key given twice, of which plain YAML would silently keep the last."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) < len(keys):
            doubled = next(key for key, n in Counter(keys).items() if n > 1)
            raise yaml.constructor.ConstructorError(
                None, None, f"key {doubled!r} is given twice; allowed: once", node.start_mark
            )
        mapping: dict[Hashable, object] = super().construct_mapping(node, deep)
        return mapping


def load_card(path: Path) -> Card:
    """Read and validate a card, or raise CardError with one line."""
    try:
        data = yaml.load(path.read_bytes(), _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise CardError(f"{path}: {_yaml_line(error)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"{path}: cannot be read: {_one_line(error)}") from None
    if not isinstance(data, dict):
        raise CardError(f"{path}: {_short(data)} is no card; allowed: a mapping of keys to values")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        raise CardError(f"{path}: {_validation_line(error)}") from None


def _yaml_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or _one_line(error)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{_one_line(what)}"


def _validation_line(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    shown = [_problem(str(p["type"]), p["loc"], p["msg"], p["input"]) for p in problems[:4]]
    more = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
    return "; ".join(shown) + more


def _problem(type: str, loc: tuple[int | str, ...], message: str, given: object) -> str:
    key = ".".join(str(part) for part in loc)
    message = re.sub(r"^Value error, |^Input ", "", message)
    if type == "extra_forbidden":
        return f"{key}: unknown key; allowed: {', '.join(_keys_at(loc))}"
    if type == "missing":
        return f"{key}: is missing"
    if not loc:
        return message
    return f"{key}: {_short(given)} {'is not allowed; ' if 'allowed:' in message else ''}{message}"


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    places: dict[str, type[BaseModel]] = {
        "environment": Environment,
        "deliverables": Deliverable,
        "variants": Variant,
        "checks": Check,
    }
    model = places.get(str(loc[0]), Card) if len(loc) > 1 else Card
    return list(model.model_fields)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-15:]}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
