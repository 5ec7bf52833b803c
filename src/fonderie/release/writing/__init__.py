"""Words, tables and documents: how everything that a release says is put on a page, in two languages."""
