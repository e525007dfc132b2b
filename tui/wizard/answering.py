"""What the answers so far come to: the file, what is wrong with it at which question, and facts."""

import re
from dataclasses import replace
from pathlib import Path

from appliance.settings import check
from appliance.settings.mistakes import Mistake
from appliance.settings.sentences import did_you_mean
from tui import amounts
from tui.wizard import disk, document, proof
from tui.wizard import questions as ask
from tui.wizard.document import PinnedModel
from tui.wizard.questions import Answers, Question, Step, answer_to

_KEYS_IN_FRONT = re.compile(r"^(?:the key )?[a-z_]+(?:\.[a-z0-9_]+)+:? ?")
IN_USE = "Something on this machine listens there already; if it is not our node, choose another."
NOT_WRITABLE = "This user cannot write there: run coverslip setup as root, or choose another place."


def mistakes_in(
    answers: Answers, models: tuple[PinnedModel, ...], *, now: float
) -> tuple[Mistake, ...]:
    """Give what is wrong with the file that the answers make, each at the place that was asked.

    Scanners without a name are not in the file, so that its positions are not those of the form.
    """
    found = check(document.write(answers, models, now=now)).mistakes
    asked = [int(key.rpartition(".")[2]) for key in document.scanner_keys(answers)]
    return tuple(_as_asked(mistake, asked) for mistake in found)


def _as_asked(mistake: Mistake, asked: list[int]) -> Mistake:
    place = mistake.place
    if len(place) > 1 and place[0] == "scanners":
        return replace(mistake, place=("scanners", asked[int(place[1])], *place[2:]))
    return mistake


def wrong_at(
    step: Step, answers: Answers, models: tuple[PinnedModel, ...], *, now: float
) -> dict[str, str]:
    """Say what is wrong with the answers of a step, by the id of the question."""
    wrong: dict[str, str] = {}
    for mistake in mistakes_in(answers, models, now=now):
        if step.holds(mistake):
            at = next((q.id for q in step.questions if answer_to(q, mistake)), _told_in(mistake))
            wrong.setdefault(at, plain(mistake))
    for question in step.questions:
        if question.id in wrong and question.empty and not answers[question.id].strip():
            wrong[question.id] = question.empty
    for question in step.questions:
        sentence = _cannot_be_done(question, answers[question.id], models)
        if sentence:
            wrong.setdefault(question.id, sentence)
    return wrong


def _told_in(mistake: Mistake) -> str:
    """Give the question to which a mistake about the whole route to the PACS belongs."""
    return ask.PACS_WAIVER if "waiver" in mistake.sentence else ask.PACS_HOST


def plain(mistake: Mistake) -> str:
    """Say what is wrong without the key, which the question stands for."""
    sentence = _KEYS_IN_FRONT.sub("", mistake.sentence)
    return f"{sentence[:1].upper()}{sentence[1:]}" + ("" if sentence.endswith("?") else ".")


def _cannot_be_done(question: Question, answer: str, models: tuple[PinnedModel, ...]) -> str | None:
    """Say what only this machine knows: where nothing can be written, which models there are."""
    if question.id == ask.ALSO:
        known = [model.name for model in models if model.task == document.TILE]
        unknown = next((name for name in document.parted(answer) if name not in known), None)
        return f"There is no {unknown}{did_you_mean(unknown, known)}" if unknown else None
    if question.id not in (ask.FILE, ask.ROOT, ask.KEYS):
        return None
    path = Path(answer)
    if not path.is_absolute():
        return "A whole path from / on is needed."
    if question.id == ask.FILE and path.is_dir():
        return "This is a folder; name a file in it."
    return None if proof.is_writable(path) or path.is_dir() else NOT_WRITABLE


def facts(
    step: Step, answers: Answers, models: tuple[PinnedModel, ...], *, now: float
) -> tuple[str, ...]:
    """Say what this machine knows about the answers of a step."""
    match step.id:
        case "file" | "review":
            path = Path(answers[ask.FILE])
            if path.is_file():
                return (f"It is there already, and will be kept as {kept(path, now)}.",)
        case "storage":
            free, total = disk.room(Path(answers[ask.ROOT]))
            return (f"{amounts.gib(free)} of {amounts.gib(total)} are free there.",)
        case "node":
            where = answers[ask.HOST], answers[ask.PORT]
            return () if proof.is_free(*where) else (IN_USE,)
        case "models":
            return tuple(_described(model, answers) for model in models)
        case "operators":
            missing = proof.missing_groups([answers[q.id] for q in step.questions])
            if missing:
                return (f"Not on this machine yet: groupadd {'; groupadd '.join(missing)}",)
    return ()


def _described(model: PinnedModel, answers: Answers) -> str:
    said = f"{model.name} {model.version}  {model.digest[:19]}…  {model.intended_use}"
    return said if document.runs(model, answers) else f"Does not run unless named: {said}"


def kept(path: Path, now: float) -> str:
    """Give the name that an earlier file will have."""
    return proof.kept_name(path, now=now).name
