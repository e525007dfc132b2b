"""How slides are de-identified: the value that everything of one run shares."""

from dataclasses import dataclass, field

from anonymizer.profile.decide import Profile
from anonymizer.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A profile and the pseudonyms that it writes; equal methods give equal bytes."""

    profile: Profile = field(default_factory=Profile)
    pseudonyms: Pseudonyms
