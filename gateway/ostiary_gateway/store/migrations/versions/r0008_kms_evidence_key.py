"""Which key of a KMS evidence was last sealed under."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make its table, of one row."""
    op.create_table(
        "evidence_kms",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="one_kms_key"), primary_key=True),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )
