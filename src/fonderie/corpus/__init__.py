"""Documents: read, judged, filtered, redacted, deduplicated, held out."""
