"""What the guards that come with Fonderie cost a word; see 0015-guards.md. Processor time, after a first run."""

import time

from fonderie.serve.guards.guards import Guards
from fonderie.serve.guards.rules import read_guards

SENTENCES = (
    "Le petit renard court dans la forêt verte avec 3 amis et il mange des pommes rouges . "
    "Puis il dort , et la lune brille ."
)
COPIES = 40


def main() -> None:
    """Print microseconds a word, for answers as they come and for questions."""
    guards = Guards(read_guards())
    words = SENTENCES.split() * COPIES
    for _ in range(4):
        watch, begun = guards.after("Bonjour"), time.process_time()
        for word in words:
            watch.add(word + " ")
        watch.end()
        after = time.process_time() - begun
        begun = time.process_time()
        guards.before(" ".join(words))
        before = time.process_time() - begun
        after, before = after / len(words) * 1e6, before / len(words) * 1e6
        print(f"{len(words)} words: after {after:.1f} µs, before {before:.1f} µs")


if __name__ == "__main__":
    main()
