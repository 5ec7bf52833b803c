"""One contestant of benchmarks/training.py in a process of its own: trains so many steps whenever it is told to.

python benchmarks/training_contestants.py {ours,trainer,litgpt} FOLDER SHAPE

SHAPE is JSON (see `SHAPES` in training.py), FOLDER a tokens artifact. Reads the number of steps to take from stdin,
a line each, and answers on stdout with a line of JSON: see `Pace.between`. Peers run in environments of their own,
so nothing of ours is imported but where ours is measured.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STEPS = 100_000
"""More than are ever asked for: schedules are spread over them."""
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
CLIP = 1.0


class Pace:
    """Stands between the steps of a training: waits to be told how many to take, and says how long they took."""

    def __init__(self) -> None:
        # Peers print to stdout as they like; the answers keep the real one.
        self.answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.left = 0
        self.begun = self.cpu_begun = self.data_seconds = 0.0

    def between(self) -> None:
        """To be called before the first step and after each."""
        if self.left > 1:
            self.left -= 1
            return
        if self.begun:
            answer = {
                "seconds": time.perf_counter() - self.begun,
                "cpu_seconds": time.process_time() - self.cpu_begun,
                "data_seconds": self.data_seconds,
                "peak_bytes": peak_bytes(),
            }
            self.answers.write(json.dumps(answer) + "\n")
            self.answers.flush()
        order = sys.stdin.readline()
        if not order:
            os._exit(0)
        self.left, self.data_seconds = int(order), 0.0
        forget_peak()
        self.begun, self.cpu_begun = time.perf_counter(), time.process_time()

    def timed(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted as data loading."""

        def reading(*arguments: Any) -> Any:
            begun = time.perf_counter()
            try:
                return read(*arguments)
            finally:
                self.data_seconds += time.perf_counter() - begun

        return reading


def peak_bytes() -> int:
    """The most memory the process has held since `forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def forget_peak() -> None:
    """So that a compiler's memory is not held against the training it made (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def ours(folder: Path, shape: dict[str, Any], pace: Pace) -> None:
    """`train.pretrain` as a recipe asks for it, without the files it writes."""
    from fonderie.model.numerics import settle

    settle(int(os.environ["OMP_NUM_THREADS"]))
    from fonderie.tokens.shards import TokenStream
    from fonderie.train.loop import run
    from fonderie.train.settings.pretrain import PretrainParameters
    from fonderie.train.training import Training

    sizes = {name: shape[name] for name in ("depth", "width", "heads", "kv_heads", "head_size", "hidden")}
    asked = PretrainParameters(
        **sizes,
        context=shape["context"],
        batch=shape["batch"],
        duration=f"{STEPS} steps",
        learning_rate=LEARNING_RATE,
        betas=BETAS,
        weight_decay=WEIGHT_DECAY,
        clip=CLIP,
        precision="bf16",
        compile=True,
    )
    training = Training.of(asked, [TokenStream.open(folder)], [0])
    model, optimizer = training.fresh("cpu")
    pace.between()
    for _ in run(model, optimizer, pace.timed(training.batches), training.plan, after=0, until=STEPS):
        pace.between()


def sequences(folder: Path, shape: dict[str, Any], length: int) -> Iterator[Any]:
    """The sequences of the shards in turn, for peers: arrays of ids, again and again."""
    import numpy as np

    ids = np.memmap(folder / "tokens/00000.bin", dtype="<u2", mode="r")
    while True:
        for start in range(0, len(ids) - length, shape["context"]):
            yield ids[start : start + length].astype(np.int64)


