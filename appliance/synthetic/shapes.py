"""Small closed outlines (nuclei, glands, vessels), drawn many at a time with sub-pixel corners."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from appliance.synthetic.fields import Field, Numbers, Window

_SHIFT = 4

Plane = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """Closed outlines in micrometres: `y_um`, `x_um` of shape (n, corners)."""

    y_um: Numbers
    x_um: Numbers

    def only(self, which: int) -> "Outlines":
        """Return one of the outlines, still as an array of one."""
        return Outlines(y_um=self.y_um[which : which + 1], x_um=self.x_um[which : which + 1])


def ovals(
    y_um: Numbers,
    x_um: Numbers,
    *,
    along_um: Numbers,
    across_um: Numbers,
    turn: Numbers,
    corners: int,
    bumps: tuple[Numbers, ...] = (),
) -> Outlines:
    """Return turned ellipses of the given half axes, each (n,).

    `bumps` are pairs (strength, phase) for the second, third ... harmonic of the radius.
    """
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)[None, :]
    radius = np.ones((y_um.size, corners))
    for order in range(0, len(bumps), 2):
        strength, phase = bumps[order][:, None], bumps[order + 1][:, None]
        radius += strength * np.cos((2 + order // 2) * angle + 2 * np.pi * phase)
    along = along_um[:, None] * np.cos(angle) * radius
    across = across_um[:, None] * np.sin(angle) * radius
    cosine, sine = np.cos(turn)[:, None], np.sin(turn)[:, None]
    return Outlines(
        y_um=y_um[:, None] + along * sine + across * cosine,
        x_um=x_um[:, None] + along * cosine - across * sine,
    )


def fill(
    plane: Plane, outlines: Outlines, window: Window, value: int | npt.NDArray[np.int64]
) -> None:
    """Fill outlines into `plane` (rows, columns) of `window` with one value, or one for each."""
    if not outlines.y_um.size:
        return
    corners = np.stack(
        [
            (outlines.x_um - window.x_um) / window.um_px - 0.5,
            (outlines.y_um - window.y_um) / window.um_px - 0.5,
        ],
        axis=-1,
    )
    fixed = np.round(corners * (1 << _SHIFT)).astype(np.int32)
    values = np.broadcast_to(np.asarray(value), fixed.shape[:1])
    for level in np.unique(values):
        for outline in fixed[values == level]:
            cv2.fillConvexPoly(plane, outline, int(level), cv2.LINE_8, _SHIFT)


def softened(plane: Plane, sigma_px: float) -> Field:
    """Return `plane` as [0, 1], with its edges softened by a Gaussian."""
    soft = cv2.GaussianBlur(plane, (0, 0), max(sigma_px, 0.1))
    return np.asarray(soft * np.float32(1 / 255), np.float32)
