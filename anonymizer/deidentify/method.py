"""How slides are de-identified: the value that everything of one run shares."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from anonymizer.keys.code_list import code_list_of
from anonymizer.keys.files import read_pseudonyms
from anonymizer.profile.decide import Profile, profile_in
from anonymizer.pseudonyms import Pseudonyms
from anonymizer.sight.sight import Sight, sight_of
from appliance.settings import Deidentify


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A profile and the pseudonyms that it writes; equal methods give equal bytes."""

    profile: Profile = field(default_factory=Profile)
    pseudonyms: Pseudonyms
    sight: Sight | None = None
    """How pixels and labels are read; None when nobody reads them."""

    def __post_init__(self) -> None:
        """Let the pseudonyms keep UIDs when the profile does."""
        if self.profile.keeps_uids:
            object.__setattr__(self, "pseudonyms", self.pseudonyms.keeping_uids())

    def without_label(self) -> "Method":
        """Give the method that does not compare labels, for a slide whose label is accepted."""
        if self.sight is None:
            return self
        return replace(self, sight=replace(self.sight, compares_label=False))


def method_of(section: Deidentify, keys: Path) -> Method:
    """Make the method that settings ask for, with the keys in a folder.

    Raises
    ------
    ConfigError
        An option, a rule, the code list, a key or a program that it needs does not fit.
    """
    return Method(
        profile=profile_in(section),
        pseudonyms=read_pseudonyms(keys, code_list_of(section.code_list)),
        sight=sight_of(section),
    )
