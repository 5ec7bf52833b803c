"""Reports with plots, each one HTML page that opens without a network."""
