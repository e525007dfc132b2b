"""Findings of an earlier revision, with what remote models said of the slide's tiles since.

Local models are not run again, and nothing remote touches the verdict: a remote model sees tiles
that local quality control has passed, and says what it was made for.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from appliance.answers import PlacedAnswers, read_placed
from appliance.errors import ModelError, RejectedError
from appliance.slides.classes import ClassMap
from appliance.slides.findings import (
    CLASS_MAP_PNG,
    FOCUS_MAP_PNG,
    Findings,
    ModelUse,
    Remote,
    TileResult,
    read_findings,
)
from inference.judging.quality import UM2_PER_MM2
from inference.judging.stored import read_class_map
from inference.judging.tiles import encoded
from inference.model.choice import suits
from inference.remote.estimate import interval, share_of
from inference.remote.models import RemoteModel
from inference.remote.placed import PlacedMap, mapped

_Map = npt.NDArray[np.uint8]
_MARK: Final = " (route "


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rejoined:
    """Findings with remote results, and the maps that came with these."""

    findings: Findings
    maps: Mapping[str, _Map]
    """`(rows, columns)` uint8 by the file name of their PNG."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Said:
    """What one route adds."""

    route: str
    model: ModelUse | None = None
    results: tuple[TileResult, ...] = ()
    maps: Mapping[str, _Map] = field(default_factory=dict)
    warning: str = ""


def taken_over(earlier: Path | None, output: Path) -> Findings | None:
    """Copy the findings of an earlier revision with all maps they name.

    Parameters
    ----------
    earlier
        Their folder.
    output
        Folder to fill; `findings.json` is not copied.

    Returns
    -------
    Findings or None
        None when they, or a map of theirs, are gone or damaged; nothing is left in `output` then.
    """
    if earlier is None:
        return None
    try:
        findings = read_findings(earlier)
        read_class_map(earlier, findings)
        for name in _files(findings):
            shutil.copyfile(earlier / name, output / name)
    except (RejectedError, OSError):
        for path in output.iterdir():
            path.unlink()
        return None
    return findings


def rejoined(
    findings: Findings,
    class_map: ClassMap,
    *,
    placed: Path,
    remotes: Mapping[str, RemoteModel],
    header: Dataset,
    revision: int,
) -> Rejoined:
    """Add what remote models said; a route that is asked again takes the place of what it said.

    Parameters
    ----------
    findings, class_map
        Of the earlier revision.
    placed
        Folder with one sub-folder a route, as `write_placed` leaves it.
    remotes
        The models behind the routes.
    header
        De-identified header of the slide: a remote model judges the slides that a local one would.
    revision
        Whose findings these become.
    """
    folders = sorted(path for path in placed.glob("*") if path.is_dir())
    said = [_said(path, remotes.get(path.name), findings, class_map, header) for path in folders]
    routes = {path.name for path in folders}
    kept = tuple(one for one in findings.tile_results if one.route not in routes)
    models = tuple(one for one in findings.models if one.route not in routes)
    warnings = [one for one in findings.warnings if _route_of(one) not in routes]
    warnings += [_marked(one.warning, one.route) for one in said if one.warning]
    joined = replace(
        findings,
        revision=revision,
        tile_results=(*kept, *(result for one in said for result in one.results)),
        models=(*models, *(one.model for one in said if one.model is not None)),
        warnings=tuple(warnings),
    )
    return Rejoined(
        findings=joined, maps={name: pixels for one in said for name, pixels in one.maps.items()}
    )


def _files(findings: Findings) -> Iterator[str]:
    yield CLASS_MAP_PNG
    if findings.focus_um_px is not None:
        yield FOCUS_MAP_PNG
    yield from (result.map_file for result in findings.tile_results)


def _said(
    folder: Path,
    remote: RemoteModel | None,
    findings: Findings,
    class_map: ClassMap,
    header: Dataset,
) -> _Said:
    """Read what one route said; what cannot be used is left out with a sentence.

    A slide is not set aside for it: whatever a server says must not cost the slide its verdict.
    """
    route = folder.name
    if remote is None:
        return _Said(route=route, warning="Answers were left out: the route has no model now.")
    suited = suits(remote.model, header)
    if not suited.runs:
        return _Said(route=route, warning=suited.reason)
    name = remote.model.name
    try:
        placed = read_placed(folder)
        laid = mapped(placed, remote.model, findings=findings, class_map=class_map)
    except (ModelError, RejectedError):
        return _Said(route=route, warning=f"Answers of the model {name} cannot be used.")
    if not len(laid.blocks):
        return _Said(route=route, warning=f"The model {name} gave no answer about this slide.")
    results, maps = _results(laid, remote, findings)
    return _Said(
        route=route,
        model=remote.used(placed.um_px),
        results=results,
        maps=maps,
        warning=_unanswered(placed, name),
    )


def _unanswered(placed: PlacedAnswers, name: str) -> str:
    missing = placed.n_tiles - len(placed.rows_px)
    asked = f"{missing} of {placed.n_tiles} tiles"
    return f"The model {name} did not answer about {asked}." if missing else ""


def _marked(sentence: str, route: str) -> str:
    """Name the route, so that the sentence goes when the route is asked again."""
    return f"{sentence.removesuffix('.')}{_MARK}{route})."


def _route_of(warning: str) -> str | None:
    """Give the route that a warning was marked with."""
    _, mark, rest = warning.rpartition(_MARK)
    return rest.removesuffix(").") if mark else None


def _results(
    laid: PlacedMap, remote: RemoteModel, findings: Findings
) -> tuple[tuple[TileResult, ...], dict[str, _Map]]:
    results, maps = [], {}
    for item in remote.model.reported:
        file = f"tiles-{remote.route}-{item.index}.png"
        results.append(_result(laid, remote, findings, class_index=item.index, file=file))
        maps[file] = encoded(laid.raster(item.index))
    return tuple(results), maps


def _result(
    laid: PlacedMap, remote: RemoteModel, findings: Findings, *, class_index: int, file: str
) -> TileResult:
    kind = remote.model.classes[class_index]
    threshold = remote.model.thresholds[kind.name]
    probability = laid.blocks[..., class_index]
    found = np.where(probability >= threshold, laid.tissue_um2, 0.0).sum(axis=(1, 2))
    tissue = laid.tissue_um2.sum(axis=(1, 2))
    share = share_of(found, tissue)
    low, high = interval(share, tissue) if remote.is_sample else (None, None)
    whole_mm2 = findings.tissue_area_mm2
    seen_mm2 = float(tissue.sum()) / UM2_PER_MM2
    area_mm2 = share * (findings.clean_tissue_mm2 if remote.is_sample else seen_mm2)
    return TileResult(
        model=remote.model.name,
        name=kind.name,
        code=(kind.code.value, kind.code.scheme, kind.code.meaning),
        threshold=threshold,
        area_mm2=round(area_mm2, 6),
        share_of_tissue=round(share, 6),
        highest=round(min(1.0, float(probability.max())), 6),
        map_file=file,
        map_um_px=laid.um_px,
        remote=Remote(
            route=remote.route,
            n_tiles=len(tissue),
            seen_share=round(min(1.0, seen_mm2 / whole_mm2), 6) if whole_mm2 else 0.0,
            low=None if low is None else round(low, 6),
            high=None if high is None else round(high, 6),
        ),
    )
