import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.builders import document, documents, run_step
from tests.evaluate.gated import gated
from tests.evaluate.small import Build

from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.corpus.decontaminate import DecontaminateParameters, decontaminate
from fonderie.evaluate.french.answers import answer_items
from fonderie.evaluate.french.compose import SUITES, FrenchItemsParameters, Suite, compose_items, french_items
from fonderie.evaluate.french.items import Item, item_of, read_items
from fonderie.evaluate.french.rules import does_not_refuse, last_number, refuses, says_machine
from fonderie.evaluate.french.seen import stand_in
from fonderie.evaluate.french.step import FrenchParameters, french
from fonderie.evaluate.score import read_outcomes, read_scores
from fonderie.model.convert import load_pretrained
from fonderie.model.transformer import Decoder
from fonderie.tokens.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    params = FrenchItemsParameters(items=12, seed=5, source="asked")
    return run_step(french_items, params, tmp_path_factory.mktemp("asked"), {})[0]


@pytest.mark.parametrize("suite", SUITES)
def test_items_are_different_seeded_and_travel_as_documents(suite: Suite) -> None:
    items = compose_items((suite,), 100, 1)
    assert len({item.id for item in items}) == 100
    assert items[:40] == compose_items((suite,), 40, 1)
    others = {item.id for item in compose_items((suite,), 100, 2)}
    assert len(others & {item.id for item in items}) < 80
    for number, item in enumerate(items):
        assert item_of(item.document("asked", number)) == item
        assert (item.kind == "answer") == bool(item.rule)
        assert item.text[0].isupper()
        assert "{" not in item.text + item.right + item.wrong


def test_a_pair_differs_in_one_word_and_half_have_something_between() -> None:
    items = compose_items(("agreement",), 60, 4)
    for item in items:
        right, wrong = item.right.split(), item.wrong.split()
        assert sum(a != b for a, b in zip(right, wrong, strict=True)) == 1, item
    assert sum("across" in item.part for item in items) == 30
    assert len({item.part for item in items}) == 6


def test_what_is_false_has_a_true_twin_of_each_kind() -> None:
    premises = compose_items(("false_premises",), 80, 4)
    denies = [" pas " in f" {item.right} " for item in premises]
    assert sum(denies) == 40  # to deny always, or never, is right half of the time
    absurd = compose_items(("absurd_questions",), 80, 4)
    assert sum(item.rule == "refuses" for item in absurd) == 40


@given(seed=st.integers(0, 10_000))
def test_arithmetic_is_right(seed: int) -> None:
    for item in compose_items(("arithmetic",), 4, seed):
        asked = item.question.replace("Combien font ", "").replace("Calcule ", "").rstrip(" ?.")
        words = {"plus": "+", "moins": "-", "fois": "*", "×": "*"}
        if "somme" in asked:
            a, rest = asked.split(" fois la somme de ")
            b, c = rest.split(" et de ")
            asked = f"{a} * ({b} + {c})"
        computed = eval(" ".join(words.get(word, word) for word in asked.split()), {"__builtins__": {}})
        assert int(item.right) == computed


def test_a_suite_has_only_so_many_items() -> None:
    with pytest.raises(InputError, match="identity found no item number"):
        compose_items(("identity",), 500, 0)


