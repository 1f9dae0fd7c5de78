"""Erased checks, and where their tombstones are."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table of what is erased for good."""
    op.create_table(
        "erasures",
        sa.Column("check_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
    )
    op.create_index("tombstones", "case_events", ["log_index"], sqlite_where=sa.text("kind = 'erased'"))
