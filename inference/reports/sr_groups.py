"""The measurement groups of the SR: TID 1501 for the whole slide, TID 1410 for an outline."""

from collections.abc import Sequence
from dataclasses import dataclass

from highdicom import sr
from pydicom.dataset import FileDataset
from pydicom.sr.coding import Code

from appliance.settings import VerdictRules
from appliance.slides.classes import by_key
from appliance.slides.findings import ArtifactArea, Findings, ModelUse, Region, TileResult
from inference.reports import codes
from inference.reports.focus import Focus
from inference.reports.geometry import level_seen, slide_frame
from inference.reports.models_used import (
    DEMONSTRATION,
    algorithm,
    artifact_model,
    classifier,
    is_demonstration,
    remote_words,
    tissue_model,
    title_of,
)
from inference.reports.naming import Naming

WholeSlide = sr.MeasurementsAndQualitativeEvaluations
Outline = sr.PlanarROIMeasurementsAndQualitativeEvaluations


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Writes the groups of one slide's report."""

    findings: Findings
    headers: Sequence[FileDataset]
    """Completed headers of the VOLUME instances, finest first."""
    naming: Naming
    rules: VerdictRules
    focus: Focus | None

    def verdict(self) -> WholeSlide:
        """Give the verdict in code and in words, its limits and the warnings."""
        findings = self.findings
        model = artifact_model(findings)
        group = WholeSlide(
            tracking_identifier=self._tracking("slide quality"),
            finding_type=codes.QUALITY,
            algorithm_id=algorithm(model, *limits(self.rules)),
            source_images=[self._seen(model)],
            measurements=self._of_the_slide(),
            qualitative_evaluations=[
                sr.QualitativeEvaluation(name=codes.QUALITY, value=codes.VERDICTS[findings.verdict])
            ],
        )
        _comment(group, f"{findings.verdict.value.capitalize()}: {findings.reason}")
        _comment(group, limits_in_words(self.rules))
        for warning in findings.warnings:
            _comment(group, warning)
        return group

    def tissue(self) -> WholeSlide:
        """Give the area of all tissue."""
        model = tissue_model(self.findings)
        return WholeSlide(
            tracking_identifier=self._tracking("tissue"),
            finding_type=codes.TISSUE,
            algorithm_id=algorithm(model),
            source_images=[self._seen(model)],
            measurements=[_area(self.findings.tissue_area_mm2)],
        )

    def artifact(self, area: ArtifactArea) -> WholeSlide:
        """Give one kind of artifact: area and share of the tissue."""
        kind, model = by_key(area.name), artifact_model(self.findings)
        category, standard = codes.category_and_type(kind)
        return WholeSlide(
            tracking_identifier=self._tracking(kind.look.words),
            finding_category=category,
            finding_type=standard,
            algorithm_id=algorithm(model),
            source_images=[self._seen(model)],
            measurements=[_area(area.area_mm2), _share(area.share_of_tissue)],
            qualitative_evaluations=[_kind(area.name)],
        )

    def tiles(self, result: TileResult) -> WholeSlide:
        """Give what a tile classifier saw of one of its classes."""
        model = classifier(result, self.findings)
        group = WholeSlide(
            tracking_identifier=self._tracking(title_of(result, self.findings)),
            finding_type=Code(*result.code),
            algorithm_id=algorithm(model, f"threshold={result.threshold:g}"),
            source_images=[self._seen(model)],
            measurements=[
                *measured(result, self.findings.clean_tissue_mm2),
                sr.Measurement(
                    codes.PROBABILITY,
                    round(result.highest, 4),
                    codes.NO_UNITS,
                    derivation=codes.MAXIMUM,
                ),
            ],
        )
        if result.remote is not None:
            _comment(group, remote_words(result, self.findings))
        if is_demonstration(model):
            _comment(group, DEMONSTRATION)
        return group

    def outline(self, number: int, region: Region) -> Outline:
        """Give one outline in millimetres on the slide."""
        kind, base = by_key(region.name), self.headers[0]
        category, standard = codes.category_and_type(kind)
        frame = slide_frame(base, um_px=self.findings.base_um_px)
        return Outline(
            tracking_identifier=self._tracking(f"{kind.look.words} {number}"),
            referenced_region=sr.ImageRegion3D(
                graphic_type=sr.GraphicTypeValues3D.POLYGON,
                graphic_data=frame.place([*region.polygon_um, region.polygon_um[0]]),
                frame_of_reference_uid=base.FrameOfReferenceUID,
            ),
            finding_category=category,
            finding_type=standard,
            algorithm_id=algorithm(artifact_model(self.findings)),
            measurements=[_area(region.area_mm2)],
            qualitative_evaluations=[_kind(region.name)],
        )

    def _of_the_slide(self) -> list[sr.Measurement]:
        measured = []
        if self.focus is not None:
            median, percent = self.focus.median, round(100 * self.focus.share_blurred, 4)
            measured += [
                sr.Measurement(codes.FOCUS, median, codes.NO_UNITS, derivation=codes.MEDIAN),
                sr.Measurement(codes.SHARE_BLURRED, percent, codes.PERCENT),
            ]
        if self.findings.unlikeness is not None:
            unlikeness = round(self.findings.unlikeness, 4)
            measured.append(sr.Measurement(codes.UNLIKENESS, unlikeness, codes.NO_UNITS))
        return measured

    def _seen(self, model: ModelUse) -> sr.SourceImageForMeasurementGroup:
        image = level_seen(self.headers, self.findings, model.um_px)
        return sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)

    def _tracking(self, words: str) -> sr.TrackingIdentifier:
        """Track a finding; the segment of the same words in the SEG has the same UID."""
        return sr.TrackingIdentifier(uid=self.naming.uid(f"tracking/{words}"), identifier=words)


