"""Words that people write in an expectation though they are none of its language, and answers."""

from collections.abc import Mapping

JOINTS = 'names are joined by ",", conditions by "and"; a selection has one or the other'
BEFORE_OF = 'write "best of", "mean of" or "each of", or a name alone'
SAME = "write no difference greater than 0.01 among a, b"
_ONE_SIGN = 'write ">" for more or "<" for less; a better loss is less'
_BEST = 'write "best of", the highest of accuracies and the lowest of losses, or "each of" for all'
FILLERS = ("is", "are", "the", "significantly", "clearly")


def _by_word(hints: Mapping[str, str]) -> dict[str, str]:
    """Return the hint for each word, of those by words with spaces between them."""
    return {word: hint for words, hint in hints.items() for word in words.split()}


# What stands where it doesn't belong, and what was probably meant.
HINTS = _by_word(
    {
        ">= => >> ≥": 'write ">"',
        "<= =< ≤": 'write "<"',
        "==": f'write "=" for the value of a setting; for experiments {SAME}',
        "≈ ~ ~= same equal equals similar matches": SAME,
        "better greater higher larger more beats outperforms exceeds over above vs": _ONE_SIGN,
        "worse less lower smaller below under": _ONE_SIGN,
        "!= <> ≠": "there is no such comparison; write > or <",
        "% percent point points pp": "write a fraction, as in 0.01 for 1 %",
        "+ ±": 'write a least difference at the end, as in "by 0.01"',
        "\" '": "close the quotes",
        "( )": "there are no brackets; write one comparison, as in best of a, b > c",
        "-": "write one difference of two experiments, as in epochs_10 - epochs_5",
        "and ,": JOINTS,
        "or": 'write "best of a, b" if one of them is enough, "each of a, b" if all must hold',
    }
)
# What stands before "of".
HINTS_OF = _by_word(
    {
        "average avg": 'write "mean of"',
        "all every": 'write "each of"',
        "any": 'write "best of"',
        "max maximum min minimum highest lowest top worst": _BEST,
    }
)
# The same where nothing but a selection is read.
CONDITIONS = "write SETTING = VALUE, SETTING in [VALUE, VALUE] or SETTING < VALUE, joined by and"
SELECTION_HINTS = (
    dict.fromkeys(HINTS, CONDITIONS)
    | {word: HINTS[word] for word in "\"',"}
    | _by_word(
        {
            "==": 'write "="',
            "≥ => >>": 'write ">="',
            "≤ =< <<": 'write "<="',
            "<> ≠ =! ~=": 'write "!="',
        }
    )
)
# What is no setting, but might stand in a condition.
NO_SETTINGS = {
    "seed": "a claim is about all seeds of an experiment",
    "name": "write the name alone, as in epochs_5",
}
