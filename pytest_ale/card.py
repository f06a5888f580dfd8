"""Card: what is known of a task without running any of its code.

Knows nothing of pytest.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

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

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["Card", "CardError", "Check", "Deliverable", "Environment", "Variant", "load_card"]


class CardError(ValueError):
    """A card that cannot be used; one line: file, key, given value, what is allowed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# Patterns in the words of an error message.
LINE = r"^[^\r\n\x00]+$"
SLUG = r"^[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*$"
SOC = r"^\d\d-\d{4}(\.\d\d)?$"
SCREEN = r"^[1-9]\d{2,3}x[1-9]\d{2,3}$"
PATTERNS = {
    LINE: "one line of text",
    SLUG: "words of letters, digits, _ and . joined by -; the first begins with a letter or digit",
    SOC: "NN-NNNN or NN-NNNN.NN",
    SCREEN: "WIDTHxHEIGHT in pixels, such as 1280x800",
}

Line = Annotated[str, Field(min_length=1, pattern=LINE)]
Slug = Annotated[str, Field(pattern=SLUG, max_length=80)]
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Environment(_Strict):
    """The machine a task needs."""

    os: Literal["linux", "windows"] = "linux"
    packages: list[Line] = []
    python: list[Line] = []
    desktop: bool = False
    screen: Annotated[str, Field(pattern=SCREEN)] = "1280x800"
    cpus: Size = 2
    memory_gb: Size = 4
    disk_gb: Size = 10
    gpu: Annotated[int, Field(ge=0)] = 0
    licence: Line | None = None
    network: Literal["none", "open"] | list[Line] = "none"

    @property
    def size(self) -> tuple[int, int]:
        """The screen's width and height."""
        width, _, height = self.screen.partition("x")
        return int(width), int(height)

    @field_validator("network", mode="before")
    @classmethod
    def _known_network(cls, network: object) -> object:
        """One message, where pydantic would have one for each kind it could have been."""
        if network in ("none", "open"):
            return network
        if not (isinstance(network, list) and all(isinstance(h, str) and h for h in network)):
            raise ValueError("allowed: none, open, or a list of host names")
        from pytest_ale.hosts import Allowed  # few cards need it

        for host in network:
            Allowed.of(host)  # a ValueError says what is wrong with it
        return network


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
    soc: list[Annotated[str, Field(pattern=SOC)]] = []
    environment: Environment = Environment()
    timeout_s: Size = 3600
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
            raise ValueError(
                f"subfield: {self.subfield!r} is not allowed in {self.cluster}; allowed: {allowed}"
            )
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
        seen: set[str] = set()
        for key, _ in node.value:
            wrong = ""
            if not isinstance(key, yaml.ScalarNode):
                wrong = "a key that is no text; allowed: text (quote what begins with {, [ or ?)"
            elif key.value in seen:
                wrong = f"key {key.value!r} is given twice; allowed: once"
            if wrong:
                raise yaml.constructor.ConstructorError(None, None, wrong, key.start_mark)
            seen.add(key.value)
        mapping: dict[Hashable, object] = super().construct_mapping(node, deep)
        return mapping


MOST_VALUES = 100_000  # in one card: a few aliases of aliases could make billions


def load_card(path: Path) -> Card:
    """Read and validate a card, or raise CardError with one line."""
    try:
        text = path.read_bytes()
        data = yaml.load(text, _Loader)  # a SafeLoader
        if b"&" in text and _unfolded(data, {}) > MOST_VALUES:
            raise ValueError(f"its aliases unfold to more than {MOST_VALUES} values")
    except yaml.YAMLError as error:
        raise CardError(f"{path}: {_yaml_line(error)}") from None
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CardError(f"{path}: cannot be read: {_one_line(error)}") from None
    if not isinstance(data, dict):
        raise CardError(f"{path}: {_short(data)} is no card; allowed: a mapping of keys to values")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        raise CardError(f"{path}: {_validation_line(error)}") from None


def _unfolded(value: object, known: dict[int, int]) -> int:
    """How many values it is with every alias written out; one that holds itself has no end."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = MOST_VALUES
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_unfolded(part, known) for part in parts)
    return known[id(value)]


def _yaml_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or _one_line(error)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{_one_line(what)}"


def _validation_line(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    shown = [_problem(problem) for problem in problems[:4]]
    more = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
    return "; ".join(shown) + more


# pydantic's kinds of error, in the words of somebody who writes a card.
ALLOWED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "int_type": "a whole number",
    "invalid-json-value": "text (quote a date), a number, true, false, null, a list or a mapping",
    "invalid_key": "text as key",
    "less_than_equal": "a number of at most {le:g}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a mapping",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "text that is not empty",
    "string_type": "text (quote what YAML would take for something else)",
    "too_short": "a list of at least {min_length}",
}


def _problem(error: ErrorDetails) -> str:
    loc, given, told = error["loc"], _short(error["input"]), error.get("ctx", {})
    key = ".".join(_one_line(part) for part in loc)
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key (given {given}); allowed: {', '.join(_model_at(loc))}"
        case "missing":
            required = [name for name, field in _model_at(loc).items() if field.is_required()]
            return f"{key}: is missing; required: {', '.join(required)}"
        case "value_error":
            message = str(told["error"])
            return f"{key}: {given} is not allowed; {message}" if loc else message
        case "string_pattern_mismatch":
            words = PATTERNS[told["pattern"]]
        case kind:
            words = ALLOWED[kind].format(**told) if kind in ALLOWED else error["msg"]
    return f"{key}: {given} is not allowed; allowed: {words}"


def _model_at(loc: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    places: dict[str, type[BaseModel]] = {
        "environment": Environment,
        "deliverables": Deliverable,
        "variants": Variant,
        "checks": Check,
    }
    model = places.get(str(loc[0]), Card) if len(loc) > 1 else Card
    return model.model_fields


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-15:]}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
