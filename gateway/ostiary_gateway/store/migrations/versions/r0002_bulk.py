"""Checks that were submitted in bulk and are not answered yet."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of the bulk queue."""
    op.create_table(
        "bulk_checks",
        sa.Column("check_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("request_sha256", sa.LargeBinary, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("version_pin", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("answered_by", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger, nullable=False),
    )
    op.create_index("bulk_checks_by_key", "bulk_checks", ["tenant", "idempotency_key"], unique=True)
    op.create_index("bulk_checks_due", "bulk_checks", ["answered_by", "due_us"])
