"""How well a mask fits: pixel counts a picture, and the figures with their intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.training.intervals import Interval, resampled

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure, as `model.toml` lists it."""

    data: str
    n: int
    metric: str
    value: float
    interval: Interval = None
    """95 %; None where one picture is all there is."""

    def as_toml(self) -> str:
        """Write one `[[accuracy]]` table."""
        lines = [
            "[[accuracy]]",
            f'data = "{self.data}"',
            f"n = {self.n}",
            f'metric = "{self.metric}"',
            f"value = {self.value:.3f}",
        ]
        if self.interval is not None:
            low, high = self.interval
            lines += [f"low = {min(low, self.value):.3f}", f"high = {max(high, self.value):.3f}"]
        return "\n".join(lines) + "\n"

    def as_line(self) -> str:
        """Write one row of the table."""
        low, high = self.interval or (float("nan"), float("nan"))
        within = f"{low:.3f}-{high:.3f}" if self.interval else "one picture, no interval"
        return f"{self.data} | {self.metric} | n={self.n} | {self.value:.3f} | {within}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Pixel counts of one class in one picture."""

    both: int
    guessed: int
    true: int

    @classmethod
    def of(cls, guess: Mask, truth: Mask) -> "Overlap":
        """Count one picture."""
        return cls(both=int((guess & truth).sum()), guessed=int(guess.sum()), true=int(truth.sum()))

    @property
    def iou(self) -> float:
        """Intersection over union; 1 when there is nothing to find and nothing was found."""
        union = self.guessed + self.true - self.both
        return self.both / union if union else 1.0

    @property
    def dice(self) -> float:
        """Twice the intersection over both sizes."""
        size = self.guessed + self.true
        return 2 * self.both / size if size else 1.0

    @property
    def precision(self) -> float:
        """Part of what was called so that is so."""
        return self.both / max(1, self.guessed)

    @property
    def recall(self) -> float:
        """Part of what is so that was called so."""
        return self.both / max(1, self.true)


METRICS: dict[str, Callable[[Overlap], float]] = {
    "IoU": lambda one: one.iou,
    "Dice": lambda one: one.dice,
    "precision": lambda one: one.precision,
    "recall": lambda one: one.recall,
}


def pooled(overlaps: Sequence[Overlap]) -> Overlap:
    """Add the counts of pictures up."""
    return Overlap(
        both=sum(one.both for one in overlaps),
        guessed=sum(one.guessed for one in overlaps),
        true=sum(one.true for one in overlaps),
    )


def mean_figures(overlaps: Sequence[Overlap], data: str, name: str) -> Iterator[Figure]:
    """Give each figure as the mean over pictures: a large picture counts no more than a small."""
    for metric, read in METRICS.items():
        values = [read(one) for one in overlaps]
        yield Figure(
            data=data,
            n=len(values),
            metric=f"{name} {metric}",
            value=float(np.mean(values)),
            interval=resampled(values, lambda some: float(np.mean(some))),
        )


def pooled_figures(overlaps: Sequence[Overlap], data: str, name: str) -> Iterator[Figure]:
    """Give each figure over all pixels together: for scenes in which a class is often absent."""
    for metric, read in METRICS.items():
        yield Figure(
            data=data,
            n=len(overlaps),
            metric=f"{name} {metric}",
            value=read(pooled(overlaps)),
            interval=resampled(overlaps, _reader(read)),
        )


def _reader(read: Callable[[Overlap], float]) -> Callable[[Sequence[Overlap]], float]:
    return lambda some: read(pooled(some))