def limits(rules: VerdictRules) -> list[str]:
    """Give the thresholds of the verdict as they stand in the settings."""
    return [
        *(f"rescan.{name}={share:g}" for name, share in sorted(rules.rescan.items())),
        *(f"review.{name}={share:g}" for name, share in sorted(rules.review.items())),
        f"minimum_tissue_mm2={rules.minimum_tissue_mm2:g}",
        f"unlikeness={rules.unlikeness:g}",
    ]


def limits_in_words(rules: VerdictRules) -> str:
    """Give the thresholds of the verdict as a sentence."""
    parts = [
        f"{verdict} from "
        + ", ".join(f"{by_key(name).look.words} {100 * share:g} %" for name, share in named.items())
        for verdict, named in (("rescan", rules.rescan), ("review", rules.review))
        if named
    ]
    least = f"rescan below {rules.minimum_tissue_mm2:g} mm2 of tissue"
    unlike = f"review from an unlikeness of {rules.unlikeness:g}"
    return f"Limits, as share of the tissue: {'; '.join([*parts, least, unlike])}."


def readable(sentence: str) -> str:
    """Spell a sentence so that it can be read under any character set a header may name."""
    return sentence.replace("µ", "u").replace("²", "2").encode("ascii", "replace").decode()


def _comment(group: WholeSlide, sentence: str) -> None:
    group[0].ContentSequence.append(
        sr.TextContentItem(codes.COMMENT, readable(sentence), sr.RelationshipTypeValues.CONTAINS)
    )


def measured(result: TileResult, clean_mm2: float) -> list[sr.Measurement]:
    """Give area and share of a tile classifier's class, and what part of the tissue was seen.

    Estimates are marked as such (PS3.16 TID 300, Derivation) with their interval as measurement
    uncertainty (TID 310), in the units of the measurement.

    Parameters
    ----------
    result
        Of one class.
    clean_mm2
        Clean tissue of the slide: an estimate of area is that of the share times this.
    """
    remote = result.remote
    if remote is None:
        return [_area(result.area_mm2), _share(result.share_of_tissue)]
    seen = sr.Measurement(codes.SHARE_SEEN, round(100 * remote.seen_share, 4), codes.PERCENT)
    if remote.low is None or remote.high is None:
        return [_area(result.area_mm2), _share(result.share_of_tissue), seen]
    low, share, high = remote.low, result.share_of_tissue, remote.high
    around = (share - low, high - share)
    return [
        _estimate(codes.AREA, result.area_mm2, codes.SQUARE_MILLIMETRE, around, scale=clean_mm2),
        _estimate(codes.SHARE_OF_TISSUE, 100 * share, codes.PERCENT, around, scale=100),
        seen,
    ]


def _estimate(
    name: Code, value: float, unit: Code, around: tuple[float, float], *, scale: float
) -> sr.Measurement:
    estimate = sr.Measurement(name, round(value, 4), unit, derivation=codes.ESTIMATED)
    names = (codes.UNCERTAINTY_BELOW, codes.UNCERTAINTY_ABOVE)
    for side, distance in zip(names, around, strict=True):
        estimate[0].ContentSequence.append(
            sr.NumContentItem(
                side,
                round(max(0.0, distance) * scale, 4),
                unit,
                relationship_type=sr.RelationshipTypeValues.HAS_PROPERTIES,
            )
        )
    return estimate


def _area(area_mm2: float) -> sr.Measurement:
    return sr.Measurement(codes.AREA, area_mm2, codes.SQUARE_MILLIMETRE)


def _share(share: float) -> sr.Measurement:
    return sr.Measurement(codes.SHARE_OF_TISSUE, round(100 * share, 4), codes.PERCENT)


def _kind(name: str) -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(name=codes.KIND_OF_ARTIFACT, value=codes.KINDS[by_key(name)])
