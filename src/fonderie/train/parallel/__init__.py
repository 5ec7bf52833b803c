"""One training in several processes: who has which rows and shards, how they start, and how one's end ends all."""
