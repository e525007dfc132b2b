"""What is wrong with a slide, explained: what it said, what kind of trouble that is, what to do."""

from dataclasses import dataclass

from appliance.line import SlideStatus
from appliance.messages import FATES, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a slide does not go on, from its error and the table of messages."""

    code: str
    title: str
    sentence: str
    """What happened here and now."""
    cause: str
    fate: str
    """What happens next by itself."""
    next_step: str


def explained(slide: SlideStatus) -> Explanation | None:
    """Explain the trouble of a slide; None when there is none that has a code."""
    if slide.error_code is None:
        return None
    found = message(slide.error_code)
    return Explanation(
        code=slide.error_code,
        title=found.title,
        sentence=slide.error or "",
        cause=found.cause,
        fate=FATES[found.fate],
        next_step=slide.next_step or found.next_step,
    )
