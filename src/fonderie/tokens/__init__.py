"""From text to token shards: tokenizer, chat template, packing, and the way back to documents."""
