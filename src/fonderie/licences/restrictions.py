"""Sentences that restrict use, in English and French, as rules of our own over plain words.

A rule is read on one sentence's words, in lower case without accents, between single spaces (`Words.said`). All
gaps are bounded, so that no text makes a rule slow. A sentence is *restricting* where a rule fits, *unclear* where
it speaks of duties or conditions that no rule understands (`reading.py`); else it restricts nothing.
"""

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """One kind of restriction."""

    reason: str
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None = None
    """What, in the same sentence, makes of it something else."""


def _gap(most: int) -> str:
    """Up to `most` words, none of which turns the sentence into a permission or a disclaimer."""
    return (
        r"(?:(?!(?:restrict|limit|warrant|guarant|liab|responsib|oblig|charge\b|cost\b|fee\b|intended|designed|"
        r"suitable|recommended|garanti)\w*)\w+ ){0," + str(most) + "}"
    )


_NOT = (
    r"(?:not|never|no|nor|neither|nothing|withheld|denied|cannot|can t|don t|won t|mustn t|prohibit\w*|"
    r"forbid\w*|ban|bans|banned|"
    r"disallow\w*|"
    r"exclud\w*|except|excepting|excluding|other than|unauthorized|refrain|against|"
    r"pas|jamais|ni|aucune?s?|interdi\w*|proscri\w*|prohib\w*|defendu\w*|exclu\w*|exclusion|renonc\w*|sauf|"
    r"hormis)"
)
_REFUSED = (
    r"(?:(?:not|never|isn t|aren t|pas|non) (?:\w+ ){0,2}(?:permitted|allowed|authorized|licensed|granted|"
    r"covered|included|"
    r"permis\w*|autoris\w*|admis\w*|accord\w*|couvert\w*|comprise?s?)|"
    r"(?:strictly )?(?:prohibited|forbidden|banned|disallowed|excluded|withheld|denied|barred|off limits|"
    r"interdite?s?|proscrite?s?|prohibee?s?|defendue?s?|exclue?s?))"
)
_USE = (
    r"(?:use|used|uses|using|deploy\w*|run|operate\w*|exploit\w*|employ|employed|incorporat\w*|train|trained|"
    r"fine tune\w*|distribu\w*|redistribu\w*|share|shared|sell|sold|resell|resold|rent|rented|lease|leased|"
    r"sublicens\w*|"
    r"copy|copied|reproduc\w*|modif\w*|adapt|adapted|alter|altered|publish\w*|transfer\w*|merge|merged|host|"
    r"hosted|"
    r"download\w*|access|accessed|commerciali\w*|moneti\w*|profit|"
    r"utilis\w*|reutilis\w*|usage|usages|exploit\w*|employ\w*|deploy\w*|diffus\w*|vend\w*|vente|revend\w*|"
    r"revente|"
    r"copi\w*|reprodui\w*|reproduct\w*|partag\w*|entrain\w*|integr\w*|publie\w*|louer|location|moissonn\w*)"
)
_FIELD = (
    r"(?:militar\w*|arms (?:manufactur\w*|industry|trade|dealers?)|weapon\w*|warfare|war|combat|armed forces|"
    r"armies|army|defen[cs]e (?:contractor|"
    r"industr|"
    r"purpose|application|ministr)\w*|surveillance|nuclear|law enforcement|police|facial recognition|"
    r"biometric\w*|"
    r"immigration|gambling|casino\w*|porn\w*|sexual\w*|adult content|tobacco|fossil fuel\w*|oil and gas|"
    r"cryptocurrenc\w*|"
    r"blockchain\w*|illegal\w*|unlawful\w*|harmful|harm|evil|discriminat\w*|disinformation|misinformation|"
    r"deepfake\w*|spam\w*|"
    r"medical|clinical|health ?care|legal advice|political campaign\w*|advertising|high risk|"
    r"critical infrastructure\w*|"
    r"genocide|torture|violence|exploitation of|animal testing|"
    r"militaire\w*|armement\w*|armes?|guerre\w*|armees?|policier\w*|reconnaissance faciale|nucleaire\w*|"
    r"biometri\w*|"
    r"jeux d argent|illegale?s?|illicite\w*|illegaux|malveillant\w*|nuisible\w*|medicale?s?|medicaux|"
    r"cliniques?|"
    r"publicitaire\w*|politiques?|propagande|desinformation)"
)
_STUDY = (
    r"(?:research\w*|academic\w*|academia|education\w*|teaching|scholar\w*|scientific|evaluation|evaluating|"
    r"testing|personal|"
    r"private|internal|student\w*|universit\w*|non ?profit\w*|hobby\w*|home use|humanitarian|peaceful|"
    r"civil\w*|demonstration|"
    r"recherche\w*|chercheu\w*|enseignants?|universitaire\w*|academique\w*|enseignement|educati\w*|"
    r"pedagogi\w*|scolaire\w*|"
    r"scientifique\w*|"
    r"personnel\w*|privee?s?|interne\w*|etudiant\w*|evaluation|test|associati\w*|non lucrati\w*)"
)
_ONLY = (
    r"(?:only|solely|exclusively|strictly|purely|limited to|restricted to|reserved for|confined to|nothing but|"
    r"uniquement|exclusivement|seulement|strictement|seule?s?|reserve\w*|limite\w* (?:a|aux?)|"
    r"restreint\w*|cantonn\w*)"
)
_LEAVE = r"(?:permission|consent|approval|authorization|autorisation|accord|consentement|agrement)"
_ASK = (
    r"(?:require\w*|need|needs|obtain\w*|request\w*|ask|asks|seek|secure|contact|necessit\w*|requier\w*|"
    r"requise?s?|"
    r"soumi\w*|subordonn\w*|exige\w*|demand\w*|obten\w*|contact\w*|sollicit\w*)"
)
_PEOPLE = (
    r"(?:european union|eu|china|chinese|russia\w*|belarus\w*|iran\w*|cuba\w*|syria\w*|north korea\w*|"
    r"embargoed|sanctioned|"
    r"competitor\w*|compet(?:e|es|ing)|citizens?|residents?|domiciled|governments?|corporations?|"
    r"union europeenne|chine|russie|concurren\w*|ressortissants?|gouvernements?)"
)
_NAMES = re.compile(
    r" (?:names?|trademarks?|trade names?|service marks?|logos?|endors\w*|promot\w*|brand\w*|marques?|nom|noms|"
    r"misrepresent\w*|warrant\w*|notices?) "
)
_FREEING = re.compile(
    r" (?:no|without|not|any|aucune?|sans|nor) (?:\w+ ){0,3}(?:restrictions?|limitations?|limits?) |"
    r" (?:not|nor|ne) (?:\w+ ){0,2}(?:restrict|limit|prohibit|forbid|prevent|restreint|limite|interdit) "
)


