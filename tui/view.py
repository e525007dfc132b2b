"""What every screen is given to show: the newest snapshot with all that is needed to read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from textual.message import Message

from appliance.attention import Attention
from appliance.errors import ApplianceError
from appliance.line import Role, SlideStatus
from appliance.settings import Settings
from tui.action import Action, Answer
from tui.arrangement import Arrangement
from tui.health import Alarm, alarms
from tui.label import LabelRead
from tui.names import Names
from tui.performing import Target
from tui.snapshot import Snapshot
from tui.story import Story
from tui.system_facts import SystemFacts
from tui.told import Details


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The line as it is now."""

    settings: Settings
    snapshot: Snapshot | None
    """None until the journal was read for the first time."""
    now: float
    names: Names = field(default_factory=Names)
    arrangement: Arrangement = field(default_factory=Arrangement)
    """Brought up to date when it is asked for; see `followed`."""
    lost: str | None = None
    """Why the journal cannot be read, when it cannot."""
    role: Role | None = None
    """What the operator may do, as the daemons say; None while none of them has said it."""
    system: SystemFacts | None = None
    """What the daemons tell of themselves; None while nobody asks them."""

    @property
    def slides(self) -> tuple[SlideStatus, ...]:
        """The slides on the line."""
        return self.snapshot.slides if self.snapshot else ()

    def slide(self, slide_id: str | None) -> SlideStatus | None:
        """Find a slide by its id."""
        return self.snapshot.slide(slide_id) if self.snapshot else None

    @property
    def followed(self) -> Arrangement:
        """The order in which the slides stand now."""
        if self.snapshot is not None:
            self.arrangement.follow(self.snapshot, now=self.now, names=self.names)
        return self.arrangement

    @property
    def counts(self) -> Mapping[Attention, int]:
        """How many slides need what, most urgent first."""
        return self.followed.counts

    @property
    def routes(self) -> tuple[str, ...]:
        """Routes that parcels of slides go to, in the order of the settings."""
        used = self.snapshot.tally.routes if self.snapshot else {}
        known = [route.name for route in self.settings.routes if route.name in used]
        return (*known, *sorted(used.keys() - known))

    def is_superseded(self, slide_id: str) -> bool:
        """Whether a slide's container was scanned again since."""
        return self.snapshot is not None and slide_id in self.snapshot.superseded

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """What is not well."""
        if self.lost is not None:
            return (Alarm(tone="bad", sentence=self.lost, next_step="It is tried again."),)
        if self.snapshot is None:
            return ()
        return alarms(self.snapshot, self.settings, now=self.now)


class StoryWanted(Message):
    """A screen shows this slide and wants all there is about it."""

    def __init__(self, slide_id: str | None) -> None:
        super().__init__()
        self.slide_id = slide_id


class StoryRead(Message):
    """A slide's story was read."""

    def __init__(self, story: Story) -> None:
        super().__init__()
        self.story = story


class DetailsWanted(Message):
    """A screen shows all of this slide and wants what only daemons can tell of it."""

    def __init__(self, slide_id: str) -> None:
        super().__init__()
        self.slide_id = slide_id


class DetailsTold(Message):
    """The daemons told what they know of a slide, or why they do not."""

    def __init__(self, slide_id: str, details: Details) -> None:
        super().__init__()
        self.slide_id = slide_id
        self.details = details


class NamesWanted(Message):
    """A screen shows these slides and wants their container identifiers."""

    def __init__(self, slide_ids: tuple[str, ...]) -> None:
        super().__init__()
        self.slide_ids = slide_ids


class SlidesSought(Message):
    """Someone typed a container identifier in full, and wants the slides that have it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class SlidesFound(Message):
    """The node looked a container identifier up, or (an error) did not."""

    def __init__(self, name: str, found: dict[str, str] | ApplianceError) -> None:
        super().__init__()
        self.name = name
        self.found = found


class NamesLearned(Message):
    """The release daemon answered, or (None) did not."""

    def __init__(self, wanted: tuple[str, ...], answers: dict[str, str] | None) -> None:
        super().__init__()
        self.wanted = wanted
        self.answers = answers


class LabelAnswered(Message):
    """The anonymize daemon told what a slide's label says."""

    def __init__(self, slide_id: str, label: LabelRead) -> None:
        super().__init__()
        self.slide_id = slide_id
        self.label = label


class ActionAnswered(Message):
    """A daemon answered an operator."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class ActionRehearsed(Message):
    """A daemon said what an action would do."""

    def __init__(self, action: Action, target: Target, words: str) -> None:
        super().__init__()
        self.action = action
        self.target = target
        self.words = words


class RoleLearned(Message):
    """A daemon said what the operator may do; None when it says that they may do nothing."""

    def __init__(self, role: Role | None) -> None:
        super().__init__()
        self.role = role
