"""Names and versions of the models that the settings pin: the only ones a bare report may tell."""

import tomllib
from collections.abc import Sequence
from typing import Final

from appliance.errors import ConfigError
from appliance.model_folder import DIGEST_PREFIX, MODEL_FILES, digest_of_files, folder_of
from appliance.settings import Model

_JUDGING: Final = ("tissue", "artifact")
"""Tasks of the models behind a verdict; the name of any other would tell the organ."""


def pinned_models(models: Sequence[Model]) -> tuple[tuple[str, str], ...]:
    """Read name and version of the models behind verdicts, tissue before artifacts.

    Parameters
    ----------
    models
        Of the settings, which root alone may write.

    Raises
    ------
    ConfigError
        A model is missing, or is not the pinned one.
    """
    found = sorted(map(_read, models))
    return tuple((name, version) for task, name, version in found if task < len(_JUDGING))


def _read(model: Model) -> tuple[int, str, str]:
    """Give number of the task, name and version."""
    folder = folder_of(model.folder)
    try:
        onnx, manifest = ((folder / name).read_bytes() for name in MODEL_FILES)
        says = tomllib.loads(manifest.decode())
        task, name, version = (str(says[key]) for key in ("task", "name", "version"))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"The model in {folder.name} cannot be read by release.") from error
    if digest_of_files(onnx, manifest) != model.digest.removeprefix(DIGEST_PREFIX).lower():
        raise ConfigError(f"The model in {folder.name} is not the one that the settings pin.")
    return (_JUDGING.index(task) if task in _JUDGING else len(_JUDGING), name, version)
