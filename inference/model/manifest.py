"""A model is a folder: `model.onnx` and `model.toml`, pinned together by one digest."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import ModelError
from inference.model.onnx_file import check_onnx

TISSUE, ARTIFACT = "tissue", "artifact"
_TASKS = (TISSUE, ARTIFACT)
_DIGEST_TEXT = 16
"""How many hex digits of a digest a sentence shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClass:
    """One class a model tells apart."""

    index: int
    name: str
    """`SlideClass.key`, or `background` / `tissue` for the tissue task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """One measured figure of a model."""

    data: str
    n: int
    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that was checked and may run."""

    folder: Path
    name: str
    version: str
    task: str
    """`tissue` or `artifact`."""
    um_px: float
    """Resolution it was trained at."""
    tile_px: int
    """Side of its input."""
    classes: tuple[ModelClass, ...]
    """In the order of its output channels."""
    thresholds: dict[str, float]
    """Least probability a class needs, by class name."""
    licence: str
    intended_use: str
    trained_on: str
    accuracy: tuple[Accuracy, ...]
    digest: str
    """sha256 over both files, hex; see `digest_of`."""
    onnx: bytes


def digest_of(folder: Path) -> str:
    """Compute the digest of a model folder.

    Returns
    -------
    str
        Hex sha256 of the raw sha256 of `model.onnx` followed by the raw sha256 of `model.toml`.

    Raises
    ------
    ModelError
        One of the two files cannot be read.
    """
    onnx, manifest = _read(folder)
    return _digest(onnx, manifest)


def load_model(folder: Path, *, digest: str | None = None) -> Model:
    """Read and check a model folder.

    Parameters
    ----------
    folder
        Folder with `model.onnx` and `model.toml`.
    digest
        Digest that the settings pin; None accepts what is there (offline commands only).

    Raises
    ------
    ModelError
        A file is missing, the digest differs, the manifest is incomplete, or the ONNX file needs
        external data or custom operators.
    """
    onnx, manifest = _read(folder)
    found = _digest(onnx, manifest)
    if digest is not None and digest.lower() != found:
        raise ModelError(
            f"The model in {folder.name} is not the one the settings name: its digest begins with "
            f"{found[:_DIGEST_TEXT]}, the settings say {digest[:_DIGEST_TEXT]}."
        )
    check_onnx(onnx)
    try:
        return _model(folder, tomllib.loads(manifest.decode()), onnx=onnx, digest=found)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"The manifest of the model in {folder.name} is incomplete or wrong."
        ) from error


def _read(folder: Path) -> tuple[bytes, bytes]:
    try:
        return (folder / "model.onnx").read_bytes(), (folder / "model.toml").read_bytes()
    except OSError as error:
        raise ModelError(f"The model folder {folder.name} lacks a file.") from error


def _digest(onnx: bytes, manifest: bytes) -> str:
    parts = hashlib.sha256(onnx).digest() + hashlib.sha256(manifest).digest()
    return hashlib.sha256(parts).hexdigest()


def _model(folder: Path, raw: dict[str, Any], *, onnx: bytes, digest: str) -> Model:
    classes = sorted(
        (ModelClass(index=int(item["index"]), name=str(item["name"])) for item in raw["classes"]),
        key=lambda item: item.index,
    )
    if [item.index for item in classes] != list(range(len(classes))) or raw["task"] not in _TASKS:
        raise ValueError("classes or task")
    um_px, tile_px = float(raw["um_px"]), int(raw["tile_px"])
    if um_px <= 0 or tile_px <= 0 or tile_px % 32:
        raise ValueError("um_px or tile_px")
    return Model(
        folder=folder,
        name=str(raw["name"]),
        version=str(raw["version"]),
        task=str(raw["task"]),
        um_px=um_px,
        tile_px=tile_px,
        classes=tuple(classes),
        thresholds={str(name): float(least) for name, least in raw.get("thresholds", {}).items()},
        licence=str(raw["licence"]),
        intended_use=str(raw["intended_use"]),
        trained_on=_words(raw["trained_on"]),
        accuracy=tuple(_accuracy(item) for item in raw.get("accuracy", [])),
        digest=digest,
        onnx=onnx,
    )


def _accuracy(raw: dict[str, Any]) -> Accuracy:
    return Accuracy(
        data=str(raw["data"]), n=int(raw["n"]), metric=str(raw["metric"]), value=float(raw["value"])
    )


def _words(raw: str | list[str]) -> str:
    return raw if isinstance(raw, str) else "; ".join(raw)
