"""The tables, as queries see them. The migrations make them; a test holds the two together."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

# One row: which log this database is.
logs = Table(
    "logs",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_log"), primary_key=True),
    Column("verifier_key", Text, nullable=False),
)

# One row: which key-encryption key the evidence is sealed under.
evidence_keys = Table(
    "evidence_keys",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_key"), primary_key=True),
    Column("key_id", LargeBinary, nullable=False),
)

# One row: the key that evidence was last sealed under by way of a KMS, and how the KMS gives it back.
evidence_kms = Table(
    "evidence_kms",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_kms_key"), primary_key=True),
    Column("key_id", LargeBinary, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
)

# The log's entries, by their zero-based index.
entries = Table(
    "entries",
    metadata,
    Column("log_index", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
)

# The hashes of tiles at level 1 and up, each over 256**level entries.
nodes = Table(
    "nodes",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("node_index", Integer, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

# Every checkpoint that was signed, by tree size.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)

# The decisions. `record` is a serialised DecisionRecord; its entry commits to it under `salt`.
decisions = Table(
    "decisions",
    metadata,
    Column("check_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("log_index", Integer, ForeignKey("entries.log_index"), nullable=False, unique=True),
    # A tenant's key leads to one decision; decisions without a key are not compared.
    Index(
        "decisions_by_key",
        "tenant",
        "idempotency_key",
        unique=True,
        sqlite_where=text("idempotency_key <> ''"),
        postgresql_where=text("idempotency_key <> ''"),
    ),
)

# What happened to them since. `record` is a serialised EventRecord, committed to as a decision is.
case_events = Table(
    "case_events",
    metadata,
    Column("log_index", Integer, ForeignKey("entries.log_index"), primary_key=True, autoincrement=False),
    Column("check_id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Index("case_events_by_check", "check_id", "log_index"),
    Index(
        "tombstones",
        "log_index",
        sqlite_where=text("kind = 'erased'"),
        postgresql_where=text("kind = 'erased'"),
    ),
)

# Erased checks of which nothing is left. Those whose tombstone is on record alone are not done with.
erasures = Table(
    "erasures",
    metadata,
    Column("check_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
)

# What decisions are searched by. Made from the record, which alone is what an audit proves.
cases = Table(
    "cases",
    metadata,
    Column("log_index", Integer, ForeignKey("decisions.log_index"), primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("decided_us", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("verdict", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("seller", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("bundle_digest", LargeBinary, nullable=False),
    Column("score", Float, nullable=False),
    Column("text", Text, nullable=False),
    # Where the case stands, as its events have it; `verdict` and `state` are of it too.
    Column("version", Integer, nullable=False, server_default="0"),
    Column("gravity", Integer, nullable=False, server_default="0"),
    Column("lease_until_us", BigInteger, nullable=False, server_default="0"),
    Column("next", Integer, nullable=False, server_default="0"),
    Column("ruling", Integer, nullable=False, server_default="0"),
    Column("held", Integer, nullable=False, server_default="0"),
    Column("claimed_by", Text, nullable=False, server_default=text("''")),
    Column("ruled_by", Text, nullable=False, server_default=text("''")),
    Index("cases_by_time", "tenant", "decided_us"),
    Index("cases_by_verdict", "tenant", "verdict", "decided_us"),
    Index("cases_by_seller", "tenant", "seller", "decided_us"),
    # Those that wait for somebody: all that are not decided.
    Index(
        "cases_waiting",
        "tenant",
        "gravity",
        "decided_us",
        sqlite_where=text("state <> 3"),
        postgresql_where=text("state <> 3"),
    ),
    # Those that somebody has claimed; the lease may be over.
    Index(
        "cases_claimed",
        "tenant",
        "lease_until_us",
        sqlite_where=text("lease_until_us > 0"),
        postgresql_where=text("lease_until_us > 0"),
    ),
)

# Their labels and brands, by kind.
case_terms = Table(
    "case_terms",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("log_index", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# In SQLite alone: which cases of each block of the log have which terms (`case_index.py`).
sqlite_metadata = MetaData()
case_index = Table(
    "case_index",
    sqlite_metadata,
    Column("block", Integer, primary_key=True, autoincrement=False),
    Column("term", Text, primary_key=True),
    Column("positions", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# The blocks that are in there, and when the first and the last of their cases were decided.
case_blocks = Table(
    "case_blocks",
    sqlite_metadata,
    Column("block", Integer, primary_key=True, autoincrement=False),
    Column("earliest_us", BigInteger, nullable=False),  # microseconds since 1970, UTC, as below
    Column("latest_us", BigInteger, nullable=False),
)

# Appeals whose outcome an address is to be told: from when they are opened until it is told, or given up.
appeals = Table(
    "appeals",
    metadata,
    Column("appeal_id", Text, primary_key=True),
    Column("check_id", Text, nullable=False),
    Column("callback_uri", Text, nullable=False),
    Column("ruled_in", Integer, ForeignKey("case_events.log_index")),  # null: not settled
    Column("attempts", Integer, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Index("appeals_by_check", "check_id"),
    Index("appeals_due", "due_us"),
)

# Checks that were submitted in bulk: until they are answered, or for good where another check answers them.
bulk_checks = Table(
    "bulk_checks",
    metadata,
    Column("check_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("caller", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("version_pin", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("answered_by", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),  # microseconds since 1970, UTC, as below
    Column("due_us", BigInteger, nullable=False),
    Index("bulk_checks_by_key", "tenant", "idempotency_key", unique=True),
    Index("bulk_checks_due", "answered_by", "due_us"),
)
