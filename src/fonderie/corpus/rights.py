"""The licence gate: what the recipe declares, what the file says of itself, and what the policy accepts.

Nothing is relabelled: where a file states a licence, the recipe may repeat it but not change it. A licence that is
not free stops the build unless the policy names it.
"""

from functools import lru_cache

from fonderie.core.errors import LicenceError
from fonderie.core.step import Policy
from fonderie.licences.verdict import Verdict, identify
from fonderie.licences.verdict import judge as _judge

judge = lru_cache(maxsize=4_096)(_judge)
"""A corpus has few licences and many documents."""


def licence_of(declared: str | None, stated: str | None, where: str) -> str:
    """The licence of a file's content: what it states, else what the recipe declares, else "unknown".

    LicenceError if both speak and disagree; `where` names the file.
    """
    if stated is None:
        return judge(declared).licence if declared else "unknown"
    found = identify(stated) or judge(stated).licence
    if declared is not None and judge(declared).licence != judge(found).licence:
        raise LicenceError(
            f"{where} states the licence {found}, but the recipe declares {judge(declared).licence}",
            hint="Nothing is relabelled: declare what the file states, or leave `licence` out.",
        )
    return judge(found).licence


def admit(licence: str, policy: Policy, where: str) -> Verdict:
    """The verdict on a licence that the policy accepts; LicenceError names licence and file if it does not."""
    verdict = judge(licence)
    if verdict.status == "free" or verdict.licence in policy.also_allow:
        return verdict
    raise LicenceError(
        f"{where} is under {verdict.licence}, which is {verdict.status}: {verdict.reason}",
        hint=(
            "The policy of this recipe is no restriction of use. Leave the source out, or accept it and have the "
            f"release say so first: --set policy.also_allow='[\"{verdict.licence}\"]'"
        ),
    )
