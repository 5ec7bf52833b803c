"""A model that transformers computes, behind the same interface: one answer at a time, and the same contract."""

import asyncio
import json
import shutil

import openai
import pytest
import torch
from tests.model.checkpoints import make
from tests.serve.asking import desk, prompt
from tests.serve.serving import door, serving

from fonderie.core.errors import ReleaseError
from fonderie.model.convert import load_model
from fonderie.model.foreign import Foreign
from fonderie.model.generate import generate
from fonderie.release.gate import read_gate
from fonderie.serve.api.app import make_api
from fonderie.serve.engine.request import PromptRead, Request, Sampling
from fonderie.serve.served import read_release
from fonderie.tokens.tokenizer import Tokenizer

ASKED = {
    "model": "toy-0.1.0",
    "messages": [{"role": "user", "content": "Que fait le chat ?"}],
    "max_tokens": 20,
    "seed": 4,
}


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """The release, a Falcon in the place of its model."""
    found = tmp_path_factory.mktemp("falcon") / "release"
    shutil.copytree(small.release, found)
    tokenizer = Tokenizer(found)
    for weights in found.glob("model*.safetensors*"):
        weights.unlink()
    make("falcon", vocab_size=tokenizer.vocabulary, max_position_embeddings=256).save_pretrained(found)
    return found


@pytest.fixture(scope="module")
def model(folder):
    found = load_model(folder)
    assert isinstance(found, Foreign)
    return found


def test_its_answers_are_those_of_generating_alone_whoever_stands_in_line(folder, model):
    tokenizer = Tokenizer(folder)
    ids = prompt(tokenizer, "Le chat dort.", 90)
    expected = list(generate(model, ids, max_tokens=24))
    asked = Request(ids, 24, Sampling(temperature=0), top_logprobs=0)
    drawn = Request(ids[:30], 24, Sampling(seed=8), top_logprobs=0)
    with desk(model, tokenizer) as at:
        first, among, *_, again = at.ask(asked, drawn, drawn, Request(ids, 5), asked)
        (alone,) = at.ask(drawn)
    assert [entry.token for entry in first.logprobs] == expected
    assert first.logprobs == again.logprobs
    assert among.logprobs == alone.logprobs


def test_one_who_gives_up_makes_room_for_the_next(folder, model):
    tokenizer = Tokenizer(folder)
    ids = prompt(tokenizer, "Le chat dort.")
    with desk(model, tokenizer) as at:
        long = at.engine.submit(Request(ids, 200))
        at.wait(long, PromptRead)
        short = at.engine.submit(Request(ids, 2))
        assert at.engine.position(short) == 0
        at.engine.cancel(long)
        assert at.wait(short).end.reason == "length"
        assert at.wait(long).end.reason == "cancelled"


def test_over_http_it_meets_the_contract(folder, model, tmp_path):
    def make_app(served):
        return make_api({one.name: one for one in served}, door(tmp_path))

    with (
        serving([folder], make_app) as running,
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none") as client,
    ):
        whole = client.chat.completions.create(**ASKED)
        chunks = client.chat.completions.create(**ASKED, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content

        async def together() -> list[str]:
            async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none") as many:
                found = await asyncio.gather(*(many.chat.completions.create(**ASKED) for _ in range(4)))
            return [one.choices[0].message.content for one in found]

        assert asyncio.run(together()) == [whole.choices[0].message.content] * 4

        schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
        schema["additionalProperties"] = False
        shaped = client.chat.completions.create(
            **{**ASKED, "max_tokens": 60},
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
        )
        assert set(json.loads(shaped.choices[0].message.content)) == {"a"}

        ids = [0, 60, 61, 62, 63, 64, 65]
        echoed = client.completions.create(model="toy-0.1.0", prompt=ids, max_tokens=0, echo=True, logprobs=1)
        found = echoed.choices[0].logprobs.token_logprobs
        with torch.no_grad():
            logp = model(torch.tensor([ids]))[0].log_softmax(-1)
        assert found[0] is None
        assert found[1:] == pytest.approx([float(logp[i, token]) for i, token in enumerate(ids[1:])], abs=1e-4)


def test_a_checkpoint_of_others_is_told_what_makes_a_release_of_it(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "theirs", ignore=shutil.ignore_patterns("release.json"))
    for read in (read_release, read_gate):
        with pytest.raises(ReleaseError, match=r"theirs is not a release: it has no release\.json") as error:
            read(tmp_path / "theirs")
        assert "model.import" in error.value.hint


def test_tokens_of_a_tokenizer_from_elsewhere_are_spelt_byte_by_byte(small, tmp_path):
    folder = tmp_path / "release"
    shutil.copytree(small.release, folder)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "normalizer": None}), encoding="utf-8")
    release, text = read_release(folder), "l'œuf \U0001f98a"
    assert b"".join(release.pieces[token] for token in release.tokenizer.encode(text)) == text.encode()
    assert release.pieces[release.tokenizer.eos] == b"<|eos|>"


def test_a_model_that_knows_no_turns_says_so_and_goes_on_with_texts(small, tmp_path):
    folder = tmp_path / "release"
    shutil.copytree(small.release, folder)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("<|user|>", "<|other|>"), encoding="utf-8")

    def make_app(served):
        return make_api({one.name: one for one in served}, door(tmp_path))

    with (
        serving([folder], make_app) as running,
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client,
    ):
        for ask in (
            lambda: client.chat.completions.create(**ASKED),
            lambda: client.chat.completions.create(**ASKED, stream=True),
            lambda: client.responses.create(model="toy-0.1.0", input="Que fait le chat ?"),
        ):
            with pytest.raises(openai.BadRequestError, match="ask /v1/completions") as error:
                ask()
            assert (error.value.param, error.value.code) == ("model", "no_conversations")
        assert client.completions.create(model="toy-0.1.0", prompt="Le chat", max_tokens=4).choices[0].text
        info = client.get("/../tokenizer_info", cast_to=object)
        assert info["chat_template"] is None
