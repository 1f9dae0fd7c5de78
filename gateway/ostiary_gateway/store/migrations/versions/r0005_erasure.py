"""Erased checks, where their tombstones are, and which key evidence is sealed under."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables of what is erased for good, and of the key."""
    op.create_table(
        "evidence_keys",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="one_key"), primary_key=True),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "erasures",
        sa.Column("check_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
    )
    op.create_index("tombstones", "case_events", ["log_index"], sqlite_where=sa.text("kind = 'erased'"))
