"""A final release is refused while people have not spoken; a draft says on every page that it is one."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from tests.evaluate.small import RECIPE, Build
from tests.release.publishing import FILLED, PUBLISHED, contents_of, publish, seal

from fonderie.core.digest import digest_text
from fonderie.core.errors import ReleaseError
from fonderie.core.manifest import list_files
from fonderie.release.bundle import BundleParameters, refuse_early
from fonderie.release.law.people import PEOPLE
from fonderie.release.pages import PAGES, write_pages
from fonderie.release.summary import print_summary
from fonderie.release.verify import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def final(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return publish(tmp_path_factory.mktemp("final"))


@pytest.fixture
def release(final: Build, tmp_path: Path) -> Path:
    return shutil.copytree(final.release, tmp_path / "release")


def opening(text: str) -> str:
    """The first lines of a page, below its YAML head if it has one."""
    body = text.split("---\n", 2)[2] if text.startswith("---\n") else text
    return "\n".join([line for line in body.splitlines() if line][:3])


# ── Refused before anything runs ────────────────────────────────────────────────────────────────────────────────


def refused(folder: Path, text: str | None, recipe: str = PUBLISHED, *overrides: str) -> str:
    if text is None:
        recipe = recipe.replace('publisher = "publisher.toml"\n', "")
    with pytest.raises(ReleaseError) as error:
        publish(folder, text or "", recipe, *overrides)
    return f"{error.value.message}\n{error.value.hint}"


def nothing_ran(folder: Path) -> bool:
    return not list((folder / "store" / "artifacts").iterdir())


def test_nobody_publishes(tmp_path: Path) -> None:
    assert "cannot be final without a publisher.toml" in refused(tmp_path, None)
    assert nothing_ran(tmp_path)


def test_every_gap_is_named_with_the_file_and_the_documents(tmp_path: Path) -> None:
    text = (
        FILLED.replace('"The treasurer"', '"TODO"')
        .replace("signatory = false\n", "")
        .replace("Demonstrations.", "")
    )
    message = refused(tmp_path, text)
    assert nothing_ran(tmp_path)
    assert (
        "[release] the release 'toy' cannot be final; fields of publisher.toml that wait for their author: 3"
        in message
    )
    for line in (
        "  code_of_practice.signatory: missing (for public-summary, copyright-policy)",
        "  use.systems.en: missing (for model-documentation-form)",
        "  copyright.responsible: a placeholder (for copyright-policy)",
    ):
        assert line in message


def test_the_example_as_it_comes_is_refused(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "recipes" / "publisher.example.toml"
    assert "cannot be final; fields of " in refused(tmp_path, example.read_text(encoding="utf-8"))
    assert nothing_ran(tmp_path)


def test_a_file_that_is_wrong_is_refused_in_a_draft_too(tmp_path: Path) -> None:
    message = refused(tmp_path, "[provider]\nnam = 'x'\n", RECIPE + 'publisher = "publisher.toml"\n')
    assert "provider.nam: there is no such field" in message
    assert nothing_ran(tmp_path)


def test_two_publishers_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "publisher.other.toml").write_text(FILLED)
    with pytest.raises(ReleaseError, match="names 2 files"):
        publish(tmp_path, FILLED, PUBLISHED.replace("publisher.toml", "publisher*.toml"))
    assert nothing_ran(tmp_path)


def test_a_draft_without_a_publisher_is_fine() -> None:
    refuse_early(BundleParameters(name="toy", version="1", licence="Apache-2.0"), {})


# ── Refused when the sources are known ──────────────────────────────────────────────────────────────────────────


def test_a_source_that_nobody_describes_is_refused_and_nothing_trained_is_lost(
    final: Build, tmp_path: Path
) -> None:
    folder = shutil.copytree(final.store.root.parent, tmp_path / "build", symlinks=True)
    undescribed = FILLED[: FILLED.index("[sources.letters]")]
    message = refused(folder, undescribed)
    assert "sources.letters: missing (for public-summary, model-documentation-form)" in message
    renamed = FILLED.replace("[sources.letters]", "[sources.lettres]")
    assert "describes the source 'lettres'" in refused(folder, renamed)
    again = publish(folder, FILLED.replace('version = "1.0"', 'version = "1.1"'))
    assert again.result.made == ["release"]
    assert again.result.artifacts["release"].key != final.result.artifacts["release"].key


# ── What each says of itself ────────────────────────────────────────────────────────────────────────────────────


def test_a_draft_says_so_on_every_page(small: Build) -> None:
    assert json.loads((small.release / "release.json").read_bytes())["status"] == "draft"
    pages = [name for name in PAGES if name.endswith((".md", ".html"))]
    assert len(pages) >= 20
    for name in pages:
        text = (small.release / name).read_text(encoding="utf-8")
        word = "BROUILLON" if ".fr." in name else "DRAFT"
        place = opening(text) if name.endswith(".md") else text.partition("<h1>")[2].partition("<h2>")[0]
        assert word in place, name


def test_a_final_release_says_it_nowhere_and_holds_what_its_publisher_said(final: Build) -> None:
    release = final.release
    index = json.loads((release / "release.json").read_bytes())
    assert index["status"] == "final"
    assert "publisher.toml" in {entry["path"] for entry in index["files"]}
    assert (release / "publisher.toml").read_text(encoding="utf-8") == FILLED
    for name in PAGES:
        text = (release / name).read_text(encoding="utf-8")
        for word in ("DRAFT", "BROUILLON", "publisher.toml</code>.)", "publisher.toml`.)"):
            assert word not in text, name
    assert verify(release).ok
    assert verify(release).digest == final.result.artifacts["release"].digest


def test_where_the_file_lies_does_not_matter_and_what_it_says_does(final: Build) -> None:
    manifest = final.result.artifacts["release"].manifest
    assert "publisher" not in manifest.parameters
    assert [entry.sha256 for entry in manifest.sources["publisher"]] == [digest_text(FILLED)]


# ── Checked again by anyone ─────────────────────────────────────────────────────────────────────────────────────


def problems(release: Path) -> str:
    seal(release)
    return "\n".join(verify(release).problems)


@pytest.mark.parametrize("name", [name for name in PEOPLE if ".fr." in name])
def test_a_document_that_says_something_else_is_named(release: Path, name: str) -> None:
    path = release / name
    path.write_text(path.read_text(encoding="utf-8").replace("toy", "jouet"), encoding="utf-8")
    assert f"{name}: not what release.bundle" in problems(release)


def test_other_words_of_the_publisher_contradict_the_documents(release: Path) -> None:
    path = release / "publisher.toml"
    path.write_text(FILLED.replace("Nothing is taken from the web.", "Nearly nothing."), encoding="utf-8")
    found = problems(release)
    assert "documents/copyright-policy.en.md: not what" in found
    assert "documents/public-summary.en.html: not what" in found
    assert "documents/public-summary.fr.md" not in found


def test_a_publisher_that_cannot_be_read_is_a_problem(release: Path) -> None:
    (release / "publisher.toml").write_bytes(b"\xff[")
    assert "the pages cannot be written again" in problems(release)


@pytest.mark.parametrize("gone", [True, False])
def test_a_draft_that_calls_itself_final_is_found_out(release: Path, gone: bool) -> None:
    """A forger who writes every page anew, so that nothing else contradicts the claim."""
    path = release / "publisher.toml"
    if gone:
        path.unlink()
    else:
        path.write_text(FILLED.replace('"The treasurer"', '"TODO"'), encoding="utf-8")
    seal(release)
    for name, text in write_pages(contents_of(release)).texts.items():
        (release / name).write_text(text, encoding="utf-8", newline="\n")
    found = problems(release)
    assert "not what" not in found
    if gone:
        assert found == "release.json: says that the release is final, and there is no publisher.toml"
    else:
        assert found == "publisher.toml: copyright.responsible is a placeholder, and the release calls itself final"


def test_a_survey_that_was_edited_contradicts_the_summary(release: Path) -> None:
    path = release / "survey.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"fr"', '"br"'), encoding="utf-8")
    assert "documents/public-summary.en.md: not what" in problems(release)


def test_the_same_sources_give_the_same_bytes(final: Build, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copytree(final.store.root, other / "store", symlinks=True)
    shutil.rmtree(next((other / "store").glob(f"artifacts/*/{final.result.artifacts['release'].key[7:]}")))
    again = publish(other)
    assert again.result.made == ["release"]
    assert list_files(again.release) == list_files(final.release)


def test_the_summary_of_a_run_says_which_it_is(small: Build, final: Build) -> None:
    for build, words in ((small, "draft: what its publisher has not said yet"), (final, "final: its publisher")):
        screen = Console(file=io.StringIO(), width=400)
        print_summary(build.release, screen)
        text = screen.file.getvalue()  # type: ignore[attr-defined]
        assert words in text
        assert ("documents/public-summary.en.md" in text) == (build is small)
