"""What the answers so far come to: the file, what is wrong with it at which question, and facts."""

import re
from dataclasses import replace
from pathlib import Path

from appliance.settings import check
from appliance.settings.mistakes import Mistake
from tui import words
from tui.wizard import document, proof
from tui.wizard import questions as ask
from tui.wizard.document import PinnedModel
from tui.wizard.questions import Answers, Question, Step, answer_to

_KEYS_IN_FRONT = re.compile(r"^(?:the key )?[a-z_]+(?:\.[a-z0-9_]+)+:? ?")
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
    """Say what is wrong with the answers of a step, by the id of the question.

    What is about several of them stands under the step's own id.
    """
    wrong: dict[str, str] = {}
    for mistake in mistakes_in(answers, models, now=now):
        if step.holds(mistake):
            at = next((q.id for q in step.questions if answer_to(q, mistake)), step.id)
            wrong.setdefault(at, plain(mistake))
    for question in step.questions:
        sentence = _cannot_be_done(question, answers[question.id])
        if sentence:
            wrong.setdefault(question.id, sentence)
    return wrong


def plain(mistake: Mistake) -> str:
    """Say what is wrong without the key, which the question stands for."""
    sentence = _KEYS_IN_FRONT.sub("", mistake.sentence)
    return f"{sentence[:1].upper()}{sentence[1:]}" + ("" if sentence.endswith("?") else ".")


def _cannot_be_done(question: Question, answer: str) -> str | None:
    """Say what only this machine knows: where nothing can be written."""
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
        case "file":
            path = Path(answers[ask.FILE])
            if path.is_file():
                return (f"It is there already, and will be kept as {kept(path, now)}.",)
        case "storage":
            free, total = ask.room(Path(answers[ask.ROOT]))
            return (f"{words.gib(free)} of {words.gib(total)} are free there.",)
        case "models":
            return tuple(
                f"{model.name} {model.version}  {model.digest[:19]}…  {model.intended_use}"
                for model in models
            )
        case "operators":
            missing = proof.missing_groups([answers[q.id] for q in step.questions])
            if missing:
                return (f"Not on this machine yet: groupadd {'; groupadd '.join(missing)}",)
    return ()


def kept(path: Path, now: float) -> str:
    """Give the name that an earlier file will have."""
    return proof.kept_name(path, now=now).name
