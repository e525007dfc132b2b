"""What the attack found out: every figure beside what chance gives, and how many were counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Relation = Literal["edge", "diagonal", "two apart"]
"""Cells that share a side, those that share a corner, those with one cell between them."""
RELATIONS: Final[tuple[Relation, ...]] = ("edge", "diagonal", "two apart")
ScoreName = Literal["ssd", "pred", "mgc", "gap", "learned"]
SCORES: Final[tuple[ScoreName, ...]] = ("ssd", "pred", "mgc", "gap", "learned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure."""

    value: float | None
    """None: there was nothing to count."""
    chance: float | None
    """What guessing gives."""
    n: int
    """How many were counted."""

    @property
    def is_counted(self) -> bool:
        """Whether there is a figure at all."""
        return self.value is not None


NOT_COUNTED: Final = Figure(value=None, chance=None, n=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How well one score names the true neighbour across all that were released."""

    relation: Relation
    score: ScoreName
    n_candidates: int
    """Among how many placements the true one was sought."""
    top_1: Figure
    top_5: Figure
    auc: Figure
    """Chance that the true neighbour scores better than another tile."""
    mean_reciprocal_rank: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How much the assembly by the strongest score got right."""

    relation: Relation
    score: ScoreName
    nc: Figure
    """True neighbour pairs that were put together (neighbour comparison)."""
    lc: Figure
    """Largest correctly joined part among the tiles of its slide (largest component)."""
    largest_of_small: Figure
    """Tiles, no share: the largest right part of any slide of fewer than 50 tiles."""
    dc: Figure
    """Tiles in their right place, the best shift and turn granted (direct comparison)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Whether something beside the pixels tells where a tile comes from."""

    name: str
    """order, name, size, time, encoding, or the name of a fact that came with the tiles."""
    tells: Literal["place", "slide"]
    strength: Figure
    """|Spearman's rho| with the raster index; share of like neighbours in that order for slides."""
    p: float | None
    """Of a permutation test; None when the channel is the same for all tiles."""
    follows_from_pixels: bool
    """Encoding the pixels again gives it: it tells no more than they do."""
    is_open: bool
    """It tells more than chance and the pixels do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackReport:
    """What could be rebuilt from a set of tiles."""

    n_tiles: int
    n_slides: int
    n_recipients: int
    side_px: int
    cell_px: int
    is_upright: bool
    """No tile was turned, and the attacker knows it."""
    n_pairs: Mapping[Relation, int]
    """How many true pairs of each relation were released."""
    rankings: tuple[Ranking, ...]
    """Every relation by every score that was run."""
    rebuilt: Rebuilt | None
    perfect: Mapping[Relation, Figure]
    """Largest part of a slide that a perfect matcher of that relation joins (perfect-matcher Lc).

    "edge" is the bound that the acceptance line speaks of; "diagonal" joins by edge or corner, "two
    apart" by all three.
    """
    same_slide: Figure
    """AUC: are two tiles of one slide more alike than two of different slides?"""
    purity: Figure
    """Of groups by look, as many as there are slides."""
    overview: Figure
    """Tiles that an overview placed rightly."""
    overlap_px: Figure
    """Largest number of pixels that two tiles share; chance is 0."""
    duplicates: int
    """Tiles that are another tile, turned or not, bit by bit."""
    channels: tuple[Channel, ...]

    @property
    def nearest(self) -> Relation | None:
        """The nearest relation of which pairs were released."""
        return next((name for name in RELATIONS if self.n_pairs.get(name)), None)

    def strongest(self, relation: Relation) -> Ranking | None:
        """Give the ranking with the best top-1 (then AUC) of a relation; None: none counted."""
        counted = [
            (ranking.top_1.value, ranking.auc.value or 0.0, index)
            for index, ranking in enumerate(self.rankings)
            if ranking.relation == relation and ranking.top_1.value is not None
        ]
        return self.rankings[max(counted)[2]] if counted else None

    @property
    def open_channels(self) -> tuple[Channel, ...]:
        """Channels that tell more than chance."""
        return tuple(channel for channel in self.channels if channel.is_open)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collusion:
    """What a set of recipients could rebuild who put their tiles together."""

    recipients: tuple[str, ...]
    n_tiles: int
    n_pairs: Mapping[Relation, int]
    strongest: Mapping[Relation, Ranking]
    """Of the relations of which pairs were released."""
    perfect: Figure
    """Perfect-matcher Lc by edges."""
