"""Releases of strangers, made for one test."""

from datetime import UTC, datetime
from pathlib import Path

from fonderie.audit.examine import Request, audit
from fonderie.audit.hub import Hub
from fonderie.audit.report import AuditReport
from fonderie.core.machine import Machine
from fonderie.licences.texts import reference_texts

DAY = datetime(2026, 11, 26, tzinfo=UTC)
WEIGHTS = (8).to_bytes(8, "little") + b"{}      "
"""A safetensors file without tensors."""


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """A folder with these files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return root


def card(body: str = "", **head: object) -> str:
    """A model card."""
    import yaml

    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n{body}\n"


def licence_text(identifier: str) -> str:
    """A licence's own text, from the package that carries it."""
    return reference_texts()[identifier]


def look(what: Path | str, hub: Hub | None = None, revision: str | None = None) -> AuditReport:
    """Audit on a fixed day."""
    return audit(Request(str(what), revision=revision), Machine(), hub=hub, now=lambda: DAY)


def rules(report: AuditReport, verdict: str | None = None) -> set[str]:
    """The rules of an audit's findings, all or those of one verdict."""
    return {item.rule for item in report.findings if verdict is None or item.verdict == verdict}


def washed(report: AuditReport) -> set[str]:
    """The rules of an audit's contradictions, without their common beginning."""
    return {item.rule.removeprefix("washing.") for item in report.contradictions}


def verdicts(report: AuditReport) -> dict[str, str]:
    """Criterion by criterion."""
    return {criterion: grade.verdict for criterion, grade in report.criteria.items()}
