"""How long a KMS plug-in is relied on."""

from hypothesis import given
from hypothesis import strategies as st

from ostiary_gateway.kms.standing import Standing


def test_from_good_to_bad_and_back() -> None:
    """Relied on from the first good answer until the grace is over, and again from the next good one."""
    standing = Standing(grace=10, quiet=30)
    assert not standing.relied_on(0)
    standing.well(100)
    assert standing.relied_on(100)
    for at in (120, 125, 129):
        standing.unwell(at)
        assert standing.failing
    assert standing.relied_on(129.9)
    assert not standing.relied_on(130)
    assert standing.unwell_for(135) == 15
    standing.well(140)
    assert (standing.failing, standing.unwell_for(150), standing.relied_on(150)) == (False, 0, True)


def test_without_grace() -> None:
    """The first failure ends it."""
    standing = Standing(grace=0, quiet=30)
    standing.well(0)
    standing.unwell(20)
    assert not standing.relied_on(20)


def test_nobody_asks_any_more() -> None:
    """A plug-in that was not heard of for too long is not relied on either."""
    standing = Standing(grace=10, quiet=30)
    standing.well(0)
    assert standing.relied_on(39.9)
    assert not standing.relied_on(40)


@given(
    st.lists(st.tuples(st.floats(0.1, 60), st.booleans()), min_size=1, max_size=30),
    st.floats(0, 60),
    st.floats(0, 60),
)
def test_what_holds_always(asked: list[tuple[float, bool]], grace: float, later: float) -> None:
    """Only after a good answer is it relied on, and never for longer than the grace after a bad one."""
    standing, now = Standing(grace, quiet=30), 0.0
    good_at = bad_since = None
    for seconds, well in asked:
        now += seconds
        if well:
            standing.well(now)
            good_at, bad_since = now, None
        else:
            standing.unwell(now)
            bad_since = now if bad_since is None else bad_since
    now += later
    if standing.relied_on(now):
        assert good_at is not None
        assert now < good_at + 30 + grace
        assert bad_since is None or now < bad_since + grace
    elif good_at is not None and bad_since is None:
        assert now >= good_at + 30 + grace
