"""One way to fill in the templates of a release: strict, and with every stranger's word escaped."""

from functools import partial
from typing import TYPE_CHECKING, Any

from fonderie.release.writing import words
from fonderie.release.writing.tables import cell, one_line, quantity
from fonderie.release.writing.words import Language

if TYPE_CHECKING:
    import jinja2


def render(template: str, language: Language, **values: Any) -> str:
    """The text of a template of release/writing/templates; an undefined name is an error, never a blank."""
    return _environment(language).get_template(template).render(language=language, **values)


def _environment(language: Language) -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fonderie.release.writing"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown: `cell` escapes what documents and recipes say
    )
    environment.filters.update(
        cell=cell,
        code=code,
        quantity=quantity,
        quoted=quoted,
        number=partial(words.number, language=language),
        share=partial(words.share, language=language),
        score=partial(words.score_figure, language=language),
        measure=lambda name: words.known("score", name, language),
        about=partial(words.score_about, language=language),
        decimal=partial(words.decimal, digits=3, language=language),
        reason=partial(words.reason, language=language),
    )
    environment.globals["word"] = lambda section, name, **values: words.word(section, name, language, **values)
    return environment


def quoted(text: str) -> str:
    """Text as a Markdown quotation, line by line."""
    return "\n".join(f"> {cell(line)}".rstrip() for line in text.split("\n"))


def code(text: object) -> str:
    """Text as Markdown code on one line; marks that would end it are dropped."""
    return "`" + one_line(str(text).replace("`", "'")).replace("|", "\\|") + "`"
