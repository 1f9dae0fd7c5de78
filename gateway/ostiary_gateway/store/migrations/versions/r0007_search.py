"""What SQLite searches cases by, block by block of the log; and an index of those that are claimed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables alone: gateways fill them while they serve, for what is there too."""
    claimed = sa.text("lease_until_us > 0")
    op.create_index(
        "cases_claimed",
        "cases",
        ["tenant", "lease_until_us"],
        sqlite_where=claimed,
        postgresql_where=claimed,
    )
    if op.get_bind().dialect.name != "sqlite":
        return
    op.create_table(
        "case_index",
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("term", sa.Text, primary_key=True),
        sa.Column("positions", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "case_blocks",
        sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("earliest_us", sa.BigInteger, nullable=False),
        sa.Column("latest_us", sa.BigInteger, nullable=False),
    )
