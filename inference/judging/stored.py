"""Reading back what the infer stage published: it is checked before anything is reported of it."""

import struct
from pathlib import Path
from typing import Final, cast

import cv2
import numpy as np
from pydantic import ValidationError

from appliance.errors import RejectedError
from appliance.settings import VerdictRules
from appliance.slides.classes import ClassMap, SlideClass
from appliance.slides.findings import CLASS_MAP_PNG, Findings
from appliance.slides.reader import SlideReader

_MISFIT: Final = "The class map of this slide does not fit its findings."
_PNG_HEADER: Final = struct.Struct(">8s8sII")
"""Signature, length and name of the chunk IHDR, width, height (PNG 5.2, 11.2.1)."""
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_SAME_SCALE = 1e-6
_ROUNDED_PX = 2.0
"""The map is rounded up to whole pixels, twice where it was made coarser."""


def check_fit(findings: Findings, reader: SlideReader) -> None:
    """See that findings were measured on the slide that is open.

    Raises
    ------
    RejectedError
        Their geometry is not that of the slide.
    """
    base = reader.levels[0]
    scale = base.um_px / findings.class_map_um_px
    same = (findings.base_rows, findings.base_columns) == (base.rows, base.columns)
    near = (
        abs(findings.base_um_px / base.um_px - 1) < _SAME_SCALE
        and abs(findings.rows - base.rows * scale) <= _ROUNDED_PX
        and abs(findings.columns - base.columns * scale) <= _ROUNDED_PX
    )
    if not (same and near):
        raise RejectedError("The findings do not fit the slide; let inference run again.")


def rules_of(findings: Findings) -> VerdictRules:
    """Give the rules that the verdict followed.

    Raises
    ------
    RejectedError
        They are damaged.
    """
    try:
        return VerdictRules.model_validate(findings.rules)
    except ValidationError as error:
        raise RejectedError(
            "The findings of this slide are damaged; let inference run again."
        ) from error


def read_class_map(folder: Path, findings: Findings) -> ClassMap:
    """Read the class map that belongs to some findings.

    Returns
    -------
    numpy.ndarray
        `(rows, columns)` uint8 of `SlideClass`.

    Raises
    ------
    RejectedError
        It is missing or does not fit the findings.
    """
    expected = (findings.rows, findings.columns)
    try:
        stored = (folder / CLASS_MAP_PNG).read_bytes()
        if _png_size(stored) != expected:  # before its pixels take up memory
            raise RejectedError(_MISFIT)
        class_map = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise RejectedError("The class map of this slide cannot be read.") from error
    if class_map is None or class_map.shape != expected or class_map.max() > max(SlideClass):
        raise RejectedError(_MISFIT)
    return cast("ClassMap", class_map)


def _png_size(content: bytes) -> tuple[int, int] | None:
    """Give rows and columns that the header of a PNG names; None for anything else."""
    if len(content) < _PNG_HEADER.size:
        return None
    signature, _, columns, rows = _PNG_HEADER.unpack_from(content)
    return (rows, columns) if signature == _PNG_SIGNATURE else None
