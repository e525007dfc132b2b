"""Random training scenes: a crop of real or generated tissue, stained, spoiled and scanned anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from appliance.synthetic import artifact_geometry as geometry
from appliance.synthetic import artifacts
from appliance.synthetic.artifacts import CLASS_INDEX, Artifact, Fold, OutOfFocus
from inference.training.sources import IGNORE, Labels, Rgb, TissueImage
from inference.training.spoilers import Draw, chance, random_artifact, random_fold, random_pen

_DARKEST_GLASS = 215
_LEAST_BLUR_PX = 1.6
_SEEN = 14
"""Grey levels."""
_ODDITIES = (
    (0.10, 0.80, 0.50),  # strong eosin
    (0.15, 0.65, 0.35),  # dense collagen
    (0.35, 0.55, 0.25),  # crowded nuclei
    (0.30, 0.50, 0.80),  # brown pigment, DAB
    (0.10, 0.50, 0.20),
)
"""Optical densities in R, G, B of what makes clean tissue look odd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How scenes are made.

    `um_px` bounds the nominal pixel size, drawn log-uniformly; `spoiled` is the share of scenes
    with painted artifacts, `bare` that of scenes on bare glass; `paleness` is how much weaker than
    its picture a stain may get; `kinds` are the odds of fold, dark spot, pen, bubble, out of focus,
    blood and coverslip edge; `flaps` is the share of scenes with tissue from elsewhere laid over,
    `enlarged` that of pictures of low power, blown up; `only_tissue` labels what lies under
    artifacts instead of them.
    """

    side_px: int
    um_px: tuple[float, float]
    usual_um_px: tuple[float, float]
    spoiled: float
    bare: float
    paleness: float
    kinds: tuple[float, float, float, float, float, float, float]
    flaps: float
    enlarged: float
    only_tissue: bool


ARTIFACT_RECIPE = Recipe(
    side_px=192,
    um_px=(1.5, 4.5),
    usual_um_px=(1.7, 2.6),
    spoiled=0.8,
    bare=0.08,
    paleness=0.25,
    kinds=(0.25, 0.12, 0.18, 0.13, 0.19, 0.09, 0.04),
    flaps=0.24,
    enlarged=0.16,
    only_tissue=False,
)


TISSUE_RECIPE = Recipe(
    side_px=160,
    um_px=(3.5, 16.0),
    usual_um_px=(6.5, 10.0),
    spoiled=0.7,
    bare=0.22,
    paleness=0.6,
    kinds=(0.14, 0.10, 0.46, 0.11, 0.07, 0.05, 0.07),
    flaps=0.0,
    enlarged=0.0,
    only_tissue=True,
)


def scene(draw: Draw, images: Sequence[TissueImage], recipe: Recipe) -> tuple[Rgb, Labels]:
    """Make one scene: uint8 (side, side, 3) and labels uint8 (side, side) with `IGNORE`."""
    bounds = recipe.usual_um_px if chance(draw, 0.6) else recipe.um_px
    um_px = float(np.exp(draw.uniform(*np.log(bounds))))
    if chance(draw, recipe.bare):
        rgb, labels = _bare_glass(draw, side=recipe.side_px)
    else:
        image = _chosen(draw, images)
        rgb, labels = _crop(draw, image, um_px=um_px, side=recipe.side_px)
        if chance(draw, recipe.flaps):
            over = _crop(draw, image, um_px=um_px, side=recipe.side_px)
            rgb, labels = _flap(draw, (rgb, labels), over, um_px=um_px)
    if chance(draw, 0.12):
        rgb, labels = _beside(draw, images, rgb, labels, um_px=um_px)
    rgb = _restained(draw, rgb, paleness=recipe.paleness)
    if chance(draw, 0.4):
        rgb = _tissue_oddities(draw, rgb, labels, um_px=um_px)
    if chance(draw, 0.15):
        rgb = _plain_tissue(draw, rgb, um_px=um_px)
    rgb = _glass_oddities(draw, rgb, um_px=um_px)
    if chance(draw, recipe.spoiled):
        rgb, labels = _spoiled(draw, rgb, labels, um_px=um_px, recipe=recipe)
    if chance(draw, recipe.enlarged):
        rgb, labels = _enlarged(draw, rgb, labels, um_px=um_px)
    return _scanned(draw, rgb), labels


def _chosen(draw: Draw, images: Sequence[TissueImage]) -> TissueImage:
    weights = np.array([image.share for image in images])
    return images[int(draw.choice(len(images), p=weights / weights.sum()))]


def _crop(draw: Draw, image: TissueImage, *, um_px: float, side: int) -> tuple[Rgb, Labels]:
    native = max(8, round(side * um_px / image.um_px))
    rows, columns = image.labels.shape
    pad_row, pad_column = max(0, native - rows), max(0, native - columns)
    row = int(draw.integers(0, max(1, rows - native + 1)))
    column = int(draw.integers(0, max(1, columns - native + 1)))
    rgb = image.rgb[row : row + native, column : column + native]
    labels = image.labels[row : row + native, column : column + native]
    if pad_row or pad_column:
        pads = (0, pad_row, 0, pad_column)
        rgb = np.asarray(cv2.copyMakeBorder(rgb, *pads, cv2.BORDER_REFLECT), np.uint8)
        labels = np.asarray(cv2.copyMakeBorder(labels, *pads, cv2.BORDER_REFLECT), np.uint8)
    shrink = cv2.INTER_AREA if native > side else cv2.INTER_CUBIC
    rgb = np.asarray(cv2.resize(rgb, (side, side), interpolation=shrink), np.uint8)
    labels = np.asarray(cv2.resize(labels, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)
    turns, flip = int(draw.integers(4)), bool(draw.integers(2))
    rgb, labels = np.rot90(rgb, turns), np.rot90(labels, turns)
    if flip:
        rgb, labels = rgb[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(rgb), np.ascontiguousarray(labels)


def _bare_glass(draw: Draw, *, side: int) -> tuple[Rgb, Labels]:
    """Glass without tissue: nearly white, at times tinted, grainy or dirty in large patches."""
    colour = draw.uniform(222, 252) + draw.uniform(-4, 4, 3)
    smudge = draw.uniform(0, 9) * _smooth_field(draw, side, draw.uniform(20, 120))
    light = colour + smudge[..., None] + draw.normal(0, draw.uniform(0, 2.5), (side, side, 3))
    return geometry.to_rgb(light), np.zeros((side, side), np.uint8)


def _beside(
    draw: Draw, images: Sequence[TissueImage], rgb: Rgb, labels: Labels, *, um_px: float
) -> tuple[Rgb, Labels]:
    """Put another picture or an absent white tile next to the crop with a hard seam."""
    side = labels.shape[0]
    seam = int(draw.integers(side // 6, side - side // 6))
    if chance(draw, 0.85):
        rgb[:, :seam], labels[:, :seam] = 255, 0
    else:
        other, other_labels = _crop(draw, _chosen(draw, images), um_px=um_px, side=side)
        rgb[:, :seam], labels[:, :seam] = other[:, :seam], other_labels[:, :seam]
    if chance(draw, 0.5):
        return np.ascontiguousarray(rgb.transpose(1, 0, 2)), np.ascontiguousarray(labels.T)
    return rgb, labels


def _flap(
    draw: Draw, below: tuple[Rgb, Labels], over: tuple[Rgb, Labels], *, um_px: float
) -> tuple[Rgb, Labels]:
    """Fold tissue of another part of the picture over this one: its optical densities are added."""
    rgb, labels = below
    fold = random_fold(draw, extent_um=labels.shape[0] * um_px)
    creased, classes = artifacts.paint(rgb, [replace(fold, layers=0.0)], um_px=um_px)
    inside = ((classes > 0) & (labels == 1)).astype(np.float32)
    cover = np.asarray(cv2.GaussianBlur(inside, (0, 0), draw.uniform(0.4, 1.2)), np.float32)
    soft = cv2.GaussianBlur(over[0], (0, 0), max(0.3, fold.soft_um / um_px)).astype(np.float32)
    light = np.clip(soft / (255 * geometry.GLASS), 0.02, 1)
    laid = geometry.to_rgb(creased * np.power(light, (fold.layers * cover)[..., None]))
    fold_here = (inside > 0) & (labels == 1)
    unseen = fold_here & ~_changed(rgb, laid, um_px=um_px)
    labels = np.where(fold_here, np.where(unseen, IGNORE, CLASS_INDEX[Fold]), labels)
    return laid, labels.astype(np.uint8)


def _restained(draw: Draw, rgb: Rgb, *, paleness: float) -> Rgb:
    """Change stain: scale and mix optical densities; glass stays glass."""
    density = -np.log((rgb.astype(np.float32) + 1) / 256)
    mix = np.eye(3, dtype=np.float32) * draw.uniform(0.75, 1.3, 3).astype(np.float32)
    mix = mix + draw.normal(0, 0.06, (3, 3)).astype(np.float32)
    strength = np.exp(draw.normal(0.04, 0.26)) * (1 - draw.uniform(0, paleness))
    density = density @ mix.T * np.float32(strength)
    return geometry.to_rgb(256 * np.exp(-np.maximum(density, 0)) - 1)


def _smooth_field(draw: Draw, side: int, scale_px: float) -> npt.NDArray[np.float32]:
    window = geometry.window_around(
        np.zeros((side, side, 3), np.uint8), [(0, 0)], 4.0 * side, um_px=1.0, origin_um=(0, 0)
    )
    if window is None:
        raise ValueError("the window covers the scene")
    return geometry.noise(window, scale_px, int(draw.integers(2**31)))


def _tissue_oddities(draw: Draw, rgb: Rgb, labels: Labels, *, um_px: float) -> Rgb:
    """Blood, pigment or crowded nuclei: coloured patches with soft edges that are clean tissue."""
    side = labels.shape[0]
    field = _smooth_field(draw, side, draw.uniform(60, 300) / um_px)
    softness = draw.uniform(0.2, 1.2)
    amount = np.clip((field - draw.uniform(-0.2, 0.4)) / softness, 0, 1) * (labels == 1)
    kind = np.array(_ODDITIES[int(draw.integers(len(_ODDITIES)))], np.float32)
    texture = 1 + 0.5 * _smooth_field(draw, side, max(3.0, 8 / um_px))
    density = (amount * texture * draw.uniform(0.2, 0.9))[..., None] * kind
    light = np.exp(-np.maximum(density, 0))
    return geometry.to_rgb(rgb * light)


def _plain_tissue(draw: Draw, rgb: Rgb, *, um_px: float) -> Rgb:
    """Take contrast from the tissue and leave fine grain: brain and scars are not out of focus."""
    soft = cv2.GaussianBlur(rgb, (0, 0), draw.uniform(8, 25) / um_px).astype(np.float32)
    plain = soft + draw.uniform(0.15, 0.6) * (rgb.astype(np.float32) - soft)
    grain = draw.normal(0, draw.uniform(2, 9), rgb.shape[:2]).astype(np.float32)
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), draw.uniform(0.5, 0.9)), np.float32)
    return geometry.to_rgb(
        plain + 2 * grain[..., None] * (soft.min(axis=2) < _DARKEST_GLASS)[..., None]
    )


def _enlarged(draw: Draw, rgb: Rgb, labels: Labels, *, um_px: float) -> tuple[Rgb, Labels]:
    """Show the scene as a picture of low power, blown up: only ink and glass can be told there."""
    side = labels.shape[0]
    if chance(draw, 0.7):
        pen = random_pen(draw, extent_um=side * um_px)
        rgb, classes = artifacts.paint(rgb, [pen], um_px=um_px)
        labels = np.where(classes > 0, classes, labels)
    coarse = round(side / draw.uniform(2.5, 5.0))
    small = cv2.resize(rgb, (coarse, coarse), interpolation=cv2.INTER_AREA)
    rgb = np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    told = (labels == CLASS_INDEX[artifacts.Pen]) | (labels == 0)
    return rgb, np.where(told, labels, IGNORE).astype(np.uint8)


def _glass_oddities(draw: Draw, rgb: Rgb, *, um_px: float) -> Rgb:
    """Scratches, fine dust, uneven light: things on glass that nobody needs a rescan for."""
    out = rgb
    side = rgb.shape[0]
    if chance(draw, 0.06):
        ends = draw.uniform(-0.2, 1.2, (2, 2)) * side
        shade = int(draw.integers(20, 160))
        width = max(1, round(draw.uniform(2, 7) / um_px))
        line = out.copy()
        first, last = (tuple(int(v) for v in end) for end in ends)
        cv2.line(line, first, last, (shade, shade, shade), width, cv2.LINE_AA)
        out = line
    if chance(draw, 0.15):
        out = out.copy()
        for _ in range(int(draw.integers(1, 12))):
            row, column = draw.integers(0, side, 2)
            radius = max(1, round(draw.uniform(1, 4) / um_px))
            cv2.circle(out, (int(column), int(row)), radius, draw.integers(20, 140, 3).tolist(), -1)
    if chance(draw, 0.3):
        field = _smooth_field(draw, side, side / 1.5)
        out = geometry.to_rgb(out * (1 - 0.05 * (field[..., None] + 1)))
    return out


def _spoiled(
    draw: Draw, rgb: Rgb, labels: Labels, *, um_px: float, recipe: Recipe
) -> tuple[Rgb, Labels]:
    """Paint one to three artifacts and write their classes into the labels."""
    clean = labels.copy()
    tissue = ((clean == 1) | (clean == CLASS_INDEX[Fold])).astype(np.uint8)
    count = 1 + int(chance(draw, 0.35)) + int(chance(draw, 0.15))
    extent_um = labels.shape[0] * um_px
    chosen = [random_artifact(draw, recipe.kinds, extent_um=extent_um) for _ in range(count)]
    order = artifacts.PAINTED_FIRST_TO_LAST
    chosen = [_visible(artifact, um_px=um_px) for artifact in chosen]
    for artifact in sorted(chosen, key=lambda each: order.index(type(each))):
        before = rgb
        rgb, classes = artifacts.paint(rgb, [artifact], um_px=um_px)
        mask = classes > 0
        if isinstance(artifact, OutOfFocus):
            reach = max(3, round(artifact.sigma_um / um_px) | 1)
            mask &= cv2.dilate(tissue, np.ones((reach, reach), np.uint8)) > 0
        elif isinstance(artifact, Fold):
            mask &= tissue > 0
            labels = np.where(mask & ~_changed(before, rgb, um_px=um_px), IGNORE, labels)
        labels = np.where(mask & (labels != IGNORE), CLASS_INDEX[type(artifact)], labels)
    labels = labels.astype(np.uint8)
    return rgb, (clean if recipe.only_tissue else labels)


def _changed(before: Rgb, after: Rgb, *, um_px: float) -> npt.NDArray[np.bool_]:
    """Where the eye sees a difference; a fold of fat shows none, and nobody can be asked for it."""
    step = cv2.absdiff(before, after).max(axis=2).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(step, (0, 0), 8.0 / um_px) > _SEEN)


def _visible(artifact: Artifact, *, um_px: float) -> Artifact:
    """Blur at least so far that the pixels can show it: labels must not ask for the invisible."""
    if isinstance(artifact, OutOfFocus):
        return replace(artifact, sigma_um=max(artifact.sigma_um, _LEAST_BLUR_PX * um_px))
    return artifact


def _scanned(draw: Draw, rgb: Rgb) -> Rgb:
    """Add what a scanner adds last: light, sharpening or a trace of softness, noise, JPEG."""
    light = rgb.astype(np.float32) / 255
    light = np.power(light, np.float32(np.exp(draw.normal(0, 0.15))))
    light *= draw.uniform(0.88, 1.04) * draw.uniform(0.97, 1.03, 3).astype(np.float32)
    if chance(draw, 0.25):
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), draw.uniform(0.3, 0.6)), np.float32)
    elif chance(draw, 0.33):
        soft = cv2.GaussianBlur(light, (0, 0), draw.uniform(0.6, 1.2))
        light = light + draw.uniform(0.2, 1.0) * (light - soft)
    light = light + draw.normal(0, draw.uniform(0, 0.012), light.shape).astype(np.float32)
    out = geometry.to_rgb(light * 255)
    if chance(draw, 0.75):
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(draw.integers(35, 96))]
        _, jpeg = cv2.imencode(".jpg", out[..., ::-1], quality)
        back = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        if back is not None:
            out = np.ascontiguousarray(back[..., ::-1], np.uint8)
    return out
