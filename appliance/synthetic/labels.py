"""Pictures of the glass slide itself: its label with text and barcode, and the overview."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from appliance.synthetic.headers import SLIDE_HEIGHT_MM, SLIDE_WIDTH_MM
from appliance.synthetic.identity import SlideIdentity
from appliance.synthetic.tissue import Rgb

LABEL_PX = (480, 560)
"""Rows and columns of the LABEL image."""

LABEL_UM_PX = 40.0
OVERVIEW_UM_PX = 60.0
_LABEL_MM = 22.4
_GLASS = (232, 234, 233)
_INK = (24, 24, 40)

_PATTERNS = """
1wnnwnnnnw 2nnwwnnnnw 3wnwwnnnnn 4nnnwwnnnw 5wnnwwnnnn 6nnwwwnnnn 7nnnwnnwnw 8wnnwnnwnn
9nnwwnnwnn 0nnnwwnwnn Awnnnnwnnw Bnnwnnwnnw Cwnwnnwnnn Dnnnnwwnnw Ewnnnwwnnn Fnnwnwwnnn
Gnnnnnwwnw Hwnnnnwwnn Innwnnwwnn Jnnnnwwwnn Kwnnnnnnww Lnnwnnnnww Mwnwnnnnwn Nnnnnwnnww
Ownnnwnnwn Pnnwnwnnwn Qnnnnnnwww Rwnnnnnwwn Snnwnnnwwn Tnnnnwnwwn Uwwnnnnnnw Vnwwnnnnnw
Wwwwnnnnnn Xnwnnwnnnw Ywwnnwnnnn Znwwnwnnnn -nwnnnnwnw .wwnnnnwnn *nwnnwnwnn
"""
_CODE39 = {each[0]: each[1:] for each in _PATTERNS.split()}
"""Bars and spaces of each character in Code 39 (ISO/IEC 16388): narrow or wide."""

_WIDE = 3


def code39(text: str) -> list[int]:
    """Return the widths of bars and spaces in turn, in narrow units, start and stop included."""
    widths: list[int] = []
    for letter in f"*{text.upper()}*":
        widths += [_WIDE if each == "w" else 1 for each in _CODE39.get(letter, _CODE39["-"])]
        widths.append(1)
    return widths[:-1]


def label_picture(identity: SlideIdentity) -> Rgb:
    """Return the paper label: RGB (*LABEL_PX, 3) uint8."""
    rows, columns = LABEL_PX
    picture = Image.new("RGB", (columns, rows), (247, 246, 238))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((6, 6, columns - 7, rows - 7), outline=(150, 150, 150), width=2)
    family, _, given = identity.patient_name.partition("^")
    lines = [
        (identity.institution_name, 30),
        (identity.container_identifier, 50),
        (f"{family}, {given}", 38),
        (f"{identity.patient_id}  {identity.patient_birth_date.isoformat()}", 28),
        (identity.label_text, 28),
    ]
    y = 24
    for text, size in lines:
        draw.text((26, y), text, fill=_INK, font=ImageFont.load_default(_fitting(text, size)))
        y += int(size * 1.3)
    widths = code39(identity.barcode_value)
    unit = max(1, (columns - 60) // sum(widths))
    x = (columns - unit * sum(widths)) // 2
    for place, width in enumerate(widths):
        if place % 2 == 0:
            draw.rectangle((x, y + 30, x + width * unit - 1, rows - 40), fill=(0, 0, 0))
        x += width * unit
    return np.asarray(picture)


def _fitting(text: str, size: int) -> int:
    """Return the size at which `text` fits the label's width."""
    wide = ImageFont.load_default(size).getlength(text)
    return int(size * min(1.0, (LABEL_PX[1] - 52) / max(wide, 1.0)))


def overview_picture(
    label: Rgb, thumbnail: Rgb, *, origin_mm: tuple[float, float], size_mm: tuple[float, float]
) -> Rgb:
    """Return the whole glass slide seen from above, label to the left.

    `thumbnail` shows the scanned area, whose corner is at `origin_mm` (x, y) in slide coordinates
    and whose (height, width) is `size_mm`.
    """
    rows, columns = (round(mm * 1000 / OVERVIEW_UM_PX) for mm in (SLIDE_HEIGHT_MM, SLIDE_WIDTH_MM))
    picture = np.full((rows, columns, 3), _GLASS, np.uint8)
    wide = round(_LABEL_MM * 1000 / OVERVIEW_UM_PX)
    paper = cv2.resize(label, (wide, rows - 20), interpolation=cv2.INTER_AREA)
    picture[10 : rows - 10, 4 : 4 + wide] = paper
    top = round((SLIDE_HEIGHT_MM - origin_mm[0]) * 1000 / OVERVIEW_UM_PX)
    left = round((SLIDE_WIDTH_MM - origin_mm[1]) * 1000 / OVERVIEW_UM_PX)
    size = [max(1, round(mm * 1000 / OVERVIEW_UM_PX)) for mm in size_mm]
    tissue = cv2.resize(thumbnail, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    part = picture[max(0, top) : top + size[0], max(0, left) : left + size[1]]
    seen = tissue[max(0, -top) :, max(0, -left) :][: part.shape[0], : part.shape[1]]
    part[...] = np.minimum(seen, np.array(_GLASS, np.uint8))
    cv2.rectangle(picture, (wide + 30, 14), (columns - 40, rows - 14), (214, 217, 216), 2)
    return picture