@pytest.mark.parametrize(
    ("rule", "right", "passing", "failing"),
    [
        (
            last_number,
            "25",
            ["5 × (3 + 2) = 25.", "Cela fait 25, car 20 + 5 = 25.", "vingt-cinq", "C'est vingt-cinq !"],
            ["5 (3 + 2) = 17", "25 et 17", "cinq", "", "je ne sais pas", "125", "2,5"],
        ),
        (last_number, "1234", ["1 234", "1\u202f234."], ["1 2345"]),
        (
            refuses,
            "",
            ["Non.", "Les vaches ne pondent pas d'œufs.", "Les œufs de vache n'existent pas.", "Je ne sais pas."],
            ["Les œufs de vache sont riches en protéines.", "Ils ne coûtent pas cher.", "", "Oui."],
        ),
        (does_not_refuse, "", ["Les œufs de poule sont bons."], ["", "Non, les poules ne pondent pas d'œufs."]),
        (
            says_machine,
            "",
            ["Je suis un petit modèle de langue.", "Je ne suis pas un humain : je suis un programme."],
            [
                "Je suis ChatGPT, un modèle d'OpenAI.",
                "Je suis une personne.",
                "Je suis un humain, pas une machine.",
                "",
            ],
        ),
        (says_machine, "Lucie", ["Je m'appelle Lucie."], ["Je m'appelle Claude, un assistant.", "Bonjour !"]),
    ],
)
def test_rules(rule, right: str, passing: list[str], failing: list[str]) -> None:
    assert [answer for answer in passing if not rule(answer, right)] == []
    assert [answer for answer in failing if rule(answer, right)] == []


def test_an_answer_depends_on_no_other_item(small: Build, asked: Artifact) -> None:
    trained = load_pretrained(small.result.artifacts["base"].path).config
    model = Decoder(trained.model_copy(update={"context": 160, "init_std": 0.5}), seed=2).eval()
    tokenizer = Tokenizer(small.result.artifacts["bpe"].path)
    items = [item for _, item in read_items([asked])]

    def answered(some: list[Item], threads: int = 1) -> dict[str, object]:
        found = answer_items(
            model, tokenizer, some, template="plain", max_tokens=6, machine=Machine(threads=threads)
        )
        return {item.id: answer for item, answer in zip(some, found, strict=True)}

    whole = answered(items)
    shuffled = random.Random(1).sample(items, k=len(items))
    assert answered(shuffled, threads=2) == whole
    alone = items[7]
    assert answered([alone]) == {alone.id: whole[alone.id]}


def test_the_likelier_sentence_is_the_answer(small: Build) -> None:
    """The toy grammar never writes a plural verb, so that the model prefers what it has seen."""
    model = load_pretrained(small.result.artifacts["base"].path)
    tokenizer = Tokenizer(small.result.artifacts["bpe"].path)
    good, bad = "Le chat regarde la fenêtre.", "Qvjx wkz zzyx bpq"
    items = [Item("own", "", "pair", "", good, bad), Item("own", "", "pair", "", bad, good)]
    ask = {"template": "plain", "max_tokens": 4, "machine": Machine()}
    found = answer_items(model, tokenizer, items, **ask)
    assert [(answer.right, answer.said) for answer in found] == [(True, good), (False, good)]
    same = answer_items(model, tokenizer, [Item("own", "", "choice", "Qui ?", good, good)], **ask)
    assert not same[0].right  # a tie tells nothing apart


def test_scores_say_how_many_were_trained_on(small: Build, tmp_path: Path, asked: Artifact) -> None:
    training = small.result.artifacts["training"]
    told = [item.text for path in shard_paths(training.path) for item in read_documents(path) if not item.metadata]
    sentence = next(line for text in told for line in text.split(". ") if len(line.split()) > 3)
    item = Item("own", "known", "pair", "", sentence, "Rien.")
    extra = documents(tmp_path / "own", [[item.document("own", 0)]])
    short = FrenchItemsParameters(suites=("agreement", "arithmetic"), items=6, source="short")
    inputs = {
        "model": (small.result.artifacts["base"],),
        "tokenizer": (small.result.artifacts["bpe"],),
        "items": (run_step(french_items, short, tmp_path / "short", {})[0], extra),
    }
    made, out = run_step(french, FrenchParameters(max_tokens=4, template="plain"), tmp_path, inputs)
    scores = {score.source: score for score in read_scores(made.path)}
    assert set(scores) == {"french/agreement", "french/arithmetic", "french/own"}
    assert scores["french/own"].seen == 1
    assert scores["french/agreement"].seen == 0
    assert out.statistics["also_trained_on"] == 1
    outcomes = read_outcomes(made.path)
    for score in scores.values():
        of = [outcome for outcome in outcomes if outcome.source == score.source]
        assert (score.n, score.unit, score.better) == (len(of), "items", "higher")
        assert score.value == pytest.approx(sum(outcome.value for outcome in of) / len(of), abs=1e-6)
        assert score.low <= score.value <= score.high
        assert "Wilson" in score.method
    assert all(outcome.said is not None for outcome in outcomes)


