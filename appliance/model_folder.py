"""Where a pinned model lies, and the digest that pins it: for those who run it or name it."""

import hashlib
from pathlib import Path
from typing import Final

BUNDLED: Final = Path(__file__).parents[1] / "inference" / "models"
PREFIX: Final = "bundled:"
DIGEST_PREFIX: Final = "sha256:"
MODEL_FILES: Final = ("model.onnx", "model.toml")


def folder_of(configured: Path) -> Path:
    """Give the folder that `inference.models.folder` means."""
    name = str(configured)
    return BUNDLED / name.removeprefix(PREFIX) if name.startswith(PREFIX) else configured


def digest_of_files(onnx: bytes, manifest: bytes) -> str:
    """Give the digest of a model.

    Returns
    -------
    str
        Hex sha256 of the raw sha256 of `model.onnx` followed by the raw sha256 of `model.toml`.
    """
    parts = hashlib.sha256(onnx).digest() + hashlib.sha256(manifest).digest()
    return hashlib.sha256(parts).hexdigest()
