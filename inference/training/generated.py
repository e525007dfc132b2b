"""Generated tissue of `appliance.synthetic`, so that a generated slide is in distribution."""

import numpy as np

from appliance.synthetic import outline
from appliance.synthetic.fields import Window
from appliance.synthetic.tissue import Tissue
from inference.training.sources import TissueImage

_SIDE_UM = 1700.0
_UM_PX = 1.0


def load(*, share: float, pictures: int = 8, seed: int = 100) -> list[TissueImage]:
    """Render square pictures of generated tissue; `share` is their weight all together."""
    return [_picture(seed + number, share=share / pictures) for number in range(pictures)]


def _picture(seed: int, *, share: float) -> TissueImage:
    side = round(_SIDE_UM / _UM_PX)
    pieces = outline.pieces_for(6000.0, 6000.0, seed, count=1)
    draw = np.random.default_rng(seed)
    tissue = Tissue(seed=seed, pieces=pieces)
    window = Window(
        y_um=float(draw.uniform(300, 3600)),
        x_um=float(draw.uniform(300, 3600)),
        rows=side,
        columns=side,
        um_px=_UM_PX,
    )
    labels = (tissue.depth_um(window) > 0).astype(np.uint8)
    return TissueImage(
        name=f"generated {seed}",
        rgb=tissue.render(window),
        labels=labels,
        um_px=_UM_PX,
        share=share,
    )
