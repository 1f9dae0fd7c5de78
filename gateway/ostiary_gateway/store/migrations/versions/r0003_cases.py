"""What decisions are searched by, filled for those that are there."""

import sqlalchemy as sa
from alembic import op
from google.protobuf.message import DecodeError

from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.review.summary import Traits, traits_of
from ostiary_gateway.store.case_rows import TERM_ROW, TRAITS_ROW, term_rows, traits_row

revision = "0003"
down_revision = "0002"

_BATCH = 500


def upgrade() -> None:
    """Make the tables that cases are found by, and fill them."""
    cases = op.create_table(
        "cases",
        sa.Column(
            "log_index",
            sa.Integer,
            sa.ForeignKey("decisions.log_index"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("decided_us", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("seller", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("bundle_digest", sa.LargeBinary, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    terms = op.create_table(
        "case_terms",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("log_index", sa.Integer, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    _fill(cases, terms)
    op.create_index("cases_by_time", "cases", ["tenant", "decided_us"])
    op.create_index("cases_by_verdict", "cases", ["tenant", "verdict", "decided_us"])
    op.create_index("cases_by_seller", "cases", ["tenant", "seller", "decided_us"])


def _fill(cases: sa.Table, terms: sa.Table) -> None:
    """In batches: a record may be long, and a store have millions."""
    connection, after = op.get_bind(), -1
    page = sa.text(
        "SELECT log_index, tenant, record FROM decisions "
        "WHERE log_index > :after ORDER BY log_index LIMIT :most"
    )
    while rows := connection.execute(page, {"after": after, "most": _BATCH}).all():
        after = rows[-1].log_index
        readable = [(row, traits) for row in rows if (traits := _traits(row.record)) is not None]
        if readable:
            made = [traits_row(row.log_index, row.tenant, traits) for row, traits in readable]
            op.bulk_insert(cases, [dict(zip(TRAITS_ROW, row, strict=True)) for row in made])
        terms_of = [term for row, traits in readable for term in term_rows(row.log_index, traits)]
        found = [dict(zip(TERM_ROW, term, strict=True)) for term in terms_of]
        if found:
            op.bulk_insert(terms, found)


def _traits(data: bytes) -> Traits | None:
    """None where there is nothing left to find: erased, or damaged, which an audit tells."""
    try:
        record = DecisionRecord.FromString(data)
    except DecodeError:
        return None
    return traits_of(record) if record.check_id else None
