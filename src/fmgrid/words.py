"""Words for people: near matches for what they mistyped."""

from collections.abc import Iterable
from difflib import get_close_matches


def or_near_match(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return "; did you mean X?", or where no word is near "; *otherwise* A, B, C"."""
    words = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in words}
    near = get_close_matches(word.lower(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]}?" if near else f"; {otherwise} {', '.join(words)}"
