"""The pages: what a person meets in a browser. Two languages, one stylesheet, no script or font from elsewhere."""
