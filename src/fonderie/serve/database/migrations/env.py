"""What Alembic runs: the migrations, on the connection that `Database.migrate` has opened."""

from alembic import context

from fonderie.serve.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
