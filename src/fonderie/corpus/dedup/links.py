"""Kernels that join near duplicates to clusters: connected components of pairs that share a bucket and are alike.

Components do not depend on the order in which pairs are looked at, so a pair already joined is never compared.
"""

from typing import Any

import numpy as np

from fonderie.corpus.dedup.minhash import similarity
from fonderie.corpus.kernels.compiled import entry, inner


@inner
def find(leader: Any, index: Any) -> Any:
    """The leader of a document's cluster; paths are halved on the way."""
    while leader[index] != index:
        leader[index] = leader[leader[index]]
        index = leader[index]
    return index


@entry
def link(
    near: Any,
    documents: Any,
    groups: Any,
    grams: Any,
    starts: Any,
    lengths: Any,
    leader: Any,
    slots: Any,
    stamps: Any,
    clock: Any,
) -> Any:
    """Join the documents of each group [first, last) of `documents` whose similarity is at least `near`.

    The documents of a group that are joined already form a chain; a document is compared with those of each other
    chain until one is alike. In a group of copies that is one comparison each. Returns how many were made.
    """
    most = 0
    for group in range(len(groups)):
        most = max(most, groups[group, 1] - groups[group, 0])
    head, tail, following = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    compared = 0
    for group in range(len(groups)):
        first = groups[group, 0]
        chains = 0
        for member in range(groups[group, 1] - first):
            following[member] = -1
            one = documents[first + member]
            own = -1
            chain = 0
            while chain < chains:
                joined = find(leader, documents[first + head[chain]]) == find(leader, one)
                at = head[chain]
                while not joined and at >= 0:
                    other = documents[first + at]
                    compared += 1
                    alike = similarity(
                        grams, starts[one], lengths[one], starts[other], lengths[other], slots, stamps, clock
                    )
                    if alike >= near:
                        low, high = find(leader, one), find(leader, other)
                        leader[max(low, high)] = min(low, high)
                        joined = True
                    at = following[at]
                if not joined:
                    chain += 1
                elif own < 0:
                    own = chain
                    chain += 1
                else:
                    following[tail[own]], tail[own] = head[chain], tail[chain]
                    chains -= 1
                    head[chain], tail[chain] = head[chains], tail[chains]
            if own < 0:
                head[chains] = tail[chains] = member
                chains += 1
            else:
                following[tail[own]] = member
                tail[own] = member
    return compared


@entry
def settle(leader: Any) -> None:
    """Point every document at the leader of its cluster."""
    for index in range(len(leader)):
        leader[index] = find(leader, index)


@entry
def similarities(
    ones: Any, others: Any, grams: Any, starts: Any, lengths: Any, slots: Any, stamps: Any, clock: Any, out: Any
) -> None:
    """The similarity of each pair."""
    for pair in range(len(ones)):
        one, other = ones[pair], others[pair]
        out[pair] = similarity(
            grams, starts[one], lengths[one], starts[other], lengths[other], slots, stamps, clock
        )
