"""The stage between `original/` and `deid/`."""

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.labels import AcceptedLabels
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import REPORT_NAME, write_report
from appliance.line import Outcome, Stage
from appliance.worker import Handler, Work


def handler(method: Method, accepted: AcceptedLabels | None = None) -> Handler:
    """Make the handler that de-identifies what assemble published.

    Parameters
    ----------
    method
        How.
    accepted
        Slides whose label a technician has accepted: it is not compared again.
    """

    def handle(work: Work) -> Outcome:
        files = sorted(work.folder(Stage.ASSEMBLE).glob("*.dcm"))
        claim = work.claim
        is_accepted = accepted is not None and accepted.has(claim.slide_id, claim.revision)
        chosen = method.without_label() if is_accepted else method
        report = deidentify_slide(files, work.output, chosen, work.progress)
        write_report(work.output / REPORT_NAME, [report])
        return Outcome(note=f"{report.sentence} {report.seen.sentence}".strip())

    return handle
