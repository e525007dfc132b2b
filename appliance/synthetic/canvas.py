"""The window being painted: amounts of two stains, begun as collagen, and the nuclei on it."""

from dataclasses import dataclass

import cv2
import numpy as np

from appliance.synthetic.fields import Field, Window, resample, smooth_noise
from appliance.synthetic.regions import Regions
from appliance.synthetic.shapes import Plane, softened
from appliance.synthetic.textures import textures, tiled, to_pixels, untiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The window being painted; its planes, each (rows, columns), are changed in place.

    `h` and `e` are amounts of haematoxylin and eosin, `grain` is a texture without direction in
    [0, 1], and `nuclei` the depth of stain of the nuclei drawn so far.
    """

    window: Window
    regions: Regions
    seed: int
    h: Field
    e: Field
    grain: Field
    nuclei: Plane

    def fine(self, coarse: Field) -> Field:
        """Return a coarse field at the canvas's sampling."""
        return resample(coarse, self.regions.window, self.window)

    def lay(self, share: Field, *, h: Field | float, e: Field | float) -> None:
        """Replace what is there by the given stains, to the given share."""
        for stain, value in ((self.h, h), (self.e, e)):
            np.add(stain, (value - stain) * share, out=stain)

    def around(self, y_um: float, x_um: float, reach_um: float) -> "Canvas | None":
        """Return the part of this canvas within `reach_um` of a place, sharing its pixels."""
        um_px = self.window.um_px
        middle = ((y_um - self.window.y_um) / um_px, (x_um - self.window.x_um) / um_px)
        reach_px = reach_um / um_px
        top, left = (max(0, int(at - reach_px)) for at in middle)
        bottom = min(self.window.rows, int(middle[0] + reach_px) + 1)
        right = min(self.window.columns, int(middle[1] + reach_px) + 1)
        if bottom <= top or right <= left:
            return None
        part = (slice(top, bottom), slice(left, right))
        window = self.window.part(*part)
        return Canvas(
            window=window,
            regions=self.regions,
            seed=self.seed,
            h=self.h[part],
            e=self.e[part],
            grain=self.grain[part],
            nuclei=self.nuclei[part],
        )


def canvas(window: Window, found: Regions, seed: int) -> Canvas:
    """Begin with collagen."""

    def here(coarse: Field) -> Field:
        return resample(coarse, found.window, window)

    bank = textures()
    along, across = to_pixels(found.u_um), to_pixels(found.v_um)
    fibres = tiled(bank.collagen, here(along), here(across))
    wide = [to_pixels(axis * np.float32(0.27)) for axis in (found.u_um, found.v_um)]
    broad = tiled(bank.collagen, *wide)
    stain = 1 + 0.13 * smooth_noise(found.window, 700, seed + 41)
    strength = stain * (np.float32(0.40) + np.float32(0.0029) * broad) / np.float32(255)
    grain = untiled(bank.grain, window)
    grain *= np.float32(1 / 255)
    eosin = fibres
    eosin *= here(strength.astype(np.float32))
    eosin *= grain * np.float32(0.5) + np.float32(0.85)
    return Canvas(
        window=window,
        regions=found,
        seed=seed,
        h=eosin * np.float32(0.10) + np.float32(0.03),
        e=eosin,
        grain=grain,
        nuclei=np.zeros((window.rows, window.columns), np.uint8),
    )


def add_chromatin(here: Canvas) -> None:
    """Stain the nuclei that were drawn, unevenly, and darker at their rim."""
    sigma_px = 0.42 / here.window.um_px
    nuclei = softened(here.nuclei, sigma_px)
    side_px = 2 * round(2.4 * sigma_px) + 1
    rim = nuclei - cv2.blur(here.nuclei, (side_px, side_px)) * np.float32(1 / 255)
    np.maximum(rim, 0, out=rim)
    h, e = here.h, here.e
    h += nuclei * (here.grain * np.float32(0.9) + np.float32(0.95))
    h += rim
    nuclei *= np.float32(-0.45)
    nuclei += 1
    e *= nuclei
