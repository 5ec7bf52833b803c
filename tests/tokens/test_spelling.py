"""What tokens spell, read without the tokenizer: the same as what the tokenizer was given."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model import checkpoints
from tokenizers import pre_tokenizers

from fonderie.core.document import Document, shard_path, write_documents
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.tokens.bpe import BpeParameters, train_bpe
from fonderie.tokens.conversation import Turn, format_turns
from fonderie.tokens.pieces import byte_alphabet
from fonderie.tokens.spelling import Spelling
from fonderie.tokens.tokenizer import Tokenizer, border_tokens

TEXTS = ("L'été, l'œuvre de 1789 : « déjà vu » ! 😀\n", "e\u0301cole et école", "<|end|> n'est que du texte")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with merges, learnt from a few lines."""
    root = tmp_path_factory.mktemp("spelling")
    documents, out = root / "documents", root / "tokenizer"
    documents.mkdir()
    out.mkdir()
    made = [Document(text=text * 20, source="s", origin="o", licence="CC0-1.0") for text in TEXTS]
    write_documents(shard_path(documents, 0), made)
    manifest = Manifest(key="", digest="", step="", version=1, parameters={}, inputs={}, sources={}, files=[])
    inputs = Inputs({"documents": (Artifact(documents, manifest),)})
    train_bpe(inputs, BpeParameters(vocabulary=290), Output(out, root), Machine())
    return out


def spelling(folder: Path) -> Spelling:
    return Spelling.read((folder / "tokenizer.json").read_bytes())


def document(text: str, form: str = "") -> Document:
    metadata = {"form": form} if form else {}
    return Document(text=text, source="s", origin="o", licence="CC0-1.0", metadata=metadata)


def test_the_alphabet_is_that_of_the_library() -> None:
    assert set(byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))


@settings(max_examples=60)
@given(st.text(max_size=60) | st.sampled_from(TEXTS))
def test_tokens_of_a_document_spell_it(folder: Path, text: str) -> None:
    item = document(text)
    ids = Tokenizer(folder).encode_document(item)
    assert spelling(folder).of(ids) == spelling(folder).document(item.text, item.metadata)


TURNS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(st.characters(exclude_categories=["C"]))),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(TURNS)
def test_tokens_of_a_conversation_spell_its_turns(folder: Path, turns: list[tuple[str, str]]) -> None:
    item = document(format_turns([Turn(*turn) for turn in turns]), "conversation")
    ids = Tokenizer(folder).encode_document(item)
    assert spelling(folder).of(ids) == spelling(folder).document(item.text, item.metadata)
    # The same characters as plain text are another document to the model.
    assert spelling(folder).of(ids) != spelling(folder).document(item.text, {})


def test_one_token_changed_spells_another_text(folder: Path) -> None:
    item = document("Le chat dort.")
    ids = Tokenizer(folder).encode_document(item)
    for place in range(len(ids)):
        for other in (0, 3, 280):
            changed = [*ids[:place], other, *ids[place + 1 :]]
            if changed != ids:
                assert spelling(folder).of(changed) != spelling(folder).document(item.text, item.metadata)


def test_a_mark_cannot_be_written_in_a_text(folder: Path) -> None:
    ids = Tokenizer(folder).encode_document(document("<|user|>a<|end|>"))
    assert spelling(folder).of(ids).count(b"\xff") == 2 * len(["bos", "eos"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file["model"]["vocab"].update({"☃": 290}), "stands for no bytes"),
        (lambda file: file["model"]["vocab"].update({"a": 295}), "gaps"),
        (lambda file: file["model"]["vocab"].update({"a": 5000}), "not those of a vocabulary"),
        (lambda file: file.update(added_tokens=[]), "special tokens are missing"),
        (lambda file: file.update(model={}), "is no tokenizer"),
        (lambda file: file.update(normalizer={"type": "Lowercase"}), "not known here"),
    ],
)
def test_what_is_no_byte_level_tokenizer_is_refused(folder: Path, change, said: str) -> None:
    file = json.loads((folder / "tokenizer.json").read_bytes())
    change(file)
    with pytest.raises(InputError, match=said):
        Spelling.read(json.dumps(file).encode())
    with pytest.raises(InputError, match="is no tokenizer"):
        Spelling.read(b"\xff")


# Tokenizers from elsewhere.


def byte_fallback(folder: Path, *, prepend: bool) -> Path:
    """As Llama 2 and Mistral have it: "▁" for a space, and bytes for what no token spells."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    words = ["▁le", "▁chat", "▁", "l", "e", "c", "h", "a", "t", ".", "é"]
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {word: 256 + n for n, word in enumerate(words)}
    merges = [("▁", "l"), ("▁l", "e")]
    vocabulary |= {"▁l": 300}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True))
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace] if prepend else [replace])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken("<s>", normalized=False), AddedToken("</s>", normalized=False)])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return folder


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("foreign")
    checkpoints.write_tokenizer(root / "falcon")
    checkpoints.write_tokenizer(root / "bloom", bos="<s>", eos="</s>")
    return {
        "falcon": root / "falcon",
        "bloom": root / "bloom",
        "mistral": byte_fallback(root / "mistral", prepend=True),
        "gemma": byte_fallback(root / "gemma", prepend=False),
    }


@settings(max_examples=60)
@given(
    st.sampled_from(["falcon", "bloom", "mistral", "gemma"]),
    st.text(max_size=40) | st.sampled_from([*TEXTS, "le chat", " le chat", "▁le  chat▁", "e\u0301"]),
)
def test_tokens_of_a_tokenizer_from_elsewhere_spell_the_document(
    foreign: dict[str, Path], name: str, text: str
) -> None:
    tokenizer = Tokenizer(foreign[name])
    bos, eos = border_tokens(foreign[name])
    assert eos is not None
    found = Spelling.read((foreign[name] / "tokenizer.json").read_bytes(), borders=(bos, eos))
    ids = tokenizer.encode_document(document(text))
    assert found.of(ids) == found.document(text, {})
    assert found.of(ids) != found.document(text + "x", {})


def test_borders_that_are_not_there_are_refused(foreign: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="has no special tokens"):
        Spelling.read((foreign["falcon"] / "tokenizer.json").read_bytes(), borders=("<s>", "</s>"))
    with pytest.raises(InputError, match="special tokens are missing"):
        Spelling.read((foreign["falcon"] / "tokenizer.json").read_bytes())
