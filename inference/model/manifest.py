"""A model is a folder: `model.onnx` and `model.toml`, pinned together by one digest."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ModelError
from appliance.model_folder import MODEL_FILES, digest_of_files
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
    "load_manifest",
    "load_model",
    "model_of",
]

_MANIFEST = "model.toml"
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
    """sha256 over both files, hex; see `digest_of`. Of a model that runs elsewhere, of the one."""
    onnx: bytes
    """Empty for a model that runs elsewhere."""
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
    onnx, manifest = _read(folder, *MODEL_FILES)
    return digest_of_files(onnx, manifest)


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
    onnx, manifest = _read(folder, *MODEL_FILES)
    if digest is not None:
        _check_digest(folder, digest_of_files(onnx, manifest), digest)
    return model_of(folder, onnx, manifest)


def load_manifest(folder: Path, *, digest: str) -> Model:
    """Read and check the `model.toml` of a model that runs elsewhere.

    Parameters
    ----------
    folder
        Folder with `model.toml`; a `model.onnx` beside it is not looked at.
    digest
        Hex sha256 of `model.toml` that the settings pin.

    Raises
    ------
    ModelError
        The file is missing, the digest differs, or it is incomplete or wrong.
    """
    (manifest,) = _read(folder, _MANIFEST)
    found = hashlib.sha256(manifest).hexdigest()
    _check_digest(folder, found, digest)
    return _model(folder, _parsed(folder, manifest), onnx=b"", digest=found)


def model_of(folder: Path, onnx: bytes, manifest: bytes) -> Model:
    """Check the content of the two files of a folder; raises ModelError as `load_model` does."""
    check_onnx(onnx)
    return _model(
        folder, _parsed(folder, manifest), onnx=onnx, digest=digest_of_files(onnx, manifest)
    )


def _read(folder: Path, *names: str) -> tuple[bytes, ...]:
    try:
        return tuple((folder / name).read_bytes() for name in names)
    except OSError as error:
        raise ModelError(f"The model folder {folder.name} lacks a file.") from error


def _check_digest(folder: Path, found: str, pinned: str) -> None:
    if pinned.lower() != found:
        raise ModelError(
            f"The model in {folder.name} is not the one the settings name: its digest begins with "
            f"{found[:_DIGEST_TEXT]}, the settings say {pinned[:_DIGEST_TEXT]}."
        )


def _parsed(folder: Path, manifest: bytes) -> Manifest:
    try:
        raw = tomllib.loads(manifest.decode())
    except ValueError as error:
        raise ModelError(f"model.toml of the model in {folder.name} is not valid TOML.") from error
    return read_manifest(raw, where=folder.name)


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
