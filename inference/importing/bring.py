"""From a file and what a person says of it to a model folder that was tried."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from appliance.errors import ModelError
from appliance.slides.sources import Pixels
from inference.importing import graph
from inference.importing.manifest_text import as_toml
from inference.importing.source import PlainSession, Run, open_source
from inference.importing.trial import try_original
from inference.importing.wanted import BGR, RGB, Example, Wanted
from inference.model.document import TISSUE
from inference.model.manifest import Model, load_model, model_of
from inference.model.onnx_file import check_onnx
from inference.running.engine import CPU, Session

_TOO_NEW = (
    "The installed ONNX Runtime does not know opset {opset}; export the model again with an older "
    "opset, such as 17."
)
_CANNOT = (
    "ONNX Runtime cannot run this model: it holds an operator or a type that it does not know."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came of it."""

    model: Model
    difference: float
    """Largest difference of a probability between the original and the imported model."""


def bring(
    source: Path,
    target: Path,
    says: dict[str, Any],
    wanted: Wanted,
    *,
    example: Example | None = None,
) -> Brought:
    """Import a model.

    Parameters
    ----------
    source
        ONNX or TorchScript.
    target
        Folder to be made.
    says
        Content of `model.toml`, but for `tile_px`.
    wanted
        How the model takes pictures, and what it gives.
    example
        A tile to check the order of the colours by.

    Raises
    ------
    ModelError
        The model cannot run here, or is not as was stated; nothing is written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"There is something in {target.name} already; name a new folder.")
    onnx, whole, difference = _wrapped(source, wanted)
    says = {**says, "tile_px": whole.tile_px}
    manifest = as_toml(says).encode()
    model = model_of(target, onnx, manifest)
    if example is not None:
        _check_example(model, example, whole)
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "model.onnx").write_bytes(onnx)
        (target / "model.toml").write_bytes(manifest)
    except OSError as error:
        raise ModelError(f"The folder {target.name} cannot be written.") from error
    return Brought(model=load_model(target), difference=difference)


def _wrapped(source: Path, wanted: Wanted) -> tuple[bytes, Wanted, float]:
    brought = open_source(source, wanted)
    check_onnx(brought.onnx)
    proto = graph.read(brought.onnx)
    opset = graph.opset_of(proto)
    PlainSession(graph.smallest_of_opset(proto), refusal=_TOO_NEW.format(opset=opset))
    entry = graph.entry_of(proto, wanted)
    wanted = _bounded(entry, wanted)
    run = brought.run or _runner(proto.SerializeToString(), entry.output)
    trial = try_original(run, entry, wanted)
    onnx = graph.wrapped(proto, entry, wanted, given=trial.given)
    check_onnx(onnx)
    found = PlainSession(onnx, refusal=_CANNOT).run(trial.tiles, "probability")
    return onnx, wanted, trial.compare(found)


def _runner(onnx: bytes, output: str) -> Run:
    session = PlainSession(onnx, refusal=_CANNOT)
    return lambda array: session.run(array, output)


def _bounded(entry: graph.Entry, wanted: Wanted) -> Wanted:
    """Fix the size of a tile: what the file says and what was stated must agree."""
    fixed = (entry.rows, entry.columns)
    if wanted.task == TISSUE:
        if fixed != (None, None):
            raise ModelError(
                "A tissue model must take any sides; export it again with rows and columns that "
                "may vary."
            )
        return wanted if wanted.tile_px else replace(wanted, tile_px=160)
    side = wanted.tile_px
    if side is None:
        if entry.rows is None or entry.rows != entry.columns:
            raise ModelError(
                "The model does not fix the size of its tiles; state the size that it was made "
                "for with --tile-px."
            )
        return replace(wanted, tile_px=entry.rows)
    if any(given not in {None, side} for given in fixed):
        raise ModelError(f"The model does not take tiles of {side} pixels.")
    return wanted


def _check_example(model: Model, example: Example, wanted: Wanted) -> None:
    tile = read_tile(example.image, model.tile_px)
    session = Session(model, device=CPU)
    if _likeliest(session, model, tile) == example.expected:
        return
    if _likeliest(session, model, np.ascontiguousarray(tile[..., ::-1])) == example.expected:
        other = RGB if wanted.channels == BGR else BGR
        raise ModelError(
            f"The model takes the example for something else; with {other} it sees what it should: "
            "the order of the colours is not the stated one."
        )
    raise ModelError(
        "The model does not see in the example what it should; something stated is not so."
    )


def _likeliest(session: Session, model: Model, tile: Pixels) -> str:
    probability = session.run(tile[np.newaxis]).reshape(-1, len(model.classes)).mean(axis=0)
    return model.classes[int(probability.argmax())].name


def read_tile(path: Path, side_px: int) -> Pixels:
    """Read a picture of one tile, `(rows, columns, 3)` uint8 RGB.

    Raises
    ------
    ModelError
        It cannot be read, or has another size.
    """
    try:
        stored = np.frombuffer(path.read_bytes(), np.uint8)
        found = cv2.imdecode(stored, cv2.IMREAD_COLOR) if stored.size else None
    except (OSError, cv2.error) as error:
        raise ModelError(f"The example {path.name} cannot be read.") from error
    if found is None or found.shape[:2] != (side_px, side_px):
        raise ModelError(f"The example must be a picture of {side_px} x {side_px} pixels.")
    return np.ascontiguousarray(found[..., ::-1], np.uint8)
