"""Whole sections for the tissue model: one outlined by hand, others judged by another network."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

from inference.training.heldout import Example
from inference.training.sources import Labels, Rgb, read_rgb

_OUTLINE = (
    (83, 75), (95, 65), (130, 55), (175, 52), (195, 66), (220, 76), (300, 86), (350, 96),
    (398, 103), (399, 140), (396, 200), (390, 230), (389, 260), (393, 300), (398, 340), (402, 385),
    (398, 392), (370, 400), (348, 408), (336, 432), (322, 436), (300, 434), (272, 445), (286, 460),
    (286, 480), (275, 493), (250, 492), (245, 478), (236, 470), (225, 483), (210, 482), (205, 472),
    (165, 465), (150, 455), (110, 447), (92, 445), (88, 456), (65, 460), (57, 450), (56, 428),
    (46, 415), (48, 395), (42, 375), (50, 350), (70, 330), (72, 275), (78, 250), (100, 233),
    (125, 218), (138, 212), (140, 200), (125, 203), (112, 205), (108, 217), (95, 216), (93, 205),
    (99, 190), (92, 160), (88, 125), (84, 95),
)  # fmt: skip
"""HistoQC pen_red, (column, row) in its pixels: the section with its fat, ink on it counted in."""
_HOLES = (
    ((115, 168), (128, 155), (148, 150), (165, 180), (160, 195), (140, 190), (135, 175)),
    ((304, 245), (318, 247), (319, 261), (308, 261)),
)
_SECTIONS = (
    "models/pen_markings_he/pen_red",
    "models/pen_markings_he/pen_green",
    "models/coverslip_edge_he/coverslip_edge",
)
_OTHER = "onnx/tissue_unet_SuperFastTissueSegmentor.onnx"
_OTHER_SIDE_PX, _OTHER_THRESHOLD = 500, 0.6


def by_hand(data: Path) -> Example:
    """Give the one section that we outlined by hand, at its own low power."""
    rgb = read_rgb(data / f"images/histoqc/{_SECTIONS[0]}.png")
    truth = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(truth, [np.array(_OUTLINE, np.int32)], 1)
    for hole in _HOLES:
        cv2.fillPoly(truth, [np.array(hole, np.int32)], 0)
    return Example(name="HistoQC pen_red, outlined by hand", rgb=rgb, truth=truth, judged=1)


def by_another_network(data: Path) -> Iterator[Example]:
    """Give HistoQC's three H&E sections as SuperFastTissueSegmentor (MIT) segments them."""
    providers = ["CPUExecutionProvider"]
    session = InferenceSession(str(data / _OTHER), providers=providers)
    for name in _SECTIONS:
        rgb = read_rgb(data / f"images/histoqc/{name}.png")
        truth = _segmented(session, rgb)
        yield Example(name=f"HistoQC {name.split('/')[-1]}", rgb=rgb, truth=truth, judged=1)


def _segmented(session: InferenceSession, rgb: Rgb) -> Labels:
    square = (_OTHER_SIDE_PX, _OTHER_SIDE_PX)
    small = cv2.resize(rgb, square, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    answer = np.asarray(session.run(None, {"input": small[None]})[0], np.float32)
    probability = cv2.resize(answer[0, ..., 0], (rgb.shape[1], rgb.shape[0]))
    return np.asarray(probability > _OTHER_THRESHOLD, np.uint8)
