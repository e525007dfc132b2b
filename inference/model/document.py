"""What `model.toml` says: its tables, validated, and as a JSON schema (`model.schema.json`)."""

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.errors import ModelError
from appliance.slides.classes import SlideClass

SCHEMA = Path(__file__).with_name("model.schema.json")
TISSUE, ARTIFACT, TILES = "tissue", "artifact", "tiles"

Task = Literal["tissue", "artifact", "tiles"]
Words = Annotated[str, Field(min_length=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
_STEP_PX: Final = 32
"""A network that gives a map halves its input up to five times."""
_LEAST_ARTIFACT_PX: Final = 64
"""A smaller tile is all rim, which is read for context and thrown away."""
_TISSUE_CLASSES: Final = [SlideClass.BACKGROUND.key, SlideClass.TISSUE.key]


class Table(BaseModel):
    """A table of the file: frozen, and strict about what it knows."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Concept(Table):
    """A coded concept (PS3.3 8.1): SH, SH and LO."""

    value: str = Field(min_length=1, max_length=16)
    scheme: str = Field(min_length=1, max_length=16)
    meaning: str = Field(min_length=1, max_length=64)


class ModelClass(Table):
    """One class that the model tells apart: one channel of its output."""

    index: int = Field(ge=0)
    """Channel of the output."""
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)
    """For a tissue model background and tissue, for an artifact model those of the class map."""
    code: Concept


class Accuracy(Table):
    """One measured figure."""

    data: Words
    n: int = Field(ge=1)
    """How many pictures, tiles or slides the figure was measured on."""
    metric: Words
    value: float
    low: float | None = None
    """Lower end of the 95 % confidence interval."""
    high: float | None = None
    """Upper end of the 95 % confidence interval."""

    @model_validator(mode="after")
    def _interval(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high stand together")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError("low must not be above high")
        return self


class Likeness(Table):
    """How the tissue of the training data looked, so that a slide unlike it is told."""

    names: tuple[Words, ...] = Field(min_length=1)
    """What was measured, in the order of the lists below."""
    mean: tuple[float, ...]
    scale: tuple[Annotated[float, Field(gt=0)], ...]
    limit: tuple[Annotated[float, Field(gt=0)], ...]
    """From how many scales away from the mean a slide is unlike; one number, or one a name."""

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        n = len(self.names)
        if len(self.mean) != n or len(self.scale) != n or len(self.limit) not in {1, n}:
            raise ValueError("mean and scale need one number a name, limit one or as many")
        return self


class Manifest(Table):
    """The whole of `model.toml`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    """Small letters, digits and hyphens; others do not leave in a report."""
    version: str = Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){0,3}$")
    """Up to four numbers with dots between them, such as 1.0."""
    task: Task
    """tissue and artifact give a map of pixels, tiles one answer a tile."""
    um_px: float = Field(gt=0, le=1000)
    """Resolution that the model was made for."""
    tile_px: int = Field(ge=8, le=4096)
    """Side of its input."""
    licence: Words
    intended_use: Words
    trained_on: Words | tuple[Words, ...]
    modalities: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2,16}$")], ...] = ("SM",)
    """Modality (0008,0060) of the slides it may see."""
    stains: tuple[Concept, ...] = ()
    """The stains a slide must carry, these and no others; empty means any."""
    body_sites: tuple[Concept, ...] = ()
    """Where the tissue must come from: one of these; empty means anywhere."""
    classes: tuple[ModelClass, ...] = Field(min_length=2)
    thresholds: dict[str, Probability] = {}
    """Least probability a class needs, by its name. Of a tile classifier, the classes that are
    reported: at least one."""
    likeness: Likeness | None = None
    accuracy: tuple[Accuracy, ...] = ()

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        names = [item.name for item in sorted(self.classes, key=lambda item: item.index)]
        if sorted(item.index for item in self.classes) != list(range(len(names))):
            raise ValueError("the classes need the indices 0, 1, 2 and so on")
        if len(set(names)) != len(names):
            raise ValueError("two classes have the same name")
        if self.task == TISSUE and names != _TISSUE_CLASSES:
            raise ValueError("the classes of a tissue model are background and tissue")
        unknown = set(names) - {kind.key for kind in SlideClass}
        if self.task == ARTIFACT and unknown:
            raise ValueError(f"{min(unknown)} is no class of the class map")
        return self

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        names = [item.name for item in self.classes]
        for name in self.thresholds:
            if name not in names:
                raise ValueError(f"thresholds names no class {name}{did_you_mean(name, names)}")
        if self.task == TILES and not self.thresholds:
            raise ValueError("a tile classifier needs a threshold for each class it reports")
        return self

    @model_validator(mode="after")
    def _task_fits(self) -> Self:
        if self.task != TILES and self.tile_px % _STEP_PX:
            raise ValueError(f"the tile_px of such a model is a multiple of {_STEP_PX}")
        if self.task == ARTIFACT and self.tile_px < _LEAST_ARTIFACT_PX:
            raise ValueError(f"the tile_px of an artifact model is at least {_LEAST_ARTIFACT_PX}")
        if self.task != TILES and (self.stains or self.body_sites):
            raise ValueError("only a tile classifier names stains or body_sites; others always run")
        return self


def read_manifest(raw: dict[str, Any], *, where: str) -> Manifest:
    """Check what a `model.toml` says.

    Parameters
    ----------
    raw
        Its content, as TOML reads it.
    where
        Name of the model's folder, for the sentence.

    Raises
    ------
    ModelError
        A key is missing, unknown or holds what it must not; the sentence names it, and the
        nearest known key for a typing mistake.
    """
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise ModelError(f"model.toml of the model in {where}: {_explain(error)}.") from error


def schema() -> dict[str, Any]:
    """Make the JSON schema of `model.toml`."""
    made = Manifest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _explain(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False)
    unknown = [mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"]
    first = (unknown or mistakes)[0]  # a mistyped key says more than the key it leaves missing
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        return f"unknown key {place}{did_you_mean(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"the key {place} is missing"
    words = first["msg"].removeprefix("Value error, ")
    return f"{place}: {words}" if place else words


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    table: type[Table] = Manifest
    for part in location[:-1]:
        if isinstance(part, str):
            table = _table_of(table.model_fields[part].annotation) or table
    return list(table.model_fields)


def _table_of(annotation: Any) -> type[Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    found = (_table_of(argument) for argument in get_args(annotation))
    return next((table for table in found if table is not None), None)


def did_you_mean(word: str, known: list[str]) -> str:
    """Give `; did you mean KEY?` for the known key that is nearest, else nothing."""
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]}?" if nearest else ""


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
