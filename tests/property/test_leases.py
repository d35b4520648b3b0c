"""Whatever is lent, given back, kept too long or forgotten: nobody's bytes ever change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dhtstore.node.links.buffers import BufferPool, Lease

SIZE = 16
steps = st.lists(
    st.tuples(st.sampled_from(["lend", "release", "view", "unview", "forget"]), st.integers(0, 99)),
    max_size=60,
)


@given(steps, st.integers(0, 4))
def test_a_buffer_is_never_lent_while_it_is_lent_or_seen(
    steps: list[tuple[str, int]], kept: int
) -> None:
    pool = BufferPool(SIZE, kept)
    leases: list[tuple[Lease, bytes]] = []
    views: list[tuple[memoryview, bytes]] = []
    for number, (step, choice) in enumerate(steps):
        if step == "lend":
            lease, content = pool.lend(SIZE), bytes([number]) * SIZE
            lease.view[:] = content
            leases.append((lease, content))
        elif step == "view" and leases:
            lease, content = leases[choice % len(leases)]
            views.append((lease.view[:5], content[: len(lease.view[:5])]))
        elif step == "release" and leases:
            lease, _ = leases[choice % len(leases)]
            lease.release()  # also a second time
        elif step == "unview" and views:
            del views[choice % len(views)]
        elif step == "forget" and leases:
            del leases[choice % len(leases)]
        for view, content in views:
            assert view == content
        for lease, content in leases:
            assert lease.view in (content, b"")
    assert len(pool._unused) <= kept
