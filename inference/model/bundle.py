"""Which models the settings name, found, checked and paired."""

from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ConfigError, ModelError
from appliance.settings import Inference
from appliance.settings import Model as PinnedModel
from inference.model.manifest import ARTIFACT, TISSUE, Model, load_model

BUNDLED = Path(__file__).parents[1] / "models"
PREFIX = "bundled:"
DIGEST_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models that judge slides: the two that every slide meets, and those that some meet."""

    tissue: Model
    artifact: Model


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
