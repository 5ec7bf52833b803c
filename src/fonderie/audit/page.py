"""An audit as one HTML page: for a journalist, who has no terminal; nothing in it loads anything from anywhere."""

import base64
import hashlib
from pathlib import Path

from fonderie.audit.report import CRITERIA, QUESTIONS, AuditReport
from fonderie.core.files import write_atomically
from fonderie.release.findings.openness import Evidence

TEMPLATE, STYLE = "audit.html.jinja", "audit.css.jinja"
WORDS = {"pass": "Holds", "partial": "In part", "fail": "Fails", "unknown": "Unknown"}
LEVELS = {
    "declared": "somebody’s word was taken for it",
    "present": "files were looked for",
    "parsed": "what it says was read",
    "verified": "it was checked by computing",
}


def render_page(report: AuditReport) -> str:
    """The page. All that comes from the audited release is escaped; no script may run, no request be made."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fonderie.audit"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["digits"] = _digits
    style = (Path(__file__).parent / "templates" / STYLE).read_text(encoding="utf-8")
    return environment.get_template(TEMPLATE).render(
        report=report,
        style=style,
        # Only this very style is allowed; inline styles that a stranger might smuggle in are not.
        style_hash=base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii"),
        criteria=CRITERIA,
        questions=QUESTIONS,
        words=WORDS,
        levels=LEVELS,
        by_criterion={
            criterion: [finding for finding in report.findings if finding.criterion == criterion]
            for criterion in CRITERIA
        },
        osaid={"pass": "met", "relicense": "would be met under other terms", "fail": "not met"},
    )


def write_page(report: AuditReport, path: Path) -> None:
    """Write the page to a file."""
    write_atomically(path, render_page(report).encode("utf-8"))


def _digits(evidence: Evidence) -> str:
    """The beginning of an evidence's hash, for people."""
    return evidence.sha256.removeprefix("sha256:")[:16]
