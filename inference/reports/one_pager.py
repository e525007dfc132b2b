"""The report on one page (PDF): verdict in words, slide picture, table, models.

Text is text, in an embedded font, so that it can be searched; nothing in the file depends on the
clock. No patient is on it: it is drawn where no identity is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import reportlab
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from appliance.line import Verdict
from appliance.settings import VerdictRules
from appliance.slides.classes import ARTIFACTS, SlideClass
from appliance.slides.findings import Findings, TileResult
from appliance.slides.sources import Pixels
from inference import CODE_VERSION
from inference.reports.focus import Focus
from inference.reports.models_used import (
    DEMONSTRATION,
    classifier,
    is_demonstration,
    remote_words,
)
from inference.reports.sr_groups import limits_in_words

TITLE: Final = "Slide quality"
PURPOSE: Final = "Technical quality control, not a diagnosis."
IDENTITY: Final = "The patient is named in the DICOM header of this document, not here."

_PLAIN, _BOLD = "Vera", "VeraBd"
_INK, _QUIET = (0.12, 0.12, 0.12), (0.4, 0.4, 0.4)
_VERDICT_INK: Final = {
    Verdict.ACCEPT: (0.0, 0.43, 0.27),
    Verdict.REVIEW: (0.59, 0.37, 0.0),
    Verdict.RESCAN: (0.71, 0.12, 0.08),
}
_VERDICT_WORDS: Final = {
    Verdict.ACCEPT: "Accept: the scan can be used",
    Verdict.REVIEW: "Review: somebody should look at the scan",
    Verdict.RESCAN: "Rescan: the slide should be scanned again",
}
_MARGIN_PT, _LINE_PT = 48.0, 13.0
_AREA_PT, _SHARE_PT = 360.0, 480.0
"""Right edges of the columns of figures."""
_PICTURE_PT = 350.0
"""Greatest height of the picture."""
_SMALL_PT = 10.5
"""A line of small text; as many as fit, the SR has them all."""
_FOOT_PT = 28.0
_MAXIMUM_CLASSES = 6
_JPEG_QUALITY = 88


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    kind: SlideClass | None
    words: str
    area_mm2: float
    share: float | None


def one_pager(
    findings: Findings, rules: VerdictRules, picture: Pixels, focus: Focus | None
) -> bytes:
    """Draw the page.

    Parameters
    ----------
    findings
        Of one slide.
    rules
        The limits that the verdict follows.
    picture
        `(rows, columns, 3)` uint8 RGB of the whole slide, artifacts drawn on it.
    focus
        None when there is no focus map.

    Returns
    -------
    bytes
        PDF, the same for the same arguments.
    """
    for name in (_PLAIN, _BOLD):
        registerFont(TTFont(name, f"{name}.ttf"))
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=True, pageCompression=1)
    canvas.setTitle(f"{TITLE}: {findings.verdict.value}")
    canvas.setCreator(f"Coverslip {CODE_VERSION}")
    canvas.setProducer(f"ReportLab {reportlab.__version__}")
    page = _Page(canvas)
    page.heading(findings)
    page.picture(picture, findings)
    page.table(rows(findings))
    page.small(_notes(findings, rules, focus))
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def rows(findings: Findings) -> list[Row]:
    """Give the lines of the table: tissue, each artifact, each class of a tile classifier."""
    tissue = Row(
        kind=SlideClass.TISSUE, words="All tissue", area_mm2=findings.tissue_area_mm2, share=None
    )
    artifacts = [
        Row(
            kind=kind,
            words=kind.look.words.capitalize(),
            area_mm2=findings.artifact(kind).area_mm2,
            share=findings.artifact(kind).share_of_tissue,
        )
        for kind in ARTIFACTS
    ]
    classes = [
        Row(
            kind=None,
            words=_class_words(result, findings),
            area_mm2=result.area_mm2,
            share=result.share_of_tissue,
        )
        for result in findings.tile_results[:_MAXIMUM_CLASSES]
    ]
    return [tissue, *artifacts, *classes]


def _class_words(result: TileResult, findings: Findings) -> str:
    estimate = " (estimate)" if result.is_estimate else ""
    return result.code[2] + estimate + " *" * is_demonstration(classifier(result, findings))


def _notes(findings: Findings, rules: VerdictRules, focus: Focus | None) -> Iterator[str]:
    """Give what stands in small, the most needed first: the last ones may not fit."""
    if any(is_demonstration(classifier(result, findings)) for result in findings.tile_results):
        yield f"* {DEMONSTRATION}"
    for result in findings.tile_results:
        if result.remote is not None:
            yield f"{result.code[2]}: {remote_words(result, findings)}"
    yield from findings.warnings
    if focus is not None:
        yield f"{100 * focus.share_blurred:.1f} % of the tissue measures as blurred."
    yield limits_in_words(rules)
    for model in findings.models:
        yield (
            f"Model {model.name} {model.version} at {model.um_px:g} µm/px {model.where}, "
            f"sha256 {model.digest[:16]}"
        )


class _Page:
    """A page that is filled from the top."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._width_pt = A4[0] - 2 * _MARGIN_PT
        self._top_pt = A4[1] - _MARGIN_PT

    def heading(self, findings: Findings) -> None:
        """Write the title, the verdict in words and its reason."""
        self._line(TITLE, _PLAIN, 11, _QUIET, gap=6)
        self._line(
            _VERDICT_WORDS[findings.verdict], _BOLD, 17, _VERDICT_INK[findings.verdict], gap=5
        )
        for line in simpleSplit(findings.reason, _PLAIN, 11, self._width_pt):
            self._line(line, _PLAIN, 11, _INK)
        self._top_pt -= 4

    def picture(self, pixels: Pixels, findings: Findings) -> None:
        """Draw the slide with a scale bar below it."""
        rows_px, columns_px = pixels.shape[:2]
        scale = min(self._width_pt / columns_px, _PICTURE_PT / rows_px)
        width_pt, height_pt = columns_px * scale, rows_px * scale
        left_pt, bottom_pt = (A4[0] - width_pt) / 2, self._top_pt - height_pt
        jpeg = BytesIO()
        Image.fromarray(pixels).save(jpeg, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        jpeg.seek(0)
        self._canvas.drawImage(ImageReader(jpeg), left_pt, bottom_pt, width_pt, height_pt)
        self._canvas.setStrokeColorRGB(*_QUIET)
        self._canvas.setLineWidth(0.5)
        self._canvas.rect(left_pt, bottom_pt, width_pt, height_pt)
        self._top_pt = bottom_pt
        slide_mm = findings.base_columns * findings.base_um_px / 1000
        self._scale_bar(left_pt, width_pt / slide_mm, slide_mm)

    def table(self, lines: Sequence[Row]) -> None:
        """Write areas and shares; the colours are those of the picture."""
        self._cells("Found", "Area", "Share of tissue", _BOLD)
        self._canvas.setStrokeColorRGB(*_QUIET)
        self._canvas.setLineWidth(0.5)
        for row in lines:
            if row.kind is not None:
                self._canvas.setFillColorRGB(*(value / 255 for value in row.kind.look.rgb))
                self._canvas.rect(_MARGIN_PT, self._top_pt - _LINE_PT + 3, 8, 8, fill=1)
            share = "" if row.share is None else f"{100 * row.share:.1f} %"
            self._cells(row.words, f"{row.area_mm2:.2f} mm²", share, _PLAIN)
        self._top_pt -= 6

    def small(self, sentences: Iterator[str]) -> None:
        """Write warnings, limits and models, as many as fit, and what the page is not."""
        lines = [
            line
            for sentence in sentences
            for line in simpleSplit(sentence, _PLAIN, 8, self._width_pt)
        ]
        fit = int((self._top_pt - _MARGIN_PT - _FOOT_PT) / _SMALL_PT)
        if len(lines) > fit:
            lines = [*lines[: fit - 1], "More is in the structured report."]
        for line in lines:
            self._line(line, _PLAIN, 8, _INK, gap=_SMALL_PT - 8)
        self._top_pt = _MARGIN_PT + _FOOT_PT - 4
        self._line(PURPOSE, _BOLD, 9, _INK, gap=3)
        self._line(IDENTITY, _PLAIN, 8, _QUIET)

    def _scale_bar(self, left_pt: float, pt_per_mm: float, slide_mm: float) -> None:
        """Draw a bar of a round length, a fifth of the slide or less."""
        lengths_mm = [n for n in (10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05) if n <= slide_mm / 5]
        length_mm = lengths_mm[0] if lengths_mm else slide_mm
        y_pt = self._top_pt - 9
        self._canvas.setStrokeColorRGB(*_INK)
        self._canvas.setLineWidth(2)
        self._canvas.line(left_pt, y_pt, left_pt + length_mm * pt_per_mm, y_pt)
        self._text(left_pt + length_mm * pt_per_mm + 6, y_pt - 3, f"{length_mm:g} mm", _PLAIN, 8)
        self._top_pt -= 22

    def _cells(self, words: str, area: str, share: str, font: str) -> None:
        """Write one line of the table, figures to the right."""
        y_pt = self._top_pt - _LINE_PT + 4
        self._text(_MARGIN_PT + 16, y_pt, words, font, 9)
        for right_pt, figure in ((_AREA_PT, area), (_SHARE_PT, share)):
            self._canvas.drawRightString(right_pt, y_pt, figure)
        self._top_pt -= _LINE_PT

    def _line(
        self, words: str, font: str, size_pt: float, ink: tuple[float, float, float], gap: float = 4
    ) -> None:
        self._canvas.setFillColorRGB(*ink)
        self._top_pt -= size_pt
        self._canvas.setFont(font, size_pt)
        self._canvas.drawString(_MARGIN_PT, self._top_pt, words)
        self._top_pt -= gap

    def _text(self, x_pt: float, y_pt: float, words: str, font: str, size_pt: float) -> None:
        self._canvas.setFillColorRGB(*_INK)
        self._canvas.setFont(font, size_pt)
        self._canvas.drawString(x_pt, y_pt, words)
