"""Faults of a data set: the readers raise the first one, or, where somebody collects, go through all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from s2igan import BadInput

Thing, Result = TypeVar("Thing"), TypeVar("Result")
_found: ContextVar[list[str] | None] = ContextVar("faults", default=None)


@contextmanager
def collected() -> Iterator[list[str]]:
    """The lines of the faults that `each` meets while this is open, and of the one that ends it, if one does."""
    found: list[str] = []
    token = _found.set(found)
    try:
        yield found
    except BadInput as error:
        found.append(str(error))
    finally:
        _found.reset(token)


def each(work: Callable[[Thing], Result], things: Iterable[Thing]) -> list[Result]:
    """`work` of each thing. Raises the first BadInput; while faults are `collected`, such a thing is left out."""
    results, found = [], _found.get()
    for thing in things:
        try:
            results.append(work(thing))
        except BadInput as error:
            if found is None:
                raise
            found.append(str(error))
    return results


def kept(lines: Iterable[str]) -> bool:
    """Keeps these faults while faults are `collected`; else returns False, and the caller raises."""
    found = _found.get()
    if found is None:
        return False
    found += lines
    return True


def any_so_far() -> bool:
    """Whether faults are collected and there are some: what follows from a thing left out is none of its own."""
    return bool(_found.get())
