"""What a slide's label says, asked of the anonymize daemon, which writes an audit event first."""

from dataclasses import dataclass
from typing import Any

from appliance import control
from appliance.errors import ApplianceError
from appliance.line import DAEMONS, SlideStatus, Stage, State
from appliance.storage import Root
from tui.action import Answer
from tui.actions import LABEL_MISMATCH
from tui.performing import refusal

VERDICTS = {
    "agrees": "The label names the slide of the header.",
    "differs": "The label names another slide than the header.",
    "unknown": "The label and the header cannot be compared.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRead:
    """What the label says beside what the header says."""

    container_identifier: str
    barcodes: tuple[str, ...]
    texts: tuple[str, ...]
    verdict: str


def ask(root: Root, slide_id: str) -> LabelRead | Answer:
    """Ask what the label of a slide says; the daemon's refusal as an answer."""
    daemon = DAEMONS[Stage.DEIDENTIFY]
    try:
        return label_read(control.call(root.socket(daemon), "label", slide_id=slide_id))
    except ApplianceError as error:
        return refusal(error, daemon)


def label_read(answer: dict[str, Any]) -> LabelRead:
    """Read the daemon's answer; what does not fit is left out."""
    return LabelRead(
        container_identifier=str(answer.get("container_identifier") or ""),
        barcodes=_texts(answer.get("barcodes")),
        texts=_texts(answer.get("texts")),
        verdict=VERDICTS.get(str(answer.get("agreement")), VERDICTS["unknown"]),
    )


def may_accept(slide: SlideStatus) -> bool:
    """Whether the slide waits for a technician to accept its label."""
    return slide.state is State.ASIDE and slide.error_code == LABEL_MISMATCH


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()
