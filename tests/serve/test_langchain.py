"""langchain-openai against the running server."""

import asyncio

import pytest
from pydantic import BaseModel, ConfigDict, Field
from tests.serve.serving import Running

langchain = pytest.importorskip("langchain_openai")
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage  # noqa: E402

MESSAGES = [SystemMessage("Réponds en français."), HumanMessage("Que fait le chat ?")]


class Animal(BaseModel):
    """An animal of the tale."""

    model_config = ConfigDict(extra="forbid")  # else an untrained model invents fields without end

    wild: bool
    legs: int = Field(ge=0, le=9)


@pytest.fixture
def chat(running: Running):
    return langchain.ChatOpenAI(
        model="toy-0.1.0", base_url=f"{running.url}/v1", api_key="none", seed=3, max_tokens=24, max_retries=0
    )


def test_invoked_streamed_and_in_a_batch_it_says_the_same(chat):
    whole = chat.invoke(MESSAGES)
    assert isinstance(whole, AIMessage)
    assert whole.content
    chunks = list(chat.stream(MESSAGES))
    assert "".join(chunk.content for chunk in chunks) == whole.content
    assert len(chunks) > 2
    assert [one.content for one in chat.batch([MESSAGES] * 3)] == [whole.content] * 3
    usage = whole.usage_metadata
    assert usage is not None
    assert usage["input_tokens"] + usage["output_tokens"] == usage["total_tokens"]
    assert whole.response_metadata["model_name"] == "toy-0.1.0"
    assert whole.response_metadata["finish_reason"] in ("stop", "length")


def test_asynchronously_too_with_the_usage_of_a_stream(chat):
    async def main() -> tuple[str, str, int]:
        whole = await chat.ainvoke(MESSAGES)
        summed = None
        async for chunk in chat.astream(MESSAGES, stream_usage=True):
            summed = chunk if summed is None else summed + chunk
        return whole.content, summed.content, summed.usage_metadata["output_tokens"]

    whole, streamed, tokens = asyncio.run(main())
    assert streamed == whole
    assert 0 < tokens <= 24


def test_a_conversation_goes_on(chat):
    first = chat.invoke(MESSAGES)
    assert chat.invoke([*MESSAGES, first, HumanMessage("Et le chien ?")]).content


def test_structured_output_comes_as_the_model_class_it_was_asked_for(chat):
    longer = chat.model_copy(update={"max_tokens": 200})
    found = longer.with_structured_output(Animal, method="json_schema").invoke(MESSAGES)
    assert isinstance(found, Animal)
    loose = longer.with_structured_output(Animal.model_json_schema(), method="json_schema").invoke(MESSAGES)
    assert set(loose) <= {"wild", "legs"}


def test_log_probabilities_and_stop_texts_reach_it(chat):
    whole = chat.bind(logprobs=True, top_logprobs=2).invoke(MESSAGES)
    entries = whole.response_metadata["logprobs"]["content"]
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)
    stop = whole.content[4:7]
    assert stop not in chat.invoke(MESSAGES, stop=[stop]).content


def test_tools_are_refused_by_name(chat):
    with pytest.raises(Exception, match="tools is not supported here"):
        chat.bind_tools([Animal]).invoke(MESSAGES)


def test_embeddings_of_texts(running):
    # Lengths are counted by the server: without this, texts are cut by OpenAI's own tokenizer, which is fetched.
    embeddings = langchain.OpenAIEmbeddings(
        model="toy-0.1.0", base_url=f"{running.url}/v1", api_key="none", check_embedding_ctx_length=False
    )
    first, second, third = embeddings.embed_documents(["Le chat", "Une voisine", "Le chat"])
    assert first == third != second
    assert embeddings.embed_query("Le chat") == pytest.approx(first, abs=1e-6)
