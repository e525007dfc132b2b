"""What infer tells of itself: which models it runs, on which processor."""

from collections.abc import Mapping

from appliance.facts import Computing, Facts, LoadedModel
from inference.model.manifest import Model
from inference.remote.models import REMOTE, RemoteModel
from inference.running import engine
from inference.running.gpus import gpus
from inference.running.predict import Predictor


def infer_facts(predictor: Predictor, remotes: Mapping[str, RemoteModel], workers: int) -> Facts:
    """Give what is loaded, and where it really runs.

    Parameters
    ----------
    predictor
        What runs the models here.
    remotes
        Models that routes lead to, by route.
    workers
        Cores that decode, and on a CPU infer.
    """
    device = predictor.devices[0]
    here = [
        _loaded(model, device)
        for model, device in zip(predictor.models, predictor.devices, strict=True)
    ]
    there = [_loaded(one.model, REMOTE, one.recipient) for one in remotes.values()]
    return Facts(
        models=(*here, *there),
        computing=Computing(
            device=device,
            runtime=f"ONNX Runtime {engine.runtime_version()}",
            workers=workers,
            gpus=gpus() if device == engine.GPU else (),
        ),
    )


def _loaded(model: Model, device: str, recipient: str = "") -> LoadedModel:
    return LoadedModel(
        name=model.name,
        version=model.version,
        task=model.task,
        digest=model.digest,
        device=device,
        recipient=recipient,
    )
