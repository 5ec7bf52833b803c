"""Writes the tables of docs/openness-of-public-models.md from audit/public_models. Run by `make docs`."""

import re
import tomllib
from pathlib import Path
from typing import Any

from fonderie.audit import criteria_from_facts, european_index, mof
from fonderie.audit.european_index import SCORES
from fonderie.audit.facts import ModelFacts
from fonderie.audit.public_models import load, names

PAGE = Path(__file__).with_name("openness-of-public-models.md")
PUBLISHED = Path(__file__).with_name("openness-published.toml")
OSAID = {"pass": "pass", "relicense": "if relicensed", "fail": "fail"}


def published() -> dict[str, Any]:
    """What others have said of the same models."""
    return tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))


def page() -> str:
    """The page with its tables written anew; the words around them are kept."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("verdicts", verdicts()), ("index", index()), ("parameters", parameters())):
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        assert len(marks.findall(text)) == 1, f"no place for the table of {name}"
        text = marks.sub(lambda found, table=table: f"{found[1]}\n{table}\n{found[2]}", text)
    return text


def verdicts() -> str:
    """Every model: three criteria, the OSI's definition, the MOF."""
    said = published()
    osi = {model: outcome for outcome in OSAID for model in said["osi"][outcome]}
    rows = []
    for name in names():
        facts = load(name)
        rows.append(
            [facts.name, *_criteria(facts), *_osaid(facts, osi.get(name)), *_mof(facts, said["mof"].get(name))]
        )
    head = "model|use|data provided|data|method|OSAID|the OSI says|MOF class|III, II, I|the tool says"
    return _table(head.split("|"), rows)


def _criteria(facts: ModelFacts) -> list[str]:
    grade = criteria_from_facts.grade(facts)
    provided = facts.fact("datasets").published
    return [grade.use.as_declared, provided, grade.data.as_declared, grade.method.as_declared]


def _osaid(facts: ModelFacts, theirs: str | None) -> list[str]:
    grade = criteria_from_facts.grade(facts)
    ours = OSAID[grade.osaid] + ("" if grade.osaid == grade.osaid_letter else f" (letter: {grade.osaid_letter})")
    return [ours, OSAID[theirs] if theirs else ""]


def _mof(facts: ModelFacts, theirs: dict[str, int] | None) -> list[str]:
    grade = mof.grade(mof.from_facts(facts))
    progress = ", ".join(f"{grade.progress[mof_class]:.0f} %" for mof_class in (3, 2, 1))
    said = f"{_roman(theirs['class'])}, {theirs['progress']} % of III" if theirs else ""
    return [_roman(grade.mof_class), progress, said]


def _roman(mof_class: int) -> str:
    return {0: "none", 1: "I", 2: "II", 3: "III"}[mof_class]


def index() -> str:
    """Models that the European index grades, in our order, with its figure."""
    figures = {name: figure for name, figure in published()["index"].items() if name != "source"}
    scores = {name: european_index.grade(load(name)).score for name in figures}
    order = sorted(figures, key=lambda name: (-scores[name], -figures[name], name))
    rows = [
        [load(name).name, f"{scores[name]:g}", f"{figures[name]:g}", f"{scores[name] - figures[name]:+g}"]
        for name in order
    ]
    return _table(["model", "from facts", "the index", "difference"], rows)


def parameters() -> str:
    """Every model's 12 parameters: 1, ½ or 0."""
    marks = {1.0: "1", 0.5: "½", 0.0: "0"}
    grades = sorted(
        (european_index.grade(load(name)) for name in names()), key=lambda grade: (-grade.score, grade.name)
    )
    head = ["model", *(parameter.name.replace("_", " ") for parameter in grades[0].parameters), "sum"]
    rows = [
        [grade.name, *(marks[SCORES[parameter.value]] for parameter in grade.parameters), f"{grade.score:g}"]
        for grade in grades
    ]
    return _table(head, rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
