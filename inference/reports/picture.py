"""The slide picture: the tissue as a person would see it, artifacts drawn over it, a legend.

Made from VOLUME pixels only: a scanner's OVERVIEW or LABEL may show a name.
"""

from collections.abc import Sequence
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from appliance.line import Verdict
from appliance.slides.classes import ARTIFACTS, ClassMap, SlideClass
from appliance.slides.findings import SLIDE_AREA, Findings
from appliance.slides.reader import SlideReader
from appliance.slides.sampling import Sampler
from appliance.slides.sources import Pixels

LONGEST_PX = 1200
SHORTEST_PX = 480
_FILL = 0.45
_JPEG_QUALITY = 85
_OUTLINE_PX = 2
_INK = (30, 30, 30)
_PAPER = (255, 255, 255)
_VERDICT_INK = {
    Verdict.ACCEPT: (0, 110, 70),
    Verdict.REVIEW: (150, 95, 0),
    Verdict.RESCAN: (180, 30, 20),
}
_TITLE_PX, _TEXT_PX, _LINE_PX, _RIM_PX = 26, 18, 28, 16


def view(reader: SlideReader, *, longest_px: int = LONGEST_PX) -> Pixels:
    """Read the whole slide small.

    Returns
    -------
    numpy.ndarray
        `(rows, columns, 3)` uint8 RGB, the longer side about `longest_px` or the slide's own size.
    """
    base = reader.levels[0]
    sampler = Sampler(reader, max(base.rows, base.columns) * base.um_px / longest_px)
    return sampler.region(0, 0, sampler.rows, sampler.columns)


def overlaid(picture: Pixels, class_map: ClassMap) -> Pixels:
    """Tint artifacts and outline them; outline clean tissue.

    Parameters
    ----------
    picture
        `(rows, columns, 3)` uint8 RGB of the whole slide.
    class_map
        `(rows, columns)` uint8 of `SlideClass` of the whole slide, at any scale.
    """
    rows, columns = picture.shape[:2]
    classes = cv2.resize(class_map, (columns, rows), interpolation=cv2.INTER_NEAREST)
    drawn = picture.copy()
    anything = (classes != SlideClass.BACKGROUND).astype(np.uint8)
    _outline(drawn, anything, SlideClass.TISSUE.look.rgb, thickness=1)
    for kind in ARTIFACTS:
        mask = (classes == kind).astype(np.uint8)
        if mask.any():
            colour = np.array(kind.look.rgb, np.float32)
            inside = drawn[mask > 0]
            drawn[mask > 0] = (inside * (1 - _FILL) + colour * _FILL).astype(np.uint8)
            _outline(drawn, mask, kind.look.rgb, thickness=_OUTLINE_PX)
    return drawn


def as_jpeg(picture: Pixels) -> bytes:
    """Write a picture as a small file."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _outline(picture: Pixels, mask: ClassMap, rgb: tuple[int, int, int], *, thickness: int) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, rgb, thickness, cv2.LINE_AA)


def framed(tissue: Pixels, findings: Findings) -> bytes:
    """Put the verdict above and the legend below.

    Returns
    -------
    bytes
        PNG; its text `SLIDE_AREA` tells where the slide itself is.
    """
    width = max(tissue.shape[1], SHORTEST_PX) + 2 * _RIM_PX
    text = ImageFont.load_default(_TEXT_PX)
    reason = _wrapped(findings.reason, text, width - 2 * _RIM_PX)
    legend = _legend(findings)
    per_line = max(1, (width - 2 * _RIM_PX) // _LEGEND_COLUMN_PX)
    legend_lines = -(-len(legend) // per_line)
    head = _RIM_PX + _TITLE_PX + 10 + len(reason) * _LINE_PX + 6
    foot = legend_lines * _LINE_PX + _RIM_PX + 8
    image = Image.new("RGB", (width, head + tissue.shape[0] + foot), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text(
        (_RIM_PX, _RIM_PX),
        findings.verdict.value.upper(),
        _VERDICT_INK[findings.verdict],
        ImageFont.load_default(_TITLE_PX),
    )
    for number, line in enumerate(reason):
        at = (_RIM_PX, _RIM_PX + _TITLE_PX + 8 + number * _LINE_PX)
        draw.text(at, line, _INK, text)
    left = (width - tissue.shape[1]) // 2
    image.paste(Image.fromarray(tissue), (left, head))
    image.info[SLIDE_AREA] = f"{left} {head} {tissue.shape[1]} {tissue.shape[0]}"
    _draw_legend(draw, legend, top=head + tissue.shape[0] + 10, per_line=per_line)
    return _png(image)


_LEGEND_COLUMN_PX = 250
_SWATCH_PX = 16


def _legend(findings: Findings) -> list[tuple[SlideClass | None, str]]:
    """Tissue, each artifact that was found, and what remote models say, with their figures."""
    entries: list[tuple[SlideClass | None, str]] = [
        (SlideClass.TISSUE, f"tissue {findings.tissue_area_mm2:.1f} mm²")
    ]
    for kind in ARTIFACTS:
        area = findings.artifact(kind)
        if area.area_mm2 > 0:
            entries.append((kind, f"{kind.look.words} {100 * area.share_of_tissue:.1f} %"))
    for result in findings.tile_results:
        if result.remote is not None:
            about = "about " if result.is_estimate else ""
            entries.append((None, f"{result.name} {about}{100 * result.share_of_tissue:.1f} %"))
    return entries


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    legend: Sequence[tuple[SlideClass | None, str]],
    *,
    top: int,
    per_line: int,
) -> None:
    for number, (kind, words) in enumerate(legend):
        row, column = divmod(number, per_line)
        left, upper = _RIM_PX + column * _LEGEND_COLUMN_PX, top + row * _LINE_PX
        box = (left, upper + 4, left + _SWATCH_PX, upper + 4 + _SWATCH_PX)
        if kind is not None:
            draw.rectangle(box, fill=kind.look.rgb, outline=_INK)
        _draw_words(draw, (left + _SWATCH_PX + 8, upper), words)


def _draw_words(draw: ImageDraw.ImageDraw, at: tuple[int, int], words: str) -> None:
    """Write words; the bundled font has no superscript two, so it is drawn as one."""
    text, small = ImageFont.load_default(_TEXT_PX), ImageFont.load_default(_TEXT_PX * 0.6)
    plain, square, _ = words.partition("²")
    draw.text(at, plain, _INK, text)
    if square:
        draw.text((at[0] + text.getlength(plain), at[1]), "2", _INK, small)


def _wrapped(
    sentence: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width_px: int
) -> list[str]:
    lines, line = [], ""
    for word in sentence.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width_px:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    chunks = PngInfo()
    chunks.add_text(SLIDE_AREA, image.info[SLIDE_AREA])
    image.save(buffer, "PNG", optimize=False, pnginfo=chunks)
    return buffer.getvalue()
