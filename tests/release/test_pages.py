"""The pages' very words: whoever changes them changes the bytes of releases, and says so."""

import json

from fonderie.core.digest import digest_json
from fonderie.core.manifest import FileEntry, InputEntry, Manifest, files_digest, manifest_key
from fonderie.evaluate.score import ALL, Score
from fonderie.release.attribution import Attribution
from fonderie.release.facts import Sample
from fonderie.release.layout import BUNDLE_VERSION, ReleaseIndex
from fonderie.release.pages import PAGES, Contents, Written, write_pages

GOLDEN = {
    1: "sha256:210bc7d8495edf8f2e0397060fcc4b17b005eed79f357912c8b78d5eca785b19",
    2: "sha256:f952113bd6d1be401b4356a5f90b1f3d4e30904d3904c25afb6f88e39ded48e3",
    3: "sha256:63715a744e381509f331a4faae0ee56d7e750c0d9edfd4fc16c021578d63df75",
}
"""Digest of all pages by BUNDLE_VERSION. A change of words, tables or licence verdicts changes it: raise the version
in release/layout.py and add a line here, so that `fonderie verify` does not call older releases altered."""


def manifest(step: str, *parents: Manifest, port: str = "documents", **fields: object) -> Manifest:
    files = [FileEntry(path="file", size_bytes=1, sha256=digest_json(step))]
    inputs = {port: [InputEntry(key=parent.key, digest=parent.digest) for parent in parents]} if parents else {}
    made = Manifest.model_validate(
        {
            "key": "",
            "digest": files_digest(files),
            "step": step,
            "version": 1,
            "parameters": {"seed": 1},
            "inputs": inputs,
            "sources": {},
            "files": files,
            "environment": {"libraries": {"fonderie": "0.1.0"}, "processor": "a processor", "cores": 2},
            "energy": {"joules": None, "method": "not measured: no readable RAPL counter"},
            "duration_seconds": 1.5,
            **fields,
        }
    )
    return made.model_copy(update={"key": manifest_key(made)})


def counts(read: int, **dropped: int) -> dict[str, object]:
    kept = read - sum(dropped.values())
    reasons = {name.replace("_", " "): count for name, count in dropped.items()}
    return {
        "read": read,
        "read_bytes": 9,
        "kept": kept,
        "kept_bytes": 9,
        "dropped": reasons,
        "edited": {"e-mail": 1},
    }


def written() -> Written:
    score = Score(
        name="bits_per_byte",
        source=ALL,
        value=1.25,
        low=1.2,
        high=1.3,
        n=40,
        tokens=900,
        size_bytes=4000,
        method="M.",
    )
    read = manifest(
        "corpus.read",
        sources={"path": [FileEntry(path="a.xml", size_bytes=1, sha256="sha256:a")]},
        statistics={
            "sources": {"novels": counts(10)},
            "licences": {"novels": {"CC-BY-SA-4.0": 6, "CC-BY-NC-4.0": 4}},
        },
    )
    made = manifest(
        "corpus.generate",
        statistics={"sources": {"tales": counts(100)}, "licences": {"tales": {"CC0-1.0": 100}}},
    )
    clean = manifest(
        "corpus.filter",
        read,
        made,
        statistics={"sources": {"novels": counts(10, words=2), "tales": counts(100, held_out_for_evaluation=40)}},
    )
    packs = {"novels": {"documents": 8, "tokens": 100, "size_bytes": 9}, "tales": {"documents": 60, "tokens": 300}}
    packed = manifest("tokens.pack", clean, statistics={"tokens": 400, "sources": packs})
    model = manifest(
        "train.pretrain",
        packed,
        port="tokens",
        statistics={"parameters": 12_345, "tokens": 400, "flops": 3 * 10**15},
    )
    scores = [score, score.model_copy(update={"source": "novels", "n": 3})]
    scored = manifest(
        "evaluate.perplexity",
        model,
        port="model",
        statistics={"scores": [item.model_dump(mode="json") for item in scores], "also_trained_on": 0},
    )
    manifests = [read, made, clean, packed, model, scored]
    names = ["novels", "tales", "clean", "packed", "base", "scores"]
    calls = {
        name: {"step": item.step, "version": 1, "key": item.key, "digest": item.digest}
        for name, item in zip(names, manifests, strict=True)
    }
    entry = InputEntry(key=model.key, digest=model.digest)
    index = ReleaseIndex(
        name="gold", version="1", licence="Apache-2.0", language=("fr",), description="Gold.", demonstration=True,
        model_digest=model.digest, model=entry, tokenizer=entry, lock=entry, files=(),
    )  # fmt: skip
    attribution = Attribution(
        source="novels", documents=8, origins=1, authors={"G. Sand": 8}, without_author=0,
        licences={"CC-BY-SA-4.0": 8}, collection_licences={"CC0-1.0": 8},
    )  # fmt: skip
    names_there = ("recipe.toml", "lock.json", "training/log.jsonl", "scores.json", "loss.svg", "model.safetensors")
    return write_pages(
        Contents(
            index=index,
            manifests=manifests,
            lock={"calls": calls, "policy": {"also_allow": ["CC-BY-NC-4.0"]}},
            attributions=[attribution],
            samples=[Sample(prompt="Que fais-tu ?", kind="question", answer="Je dors.")],
            config={"hidden_size": 64},
            files={name: digest_json(name) for name in names_there},
            sizes=dict.fromkeys(names_there, 7),
        )
    )


def test_the_pages_are_those_of_this_version() -> None:
    texts = written().texts
    assert tuple(texts) == PAGES
    assert digest_json(dict(texts)) == GOLDEN[BUNDLE_VERSION], f"{GOLDEN.__doc__}\n{texts['README.md']}"


def test_the_worst_is_said_first_on_every_page() -> None:
    texts = written().texts
    card = texts["README.md"].split("---\n", 2)[2]
    assert card.index("4 documents of the source novels are under CC-BY-NC-4.0") < card.index("# gold 1")
    assert card.index("policy was relaxed") < card.index("# gold 1")
    assert texts["report.md"].index("CC-BY-NC-4.0") < texts["report.md"].index("## Sources")
    assert [item["verdict"] for item in json.loads(texts["findings.json"])][:2] == ["fail", "fail"]
    assert json.loads(texts["report.json"])["warnings"]
