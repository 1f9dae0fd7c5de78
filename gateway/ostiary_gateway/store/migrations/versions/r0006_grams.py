"""What PostgreSQL finds words in texts by: their trigrams, and pairs of Chinese characters."""

from alembic import op

revision = "0006"
down_revision = "0005"

_FUNCTION = """
    CREATE FUNCTION ostiary_grams(whole text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
    AS $$
        WITH letters AS (
            SELECT a, lead(a) OVER (ORDER BY place) AS b, lead(a, 2) OVER (ORDER BY place) AS c
            FROM unnest(string_to_array(whole, NULL)) WITH ORDINALITY AS letter(a, place)
        )
        SELECT coalesce(array_agg(DISTINCT gram), '{}') FROM (
            SELECT a || b || c AS gram FROM letters
            UNION ALL
            SELECT a || b FROM letters WHERE ascii(a) >= 11904 AND ascii(b) >= 11904
        ) AS grams WHERE gram IS NOT NULL
    $$
"""


def upgrade() -> None:
    """SQLite looks through texts instead, in the order of time."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_FUNCTION)
    op.execute("CREATE INDEX cases_by_grams ON cases USING gin (ostiary_grams(text))")
    op.create_index("cases_by_policy", "cases", ["tenant", "policy", "decided_us"])
    op.create_index("cases_by_bundle", "cases", ["tenant", "bundle_digest", "decided_us"])
