"""The report as a page that a data protection officer can read and print; no scripts, no values."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from anonymizer.deidentify.document import DERIVED

_KINDS = (
    ("kept", "Kept", "The value stands in the output as it did in the original."),
    (
        "cleaned",
        "Kept where it is known to be harmless",
        "A coded concept or a word stays when our own tables know it; anything else goes.",
    ),
    (
        "replaced",
        "Replaced",
        "Another value stands in its place: a keyed pseudonym, a moved date, a constant.",
    ),
    ("removed", "Removed or emptied", "Nothing of the value is left."),
)
_ACTIONS = {
    "keep": "kept",
    "remove": "removed",
    "empty": "emptied",
    "dummy": "replaced by a meaningless value",
    "recurse": "each item cleaned by itself",
    "codes": "codes of our table kept, others removed",
    "preparation": "coded steps kept, others removed",
    "content": "coded items kept, others removed",
    "tree": "content items cleaned one by one",
    "uid": "replaced by a keyed UID",
    "age": "kept; over 89 years it becomes 90",
    "shift": "moved into the past by the patient's whole weeks",
    "time": "time of day kept",
    "timezone": "offset from UTC kept",
    "pseudonym": "replaced by a keyed pseudonym",
    "label": "replaced, short numbers kept",
    "vocabulary": "kept when every word is known",
    "version": "kept when it is a version number",
    "constant": "replaced by a constant",
    "srgb": "replaced by one standard profile",
}
_LABELS = {
    "agrees": "name the same slide",
    "differs": "name different slides; a person has accepted that",
    "unknown": "could not be compared",
}
_SOUGHT = {
    "uids": "UIDs",
    "dates": "dates, in every way of writing them",
    "values": "whole values",
    "words": "words of values",
    "short values": "short values, as whole texts",
    "byte patterns": "patterns among all bytes, in every encoding",
}
_OPTIONS = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113102": "Clean Recognizable Visual Features Option",
    "113103": "Clean Graphics Option",
    "113104": "Clean Structured Content Option",
    "113105": "Clean Descriptors Option",
    "113106": "Retain Longitudinal Temporal Information Full Dates Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
    "113110": "Retain UIDs Option",
    "113111": "Retain Safe Private Option",
    "113112": "Retain Institution Identity Option",
}


def page(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a whole page of the reports of slides.

    Parameters
    ----------
    reports
        Reports as JSON values (`DeidReport.to_json`), by the pseudonym of the slide; "" when it
        is not known.
    """
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    slides = "\n".join(_slide(name, report) for name, report in reports.items())
    overview = _overview(reports) if len(reports) > 1 else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>De-identification report</title><style>\n{style}</style></head>\n"
        f"<body><main><h1>De-identification report</h1>\n{overview}{slides}</main></body></html>\n"
    )


def _overview(reports: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (
            f'<a href="#{escape(name)}">{escape(name)}</a>',
            str(len(report["images"])),
            str(len(report["dropped"])),
            f"{sum(n for kind, n in report['looked_for'].items() if kind not in DERIVED):,}",
        )
        for name, report in reports.items()
    ]
    head = ("Slide", "Images kept", "Images left out", "Values looked for, none found")
    return f"<h2>{len(reports)} slides</h2>{_table(head, rows, numbers=(1, 2, 3))}"


def _slide(name: str, report: Mapping[str, Any]) -> str:
    title = f"Slide <code>{escape(name)}</code>" if name else "One slide"
    parts = (
        f'<section id="{escape(name)}"><h2>{title}</h2>',
        _facts(report),
        _images(report),
        _searched(report),
        _seen(report["seen"]),
        _attributes(report),
        _site_rules(report["site_rules"]),
        _list("How", report["notes"]),
        _list("What this does not protect against", report["limits"]),
        "</section>",
    )
    return "\n".join(part for part in parts if part)


def _facts(report: Mapping[str, Any]) -> str:
    codes = [code.removeprefix("DCM ") for code in report["method_codes"]]
    named = "<br>".join(f"{code} {escape(_OPTIONS.get(code, ''))}" for code in codes)
    counts = report["counts"]
    rows = (
        ("Standard", escape(report["profile"])),
        ("Profile and options, with their method codes", named),
        ("Software", escape(report["software"])),
        ("Pseudonym key (public name)", f"<code>{escape(report['key_id'])}</code>"),
        ("Images that went in", str(counts["images_in"])),
        ("Images kept", str(len(report["images"]))),
        ("Images left out", str(len(report["dropped"]))),
        (
            "Attributes of the kept images",
            ", ".join(f"{counts['attributes'][kind]:,} {words}" for kind, words in _COUNTED),
        ),
    )
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f'<table class="facts">{body}</table>'


_COUNTED = (
    ("kept", "kept"),
    ("cleaned", "kept where known"),
    ("replaced", "replaced"),
    ("removed", "removed or emptied"),
)


def _images(report: Mapping[str, Any]) -> str:
    kept = [(escape(one["file"]), f"{one['frames']:,}", "kept") for one in report["images"]]
    dropped = [
        (escape(flavor), "", f"left out: {escape(reason)}") for flavor, reason in report["dropped"]
    ]
    table = _table(("Image", "Frames", "What became of it"), kept + dropped, numbers=(1,))
    return f"<h3>Images</h3>{table}"


def _searched(report: Mapping[str, Any]) -> str:
    rows = [
        (_SOUGHT.get(kind, escape(kind)), f"{count:,}", "none found")
        for kind, count in report["looked_for"].items()
    ]
    table = _table(("Values of the original", "Looked for", "In the output"), rows, numbers=(1,))
    not_searched = report["not_searched"]
    body = f"<h3>What was looked for</h3>{table}"
    if not_searched:
        listed = [(f"{one['count']:,}", escape(one["why"])) for one in not_searched]
        body += (
            f"<p>Not looked for everywhere:</p>{_table(('Values', 'Why'), listed, numbers=(0,))}"
        )
    return body + _judged(report)


def _judged(report: Mapping[str, Any]) -> str:
    rows = [
        (escape(one["check"]), escape(one["meaning"]), f"{one['count']:,}")
        for one in report["judged"]
    ]
    if not rows:
        return ""
    table = _table(("Check", "What it sees to", "Judgements, all good"), rows, numbers=(2,))
    return f"<h3>What was checked in what is written</h3>{table}"


def _seen(seen: Mapping[str, Any]) -> str:
    painted = f"{seen['places_painted']:,} places in {seen['frames_painted']:,} frames"
    rows = [
        ("Label and header", _LABELS.get(seen["label"], "not compared")),
        ("Pictures in which text and barcodes were looked for", f"{seen['pictures']:,}"),
        ("Painted over", painted if seen["places_painted"] else "nothing"),
    ]
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f'<h3>What was read in pixels</h3><table class="facts">{body}</table>'


def _attributes(report: Mapping[str, Any]) -> str:
    merged: dict[tuple[str, str, str, str, str], int] = {}
    for image in report["images"]:
        for step in image["steps"]:
            key = (step["kind"], step["path"], step["action"], step["rule"], step["reason"])
            merged[key] = merged.get(key, 0) + step["count"]
    blocks = [_kind(kind, title, words, merged) for kind, title, words in _KINDS]
    return "<h3>Attributes</h3>" + "".join(blocks)


def _kind(
    kind: str, title: str, words: str, merged: Mapping[tuple[str, str, str, str, str], int]
) -> str:
    rows = [
        (
            _breakable(path),
            f"{count:,}",
            escape(_ACTIONS.get(action, action)),
            escape(rule),
            escape(reason),
        )
        for (of, path, action, rule, reason), count in merged.items()
        if of == kind
    ]
    if not rows:
        return ""
    table = _table(("Attribute", "Times", "What was done", "Rule", "Why"), rows, numbers=(1,))
    total = sum(count for key, count in merged.items() if key[0] == kind)
    return (
        f"<details><summary><b>{title}</b> <span>{len(rows):,} attributes, {total:,} times"
        f"</span></summary><p>{words}</p>{table}</details>"
    )


def _breakable(path: str) -> str:
    """Let a browser break a long path behind its slashes."""
    return escape(path).replace("/", "/<wbr>")


def _site_rules(rules: Mapping[str, Any]) -> str:
    if not rules["rules"]:
        return "<h3>Rules of the site</h3><p>None.</p>"
    names = ("attribute", "action", "why", "option", "signed_by")
    rows = [[escape(one[name]) for name in names] for one in rules["rules"]]
    table = _table(("Attribute", "Action", "Why", "Option", "Signed by"), rows)
    digest = f"<p>SHA-256 of the file: <code>{escape(rules['digest'])}</code></p>"
    return f"<h3>Rules of the site</h3>{table}{digest}"


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h3>{title}</h3><ul>{items}</ul>" if items else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def cell(name: str, place: int, value: str) -> str:
        mark = ' class="n"' if place in numbers else ""
        return f"<{name}{mark}>{value}</{name}>"

    top = "".join(cell("th", place, value) for place, value in enumerate(head))
    body = "".join(
        "<tr>" + "".join(cell("td", place, value) for place, value in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
