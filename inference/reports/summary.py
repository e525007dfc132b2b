"""What `summary.json` says of one slide."""

from typing import Any

from appliance.slides.findings import Findings, TileResult


def summary(findings: Findings) -> dict[str, object]:
    """Give what a person or a script wants first; `findings.json` has all of it."""
    return {
        "slide_id": findings.slide_id,
        "revision": findings.revision,
        "verdict": findings.verdict.value,
        "reason": findings.reason,
        "tissue_area_mm2": findings.tissue_area_mm2,
        "artifacts": {
            area.name: {"area_mm2": area.area_mm2, "share_of_tissue": area.share_of_tissue}
            for area in findings.artifacts
        },
        "tiles": {one.title: _tile_summary(one) for one in findings.tile_results},
        "unlikeness": findings.unlikeness,
        "models": [f"{model.name} {model.version} {model.where}" for model in findings.models],
        "warnings": list(findings.warnings),
    }


def _tile_summary(result: TileResult) -> dict[str, Any]:
    said: dict[str, Any] = {
        "area_mm2": result.area_mm2,
        "share_of_tissue": result.share_of_tissue,
        "highest": result.highest,
    }
    remote = result.remote
    if remote is None:
        return said
    return said | {
        "is_estimate": result.is_estimate,
        "interval_95": [remote.low, remote.high] if result.is_estimate else None,
        "route": remote.route,
        "seen_share_of_tissue": remote.seen_share,
        "tiles": remote.n_tiles,
    }
