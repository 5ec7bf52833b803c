"""What a person left to fill in: one function, for every field that a release owes to people.

A published peer document still reads "[TODO insert URL...]": what looks filled in is worse than what is empty.
"""

import re

_MARKS = re.compile(
    r"""
    \b(?:to-?do|tbd|tbc|fixme|x{3,}|lorem|changeme|placeholder)\b    # what editors leave
    | \b(?:to\ be|à|a)\ (?:completed|complete|defined|confirmed|filled\ in|compléter|completer|définir|definir|
        renseigner|préciser|preciser|remplir|confirmer)\b
    | \[\s*(?:…|\.{2,}|_+|\s)\s*\]                                   # […]
    | \[\s*(?:insert|your|name|nom|url|date|address|adresse|votre|vos|insérer|inserer|fill)\b[^\]]*\]
    | <\s*(?:insert|your|name|nom|url|address|adresse|votre|vos|insérer|inserer|fill)\b[^>]*>
    | \{\{.*?\}\}                                                    # an unfilled template
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# Addresses that lead nowhere, by RFC 2606 and RFC 6761.
_NOWHERE = re.compile(
    r"(?:^|[@/.\s<(])example\.(?:org|com|net|edu)\b(?!\.\w)|\.(?:example|invalid|test)\b(?!\.\w)|\blocalhost\b",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\s*[\[<{].*[\]>}]\s*", re.DOTALL)


def is_placeholder(text: str) -> bool:
    """Whether a text still waits for its author: empty, without a letter or digit, a mark, or an address of no one.

    "Not applicable" is an answer. So is a text that merely speaks of brackets, such as "[EMAIL]" among other words.
    """
    if not any(char.isalnum() for char in text):
        return True
    return bool(_BRACKETED.fullmatch(text) or _MARKS.search(text) or _NOWHERE.search(text))
