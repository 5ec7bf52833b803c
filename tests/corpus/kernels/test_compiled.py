import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fonderie.corpus.kernels import measure, ngrams
from fonderie.corpus.kernels.compiled import read_only
from fonderie.corpus.kernels.measure import Kernel
from fonderie.corpus.kernels.words import word_lists
from fonderie.corpus.ngram.train import train_on
from fonderie.corpus.rules.sets import rule_set
from fonderie.corpus.rules.texts import Texts

pytestmark = pytest.mark.slow

CALLED = """
from fonderie.corpus.kernels.compiled import inner

@inner
def other(x):
    return x + {}
"""
CALLER = """
from callee import other
from fonderie.corpus.kernels.compiled import entry

@entry
def called(x):
    return other(x)
"""


def test_an_entry_is_compiled_again_when_what_it_calls_has_changed(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    program = "import caller; print(caller.called(1))"
    found = []
    for number in (1, 1, 2):
        (tmp_path / "callee.py").write_text(CALLED.format(number))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        environment.pop("NUMBA_CACHE_DIR", None)  # kept beside the source, where this test looks
        command = [sys.executable, "-B", "-c", program]
        ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        found.append(int(ran.stdout))
    assert found == [2, 2, 3]
    kept = {path.name for path in (tmp_path / "__pycache__").glob("caller.called_*.nbi")}
    assert len(kept) == 2


def test_entries_are_compiled_for_one_kind_of_arguments() -> None:
    kernel, lists = Kernel(), word_lists(["le"], ["le", "la"], [])
    column = pa.array(["Le chat dort.", "La la la"])
    arrow = Texts.of_column(column)
    made = Texts(np.array(arrow.data), np.array(arrow.offsets))
    sliced = Texts.of_column(pa.array(["x", "Le chat dort.", "La la la"]).slice(1))
    for texts in (arrow, made, sliced):
        kernel.measure(texts.data, texts.offsets, np.arange(2), 255, lists)
        rules = rule_set("c4")[0].arrays()  # type: ignore[union-attr]
        kernel.edit(texts.data, texts.offsets, np.flatnonzero(np.ones(2)), rules, 255, lists)
    for order in (2, 3, 5):
        train_on(["un deux trois quatre cinq six", "un deux trois sept"], order, 1).perplexity("un deux")
    for entry in (
        *(measure._measure, measure._edit),
        *(ngrams.streams, ngrams.replace_rare, ngrams.roll, ngrams.hashed, ngrams.log_probability),
    ):
        assert len(entry.signatures) == 1, entry  # type: ignore[attr-defined]


def test_a_read_only_view_leaves_the_array_as_it_was() -> None:
    array = np.arange(3)
    view = read_only(array)
    assert not view.flags.writeable
    assert array.flags.writeable
    assert np.shares_memory(view, array)