def _rule(reason: str, *alternatives: str, unless: re.Pattern[str] | None = None) -> Rule:
    return Rule(reason, re.compile(" (?:" + "|".join(alternatives) + ")(?= )"), unless)


_WAIVED = re.compile(
    r" (?:no|not|aucune?|pas) (?:\w+ ){0,2}(?:need\w*|require\w*|permission|requi\w+|necessaire) |"
    r" (?:require|need)s? no "
)


RULES = (
    _rule(
        "forbids or limits commercial use",
        r"(?<! commercial and )(?<! commercial or )(?<! commercial et )(?<! commercial ou )(?<! commerciales et )"
        r"(?<! commerciales ou )(?<! well as )(?<! both )non ?commercial\w*(?! (?:and|or|et|ou|"
        r"as well as) commercial)",
        r"(?:nicht ?kommerzi\w*|no comercial\w*|nao comercial\w*|niet commerci\w*)",
        rf"{_NOT} {_gap(8)}(?:commercial\w*|for profit|lucrati\w*|paid (?:service|product)s?)",
        rf"(?:commercial\w*|for profit|lucrati\w*) (?:\w+ ){{0,8}}{_REFUSED}",
        rf"(?:commercial\w*|for profit|lucrati\w*) (?:\w+ ){{0,6}}{_ASK}",
        r"commercial\w* (?:use|usage|purposes?) (?:no|none|never|non)",
        r"contact (?:\w+ ){0,6}for (?:\w+ ){0,4}commercial\w*",
        rf"(?:(?!contact){_ASK}|separate|paid|enterprise|distincte|payante) (?:\w+ ){{0,8}}commercial\w*",
        r"commercial (?:license|agreement)s? (?:\w+ ){0,4}(?:available|required|needed|requise?|necessaire)",
        r"(?:sans|a) but (?:non )?lucratif",
        rf"(?:{_ONLY}) (?:\w+ ){{0,6}}(?:non ?profit|not for profit)",
        unless=_WAIVED,
    ),
    _rule(
        "forbids a field of use",
        rf"{_NOT} {_gap(12)}{_FIELD}",
        rf"{_FIELD} (?:\w+ ){{0,10}}{_REFUSED}",
        r"not (?:for )?evil",
        r"(?:human rights|droits de l homme|ethical\w* (?:use|source|standards?))",
        unless=_FREEING,
    ),
    _rule(
        "sets a threshold of users, size or revenue",
        r"monthly active",
        r"(?:annual|yearly|gross) (?:\w+ ){0,2}(?:revenues?|turnover|income)",
        r"(?:more|fewer|less|greater|exceed\w*|above|below|over|under|up to|maximum of|at most|million|"
        r"billion) (?:\w+ ){0,5}"
        r"(?:users|employees|seats|revenues?|turnover|downloads|customers)",
        r"(?:plus|moins|au dela|depass\w*|superieur\w*|inferieur\w*|jusqu|maximum|millions?|"
        r"milliards?) (?:\w+ ){0,5}"
        r"(?:utilisateurs|employes|salaries|chiffre|revenus|clients|euros)",
        r"chiffre d affaires",
    ),
    _rule(
        "is bound to a policy of acceptable use",
        r"(?<! no )(?<! without )(?<! any )(?:acceptable use|prohibited use\w*|use restrictions?|"
        r"use based restrictions?|usage polic\w+|"
        r"usage guidelines?|usage restrictions?|use polic\w+|responsible (?:ai|use)|restricted uses?|"
        r"permitted uses? polic\w+|"
        r"use case restrictions?)",
        r"(?:politique|charte|regles|conditions) d (?:utilisation|usage) (?:acceptable|responsable|autorisee?)",
        r"(?:politique|charte) (?:d|de) (?:bon )?(?:utilisation|usage)",
        r"(?:usages?|utilisations?) (?:interdite?s?|prohibee?s?|proscrite?s?|restreinte?s?)",
    ),
    _rule(
        "allows only research, teaching, evaluation or private use",
        rf"{_ONLY} (?:\w+ ){{0,8}}{_STUDY}",
        rf"{_STUDY} (?:\w+ ){{0,4}}(?:only|solely|exclusively|uniquement|exclusivement|seulement)",
        rf"(?:licensed|granted|permitted|allowed|free|freely|available|gratuite?s?|autorise\w*|"
        rf"licence) (?:\w+ ){{0,5}}(?:for|pour|"
        rf"a des fins|aux fins) (?:\w+ ){{0,3}}{_STUDY} (?:\w+ ){{0,2}}(?:purposes?|uses?|usages?|fins|"
        rf"projects?|projets?)",
        rf"(?:gratuite?s?|autorise\w*|libre) (?:\w+ ){{0,4}}(?:usage|usages|fins|"
        rf"cadre) (?:\w+ ){{0,2}}{_STUDY}",
        rf"{_NOT} {_gap(8)}(?:production (?:use|environment|system)s?|en production|in production)",
    ),
    _rule(
        "forbids modified or derived versions",
        rf"{_NOT} {_gap(6)}(?:derivatives?|derived works?|oeuvres? derivees?|modified versions?|"
        rf"versions? modifiees?)",
        rf"(?:derivatives?|modifications?|derivees?) (?:\w+ ){{0,6}}{_REFUSED}",
        r"no (?:modifications?|derivs)",
        unless=_FREEING,
    ),
    _rule(
        "asks for a permission",
        rf"(?:without|sans) (?:\w+ ){{0,6}}(?:{_LEAVE}|a license|license (?:prealable|ecrite))",
        rf"(?<! not )(?<! t )(?<! no )(?<! pas ){_ASK} (?:\w+ ){{0,8}}{_LEAVE}",
        r"(?:separate|paid|enterprise|individual|written) license|license (?:payante|commerciale|distincte)",
        r"(?:subject to|upon|prior|sur|apres|sous reserve d) (?:\w+ ){0,4}(?:approval|authorization|consent|"
        r"accord|autorisation|agrement)",
        unless=_NAMES,
    ),
    _rule(
        "asks for payment",
        r"(?:must|shall|require\w*|agree\w*|subject to|upon|obliged|doit|doivent|devez|soumi\w*|moyennant|"
        r"exige\w*|requier\w*) "
        r"(?:\w+ ){0,6}(?:pay|payment|purchase|buy|subscription|subscribe|royalt\w+|fees?|payer|paiement|"
        r"redevances?|achat|"
        r"acheter|abonnement)",
        r"(?:fees?|royalt\w+) (?:\w+ ){0,3}(?:is|are) (?:due|owed|payable)",
        unless=_FREEING,
    ),
    _rule(
        "forbids using it against competitors or for training",
        r"(?:not|never|no|pas|jamais|interdi\w*) (?:\w+ ){0,10}(?:to )?(?:compete\w*|competing|improve|train|"
        r"training|"
        r"entrain\w*|ameliorer|concurren\w*|text and data mining|fouille)",
    ),
    _rule(
        "shuts out persons or countries",
        rf"(?:not|never|no|except|excluding|pas|sauf|hormis|prohibit\w*|exclu\w*) {_gap(10)}{_PEOPLE}",
        rf"{_PEOPLE} (?:\w+ ){{0,8}}(?:{_REFUSED}|may not|must not|shall not|cannot)",
    ),
    _rule(
        "is proprietary or confidential",
        r"(?:proprietary and confidential|confidential and proprietary|strictly confidential|internal use|"
        r"no part of|"
        r"proprietaire et confidentiel\w*|usage interne|toute reproduction)",
    ),
    _rule(
        "forbids a use",
        rf"(?:may|shall|must|can|will|should|agree|agrees) (?:\w+ ){{0,3}}(?:not|never) {_gap(8)}{_USE}",
        rf"(?:not|never) (?:be )?(?:permitted|allowed|authorized|entitled|licensed|free) (?:to|for|from|"
        rf"in) {_gap(8)}{_USE}",
        rf"(?:cannot|can t|mustn t|shan t|may not|must not|shall not) {_gap(10)}{_USE}",
        rf"(?:not|never) (?:\w+ ){{0,2}}(?:grant|include|extend|cover|permit|authorize|allow|convey|"
        rf"imply) {_gap(10)}{_USE}",
        rf"(?:not|never) to {_gap(3)}{_USE}",
        rf"(?<=^ )(?:please )?(?:do not|don t|never|ne pas|ne) {_gap(3)}{_USE}",
        rf"(?:nul|personne|aucune?) {_gap(3)}(?:ne|n) {_gap(2)}{_USE}",
        rf"(?:no one|nobody|none|no person|no user) (?:may|shall|can) {_gap(4)}{_USE}",
        rf"(?:prohibit\w*|forbid\w*|forbidden|disallow\w*|unauthorized|interdi\w*|proscri\w*|prohib\w*|"
        rf"defen(?:d|du|dons)) "
        rf"{_gap(8)}{_USE}",
        rf"{_USE} (?:\w+ ){{0,10}}{_REFUSED}",
        rf"(?:ne|n) (?:\w+ ){{0,4}}(?:pas|jamais|aucun cas|etre|point) {_gap(8)}{_USE}",
        r"no (?:redistribution|distribution|sharing|copying|resale|sale|sublicensing|reverse engineering|"
        r"scraping|mining|hosting)",
        r"(?:not|pas) (?:for|a|destine\w* a) (?:la )?(?:re)?(?:sale|distribution|vente)",
        unless=re.compile(_NAMES.pattern + "|" + _FREEING.pattern),
    ),
    _rule(
        "limits what it may be used for",
        rf"{_USE} (?:\w+ ){{0,5}}{_ONLY} (?:\w+ ){{0,2}}(?:for|by|with|in|within|on|pour|par|avec|dans|a|aux?|"
        rf"en|to)",
        rf"{_ONLY} (?:\w+ ){{0,3}}{_USE} (?:\w+ ){{0,5}}(?:for|by|with|in|within|on|pour|par|avec|dans|aux?|"
        rf"en)",
        unless=re.compile(
            r" (?:terms|compliance|accordance|complying|comply|termes|conformite|conformement|if|si) "
        ),
    ),
)
"""In the order in which they name a sentence: what says more comes first."""
