"""Merkle hashes and proofs, against the vectors of RFC 6962 and its reference log, and against pymerkle."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from ostiary.tlog.merkle import (
    EMPTY_ROOT,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

# The tree of the reference implementation's tests (certificate-transparency, merkle_tree_test).
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
FIRST_OF_EIGHT = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]

SIZES = st.integers(1, 70)


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(str(i).encode()) for i in range(size)]


def oracle(size: int) -> InmemoryTree:
    return InmemoryTree.init_from_entries([str(i).encode() for i in range(size)], algorithm="sha256")


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    """Roots of the reference log's tree at each size."""
    assert root_hash(LEAVES[:size]).hex() == ROOTS[size]


def test_published_proofs() -> None:
    """An inclusion and a consistency proof of the reference log; from its first leaf they are the same."""
    assert [p.hex() for p in inclusion_proof(LEAVES, 0)] == FIRST_OF_EIGHT
    assert [p.hex() for p in consistency_proof(LEAVES, 1)] == FIRST_OF_EIGHT


def test_the_empty_tree() -> None:
    """RFC 6962 §2.1: the hash of an empty list is the hash of an empty string."""
    assert root_hash([]) == EMPTY_ROOT == sha256(b"").digest()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 33, 64, 65])
def test_proofs_match_pymerkle(size: int) -> None:
    """Root, every inclusion proof and every earlier root are those of another implementation."""
    ours, theirs = leaves(size), oracle(size)
    assert root_hash(ours) == theirs.get_root()
    for index in range(size):
        path = theirs.prove_inclusion(index + 1).path
        assert sorted([ours[index], *inclusion_proof(ours, index)]) == sorted(path)
    for old in range(1, size + 1):
        theirs.prove_consistency(old, size).verify(root_hash(ours[:old]), root_hash(ours))


def test_rfc_6962_examples() -> None:
    """RFC 6962 §2.1.3: the proofs of its tree with seven leaves, by the names of the figure there."""
    tree = leaves(7)
    a, b, c, d, e, f, j = tree
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741 # as in the figure
    assert inclusion_proof(tree, 0) == [b, h, l]
    assert inclusion_proof(tree, 3) == [c, g, l]
    assert inclusion_proof(tree, 4) == [f, j, k]
    assert inclusion_proof(tree, 6) == [i, k]
    assert consistency_proof(tree, 3) == [c, d, g, l]
    assert consistency_proof(tree, 4) == [l]
    assert consistency_proof(tree, 6) == [i, j, k]


@settings(deadline=None)
@given(SIZES, st.data())
def test_inclusion_proofs_verify(size: int, data: st.DataObject) -> None:
    """Every leaf's proof leads to the root, at its own index and size alone."""
    index = data.draw(st.integers(0, size - 1))
    tree = leaves(size)
    proof, root = inclusion_proof(tree, index), root_hash(tree)
    verify_inclusion(tree[index], index, size, proof, root)
    other = data.draw(st.integers(0, size).filter(lambda i: i != index))
    with pytest.raises(ProofError):
        verify_inclusion(tree[index], other, size, proof, root)


@settings(deadline=None)
@given(SIZES, st.data())
def test_consistency_proofs_verify(size: int, data: st.DataObject) -> None:
    """Every earlier tree is shown to be the beginning, and no other tree is."""
    old = data.draw(st.integers(1, size))
    tree = leaves(size)
    proof, root = consistency_proof(tree, old), root_hash(tree)
    verify_consistency(old, root_hash(tree[:old]), size, root, proof)
    forged = [leaf_hash(b"forged"), *tree[1:old]]
    with pytest.raises(ProofError):
        verify_consistency(old, root_hash(forged), size, root, proof)


@settings(deadline=None)
@given(SIZES, st.data())
def test_an_altered_proof_fails(size: int, data: st.DataObject) -> None:
    """Flipping a bit of a proof, dropping a hash or adding one breaks it."""
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    tree = leaves(size)
    root, old_root = root_hash(tree), root_hash(tree[:old])
    for forged in alterations(inclusion_proof(tree, index), data):
        with pytest.raises(ProofError):
            verify_inclusion(tree[index], index, size, forged, root)
    for forged in alterations(consistency_proof(tree, old), data):
        with pytest.raises(ProofError):
            verify_consistency(old, old_root, size, root, forged)


def alterations(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """Wrong proofs made of a right one."""
    forged = [[*proof, EMPTY_ROOT], [EMPTY_ROOT, *proof]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        forged += [proof[:at] + proof[at + 1 :], [*proof[:at], flipped, *proof[at + 1 :]]]
    return forged


def test_every_tree_extends_the_empty_one() -> None:
    """The empty tree needs no proof, but its root must be the empty root."""
    verify_consistency(0, EMPTY_ROOT, 8, root_hash(LEAVES), [])
    with pytest.raises(ProofError):
        verify_consistency(0, root_hash(LEAVES), 8, root_hash(LEAVES), [])


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)], ids=["negative", "shrunk"])
def test_impossible_sizes(old: int, new: int) -> None:
    """No proof makes a tree shrink."""
    with pytest.raises(ProofError, match="extends no tree"):
        verify_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, [])


@pytest.mark.parametrize(("index", "old"), [(3, 4), (-1, 0)], ids=["beyond", "before"])
def test_no_proof_of_what_is_not_there(index: int, old: int) -> None:
    """Asking for an impossible proof is an error."""
    with pytest.raises(ValueError, match="has no leaf"):
        inclusion_proof(LEAVES[:3], index)
    with pytest.raises(ValueError, match="extends no tree"):
        consistency_proof(LEAVES[:3], old)
