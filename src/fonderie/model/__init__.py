"""The decoder: its sizes, its forward pass, generation, and conversion to Hugging Face Llama."""

import os

# A thread of libgomp that waits for another spins for milliseconds, unless told otherwise when torch is loaded, so
# this stands where every import of the model passes first. While another program has the core that the other
# thread needs, spinning makes two threads 20 times slower than one; with this they are 3 times slower, and 5 %
# slower on a quiet machine (docs/log/0001-training-speed.md). A user's own choice stands.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
