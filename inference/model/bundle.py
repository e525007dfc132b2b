"""Which models the settings name, found, checked and paired."""

from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ConfigError, ModelError
from appliance.model_folder import BUNDLED, DIGEST_PREFIX, PREFIX, folder_of
from appliance.settings import Inference
from appliance.settings import Model as PinnedModel
from inference.model.manifest import ARTIFACT, TILES, TISSUE, Model, load_model

__all__ = [
    "BUNDLED",
    "DIGEST_PREFIX",
    "PREFIX",
    "Models",
    "bundled",
    "bundled_models",
    "configured_models",
    "folder_of",
    "pinned",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models that judge slides: the two that every slide meets, and those that some meet."""

    tissue: Model
    artifact: Model
    classifiers: tuple[Model, ...] = ()
    """Tile classifiers; `inference.model.choice` says which of them a slide meets."""

    @property
    def everyone(self) -> tuple[Model, ...]:
        """All of them, in the order in which they run."""
        return (self.tissue, self.artifact, *self.classifiers)


def bundled_models() -> list[Path]:
    """Give the folders of the models that come with the appliance."""
    return sorted(path.parent for path in BUNDLED.glob("*/model.onnx"))


def pinned(model: PinnedModel) -> Model:
    """Load a model of the settings; its digest must be the pinned one.

    Raises
    ------
    ModelError
        See `load_model`.
    """
    return load_model(folder_of(model.folder), digest=model.digest.removeprefix(DIGEST_PREFIX))


def configured_models(settings: Inference) -> Models:
    """Load the models of the settings: tissue, artifacts, and any number of tile classifiers.

    Raises
    ------
    ConfigError
        A model is missing, is not the pinned one, or stands there twice.
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
    tissue = [model for model in models if model.task == TISSUE]
    artifact = [model for model in models if model.task == ARTIFACT]
    if len(tissue) != 1 or len(artifact) != 1:
        raise ConfigError(
            "inference.models must name one model for tissue and one for artifacts "
            "(coverslip models list shows those that come with the appliance)."
        )
    if len({model.name for model in models}) != len(models):
        raise ConfigError("inference.models holds two models of the same name; rename one.")
    classifiers = tuple(model for model in models if model.task == TILES)
    return Models(tissue=tissue[0], artifact=artifact[0], classifiers=classifiers)
