"""What a JSON Schema costs to compile, by its optional properties: seconds of the processor, one line each.

python docs/log/0020-schemas.py RELEASE
"""

import json
import sys
import time
from pathlib import Path

from fonderie.serve.engine import grammar
from fonderie.tokens.tokenizer import Tokenizer


def main(release: Path) -> None:
    """Read and compile, with the limit on length lifted; then begin an answer, as each choice does."""
    tokenizer = Tokenizer(release)
    grammars = grammar.Grammars(release, tokenizer.vocabulary, tokenizer.eos)
    grammar.LONGEST_SCHEMA = sys.maxsize
    for properties in (100, 500, 1_000, 2_000, 2_700):
        schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(properties)}}
        begun = time.process_time()
        text = grammar.json_grammar(schema)
        read = time.process_time()
        compiled = grammars.compiled(text)
        made = time.process_time()
        for _ in range(100):
            compiled.start()
        started = (time.process_time() - made) / 100
        print(
            f"{properties:5} properties, {len(json.dumps(schema)):7,} characters: read {read - begun:.3f} s, "
            f"compiled {made - read:.3f} s, begun {started * 1e6:.0f} µs"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
