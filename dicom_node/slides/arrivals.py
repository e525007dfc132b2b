"""From receipts to slides on the line: what belongs together, what is complete, what came late."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.errors import RejectedError, TransientError
from appliance.stores.journal import Journal
from appliance.stores.receipts import Receipts, StoredInstance, StoredSlide
from dicom_node.receive.receiver import facts_of
from dicom_node.receive.spool import Coming
from dicom_node.slides.completeness import Profile, Progress, Receiving, judge
from dicom_node.slides.grouping import Arrival, Group, group, is_volume, share_space
from dicom_node.slides.homes import Member, homes

log = logging.getLogger(__name__)

DAEMON = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """What the line needs to know of a scanner."""

    name: str
    profile: Profile


class EmptySlide(RejectedError):
    """All objects of a slide went to other slides."""

    code = "empty-slide"


_MOVED = "Its objects turned out to belong to another slide."

UNKNOWN_SCANNER = Scanner(name="unknown", profile=Profile(quiet_s=60.0))
"""Of a scanner that was taken out of the settings after it had sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is going on at the socket, read before the receipts so that nothing falls between."""

    in_flight: tuple[Coming, ...]
    open_associations: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """Watches the receipts and keeps the journal up to date.

    Attributes
    ----------
    receipts, journal
        The stores.
    in_flight
        Gives the transfers that have not ended.
    open_associations
        Gives the associations that are open.
    scanners
        By calling AE title.
    covers
        Whether one storage commitment request of a calling AE names all of these SOP Instance UIDs.
    clock
        Seconds since the epoch.
    """

    receipts: Receipts
    journal: Journal
    in_flight: Callable[[], tuple[Coming, ...]]
    open_associations: Callable[[], frozenset[str]]
    scanners: Mapping[str, Scanner]
    covers: Callable[[Collection[str], str], bool] = lambda _uids, _scanner: False
    clock: Callable[[], float] = time.time
    _shown: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    """Slide -> (revision, objects, whether it was declared complete), as the journal has it."""

    def step(self) -> bool:
        """Look once; False, so that the daemon waits a little before the next look."""
        try:
            moment = _Moment(in_flight=self.in_flight(), open_associations=self.open_associations())
            for study in self.receipts.open_studies():
                self._sort(study, moment)
        except TransientError as error:
            log.warning("%s", error)
        return False

    def _sort(self, study: str, moment: _Moment) -> None:
        stored = {one.number: one for one in self.receipts.of_study(study) if not one.dismissed}
        known = [_arrival(one) for one in stored.values()]
        groups = group([*known, *_coming(moment.in_flight, study)])
        for found, home in zip(
            groups, homes([_members(one, stored) for one in groups]), strict=True
        ):
            mine = [stored[one.number] for one in found.arrivals if one.number in stored]
            if any(one.revision is None for one in mine):
                slide = self._slide(found, mine, home)
                self._follow(slide, found, mine, moment)

    def _slide(self, found: Group, mine: Sequence[StoredInstance], home: str | None) -> StoredSlide:
        """Give the slide that a group goes on as, with the group's objects in it."""
        slide = None if home is None else self.receipts.slide(home)
        moving = [
            one for one in mine if one.revision is None and (home is None or one.slide_id != home)
        ]
        if slide is None:
            slide = self.receipts.add_slide(
                [one.number for one in moving],
                scanner=self._scanner(mine).name,
                study_instance_uid=mine[0].receipt.study_instance_uid,
                container_identifier=found.container_identifier,
                container_issuer=found.container_issuer,
            )
        elif moving:
            self.receipts.assign([one.number for one in moving], slide.slide_id)
        for left in {one.slide_id for one in moving if one.slide_id is not None}:
            self._leave(left)
        return slide

    def _leave(self, slide_id: str) -> None:
        """Let a slide go on from which objects were taken that turned out to be another slide's."""
        rest = self.receipts.of_slide(slide_id)
        if not rest:
            self.journal.reject(slide_id, actor=DAEMON, error=EmptySlide(_MOVED))
        elif all(one.revision is not None for one in rest):
            self.journal.complete(slide_id, actor=DAEMON, reason=_MOVED)

    def _follow(
        self, slide: StoredSlide, found: Group, mine: Sequence[StoredInstance], moment: _Moment
    ) -> None:
        """Bring the journal up to date with a slide that has objects not assembled yet."""
        associations = {one.receipt.association for one in mine}
        callers = {one.receipt.calling_ae_title for one in mine}
        receiving = Receiving(
            instances=[facts_of(one.receipt) for one in mine],
            in_flight=_is_coming(found, moment.in_flight, callers),
            association_open=bool(associations & moment.open_associations),
            last_byte_at=max(one.receipt.received_at for one in mine),
            doubt=found.doubt,
            committed=self._is_committed(mine, callers),
        )
        if self._may_be_of_a_rescan(slide, found, mine):
            return
        current = self._open_revision(slide, receiving.last_byte_at)
        if current is not None:
            self._show(current, mine, receiving.last_byte_at)
            self._judge(current, mine, receiving)

    def _may_be_of_a_rescan(
        self, slide: StoredSlide, found: Group, mine: Sequence[StoredInstance]
    ) -> bool:
        """Whether a label came that may announce a rescan rather than belong to an old scan."""
        late = {one.number for one in mine if one.revision is None}
        new = [one for one in found.arrivals if one.number in late]
        old = [one for one in found.arrivals if one.number not in late]
        if slide.sealed_revision < slide.open_revision or any(map(is_volume, new)):
            return False
        if share_space(new, old):
            return False
        last_byte_at = max(one.receipt.received_at for one in mine)
        return self.clock() - last_byte_at < self._scanner(mine).profile.quiet_s

    def _is_committed(self, mine: Sequence[StoredInstance], callers: Collection[str]) -> bool:
        uids = {one.receipt.sop_instance_uid for one in mine}
        asking = [one for one in callers if one in self.scanners]
        asking = [one for one in asking if self.scanners[one].profile.commits]
        return any(self.covers(uids, one) for one in asking)

    def _open_revision(self, slide: StoredSlide, last_byte_at: float) -> StoredSlide | None:
        """Begin a new revision when the open one was assembled already.

        None when nothing came late: assemble has taken meanwhile what we saw before it did.
        """
        if slide.sealed_revision < slide.open_revision:
            return slide
        stored = self.receipts.of_slide(slide.slide_id)
        if not any(one.revision is None and not one.dismissed for one in stored):
            return None
        revision = self.journal.new_revision(
            slide.slide_id, actor=DAEMON, last_byte_at=last_byte_at
        )
        self.receipts.begin_revision(slide.slide_id, revision)
        return self.receipts.slide(slide.slide_id) or slide

    def _show(
        self, slide: StoredSlide, mine: Sequence[StoredInstance], last_byte_at: float
    ) -> None:
        shown = self._shown.get(slide.slide_id)
        if shown is not None and shown[:2] == (slide.open_revision, len(mine)):
            return
        self.journal.add_slide(
            slide.slide_id,
            scanner=slide.scanner,
            last_byte_at=last_byte_at,
            supersedes=slide.supersedes,
        )
        size_mb = sum(one.receipt.size_bytes for one in mine) / 1e6
        words = f"{len(mine)} objects, {size_mb:.0f} MB"
        self.journal.received(slide.slide_id, last_byte_at=last_byte_at, words=words)
        self._shown[slide.slide_id] = (slide.open_revision, len(mine), False)

    def _judge(
        self, slide: StoredSlide, mine: Sequence[StoredInstance], receiving: Receiving
    ) -> None:
        revision, n_objects, declared = self._shown[slide.slide_id]
        if declared:
            return
        profile = self._scanner(mine).profile
        judgement = judge(receiving, profile, now=self.clock(), forced=slide.forced)
        if judgement.progress is not Progress.WAIT:
            self.journal.complete(slide.slide_id, actor=DAEMON, reason=judgement.reason)
            self._shown[slide.slide_id] = (revision, n_objects, True)

    def _scanner(self, mine: Sequence[StoredInstance]) -> Scanner:
        return self.scanners.get(mine[0].receipt.calling_ae_title, UNKNOWN_SCANNER)


def _arrival(one: StoredInstance) -> Arrival:
    return Arrival(
        number=one.number, instance=facts_of(one.receipt), association=one.receipt.association
    )


def _members(found: Group, stored: Mapping[int, StoredInstance]) -> list[Member]:
    return [
        Member(
            number=one.number,
            slide_id=stored[one.number].slide_id,
            assembled=stored[one.number].revision is not None,
            is_volume=is_volume(one),
        )
        for one in found.arrivals
        if one.number in stored
    ]


def _coming(transfers: Sequence[Coming], study: str) -> list[Arrival]:
    """Objects of a study that are being received and whose header is there."""
    found = []
    for number, transfer in enumerate(transfers, start=1):
        instance = transfer.instance
        if instance is not None and instance.study_instance_uid == study:
            found.append(
                Arrival(number=-number, instance=instance, association=transfer.association)
            )
    return found


def _is_coming(found: Group, transfers: Sequence[Coming], callers: set[str]) -> bool:
    """Whether something is being received that is, or may be, of this group."""
    if any(one.number < 0 for one in found.arrivals):
        return True
    return any(one.scanner in callers and one.instance is None for one in transfers)
