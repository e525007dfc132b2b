"""What a route may be told, and by which mechanism: the `policy` block of a route.

Every route has one. A route inside has a fixed one; any other has to spell its own out, with the
one line that says what it does not protect against.
"""

import hashlib
import json
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from appliance.settings.sections import Name, Section

MINIMUM_GAP_UM: Final = 16.0
_LARGEST_CROP: Final = 0.75
MEASURED: Final = ("um_px", "cell_px", "crop_px", "colours", "jpeg_quality")
"""What the attack measures: plans that are equal in these have one certificate."""

Statement = Annotated[str, Field(min_length=10, max_length=200)]
"""One line: what the policy does not protect against."""


class TruePatient(Section):
    """Inside: the reports of a slide under its own patient and study."""

    mechanism: Literal["true_patient"] = "true_patient"
    statement: Statement = "Does not protect against whoever may read the PACS."

    @property
    def sees(self) -> str:
        """Whose identity the recipient sees."""
        return "the true patient"


class BareReport(Section):
    """Outside: an SR of allow-listed concepts, re-keyed for the recipient."""

    mechanism: Literal["bare_report"]
    statement: Statement

    @property
    def sees(self) -> str:
        """Whose identity the recipient sees."""
        return "nobody; a pseudonym of this recipient's own"


class EveryTile(Section):
    """Site compute: every tile of a slide to the hospital's own model servers, without identity."""

    mechanism: Literal["every_tile"]
    statement: Statement
    um_px: float = Field(gt=0)
    """Magnification that the model wants."""
    tile_px: int = Field(ge=8, le=4096)
    """Side of the model's input."""

    @property
    def sees(self) -> str:
        """Whose identity the recipient sees."""
        return "nobody"


class ColouredTiles(Section):
    """Outside: shuffled tiles by a release plan. Spelled out in `docs/coverslip.toml`."""

    mechanism: Literal["coloured_tiles"]
    statement: Statement
    um_px: float = Field(default=0.5, gt=0)
    cell_px: int = Field(default=256, ge=64)
    crop_px: int = Field(default=192, ge=32)
    colours: Literal[2, 4] = 4
    """2 = checkerboard over two recipients, 4 = the 2 by 2 classes."""
    colour: int = Field(default=0, ge=0, le=3)
    """Which colour class this recipient gets; it gets one only."""
    jpeg_quality: int = Field(default=90, ge=50, le=100)
    min_patients: int = Field(default=20, ge=1)
    """How many patients are mixed in every batch."""
    max_tiles_per_patient: int = Field(default=500, ge=1)
    """Ever, over all slides of the patient."""
    max_share_of_batch: float = Field(
        default_factory=lambda data: min(1.0, 2 / data.get("min_patients", 1)), gt=0, le=1
    )
    """How much of one batch may come from one patient; twice an even share, unless it is said."""
    tiles_per_shard: int = Field(default=256, ge=2)
    """In one parcel: a tile alone is no mix, and its time would tell its slide."""
    min_tiles_per_slide: int = Field(default=8, ge=1)
    """A slide that gives fewer has too few to hide among."""
    few_tiles: Literal["wait", "refuse"] = "refuse"
    """What becomes of such a slide: its tiles wait in the pool like all others, or none leave."""
    colludes_with: Literal["all"] | tuple[Name, ...] = "all"
    """Recipients that may put their tiles together with this one's: no overlap with any of them."""

    @property
    def sees(self) -> str:
        """Whose identity the recipient sees."""
        return "nobody"

    @property
    def plan_digest(self) -> str:
        """Digest of the terms that the attack measures; a certificate names it."""
        terms = self.model_dump(mode="json", include=set(MEASURED))
        return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()

    @property
    def grid(self) -> tuple[float, int, int, int]:
        """What has to be equal for two plans to fit beside each other on one container."""
        return (self.um_px, self.cell_px, self.crop_px, self.colours)

    @model_validator(mode="after")
    def _protects(self) -> Self:
        if self.crop_px > _LARGEST_CROP * self.cell_px:
            raise ValueError("crop_px may be at most 0.75 of cell_px")
        if (self.cell_px - self.crop_px) * self.um_px < MINIMUM_GAP_UM:
            raise ValueError("the mean gap between tiles must be at least 16 µm")
        if self.colour >= self.colours:
            raise ValueError("colour must be below colours")
        if self.tiles_per_shard < self.min_patients:
            raise ValueError("tiles_per_shard must be at least min_patients")
        if self.max_share_of_batch * self.min_patients < 1:
            raise ValueError("max_share_of_batch times min_patients must be at least 1")
        return self


Policy = Annotated[
    TruePatient | BareReport | EveryTile | ColouredTiles, Field(discriminator="mechanism")
]


class Limits(Section):
    """How much may leave on one route; None means as much as there is."""

    parcels_per_day: int | None = Field(default=None, ge=1)
    tiles_per_day: int | None = Field(default=None, ge=1)
    mb_per_day: float | None = Field(default=None, gt=0)
    """In 10^6 bytes."""
    mb_s: float | None = Field(default=None, gt=0)
    """Pace of sending, in 10^6 bytes a second."""
