"""Which models the settings name, found, checked and paired."""

from pathlib import Path

from appliance.errors import ConfigError, ModelError
from appliance.settings import Inference
from appliance.settings import Model as PinnedModel
from inference.manifest import ARTIFACT, TISSUE, Model, load_model
from inference.predict import Models

BUNDLED = Path(__file__).parent / "models"
PREFIX = "bundled:"
DIGEST_PREFIX = "sha256:"


def bundled_models() -> list[Path]:
    """Give the folders of the models that come with the appliance."""
    return sorted(path.parent for path in BUNDLED.glob("*/model.onnx"))


def folder_of(configured: Path) -> Path:
    """Give the folder that `inference.models.folder` means."""
    name = str(configured)
    return BUNDLED / name.removeprefix(PREFIX) if name.startswith(PREFIX) else configured


def pinned(model: PinnedModel) -> Model:
    """Load a model of the settings; its digest must be the pinned one.

    Raises
    ------
    ModelError
        See `load_model`.
    """
    return load_model(folder_of(model.folder), digest=model.digest.removeprefix(DIGEST_PREFIX))


def configured_models(settings: Inference) -> Models:
    """Load the models of the settings: one that finds tissue, one that finds artifacts.

    Raises
    ------
    ConfigError
        A model is missing, is not the pinned one, or two do the same task.
    """
    try:
        models = [pinned(model) for model in settings.models]
    except ModelError as error:
        raise ConfigError(f"inference.models: {error}") from error
    return _paired(models)


def bundled() -> Models:
    """Load the models that come with the appliance, for offline commands without settings."""
    return _paired([load_model(folder) for folder in bundled_models()])


def _paired(models: list[Model]) -> Models:
    by_task = {model.task: model for model in models}
    if sorted(model.task for model in models) != [ARTIFACT, TISSUE]:
        raise ConfigError(
            "inference.models must name one model for tissue and one for artifacts "
            "(coverslip models list shows those that come with the appliance)."
        )
    return Models(tissue=by_task[TISSUE], artifact=by_task[ARTIFACT])
