"""Erased checks, where their tombstones are, and which key evidence is sealed under."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_FUNCTION = """
    CREATE FUNCTION ostiary_erase_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.check_id = OLD.check_id AND NEW.log_index = OLD.log_index
           AND length(NEW.record) = 0 AND length(NEW.salt) = 0
           AND EXISTS (SELECT 1 FROM case_events e WHERE e.check_id = OLD.check_id AND e.kind = 'erased')
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'the record is never changed; what has a tombstone can be emptied';
    END $$
"""
_TRIGGER = """
    CREATE TRIGGER erase_only BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION ostiary_erase_only()
"""


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
    erased = sa.text("kind = 'erased'")
    op.create_index("tombstones", "case_events", ["log_index"], sqlite_where=erased, postgresql_where=erased)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION)
        for table in ("decisions", "case_events"):
            op.execute(_TRIGGER.format(table=table))
