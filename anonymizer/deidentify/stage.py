"""The stage between `original/` and `deid/`."""

from anonymizer.deidentify.deidentify import deidentify_slide
from anonymizer.deidentify.method import Method
from anonymizer.deidentify.report import REPORT_NAME, write_report
from appliance.line import Outcome, Stage
from appliance.worker import Handler, Work


def handler(method: Method) -> Handler:
    """Make the handler that de-identifies what assemble published."""

    def handle(work: Work) -> Outcome:
        files = sorted(work.folder(Stage.ASSEMBLE).glob("*.dcm"))
        report = deidentify_slide(files, work.output, method, work.progress)
        write_report(work.output / REPORT_NAME, [report])
        return Outcome(note=report.sentence)

    return handle
