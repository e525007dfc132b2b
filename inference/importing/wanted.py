"""What a person says of a model that is brought: what no file tells."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

RGB, BGR = "RGB", "BGR"
CHANNELS_FIRST, CHANNELS_LAST = "NCHW", "NHWC"
LOGITS, ONE_LOGIT, PROBABILITIES = "logits", "one_logit", "probabilities"
TASKS: Final = ("tiles", "artifact", "tissue")
WHOLE: Final = 255.0
"""Pixels are divided by this before mean and standard deviation, as torchvision does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the model takes a picture, and what it gives."""

    task: str
    n_classes: int
    tile_px: int | None
    """Side of its input; None takes it from the file."""
    channels: str
    """`RGB` or `BGR`: the order in which it wants the colours."""
    layout: str
    """`NCHW` or `NHWC`: the order of the axes of its input."""
    mean: tuple[float, float, float]
    """Subtracted from pixels of 0 to 1, in R, G, B."""
    std: tuple[float, float, float]
    """Divides what is left, in R, G, B."""
    gives: str
    """`logits`, `probabilities`, or `one_logit` for the second of two classes."""
    output: str | None = None
    """Which of several outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A tile whose class is known, to tell whether the colours are in the stated order."""

    image: Path
    expected: str
    """Name of the class that must be the likeliest."""
