"""What inference found on one slide: the value in `findings.json`, beside `class_map.png`."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from appliance.errors import RejectedError
from appliance.line import Verdict
from appliance.plain_file import open_plain
from appliance.slides.classes import SlideClass, by_key

FINDINGS_JSON = "findings.json"
_MOST_BYTES: Final = 32 << 20
_UNSOUND: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
CLASS_MAP_PNG = "class_map.png"
FOCUS_MAP_PNG = "focus_map.png"
"""`(rows, columns)` uint8: 1 blurred to 255 sharp, 0 where there is no tissue."""
SLIDE_AREA = "Slide Area"
"""Text in the slide picture's PNG: `left top width height` in pixels of the slide itself, so that a
terminal can show it without title and legend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactArea:
    """How much of one artifact there is on the slide."""

    name: str
    """`SlideClass.key` of the artifact."""
    area_mm2: float
    """Area on the slide, on tissue or beside it."""
    share_of_tissue: float
    """Part of all tissue that it covers, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Outline of one connected area of a class."""

    name: str
    """`SlideClass.key`."""
    area_mm2: float
    polygon_um: tuple[tuple[float, float], ...]
    """(x, y) micrometres from the top-left corner of the base matrix, x along its columns, y along
    its rows; not closed (the last point differs from the first)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What a recipient's servers saw of the slide, where a model did not run here."""

    route: str
    """Name of the route to them."""
    n_tiles: int
    """Tiles that were answered."""
    seen_share: float
    """Part of all tissue that lies in them, 0 to 1."""
    low: float | None = None
    """Lower end of the 95 % interval of `TileResult.share_of_tissue`, where tiles were sampled."""
    high: float | None = None
    """Upper end; without both, every tile was asked for."""

    @property
    def is_sample(self) -> bool:
        """Whether area and share are estimates from a sample of tiles."""
        return self.low is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TileResult:
    """What one tile classifier saw on the slide, for one of its classes."""

    model: str
    """`ModelUse.name`."""
    name: str
    """The class, as the model's manifest names it."""
    code: tuple[str, str, str]
    """Code Value, Coding Scheme Designator and Code Meaning of the class."""
    threshold: float
    """Probability from which a tile counts."""
    area_mm2: float
    """Tissue in tiles at or above the threshold; of a sample, what it lets expect of all clean
    tissue: what lies below artifacts is judged by nobody."""
    share_of_tissue: float
    """Part of the tissue that was judged, 0 to 1."""
    highest: float
    """Highest probability of any tile."""
    map_file: str
    """Name of the PNG beside `findings.json`: `(rows, columns)` uint8, one pixel a tile, 1 to 255
    for a probability of 0 to 1, 0 where no tile was judged."""
    map_um_px: float
    """Side of a pixel of that map."""
    remote: Remote | None = None
    """None for a model that ran here."""

    @property
    def is_estimate(self) -> bool:
        """Whether area and share are estimates from a sample of tiles."""
        return self.remote is not None and self.remote.is_sample

    @property
    def route(self) -> str | None:
        """Name of the route to the servers that ran the model; None for here."""
        return self.remote.route if self.remote else None

    @property
    def title(self) -> str:
        """What was seen by which model, and by which route where it did not run here."""
        return f"{f'{self.route}: ' if self.route else ''}{self.model}: {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """Which model ran, and where."""

    name: str
    version: str
    digest: str
    """sha256 of the model folder, hex; of a model that ran elsewhere, of its `model.toml`."""
    device: str
    """`cpu` or `gpu`: the one that really ran it; `remote` where it did not run here."""
    um_px: float
    """Resolution at which the model saw the slide."""
    intended_use: str = ""
    """What its manifest says it is for, and what not."""
    route: str | None = None
    """Name of the route to the servers that ran it; None for here."""
    recipient: str | None = None
    """Whose servers they are."""

    @property
    def where(self) -> str:
        """Say where it ran."""
        if self.route is None:
            return f"on {'a GPU' if self.device == 'gpu' else 'the CPU'}"
        return f"outside this appliance, at {self.recipient} (route {self.route})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything later stages may know about the slide's quality; no identity in it."""

    slide_id: str
    revision: int
    verdict: Verdict
    reason: str
    """One sentence for the technician."""
    class_map_um_px: float
    rows: int
    """Rows of the class map."""
    columns: int
    base_um_px: float
    base_rows: int
    base_columns: int
    tissue_area_mm2: float
    """All tissue, covered by artifacts or not."""
    artifacts: tuple[ArtifactArea, ...]
    regions: tuple[Region, ...]
    """The largest regions of artifacts, largest first, bounded in number."""
    models: tuple[ModelUse, ...]
    warnings: tuple[str, ...] = ()
    tile_results: tuple[TileResult, ...] = ()
    focus_um_px: float | None = None
    """Side of a pixel of `focus_map.png`; None when there is none."""
    unlikeness: float | None = None
    """How unlike the training data the slide looks, 1 at the limit; None when not measured."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """The settings `[verdict]` that the verdict followed: a report states these limits."""

    @property
    def clean_tissue_mm2(self) -> float:
        """Tissue that no artifact covers: estimates from a sample of tiles rest on it."""
        covered = sum(area.share_of_tissue for area in self.artifacts)
        return self.tissue_area_mm2 * max(0.0, 1 - covered)

    def artifact(self, kind: SlideClass) -> ArtifactArea:
        """Give the area of one artifact; zero when it was not found."""
        for area in self.artifacts:
            if area.name == kind.key:
                return area
        return ArtifactArea(name=kind.key, area_mm2=0.0, share_of_tissue=0.0)

    def to_json(self) -> str:
        """Write as JSON text with sorted keys, the same for the same findings."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Findings":
        """Read what `to_json` wrote.

        Raises
        ------
        RejectedError
            The text is not complete findings with finite, non-negative numbers.
        """
        try:
            findings = _findings(json.loads(text))
        except _UNSOUND as error:
            raise RejectedError(
                "The findings of this slide are damaged; let inference run again."
            ) from error
        return findings


