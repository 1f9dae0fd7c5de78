"""Runs the migrations over the connection that the store hands in; there is no other way in."""

from alembic import context

from ostiary_gateway.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
