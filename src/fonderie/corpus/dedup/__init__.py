"""One of each: copies, near copies and repeated passages, across the whole corpus."""
