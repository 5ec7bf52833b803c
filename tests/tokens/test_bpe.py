from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.builders import document, documents, run_step
from tokenizers import Regex, pre_tokenizers

from fonderie.core.document import Document
from fonderie.core.errors import InputError, StepError
from fonderie.tokens.bpe import PATTERN, BpeParameters, train_bpe
from fonderie.tokens.conversation import SPECIAL_TOKENS, Turn, format_turns, parse_turns
from fonderie.tokens.tokenizer import Tokenizer

TEXTS = [
    "Aujourd'hui, l'homme qu'on a vu à l'école compte 1789 moutons et 3,14 arbres.",
    "— Où vas-tu ? demanda le renard.\n— Au marché, répondit-elle.\n\nElle n'y alla pas.",
    "Le chat dort. Les chats dorment. La chatte dormait, l'été, près de la fenêtre.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("bpe")
    made = documents(tmp_path / "in", [[document(text) for text in TEXTS]])
    artifact, _ = run_step(
        train_bpe, BpeParameters(vocabulary=290, minimum_frequency=1), tmp_path / "out", {"documents": (made,)}
    )
    return artifact.path


def cut(text: str) -> list[str]:
    splitter = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    return [piece for piece, _ in splitter.pre_tokenize_str(text)]


def test_text_is_cut_as_french_is_written() -> None:
    assert cut("l'homme qu’il") == ["l'", "homme", " qu’", "il"]
    assert cut("en 1789, à 3,14 €") == ["en", " ", "1", "7", "8", "9", ",", " à", " ", "3", ",", "1", "4", " €"]
    assert cut("fin.\n\n— Oui !") == ["fin", ".", "\n", "\n", "—", " Oui", " !"]
    assert cut("a   b\t\n") == ["a", "  ", " b", "\t", "\n"]


@given(st.text())
def test_cutting_loses_nothing(text: str) -> None:
    assert "".join(cut(text)) == text


@settings(max_examples=200)
@given(st.text(st.characters(codec="utf-8")))
def test_every_text_comes_back_in_nfc(folder: Path, text: str) -> None:
    import unicodedata

    tokenizer = Tokenizer(folder)
    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


def test_decomposed_accents_are_composed(folder: Path) -> None:
    tokenizer = Tokenizer(folder)
    assert tokenizer.encode("e\u0301te\u0301") == tokenizer.encode("été")


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_text_never_yields_a_special_token(folder: Path, token: str) -> None:
    tokenizer = Tokenizer(folder)
    ids = tokenizer.encode(f"avant {token} après")
    assert min(ids) >= len(SPECIAL_TOKENS)
    assert tokenizer.decode(ids) == f"avant {token} après"


def test_documents_begin_and_end_and_conversations_have_turns(folder: Path) -> None:
    tokenizer = Tokenizer(folder)
    plain = tokenizer.encode_document(document("Le chat dort."))
    assert (plain[0], plain[-1], plain[1:-1]) == (tokenizer.bos, tokenizer.eos, tokenizer.encode("Le chat dort."))
    talk = document("Utilisateur : Où ?\nAssistant : Ici.\nOui.", metadata={"form": "conversation"})
    decoded = tokenizer.decode(tokenizer.encode_document(talk), skip_special_tokens=False)
    assert decoded == "<|bos|><|user|>Où ?<|end|><|assistant|>Ici.\nOui.<|end|><|eos|>"


def test_a_conversation_without_a_speaker_is_named(folder: Path) -> None:
    bad = document("Bonjour.", origin="f.jsonl#L3", metadata={"form": "conversation"})
    with pytest.raises(InputError, match=r"f\.jsonl#L3 \(test\): a conversation begins with a speaker"):
        Tokenizer(folder).encode_document(bad)


turns = st.lists(
    st.builds(
        Turn, st.sampled_from(["user", "assistant"]), st.text(st.characters(codec="utf-8", exclude_characters=":"))
    ),
    min_size=1,
)


@given(turns)
def test_turns_survive_being_written(given_turns: list[Turn]) -> None:
    assert parse_turns(format_turns(given_turns)) == given_turns


def test_too_little_text_for_the_vocabulary_is_an_error(tmp_path: Path) -> None:
    made = documents(tmp_path / "in", [[document("Peu de texte.")]])
    with pytest.raises(StepError, match="not vocabulary = 5000"):
        run_step(train_bpe, BpeParameters(vocabulary=5000), tmp_path / "out", {"documents": (made,)})


def test_the_sample_follows_content_ids_not_order(tmp_path: Path) -> None:
    items: list[Document] = [document(f"{text} {n}") for n in range(30) for text in TEXTS]
    digests = []
    for name, order in (("a", items), ("b", items[::-1])):
        made = documents(tmp_path / f"in{name}", [order])
        params = BpeParameters(vocabulary=290, minimum_frequency=1, sample_bytes=2_000)
        artifact, out = run_step(train_bpe, params, tmp_path / name, {"documents": (made,)})
        digests.append(artifact.digest)
        assert 1_500 < out.statistics["learnt_from_bytes"] <= 2_000
    assert digests[0] == digests[1]


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer(tmp_path)


def test_hugging_face_clients_get_the_same_ids_and_the_same_template(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer(folder)
    for text in TEXTS:
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours.encode(text)
        assert theirs(text)["input_ids"] == [ours.bos, *ours.encode(text)]
    messages = [
        {"role": "user", "content": "Où ?"},
        {"role": "assistant", "content": "Ici."},
        {"role": "user", "content": "Là"},
    ]
    templated = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert templated == ours.encode_turns([Turn(**message) for message in messages], answer=True)
    assert (theirs.bos_token_id, theirs.eos_token_id) == (ours.bos, ours.eos)
