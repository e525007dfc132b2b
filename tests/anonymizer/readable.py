"""Slides on which something can be read: real tissue with letters, ink and barcodes on it."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import zxingcpp
from PIL import Image, ImageDraw, ImageFont

from anonymizer.part10.elements import Element
from tests.anonymizer import planted
from tests.anonymizer.planted import Canaries

TILE_PX = 256
CONTAINER = "S25-000417-A1"
INK = (25, 30, 90)


def tissue(shared_data: Path, side_px: int = 768) -> np.ndarray:
    """A real stained section, in the middle of empty glass."""
    picture = Image.open(shared_data / "images/histolab/pil-images-rgb/tcga-lung-rgb.png")
    inside = np.asarray(picture.convert("RGB").resize((side_px // 2, side_px // 2)))
    glass = np.full((side_px, side_px, 3), 243, np.uint8)
    glass[side_px // 2 :, side_px // 2 :] = inside
    return glass


def written(
    picture: np.ndarray,
    text: str,
    *,
    at: tuple[int, int] = (60, 40),
    size_px: int = 40,
    quarter: int = 0,
    ink: tuple[int, int, int] = INK,
) -> np.ndarray:
    """Write a text on a picture, upright or turned by quarters; `at` is (row, column)."""
    font = ImageFont.load_default(size_px)
    left, top, right, bottom = (int(one) for one in font.getbbox(text))
    mask = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(mask).text((2 - left, 2 - top), text, fill=255, font=font)
    return _pasted(picture, np.rot90(np.asarray(mask), quarter), at, ink)


def scrawled(picture: np.ndarray, text: str, *, at: tuple[int, int] = (60, 40)) -> np.ndarray:
    """Write a text as by hand with a pen."""
    mask = np.zeros((110, 40 * len(text)), np.uint8)
    cv2.putText(mask, text, (10, 70), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2.0, 255, 5, cv2.LINE_AA)
    return _pasted(picture, mask, at, INK)


def coded(
    picture: np.ndarray, text: str, symbology: str, *, at: tuple[int, int] = (40, 40)
) -> np.ndarray:
    """Stick a barcode on a picture."""
    made = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, symbology))
    code = np.asarray(zxingcpp.write_barcode_to_image(made, scale=3))
    out = picture.copy()
    out[at[0] : at[0] + code.shape[0], at[1] : at[1] + code.shape[1]] = code[..., None]
    return out


def _pasted(
    picture: np.ndarray, mask: np.ndarray, at: tuple[int, int], ink: tuple[int, int, int]
) -> np.ndarray:
    out = picture.copy()
    place = out[at[0] : at[0] + mask.shape[0], at[1] : at[1] + mask.shape[1]]
    share = mask[: place.shape[0], : place.shape[1], None] / 255
    place[...] = place * (1 - share) + np.array(ink) * share
    return out


def scan(
    folder: Path,
    picture: np.ndarray,
    *,
    label: np.ndarray | None = None,
    container: str = CONTAINER,
) -> list[Path]:
    """Write two levels of a slide, and its label."""
    folder.mkdir(parents=True, exist_ok=True)
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    canaries = Canaries()
    images = [("VOLUME", picture, 0.0005), ("VOLUME", small, 0.001)]
    if label is not None:
        images.append(("LABEL", label, 0.02))
    files = []
    for number, (flavor, pixels, spacing_mm) in enumerate(images):
        elements = _header(canaries, flavor, pixels.shape, spacing_mm, container)
        path = folder / f"{number}.dcm"
        files.append(planted.write(path, elements, _tiles(pixels)))
    return files


def _header(
    canaries: Canaries, flavor: str, shape: tuple[int, ...], spacing_mm: float, container: str
) -> list[Element]:
    rows, columns = shape[:2]
    down, across = -(-rows // TILE_PX), -(-columns // TILE_PX)
    image_type = f"ORIGINAL\\PRIMARY\\{flavor}\\NONE".encode()
    measures = (
        Element(0x00180050, "DS", b"0.004"),
        Element(0x00280030, "DS", f"{spacing_mm}\\{spacing_mm}".encode()),
    )
    groups = (
        Element(0x00289110, "SQ", items=(measures,)),
        Element(0x00400710, "SQ", items=((Element(0x00089007, "CS", image_type),),)),
    )
    base = [one for one in planted.slim(canaries) if one.tag >> 16 not in (4, 0x5000, 0x6000)]
    return planted.with_values(
        base,
        Element(0x00080008, "CS", image_type),
        Element(0x00100010, "PN", b"DOE^PENNY"),
        Element(0x00209311, "CS", b"TILED_FULL"),
        Element(0x00280008, "IS", str(down * across).encode()),
        Element(0x00280010, "US", struct.pack("<H", TILE_PX)),
        Element(0x00280011, "US", struct.pack("<H", TILE_PX)),
        Element(0x00400512, "LO", container.encode()),
        Element(0x00480006, "UL", struct.pack("<I", columns)),
        Element(0x00480007, "UL", struct.pack("<I", rows)),
        Element(0x00480010, "CS", b"YES" if flavor == "LABEL" else b"NO"),
        Element(0x52009229, "SQ", items=(groups,)),
    )


def _tiles(picture: np.ndarray) -> list[bytes]:
    rows, columns = picture.shape[:2]
    padded = np.full((-(-rows // TILE_PX) * TILE_PX, -(-columns // TILE_PX) * TILE_PX, 3), 255)
    padded[:rows, :columns] = picture
    frames = []
    for top in range(0, rows, TILE_PX):
        for left in range(0, columns, TILE_PX):
            tile = padded[top : top + TILE_PX, left : left + TILE_PX].astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(tile).save(buffer, "JPEG", quality=90)
            frames.append(buffer.getvalue())
    return frames
