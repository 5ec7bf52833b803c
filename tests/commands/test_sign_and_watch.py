"""The commands sign, verify --key and watch, as `main` runs them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.evaluate.small import Build, build

from fonderie.cli import main

Fonderie = Callable[..., str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build(tmp_path_factory.mktemp("small"))


@pytest.fixture
def fonderie(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fonderie:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FONDERIE_KEY_PASSPHRASE", raising=False)

    def run(*arguments: object, status: int = 0) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == status
        captured = capsys.readouterr()
        return captured.out + captured.err

    return run


@pytest.fixture
def release(small: Build, tmp_path: Path) -> Path:
    shutil.copytree(small.release, tmp_path / "toy")
    return Path("toy")


def test_sign_and_verify(fonderie: Fonderie, release: Path) -> None:
    said = fonderie("sign", "--new-key", "key.pem")
    assert "Key id:" in said
    assert "UsageError key.pem is already there" in fonderie("sign", "--new-key", "key.pem", status=2)
    assert "Signed: " in fonderie("sign", release, "--key", "key.pem")
    said = fonderie("verify", release, "--key", "key.pem.pub")
    assert "ok     signature: toy.dsse.json signs this draft release" in said
    made = json.loads(fonderie("sign", "--new-key", "other.pem", "--json"))
    said = fonderie("verify", release, "--key", "other.pem.pub", status=1)
    assert "failed signature: toy.dsse.json: signed by" in said
    found = json.loads(fonderie("verify", release, "--key", "other.pem.pub", "--json", status=1))
    assert found["ok"] is False
    assert found["problems"] == []
    assert found["signature"]["keyid"] == made["keyid"]
    assert "signature" not in json.loads(fonderie("verify", release, "--json"))
    (release / "config.json").write_text("{}")
    said = fonderie("verify", release, "--key", "key.pem.pub", status=1)
    assert "config.json: altered" in said
    assert "config.json: not the file that was signed" in said


def test_requests_that_make_no_sense(fonderie: Fonderie, release: Path) -> None:
    fonderie("sign", "--new-key", "key.pem")
    assert "No release is named" in fonderie("sign", "--key", "key.pem", status=2)
    assert "signs nothing" in fonderie("sign", release, "--new-key", "x.pem", status=2)
    assert "goes with --new-key" in fonderie("sign", release, "--key", "key.pem", "--passphrase", status=2)
    assert "Name it: --key FILE" in fonderie("verify", release, "--signature", "x", status=2)
    assert "is a private key" in fonderie("verify", release, "--key", "key.pem", status=2)
    assert "there is no signature at x" in fonderie(
        "verify", release, "--key", "key.pem.pub", "--signature", "x", status=2
    )
    assert "No place is named" in fonderie("watch", release, status=2)
    assert "names its own places" in fonderie("watch", "watch.toml", "--at", "x", status=2)


def test_a_passphrase_comes_from_the_environment_or_a_terminal(
    fonderie: Fonderie, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no terminal to ask" in fonderie("sign", "--new-key", "key.pem", "--passphrase", status=2)
    monkeypatch.setenv("FONDERIE_KEY_PASSPHRASE", "secret")
    fonderie("sign", "--new-key", "key.pem", "--passphrase")
    monkeypatch.delenv("FONDERIE_KEY_PASSPHRASE")
    assert "is locked by a passphrase" in fonderie("sign", release, "--key", "key.pem", status=2)
    monkeypatch.setenv("FONDERIE_KEY_PASSPHRASE", "secret")
    fonderie("sign", release, "--key", "key.pem")


def test_watch(fonderie: Fonderie, release: Path) -> None:
    shutil.copytree(release, "mirror")
    said = fonderie("watch", release, "--at", "mirror", "--at", release)
    assert "published files are there and unchanged (all bytes hashed)" in said
    Path("mirror/config.json").unlink()
    said = fonderie("watch", release, "--at", "mirror", "--quick", status=1)
    assert "missing mirror/config.json: nothing is there (since " in said
    assert "NOT AS PUBLISHED: of " in said
    found = json.loads(fonderie("watch", release, "--at", "mirror", "--json", "--report", "elsewhere", status=1))
    assert found["counts"]["missing"] == 1
    assert Path(found["report"]).is_file()
    assert len(list(Path("watch-reports").glob("*.json"))) == 2