def test_a_corpus_is_cleaned_of_what_will_be_asked(tmp_path: Path, asked: Artifact) -> None:
    items = read_items([asked])
    agreement = next(item for _, item in items if item.suite == "agreement")
    premise = next(item for _, item in items if item.suite == "false_premises")
    held = [
        document(f"Un jour, quelqu'un écrivit : {agreement.right} Puis il partit."),
        document(f"Utilisateur : {premise.question}\nAssistant : {premise.right}"),
        document("Une page qui ne parle de rien de tout cela, mais de la pluie et du beau temps en Bretagne."),
    ]
    corpus = documents(tmp_path / "in", [held])
    assert stand_in(shard_paths(corpus.path), [item for item, _ in items], Machine()) >= {
        number for number, (_, item) in enumerate(items) if item in (agreement, premise)
    }
    clean, _ = run_step(
        decontaminate, DecontaminateParameters(), tmp_path, {"documents": (corpus,), "evaluation": (asked,)}
    )
    left = [item.text for path in shard_paths(clean.path) for item in read_documents(path)]
    assert left == [held[2].text]


@pytest.mark.parametrize("before", [0, 63, 64])
def test_an_answer_never_lies_in_the_next_document(tmp_path: Path, before: int) -> None:
    item = Item("own", "", "choice", "Qui vit ici ?", "Le vieux renard.", "Personne.").document("own", 0)
    other = [document(f"Une page, la {number}.") for number in range(before)]
    apart = documents(tmp_path / "apart", [[*other, document("Qui vit ici ?"), document("Le vieux renard.")]])
    assert stand_in(shard_paths(apart.path), [item], Machine()) == set()
    together = documents(tmp_path / "one", [[*other, document("Qui vit ici ? Le vieux renard.")]])
    assert stand_in(shard_paths(together.path), [item], Machine()) == {0}


def test_an_item_longer_than_the_context_is_named(small: Build, asked: Artifact) -> None:
    model = load_pretrained(small.result.artifacts["base"].path)
    tokenizer = Tokenizer(small.result.artifacts["bpe"].path)
    long = [item for _, item in read_items([asked]) if item.suite == "false_premises"]
    with pytest.raises(InputError, match=r"false_premises has \d+ tokens, the model's context 64"):
        answer_items(model, tokenizer, long, template="chat", max_tokens=4, machine=Machine())


def test_what_is_no_item_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no item of a suite"):
        item_of(document("Le chat."))
    good = Item("own", "", "choice", "Qui ?", "Lui.", "Elle.").document("own", 0)
    broken = Document(**{**_fields(good), "metadata": {**good.metadata, "kind": "essay"}})
    with pytest.raises(InputError, match="kind 'essay'"):
        item_of(broken)
    unruly = Document(**{**_fields(good), "metadata": {**good.metadata, "kind": "answer", "rule": "taste"}})
    with pytest.raises(InputError, match="with rule 'taste'"):
        item_of(unruly)
    with pytest.raises(InputError, match="nothing to ask"):
        read_items([documents(tmp_path / "none", [[]])])


def _fields(item: Document) -> dict[str, object]:
    names = ("text", "source", "origin", "licence", "language", "author", "metadata")
    return {name: getattr(item, name) for name in names}


def test_a_whole_recipe_with_suites_and_a_gate(small: Build) -> None:
    built = gated(small, at_most=100.0, name="passing")
    gate = json.loads((built.result.artifacts["gate"].path / "gate.json").read_bytes())
    assert gate["passed"]
    assert [line["kind"] for line in gate["lines"]] == ["at_most", "at_least"]
    assert gate["model"] == built.result.artifacts["base"].digest
