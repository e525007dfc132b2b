"""A model is a folder: `model.onnx` and `model.toml`, pinned together by one digest."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ModelError
from inference.model.document import (
    ARTIFACT,
    TILES,
    TISSUE,
    Accuracy,
    Concept,
    Likeness,
    Manifest,
    ModelClass,
    read_manifest,
)
from inference.model.onnx_file import check_onnx

__all__ = [
    "ARTIFACT",
    "TILES",
    "TISSUE",
    "Accuracy",
    "Concept",
    "Likeness",
    "Model",
    "ModelClass",
    "digest_of",
    "load_model",
    "model_of",
]

_DIGEST_TEXT = 16
"""How many hex digits of a digest a sentence shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that was checked and may run."""

    folder: Path
    name: str
    version: str
    task: str
    """`tissue`, `artifact` or `tiles`."""
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
    modalities: tuple[str, ...] = ("SM",)
    """Modality (0008,0060) of the slides it may see."""
    stains: tuple[Concept, ...] = ()
    """The stains a slide must carry, these and no others; empty means any."""
    body_sites: tuple[Concept, ...] = ()
    """Where the tissue must come from: one of these; empty means anywhere."""
    likeness: Likeness | None = None
    """How its training data looked."""

    @property
    def reported(self) -> tuple[ModelClass, ...]:
        """The classes that have a threshold: of a tile classifier, those that are reported."""
        return tuple(item for item in self.classes if item.name in self.thresholds)


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
        A file is missing, the digest differs, the manifest is incomplete or wrong, or the ONNX
        file needs external data or custom operators.
    """
    onnx, manifest = _read(folder)
    found = _digest(onnx, manifest)
    if digest is not None and digest.lower() != found:
        raise ModelError(
            f"The model in {folder.name} is not the one the settings name: its digest begins with "
            f"{found[:_DIGEST_TEXT]}, the settings say {digest[:_DIGEST_TEXT]}."
        )
    return model_of(folder, onnx, manifest)


def model_of(folder: Path, onnx: bytes, manifest: bytes) -> Model:
    """Check the content of the two files of a folder; raises ModelError as `load_model` does."""
    check_onnx(onnx)
    try:
        raw = tomllib.loads(manifest.decode())
    except ValueError as error:
        raise ModelError(f"model.toml of the model in {folder.name} is not valid TOML.") from error
    says, digest = read_manifest(raw, where=folder.name), _digest(onnx, manifest)
    return _model(folder, says, onnx=onnx, digest=digest)


def _read(folder: Path) -> tuple[bytes, bytes]:
    try:
        return (folder / "model.onnx").read_bytes(), (folder / "model.toml").read_bytes()
    except OSError as error:
        raise ModelError(f"The model folder {folder.name} lacks a file.") from error


def _digest(onnx: bytes, manifest: bytes) -> str:
    parts = hashlib.sha256(onnx).digest() + hashlib.sha256(manifest).digest()
    return hashlib.sha256(parts).hexdigest()


def _model(folder: Path, says: Manifest, *, onnx: bytes, digest: str) -> Model:
    trained_on = says.trained_on
    return Model(
        folder=folder,
        name=says.name,
        version=says.version,
        task=says.task,
        um_px=says.um_px,
        tile_px=says.tile_px,
        classes=tuple(sorted(says.classes, key=lambda item: item.index)),
        thresholds=dict(says.thresholds),
        licence=says.licence,
        intended_use=says.intended_use,
        trained_on=trained_on if isinstance(trained_on, str) else "; ".join(trained_on),
        accuracy=says.accuracy,
        digest=digest,
        onnx=onnx,
        modalities=says.modalities,
        stains=says.stains,
        body_sites=says.body_sites,
        likeness=says.likeness,
    )
