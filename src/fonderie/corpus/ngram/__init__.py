"""N-gram models of words, trained on a recipe's own reference text, to tell prose from noise by its perplexity."""
