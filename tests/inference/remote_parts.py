"""Routes to model servers, answers as release places them, and a model that runs elsewhere."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.answers import PlacedAnswers, write_placed
from appliance.settings import Route
from inference.model import bundle

UM_PX, SIDE_PX, CELL_PX = 0.97, 96, 128
CELL_UM = CELL_PX * UM_PX

COLOURED = {
    "mechanism": "coloured_tiles",
    "statement": "Does not protect against the holder of the slide.",
    "um_px": UM_PX,
    "cell_px": CELL_PX,
    "crop_px": SIDE_PX,
}
EVERY = {
    "mechanism": "every_tile",
    "statement": "Does not protect against the holder of the slide.",
    "um_px": UM_PX,
    "tile_px": SIDE_PX,
}


def manifest_folder(folder: Path, *, site: str = "60184004") -> Path:
    """Write a `model.toml` alone: that of the bundled classifier, for slides of another site."""
    folder.mkdir(parents=True, exist_ok=True)
    bundled = (bundle.BUNDLED / "metastasis" / "model.toml").read_text()
    (folder / "model.toml").write_text(bundled.replace("59441001", site))
    return folder


def route_to(folder: Path, name: str = "lab", *, at_site: bool = False, **changes: Any) -> Route:
    """Make a route to servers on this machine that run the model of a folder."""
    digest = hashlib.sha256((folder / "model.toml").read_bytes()).hexdigest()
    says = {
        "name": name,
        "recipient": f"{name}-clinic",
        "place": "site" if at_site else "outside",
        "kind": "model_servers",
        "carries": ["tiles"],
        "addresses": ["127.0.0.0/8"],
        "servers": [{"url": "grpc://127.0.0.1:9001"}],
        "model": {"folder": folder, "digest": f"sha256:{digest}", "name": "metastasis"},
        "policy": EVERY if at_site else COLOURED,
    }
    return Route.model_validate(says | changes)


def placed_in(
    folder: Path,
    cells: npt.NDArray[np.intp],
    values: npt.NDArray[np.float32],
    *,
    route: str = "lab",
    n_tiles: int | None = None,
) -> Path:
    """Write answers about one tile in the middle of each cell `(n, 2)`; gives `placed/…`."""
    (folder / route).mkdir(parents=True)
    starts = (cells * CELL_PX + (CELL_PX - SIDE_PX) // 2).astype(np.int32)
    placed = PlacedAnswers(
        route=route,
        um_px=UM_PX,
        cell_px=CELL_PX,
        side_px=SIDE_PX,
        n_tiles=len(cells) if n_tiles is None else n_tiles,
        rows_px=starts[:, 0],
        columns_px=starts[:, 1],
        values=values,
    )
    write_placed(folder / route, placed)
    return folder


def two_classes(probability: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Give answers of two classes from the probability of the second, along a new last axis."""
    second = np.asarray(probability, np.float32)
    return np.stack([1 - second, second], axis=-1)


def copied(source: Path, target: Path) -> Path:
    """Copy a folder."""
    return Path(shutil.copytree(source, target))
