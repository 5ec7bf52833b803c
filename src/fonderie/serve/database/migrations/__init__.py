"""How a database is brought from one version to the next; run by Alembic."""
