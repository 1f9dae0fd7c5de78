"""What happens to cases, and where each stands."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# Verdicts by gravity: what a queue of cases begins with. As numbers, since a migration does not change.
_FILL = """
    UPDATE cases SET version = log_index,
                     gravity = CASE verdict WHEN 3 THEN 3 WHEN 4 THEN 2 WHEN 2 THEN 1 ELSE 0 END
"""


def upgrade() -> None:
    """Make the table of events, and let cases say where they stand."""
    op.create_table(
        "case_events",
        sa.Column(
            "log_index",
            sa.Integer,
            sa.ForeignKey("entries.log_index"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("check_id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )
    op.create_index("case_events_by_check", "case_events", ["check_id", "log_index"])
    op.create_table(
        "appeals",
        sa.Column("appeal_id", sa.Text, primary_key=True),
        sa.Column("check_id", sa.Text, nullable=False),
        sa.Column("callback_uri", sa.Text, nullable=False),
        sa.Column("ruled_in", sa.Integer, sa.ForeignKey("case_events.log_index")),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_us", sa.BigInteger, nullable=False),
    )
    op.create_index("appeals_by_check", "appeals", ["check_id"])
    op.create_index("appeals_due", "appeals", ["due_us"])
    for name in ("version", "gravity", "lease_until_us", "next", "ruling", "held"):
        kind = sa.BigInteger() if name == "lease_until_us" else sa.Integer()
        op.add_column("cases", sa.Column(name, kind, nullable=False, server_default="0"))
    for name in ("claimed_by", "ruled_by"):
        op.add_column("cases", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
    op.execute(_FILL)
    op.create_index(
        "cases_waiting",
        "cases",
        ["tenant", "gravity", "decided_us"],
        sqlite_where=sa.text("state <> 3"),
        postgresql_where=sa.text("state <> 3"),
    )
