"""What the wizard asks, as tables: steps with questions, each with the key that it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.settings.mistakes import Mistake
from appliance.settings.places import Place

Answers = Mapping[str, str]
"""What was answered, by the id of the question."""

STANDARD_FILE = Path("/etc/coverslip/coverslip.toml")
ROLES = ("viewer", "technician", "administrator")
FILE, ROOT, KEYS = "file", "storage.root", "keys.folder"
SOFT, HARD = "storage.soft", "storage.hard"
AE, PORT, HOST = "node.ae_title", "node.port", "node.host"
PACS_AE, PACS_HOST, PACS_PORT = "pacs.ae_title", "pacs.host", "pacs.port"
PACS_CA, PACS_WAIVER = "pacs.ca", "pacs.waiver"
DEVICE, ALSO = "inference.device", "inference.also"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One line to fill in."""

    id: str
    label: str
    about: str
    """What it is, and what to do when one does not know."""
    default: str = ""
    place: Place = ()
    """Key in the settings file that it answers."""
    empty: str = ""
    """What to say when it has no answer and needs one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One screen of the wizard."""

    id: str
    title: str
    sentence: str
    questions: tuple[Question, ...] = ()

    def holds(self, mistake: Mistake) -> bool:
        """Whether a mistake is about something that is asked here."""
        place = mistake.place
        return any(_overlap(question.place, place) for question in self.questions)


def answer_to(question: Question, mistake: Mistake) -> bool:
    """Whether a mistake is about the answer to this very question."""
    asked = question.place
    return bool(asked) and mistake.place[: len(asked)] == asked


def _overlap(one: Place, other: Place) -> bool:
    """Whether one place lies in the other."""
    if not one or not other:
        return False
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def steps(file: Path, *, n_scanners: int) -> tuple[Step, ...]:
    """Give all steps in their order.

    Parameters
    ----------
    file
        Where the settings are to be written, unless something else is answered.
    n_scanners
        How many scanners are asked for.
    """
    return (
        _file(file),
        _storage(),
        _node(),
        Step(
            id="scanners",
            title="Scanners",
            sentence="Who may send slides. Anyone else is rejected. Leave a name empty for none.",
            questions=tuple(q for number in range(n_scanners) for q in scanner(number)),
        ),
        _pacs(),
        Step(
            id="models",
            title="Models",
            sentence="What looks at the slides. These come with the appliance, pinned by digest.",
            questions=(
                Question(
                    id=DEVICE,
                    label="Runs on",
                    about="auto takes a GPU where there is one; gpu insists on it; cpu never does.",
                    default="auto",
                    place=("inference", "device"),
                ),
                Question(
                    id=ALSO,
                    label="Also run",
                    about="By name, parted by commas: models that judge tiles. None is needed.",
                ),
            ),
        ),
        _operators(),
        Step(id="review", title="Review", sentence="This is what will be written."),
        Step(id="proof", title="Done", sentence="What was done, and what to do next."),
    )


def _file(file: Path) -> Step:
    return Step(
        id="file",
        title="The settings file",
        sentence="A few questions make one file that you can read and change later. Nothing is "
        "written before the last step, and nothing is started.",
        questions=(
            Question(
                id=FILE,
                label="Write to",
                about="Every command reads this file. systemd expects "
                "/etc/coverslip/coverslip.toml.",
                default=str(file),
            ),
        ),
    )


def _storage() -> Step:
    return Step(
        id="storage",
        title="Storage",
        sentence="Where slides lie while they are on the line. Originals hold patients: an "
        "encrypted volume is the right place.",
        questions=(
            Question(
                id=ROOT,
                label="Folder",
                about="A slide takes 1 to 4 GB, twice while it is worked on.",
                default="/var/lib/coverslip",
                place=("storage", "root"),
            ),
            Question(
                id=SOFT,
                label="Put off below",
                about="GiB. With less room than this, scanners are asked to send later.",
                place=("storage", "soft_free_gib"),
                empty="Say how many GiB, such as 50.",
            ),
            Question(
                id=HARD,
                label="Refuse below",
                about="GiB. With less room than this, objects are refused, and the scanner keeps "
                "them.",
                place=("storage", "hard_free_gib"),
                empty="Say how many GiB, such as 10.",
            ),
            Question(
                id=KEYS,
                label="Folder of keys",
                about="The keys are made here at the end. Back them up: without them no patient "
                "comes back into a report.",
                default="/etc/coverslip/keys",
                place=("keys", "folder"),
            ),
        ),
    )


def _node() -> Step:
    return Step(
        id="node",
        title="This node",
        sentence="How scanners and the PACS call this appliance. Enter the same at the scanner.",
        questions=(
            Question(
                id=AE,
                label="AE title",
                about="At most 16 characters, usually capital letters.",
                default="COVERSLIP",
                place=("node", "ae_title"),
                empty="Say how scanners are to call this appliance.",
            ),
            Question(
                id=PORT,
                label="Port",
                about="11112 is usual; ports below 1024 need a right of their own.",
                default="11112",
                place=("node", "port"),
                empty="Say a port, such as 11112.",
            ),
            Question(
                id=HOST,
                label="Listens at",
                about="0.0.0.0 is every network of this machine; better the one address that the "
                "scanners see.",
                default="0.0.0.0",  # noqa: S104  a suggestion, explained beside it
                place=("node", "host"),
            ),
        ),
    )


def scanner(number: int) -> tuple[Question, ...]:
    """Give the questions about one scanner."""
    key = f"scanners.{number}"
    return (
        Question(
            id=f"{key}.name",
            label=f"Scanner {number + 1}",
            about="Its name on the screen: small letters, digits and dashes. Empty: no scanner.",
            default="" if number else "scanner-1",
            place=("scanners", number, "name"),
        ),
        Question(
            id=f"{key}.ae_title",
            label="  AE title",
            about="As it is set at the scanner, letter by letter.",
            default="" if number else "SCANNER1",
            place=("scanners", number, "ae_title"),
            empty="Say the AE title that is set at the scanner.",
        ),
        Question(
            id=f"{key}.addresses",
            label="  Addresses",
            about="Where it calls from: addresses or ranges, parted by commas, such as 10.0.5.20 "
            "or 10.0.5.0/24.",
            place=("scanners", number, "addresses"),
            empty="Say at least one address: a call from anywhere else is rejected.",
        ),
    )


def _pacs() -> Step:
    peer = ("routes", 0, "peer")
    return Step(
        id="pacs",
        title="PACS",
        sentence="Where reports go, under the true patient. Leave the host empty to do without.",
        questions=(
            Question(
                id=PACS_HOST,
                label="Host",
                about="The PACS's address, such as 10.0.1.9; a name is not enough here.",
                place=(*peer, "host"),
            ),
            Question(
                id=PACS_PORT,
                label="Port",
                about="104 or 11112 in most PACS; 2762 with TLS.",
                default="104",
                place=(*peer, "port"),
                empty="Say the port of the PACS, such as 104.",
            ),
            Question(
                id=PACS_AE,
                label="AE title",
                about="As the PACS calls itself. It also has to know ours.",
                default="PACS",
                place=(*peer, "ae_title"),
                empty="Say how the PACS calls itself; its administrator knows.",
            ),
            Question(
                id=PACS_CA,
                label="TLS: CA file",
                about="A PEM file that vouches for the PACS. Empty: clear text, and the next line "
                "says why.",
                place=(*peer, "tls", "ca"),
            ),
            Question(
                id=PACS_WAIVER,
                label="Why no TLS",
                about="Who decided that clear text is good enough here, and why. Shown at audits.",
                place=("routes", 0, "waiver"),
            ),
        ),
    )


def _operators() -> Step:
    groups = (
        ("viewer", "May look.", "coverslip-viewer"),
        ("technician", "May act on slides, and sees container identifiers.",
         "coverslip-technician"),
        ("administrator", "May also purge originals and settle conflicts.",
         "coverslip-administrator"),
    )  # fmt: skip
    return Step(
        id="operators",
        title="Operators",
        sentence="System groups whose members may do what. Make them with groupadd, and put people "
        "in with: usermod -aG GROUP NAME.",
        questions=tuple(
            Question(
                id=f"operators.{role}",
                label=role.capitalize(),
                about=about,
                default=group,
                place=("operators", f"{role}_group"),
            )
            for role, about, group in groups
        ),
    )