def trainer(folder: Path, shape: dict[str, Any], pace: Pace) -> None:
    """Hugging Face's Trainer on its Llama: bf16 autocast, the whole model compiled, fused AdamW."""
    import tempfile

    from torch.utils.data import IterableDataset
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

    class Data(IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Iterator[dict[str, Any]]:
            for ids in sequences(folder, shape, shape["context"]):
                yield {"input_ids": ids, "labels": ids}

    class Between(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            pace.between()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            pace.between()

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape["vocabulary"],
            hidden_size=shape["width"],
            intermediate_size=shape["hidden"],
            num_hidden_layers=shape["depth"],
            num_attention_heads=shape["heads"],
            num_key_value_heads=shape["kv_heads"],
            head_dim=shape["head_size"],
            max_position_embeddings=shape["context"],
            tie_word_embeddings=True,
            use_cache=False,
        )
    )
    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        max_steps=STEPS,
        per_device_train_batch_size=shape["batch"],
        use_cpu=True,
        bf16=True,
        torch_compile=True,
        optim="adamw_torch_fused",
        learning_rate=LEARNING_RATE,
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=CLIP,
        lr_scheduler_type="cosine",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    Trainer(model=model, args=arguments, train_dataset=Data(), callbacks=[Between()]).train()


def litgpt(folder: Path, shape: dict[str, Any], pace: Pace) -> None:
    """litgpt's own pretraining (`litgpt.pretrain.setup`), which compiles the whole model, in bf16-mixed."""
    import tempfile

    import torch
    from litgpt.args import EvalArgs, LogArgs, TrainArgs
    from litgpt.config import Config
    from litgpt.data import DataModule
    from litgpt.pretrain import setup
    from torch.utils.data import DataLoader, IterableDataset

    class Batches(IterableDataset):  # type: ignore[misc]
        def __init__(self, steps: int | None) -> None:
            self.steps = steps

        def __iter__(self) -> Iterator[Any]:
            rows = sequences(folder, shape, shape["context"] + 1)
            step = 0
            while self.steps is None or step < self.steps:
                step += 1
                if self.steps is None:
                    pace.between()
                yield torch.stack([torch.from_numpy(next(rows)) for _ in range(shape["batch"])])

    class Data(DataModule):  # type: ignore[misc]
        def connect(self, *_: Any, **__: Any) -> None: ...

        def train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(Batches(None), batch_size=None)

        def val_dataloader(self) -> DataLoader[Any]:
            return DataLoader(Batches(1), batch_size=None)

    setup(
        "llama",
        model_config=Config(
            name="llama",
            block_size=shape["context"],
            vocab_size=shape["vocabulary"],
            padded_vocab_size=shape["vocabulary"],
            n_layer=shape["depth"],
            n_head=shape["heads"],
            n_query_groups=shape["kv_heads"],
            head_size=shape["head_size"],
            n_embd=shape["width"],
            intermediate_size=shape["hidden"],
            rotary_percentage=1.0,
            parallel_residual=False,
            bias=False,
            norm_class_name="RMSNorm",
            mlp_class_name="LLaMAMLP",
        ),
        out_dir=Path(tempfile.mkdtemp()),
        precision="bf16-mixed",
        data=Data(),
        train=TrainArgs(
            save_interval=None,
            log_interval=STEPS,
            global_batch_size=shape["batch"],
            micro_batch_size=shape["batch"],
            max_tokens=STEPS * shape["batch"] * shape["context"],
            max_norm=CLIP,
            min_lr=0.0,
            lr_warmup_steps=100,
            tie_embeddings=True,
        ),
        eval=EvalArgs(interval=STEPS, max_iters=1, initial_validation=False, final_validation=False),
        log=LogArgs(),
        optimizer={
            "class_path": "torch.optim.AdamW",
            "init_args": {"lr": LEARNING_RATE, "betas": list(BETAS), "weight_decay": WEIGHT_DECAY},
        },
        devices=1,
        logger_name="csv",
    )


if __name__ == "__main__":
    contestant = {"ours": ours, "trainer": trainer, "litgpt": litgpt}[sys.argv[1]]
    contestant(Path(sys.argv[2]), json.loads(sys.argv[3]), Pace())
