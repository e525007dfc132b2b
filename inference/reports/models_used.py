"""Which of the models that ran on a slide said what."""

import highdicom as hd
from highdicom import sr

from appliance.slides.classes import SlideClass
from appliance.slides.findings import Findings, ModelUse, TileResult
from inference.reports import codes
from inference.reports.equipment import MANUFACTURER

DEMONSTRATION = "Demonstration, not for diagnosis."

_OURS = "coverslip-"
_LONGEST = 64
"""Characters of an LO (PS3.5 6.2)."""


def segmenting(findings: Findings) -> tuple[ModelUse, ...]:
    """Give those that made the verdict: tissue first, artifacts last, no tile classifiers."""
    classifying = {result.model for result in findings.tile_results if result.route is None}
    return tuple(
        model for model in findings.models if model.route is None and model.name not in classifying
    )


def tissue_model(findings: Findings) -> ModelUse:
    """Give the model that found the tissue."""
    return segmenting(findings)[0]


def artifact_model(findings: Findings) -> ModelUse:
    """Give the model that found the artifacts."""
    return segmenting(findings)[-1]


def model_of(kind: SlideClass, findings: Findings) -> ModelUse:
    """Give the model that found a class."""
    return tissue_model(findings) if kind == SlideClass.TISSUE else artifact_model(findings)


def classifier(result: TileResult, findings: Findings) -> ModelUse:
    """Give the tile classifier of a result."""
    wanted = (result.model, result.route)
    named = [model for model in findings.models if (model.name, model.route) == wanted]
    return named[-1] if named else artifact_model(findings)


def is_demonstration(model: ModelUse) -> bool:
    """Whether the manifest's intended use calls a model a demonstration."""
    return "demonstration" in model.intended_use.lower()


def title_of(result: TileResult, findings: Findings) -> str:
    """Name what a classifier saw; a demonstration says so wherever it is listed."""
    label = " (demonstration)" if is_demonstration(classifier(result, findings)) else ""
    return result.title[: _LONGEST - len(label)] + label


def remote_words(result: TileResult, findings: Findings) -> str:
    """Say in a sentence or two what part of the slide a remote model saw, and how sure that is.

    Empty for a model that ran here.
    """
    remote = result.remote
    if remote is None:
        return ""
    ran = f"The model ran {classifier(result, findings).where}."
    seen = f"{remote.n_tiles} tiles with {100 * remote.seen_share:.1f} % of the tissue"
    if remote.low is None or remote.high is None:
        return f"{ran} It saw {seen}."
    between = f"{100 * remote.low:.1f} to {100 * remote.high:.1f} %"
    return (
        f"{ran} Area and share are estimates from a sample: {seen}. They are of clean tissue, "
        f"without what artifacts cover. The share lies between {between} with 95 % confidence, as "
        "far as the chance in sampling goes."
    )


def identification(model: ModelUse) -> hd.AlgorithmIdentificationSequence:
    """Identify a model in SEG and ANN (PS3.3 10.16), with the digest that pins it."""
    return hd.AlgorithmIdentificationSequence(
        name=model.name,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=model.version,
        source=_maker(model),
        parameters={"digest": model.digest},
    )


def algorithm(model: ModelUse, *parameters: str) -> sr.AlgorithmIdentification:
    """Identify a model in the SR (PS3.16 TID 4019), with the digest that pins it."""
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[
            f"{'digest' if model.route is None else 'manifest'}=sha256:{model.digest}",
            f"um_px={model.um_px:g}",
            *([f"route={model.route}", f"recipient={model.recipient}"] if model.route else []),
            *parameters,
        ],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=_maker(model),
    )


def _maker(model: ModelUse) -> str | None:
    """Name the maker of the models that come with the appliance; of others we know none."""
    ours = model.route is None and model.name.startswith(_OURS)
    return MANUFACTURER if ours else None
