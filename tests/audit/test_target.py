"""Releases that mean harm: nothing is executed, nothing outside is read, sizes and times stay bounded."""

import json
import os
import pickle
import resource
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from tests.audit.folders import WEIGHTS, card, licence_text, look, rules, write

from fonderie.audit import target as target_module
from fonderie.audit.page import render_page
from fonderie.audit.parse import ParseError, read_json, read_yaml, split_front_matter
from fonderie.audit.target import open_folder
from fonderie.core.errors import ReleaseError, UsageError
from fonderie.release import folder as folder_module


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.trace),))


def hazards(report: object) -> dict[str, str]:
    return {item.rule: item.summary for item in report.hazards}  # type: ignore[attr-defined]


def test_pickles_are_named_and_never_loaded(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bomb = pickle.dumps(Bomb(trace), protocol=4)
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", bomb)
    root = write(
        tmp_path / "release",
        {
            "pytorch_model.bin": bomb,
            "model-00001-of-00002.safetensors": bomb,
            "model-00002-of-00002.safetensors": archive.getvalue(),
            "optimizer.pt": archive.getvalue(),
            "good.safetensors": WEIGHTS,
        },
    )
    report = look(root)
    assert not trace.exists()
    (finding,) = [item for item in report.findings if item.rule == "method.weights"]
    assert finding.verdict == "partial"
    named = hazards(report)["hazard.pickle"]
    for name in (
        "pytorch_model.bin",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "optimizer.pt",
    ):
        assert name in named
    assert "good.safetensors" not in named


def test_archives_are_named_and_never_opened(tmp_path: Path) -> None:
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data.jsonl", b"0" * 50_000_000)
        file.writestr("../../outside", b"x")
    report = look(write(tmp_path / "release", {"data/data.zip": bomb.getvalue(), "data/a.jsonl.gz": b"\x1f\x8b"}))
    assert "data/data.zip" in hazards(report)["hazard.archive"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.jsonl.gz", "data.zip"]


def test_a_large_header_is_no_pickle(tmp_path: Path) -> None:
    """A safetensors file whose header has 640 bytes begins with 0x80 0x02, as a pickle does."""
    root = write(tmp_path, {"model.safetensors": (0x280).to_bytes(8, "little") + b"{}".ljust(0x280)})
    assert "hazard.pickle" not in hazards(look(root))


def test_huge_files_are_neither_read_nor_hashed(tmp_path: Path) -> None:
    for name in ("model.safetensors", "LICENSE", "README.md", "config.json"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(10 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = look(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert report.criteria["use"].verdict == "unknown"
    assert "LICENSE" in hazards(report)["hazard.unread"] or any(
        "LICENSE" in item.summary for item in report.hazards
    )


def test_a_licence_of_ten_megabytes_is_not_free(tmp_path: Path) -> None:
    text = licence_text("MIT") + "\nfurther words " * 700_000
    report = look(write(tmp_path, {"LICENSE": text}))
    assert report.criteria["use"].verdict == "unknown"
    assert "no more than 2,097,152 are read" in " ".join(item.summary for item in report.findings)


def test_many_licence_files_are_bounded(tmp_path: Path) -> None:
    report = look(write(tmp_path, {f"{number}/LICENSE": "words " * 50 for number in range(300)}))
    assert len([rule for rule in rules(report) if rule.startswith("use.licence_text")]) == 24
    assert report.criteria["use"].verdict == "unknown"


def test_links_pipes_and_loops_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret words")
    root = write(tmp_path / "release", {"README.md": card(license="mit")})
    (root / "LICENSE").symlink_to(secret)
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "config.json")
    report = look(root)
    said = report.model_dump_json()
    assert "the secret words" not in said
    assert "config.json" in said
    assert "a link" in said
    assert "not a regular file" in said


def test_a_pipe_put_in_place_after_the_listing_is_not_waited_for(tmp_path: Path) -> None:
    root = write(tmp_path, {"LICENSE": "x"})
    opened = open_folder(root)
    (root / "LICENSE").unlink()
    os.mkfifo(root / "LICENSE")
    assert opened.text("LICENSE") is None
    assert opened.unread["LICENSE"] == "not a regular file"
    (root / "LICENSE").unlink()
    (root / "LICENSE").symlink_to("/etc/passwd")
    assert open_folder(root).text("LICENSE") is None


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "FILES_LIMIT", 50)
    write(tmp_path, {f"{number}.txt": "" for number in range(60)})
    with pytest.raises(ReleaseError, match="more than 50"):
        look(tmp_path)


def test_too_many_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "FILES_LIMIT", 50)
    for number in range(60):
        (tmp_path / f"{number}").mkdir()
    with pytest.raises(ReleaseError, match="more than 50"):
        look(tmp_path)


def test_names_and_texts_cannot_write_to_the_terminal_or_the_page(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07<script>alert(1)</script>\u202emoc"
    root = write(
        tmp_path,
        {
            "README.md": card(
                f"# {evil}\nopen-source model {evil}\n\nSee arxiv.org/abs/1 {evil}\n\nOn H100 {evil}\n",
                license=evil,
                license_name=evil,
                datasets=[evil],
                base_model=evil,
            ),
            "LICENSE": f"{licence_text('MIT')}\nNobody may use it for {evil}.",
            "a\x1b[31m\n.bin": b"",
            "data/README.md": card(evil, license=evil),
            "data/\x1b.jsonl": json.dumps({"license": evil}),
            f"LICENSE-{evil[:9]}": evil,
            "<img src=x onerror=alert(1)>.pt": b"",
        },
    )
    report = look(root)
    dumped = json.dumps(report.model_dump(mode="json"), ensure_ascii=False)
    assert "\x1b" not in dumped
    assert "\\u001b" not in dumped
    assert "\u202e" not in dumped
    page = render_page(report)
    assert "<script" not in page
    assert "<img" not in page
    assert "onerror=alert(1)&gt;" in page


def test_texts_that_are_none(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "LICENSE": b"\xff\xfe\x00M\x00I\x00T",
            "README.md": b"---\nlicense: mit\n---\n\xff\xfe \xc3",
            "config.json": b"{" * 10**6,
        },
    )
    report = look(root)
    assert report.criteria["use"].verdict == "unknown"
    assert "zero bytes" in report.model_dump_json()


@pytest.mark.parametrize(
    "head",
    [
        "a: &a [1]\nb: *a",
        "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]",
        "[" * 100_000,
        "a: !!python/object/apply:os.system [id]",
        "a: " + "9" * 5_000,
        "? {a: b}\n: c",
        "a: 2024-99-99",
        "\t- x",
        "x: [" + "1, " * 60_000 + "]",
    ],
    ids=range(9),
)
def test_yaml_bombs_are_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(ParseError):
        read_yaml(head)
    report = look(write(tmp_path, {"README.md": f"---\n{head}\n---\nwords"}))
    assert report.criteria["use"].verdict == "unknown"


def test_json_bombs_are_refused() -> None:
    for text in ("[" * 10**6, "9" * 10_000, "{", "", '{"a": ' * 20_000):
        with pytest.raises(ParseError):
            read_json(text)


def test_front_matter() -> None:
    assert split_front_matter("---\na: 1\n---\nbody")[0].strip() == "a: 1"
    assert split_front_matter("\ufeff---\r\na: 1\r\n---\r\nbody")[0].strip() == "a: 1"
    assert split_front_matter("body\n---\nx\n---") == ("", "body\n---\nx\n---")
    assert split_front_matter("---\nnever closed")[0] == ""
    assert split_front_matter("")[0] == ""


def test_a_card_made_to_be_slow_is_read_in_bounded_time(tmp_path: Path) -> None:
    slow = [
        "<!-- " * 60_000,
        "by using " * 30_000,
        "open-source " * 25_000,
        "https://github.com/ " * 15_000,
        "only " * 60_000,
        "." * 300_000,
        "learning rate " * 20_000,
        "[x](https://huggingface.co/datasets/a/b) train " * 6_000,
    ]
    for number, body in enumerate(slow):
        # No timed assertion: a pattern of quadratic time would be noticed, it takes hours here.
        look(write(tmp_path / str(number), {"README.md": card(body, license="mit")}))


def test_what_git_keeps_for_itself_is_not_the_release(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {".git/objects/aa/LICENSE": "x", ".cache/huggingface/LICENSE": "x", "LICENSE": licence_text("MIT")},
    )
    assert set(open_folder(root).entries) == {"LICENSE"}


def test_nothing_there(tmp_path: Path) -> None:
    for name in (tmp_path / "nowhere", "./nowhere", "no where", "a/b/c", ""):
        with pytest.raises(UsageError):
            look(str(name) or "/nowhere")


def test_texts_read_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "TEXTS_LIMIT", 2)
    opened = open_folder(write(tmp_path, {name: name for name in "abc"}))
    assert [opened.text(name) is not None for name in "abc"] == [True, True, False]
    assert "one text too many" in opened.unread["c"]
