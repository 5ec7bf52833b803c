"""Rule sets, character classes and stop words: data of the filter step."""