def read_findings(folder: Path) -> Findings:
    """Read `findings.json` of a published findings folder.

    Raises
    ------
    RejectedError
        The file is missing or damaged.
    """
    try:
        with open_plain(folder / FINDINGS_JSON) as file:
            text = file.read(_MOST_BYTES)
    except OSError as error:
        raise RejectedError(
            "The findings of this slide cannot be read; let inference run again."
        ) from error
    return Findings.from_json(text)


def _findings(raw: dict[str, Any]) -> Findings:
    return Findings(
        slide_id=str(raw["slide_id"]),
        revision=int(raw["revision"]),
        verdict=Verdict(raw["verdict"]),
        reason=str(raw["reason"]),
        class_map_um_px=_positive(raw["class_map_um_px"]),
        rows=int(_positive(raw["rows"])),
        columns=int(_positive(raw["columns"])),
        base_um_px=_positive(raw["base_um_px"]),
        base_rows=int(_positive(raw["base_rows"])),
        base_columns=int(_positive(raw["base_columns"])),
        tissue_area_mm2=_amount(raw["tissue_area_mm2"]),
        artifacts=tuple(_artifact(item) for item in raw["artifacts"]),
        regions=tuple(_region(item) for item in raw["regions"]),
        models=tuple(_model(item) for item in raw["models"]),
        warnings=tuple(str(item) for item in raw["warnings"]),
        tile_results=tuple(_tile_result(item) for item in raw["tile_results"]),
        focus_um_px=_optional(raw["focus_um_px"]),
        unlikeness=_optional(raw["unlikeness"]),
        rules=dict(raw["rules"]),
    )


def _artifact(raw: dict[str, Any]) -> ArtifactArea:
    return ArtifactArea(
        name=by_key(raw["name"]).key,
        area_mm2=_amount(raw["area_mm2"]),
        share_of_tissue=_amount(raw["share_of_tissue"]),
    )


def _region(raw: dict[str, Any]) -> Region:
    return Region(
        name=by_key(raw["name"]).key,
        area_mm2=_amount(raw["area_mm2"]),
        polygon_um=tuple((_amount(x), _amount(y)) for x, y in raw["polygon_um"]),
    )


def _model(raw: dict[str, Any]) -> ModelUse:
    return ModelUse(
        name=str(raw["name"]),
        version=str(raw["version"]),
        digest=str(raw["digest"]),
        device=str(raw["device"]),
        um_px=_positive(raw["um_px"]),
        intended_use=str(raw.get("intended_use", "")),
        route=_name(raw.get("route")),
        recipient=_name(raw.get("recipient")),
    )


def _tile_result(raw: dict[str, Any]) -> TileResult:
    value, scheme, meaning = raw["code"]
    return TileResult(
        model=str(raw["model"]),
        name=str(raw["name"]),
        code=(str(value), str(scheme), str(meaning)),
        threshold=_amount(raw["threshold"]),
        area_mm2=_amount(raw["area_mm2"]),
        share_of_tissue=_amount(raw["share_of_tissue"]),
        highest=_amount(raw["highest"]),
        map_file=_plain_name(raw["map_file"]),
        map_um_px=_positive(raw["map_um_px"]),
        remote=_remote(raw.get("remote")),
    )


def _remote(raw: dict[str, Any] | None) -> Remote | None:
    if raw is None:
        return None
    return Remote(
        route=str(raw["route"]),
        n_tiles=int(_amount(raw["n_tiles"])),
        seen_share=_amount(raw["seen_share"]),
        low=_optional(raw["low"]),
        high=_optional(raw["high"]),
    )


def _name(raw: str | None) -> str | None:
    return None if raw is None else str(raw)


def _plain_name(raw: str) -> str:
    """Take a file name and no path: the findings may not point elsewhere."""
    if Path(str(raw)).name != raw:
        raise ValueError("not a plain file name")
    return str(raw)


def _optional(raw: float | None) -> float | None:
    return None if raw is None else _amount(raw)


def _amount(raw: float) -> float:
    value = float(raw)
    if not math.isfinite(value) or value < 0:
        raise ValueError("not a finite amount")
    return value


def _positive(raw: float) -> float:
    value = _amount(raw)
    if value == 0:
        raise ValueError("not positive")
    return value
