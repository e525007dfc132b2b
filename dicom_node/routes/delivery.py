"""What a way to a recipient gives back once a parcel is there."""

from dataclasses import dataclass

from appliance.answers import Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A parcel that arrived."""

    words: str
    """One sentence on what was done."""
    answers: Answers | None = None
    """What model servers said of its tiles; None where nobody was asked."""
    sent_bytes: int = 0
    """What crossed the wire, where that is more than the parcel's files."""
