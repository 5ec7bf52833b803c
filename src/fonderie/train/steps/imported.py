"""model.import and tokens.import: a checkpoint of Hugging Face, and its tokenizer, as artifacts to go on from.

Only safetensors and JSON are read; nothing is unpickled, and no code that comes with a checkpoint is run. The files
are named by content like every source: their hashes are in the manifest and in the key. Their licence is stated by
the recipe and judged like that of documents; what the model was trained on, its makers know: a release says so.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Source, step
from fonderie.corpus.rights import admit
from fonderie.tokens.tokenizer import SETTINGS, Tokenizer, border_tokens
from fonderie.train.settings.imported import Imported, ImportModelParameters, ImportTokenizerParameters

if TYPE_CHECKING:
    from fonderie.model.language_model import LanguageModel

MODEL = "model.import"
WEIGHTS, CONFIG, GENERATION_CONFIG = "model.safetensors", "config.json", "generation_config.json"
ORIGIN = "origin"
"""The folder of the artifact that holds licence, notice and card as they came."""
_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WORDS = re.compile(r"(LICEN[SC]E|NOTICE|README)(\.(txt|md))?", re.IGNORECASE)
_PROBE = 8


def refuse_early(params: Imported, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Judge the licence, and what kind of files there are, before anything runs."""
    admit(params.licence, params.policy, f"the model at {params.path}")
    if isinstance(params, ImportModelParameters) and sources.get("path"):
        weight_files(sources["path"])


@step(MODEL, version=1, parameters=ImportModelParameters, produces="model", preflight=refuse_early)
def import_model(inputs: Inputs, params: ImportModelParameters, out: Output, machine: Machine) -> None:
    """Write model.safetensors, config.json and generation_config.json; statistics say what computes the model."""
    from fonderie.model.convert import load_model, not_computed
    from fonderie.model.numerics import settle
    from fonderie.model.safetensors_files import join

    settle(machine.threads)
    files = by_name(inputs.sources["path"])
    values = _table(files, CONFIG, str(params.path))
    if params.context is not None:
        values = {**values, "max_position_embeddings": _context(values, params.context)}
        _write(out.path / CONFIG, values)
    else:
        shutil.copyfile(files[CONFIG].path, out.path / CONFIG)
    join([source.path for source in weight_files(inputs.sources["path"])], out.path / WEIGHTS)
    special = {name: values.get(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write(out.path / GENERATION_CONFIG, special)
    for name, source in files.items():
        if _WORDS.fullmatch(name):
            (out.path / ORIGIN).mkdir(exist_ok=True)
            shutil.copyfile(source.path, out.path / ORIGIN / name)
    with _said_of(params, out):
        model = load_model(out.path, device=machine.device)
    if params.size not in (None, model.config.parameters):
        raise InputError(
            f"{params.name} has {model.config.parameters:,} weights, not size = {params.size:,}",
            hint="Correct `size`, or leave it out.",
        )
    _probe(model, params.name)
    out.statistics.update(
        name=params.name,
        licence=params.licence,
        data=params.data,
        family=values["model_type"],
        computed_by="fonderie" if model.native else "transformers",
        because=", ".join(not_computed(values)),
        parameters=model.config.parameters,
        vocabulary=model.config.vocabulary,
        context=model.config.context,
        precision=str(model.embedding.weight.dtype).removeprefix("torch."),
    )


@contextmanager
def _said_of(params: Imported, out: Output) -> Iterator[None]:
    """Name in errors what the recipe names, and not the copy of it, which nobody will find."""
    try:
        yield
    except InputError as error:
        raise InputError(error.message.replace(str(out.path), str(params.path)), hint=error.hint) from error


def _probe(model: "LanguageModel", name: str) -> None:
    """One short forward pass: a checkpoint of NaNs is no base."""
    import torch

    ids = torch.arange(_PROBE, device=model.embedding.weight.device)[None] % model.config.vocabulary
    with torch.inference_mode():
        if not torch.isfinite(model(ids)).all():
            raise InputError(f"the logits of {name} are not numbers", hint="The checkpoint is damaged.")


@step(
    "tokens.import", version=1, parameters=ImportTokenizerParameters, produces="tokenizer", preflight=refuse_early
)
def import_tokenizer(inputs: Inputs, params: ImportTokenizerParameters, out: Output, machine: Machine) -> None:  # noqa: ARG001
    """Write tokenizer.json as it came, and tokenizer_config.json without what programs could run."""
    files = by_name(inputs.sources["path"])
    if "tokenizer.json" not in files:
        kept = sorted(name for name in files if name.endswith((".model", ".txt", ".vocab")))
        raise InputError(
            f"{params.path} holds no tokenizer.json" + (f", only {', '.join(kept)}" if kept else ""),
            hint="transformers' AutoTokenizer.from_pretrained(DIR).save_pretrained(OUT) writes one.",
        )
    shutil.copyfile(files["tokenizer.json"].path, out.path / "tokenizer.json")
    stated = _table(files, SETTINGS, str(params.path)) if SETTINGS in files else {}
    named = {"bos_token": params.bos, "eos_token": params.eos}
    values: dict[str, Any] = {**stated, **{name: token for name, token in named.items() if token is not None}}
    values.pop("auto_map", None)
    _write(out.path / SETTINGS, values)
    with _said_of(params, out):
        tokenizer = Tokenizer(out.path)
    for name, token in zip(("bos", "eos"), border_tokens(out.path), strict=True):
        number = {"bos": tokenizer.bos, "eos": tokenizer.eos}[name]
        if token is not None and tokenizer.decode([number], skip_special_tokens=False).strip() != token:
            raise InputError(
                f"{params.path}: {token!r} is no token of this tokenizer", hint=f"Give another `{name}`."
            )
    template = "chat_template.jinja"
    if template in files:
        shutil.copyfile(files[template].path, out.path / template)
    out.statistics.update(
        vocabulary=tokenizer.vocabulary,
        bos=tokenizer.bos,
        eos=tokenizer.eos,
        licence=params.licence,
        has_turns=tokenizer.has_turns,
    )


def by_name(sources: tuple[Source, ...]) -> dict[str, Source]:
    """The files of one checkpoint by their last names; InputError if two have the same."""
    found: dict[str, Source] = {}
    for source in sources:
        name = PurePosixPath(source.name).name
        if name in found:
            raise InputError(
                f"{source.name} and {found[name].name} have the same name", hint="Name the files of one checkpoint."
            )
        found[name] = source
    return found


def weight_files(sources: tuple[Source, ...]) -> list[Source]:
    """The files of tensors, in order: one, or every shard. InputError if they are pickled, or not all there."""
    files = by_name(sources)
    if WEIGHTS in files:
        return [files[WEIGHTS]]
    shards = sorted(name for name in files if _SHARD.fullmatch(name))
    if shards:
        total = int(shards[0].rpartition("-of-")[2].removesuffix(".safetensors"))
        wanted = [f"model-{number:05d}-of-{total:05d}.safetensors" for number in range(1, total + 1)]
        if shards != wanted:
            missing = sorted(set(wanted) ^ set(shards))
            raise InputError(f"the checkpoint's shards are not those of one: {', '.join(missing[:4])}")
        return [files[name] for name in shards]
    pickled = sorted(name for name in files if name.endswith(_PICKLED))
    if pickled:
        raise InputError(
            f"{pickled[0]} is a pickle, which can run any program when it is read: it is not read here",
            hint=(
                "Take a revision of the model that has safetensors; or, where you trust the file, convert it: "
                "transformers' AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT)"
            ),
        )
    raise InputError(f"there is no {WEIGHTS} among {', '.join(sorted(files)[:8]) or 'no files'}")


def _table(files: Mapping[str, Source], name: str, where: str) -> dict[str, Any]:
    if name not in files:
        raise InputError(f"{where} holds no {name}")
    try:
        values = json.loads(files[name].path.read_bytes())
    except ValueError as error:
        raise InputError(f"{files[name].path} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{files[name].path} is no table")
    return values


def _context(values: Mapping[str, Any], given: int) -> int:
    from fonderie.model.foreign import CONTEXTS

    stated = next((values[name] for name in CONTEXTS if values.get(name)), None)
    if stated is not None and stated != given:
        raise InputError(f"config.json says {stated} tokens, `context` says {given}", hint="Leave `context` out.")
    return given


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
