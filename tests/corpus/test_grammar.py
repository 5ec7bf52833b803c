"""The grammar: its French, its formats, its figures, and the same text from the same seed."""

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.corpus.grammar import KINDS, Composition, compose, conjugation, lexicon, morphology, notation
from fonderie.corpus.grammar.noise import NOISE, near_duplicate, noise, similarity
from fonderie.corpus.grammar.realise import Scene
from fonderie.corpus.grammar.referents import Referent
from fonderie.corpus.grammar.sandhi import MARK, polish

SAMPLES = 1000
"""Compositions of each kind that the corpus-wide checks read."""


@cache
def sample(kind: str) -> tuple[Composition, ...]:
    return tuple(compose(kind, random.Random(seed)) for seed in range(SAMPLES))


def everything() -> Iterator[Composition]:
    for kind in KINDS:
        yield from sample(kind)


# ---- determinism ------------------------------------------------------------------------------------------------------

GOLDEN = {
    "story": "d8cc40042ef57290e2a94d43d0d4b2e2e0129aaeb04e08835bb5b30a02147b9e",
    "dialogue": "b2ed0cd4f710791c2a6749ebe64c356c69cb78e6d58e1a8467bb0819b28fe7f4",
    "question": "0dcc7a4ae03bef80a7b35141eb9428ef26b90634b5f19e1f7fd662663c9677f0",
    "arithmetic": "317aab62b9f03222579d7e2eda04312ec11e312708f5643661328fc5f0babebb",
    "boilerplate": "fd0f454f222dfc4909e0f42358ba7d8a6168f5f289d96e8996fa1ef9c3b25e82",
    "foreign": "39cb8f7de13cd0d2efcce5939bfeede84873ee2daed94c646f483be26fdc3066",
    "email": "cab98bebb751399abdebf36f88eadc3396ed2fabc06db3e558aacfdbcc6e2caa",
}
"""sha256 of the first 300 texts of each kind, joined; changes whenever a template or a word does."""


@pytest.mark.parametrize("kind", [*KINDS, *NOISE])
def test_same_seed_same_text_everywhere(kind: str) -> None:
    make = compose if kind in KINDS else noise
    rng = random.Random(2026)
    texts = "\x00".join(make(kind, rng).text for _ in range(300))
    assert hashlib.sha256(texts.encode()).hexdigest() == GOLDEN[kind]


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        compose("poem", random.Random(0))
    with pytest.raises(KeyError):
        noise("spam", random.Random(0))


# ---- richness ---------------------------------------------------------------------------------------------------------


def test_texts_reach_at_least_2500_word_forms() -> None:
    forms = {word.lower() for text in everything() for word in re.findall(r"[^\W\d_]+", text.text)}
    assert len(forms) >= 2500


def templates(table: Any) -> Iterator[str]:
    """Every sentence template of a data table: what has a space and ends as a sentence does."""
    if isinstance(table, str):
        if " " in table and table.rstrip("]»} ").endswith((".", "?", "!")):
            yield table
    elif isinstance(table, dict):
        for value in table.values():
            yield from templates(value)
    elif isinstance(table, list):
        for value in table:
            yield from templates(value)


def test_at_least_300_sentence_templates() -> None:
    found = {
        text
        for name in ("stories", "dialogues", "questions", "arithmetic")
        for text in templates(lexicon.load(name))
    }
    assert len(found) >= 300


def test_stories_come_from_at_least_twelve_schemas_and_rarely_repeat() -> None:
    assert len({story.metadata["schema"] for story in sample("story")}) >= 12
    assert len({story.text for story in sample("story")}) >= 0.99 * SAMPLES


# ---- formats ----------------------------------------------------------------------------------------------------------


def test_stories_have_their_size_shape_and_title() -> None:
    for story in sample("story"):
        assert story.form == "text"
        assert 80 <= len(story.text.split()) <= 220, story.text
        assert 2 <= len(story.text.split("\n\n")) <= 5
        assert story.title
        assert story.title[0].isupper()


@pytest.mark.parametrize("kind", ["dialogue", "question", "arithmetic"])
def test_conversations_alternate_from_user_to_assistant(kind: str) -> None:
    for talk in sample(kind):
        lines = talk.text.split("\n")
        assert talk.form == "conversation"
        assert len(lines) % 2 == 0
        assert len(lines) <= 10
        assert len(lines) >= (4 if kind == "dialogue" else 2)
        for number, line in enumerate(lines):
            speaker = "Assistant : " if number % 2 else "Utilisateur : "
            assert line.startswith(speaker), talk.text
            assert len(line) > len(speaker)


def test_mini_stories_have_forty_to_eighty_words() -> None:
    tales = [
        line
        for talk in sample("question")
        if "histoire" in talk.metadata["topics"].split(", ")
        for line in talk.text.split("\n")
        if line.startswith("Assistant : ") and len(line.split()) > 30
    ]
    assert len(tales) > 20
    assert all(35 <= len(tale.split()) - 2 <= 80 for tale in tales)


# ---- French -----------------------------------------------------------------------------------------------------------

VOWEL = "[aeiouyàâéèêëîïôöùûœ]"
WRONG = {
    "unresolved slot": r"[\[\]{}<>|@$_\x00-\x09\x0b-\x1f]",
    "double space": r"  | \n|\n ",
    "space before , or .": r" [,.](?!\.)",
    "no space before ? ! ; :": r"[^ \n][?!;]|[^\s\d]:",
    "no space inside « »": r"«[^ ]|[^ ]»",
    "doubled word": r"\b(\w+) \1\b(?<!nous nous)(?<!vous vous)",
    "contraction missed": r"\b[Dd]e les? (?!\w+[eio]r\b)|\b[ÀAà] les? (?!\w+[eio]r\b)",
    "si il": r"\b[Ss]i ils?\b",
    "ce est": r"\b[Cc]e (?:est|était|étaient)\b",
    "elision missed": rf"(?<![\w'-])(?:[Ll]e|[Ll]a|[Dd]e|[Qq]ue|[Jj]e|[Mm]e|[Tt]e|[Ss]e|[Nn]e|jusque) (?:{VOWEL}|h)\w*",
    "elision too far": r"(?<!\w)(?:[LlDdJjMmTtSsNnCc]|[Qq]u)'(?:[^aeiouyàâéèêëîïôöùûœhAEIOUÉÈÊÎH])",
    "sa, ma, ta or ce before a vowel": rf"(?<!-)\b(?:[Ss]a|[Mm]a|[Tt]a|[Cc]e) {VOWEL}",
    "cet before a consonant": r"\b[Cc]et [bcdfgjklmnpqrstvwxz]",
    "beau, nouveau, vieux before a vowel": rf"\b(?:beau|nouveau|vieux) {VOWEL}",
    "lower case after a full stop": r"(?<!\w\.\w)\. [a-zéàèêç]",
    "non-breaking space or curly apostrophe": r"[\u00a0\u202f’]",
}
ASPIRATED = re.compile(r"(?:[Ll]e|[Ll]a|[Dd]e|[Qq]ue|[Nn]e|[Ss]e) h\w+")


def faults(text: str) -> list[str]:
    found = []
    for name, pattern in WRONG.items():
        for match in re.finditer(pattern, text):
            aspirated = ASPIRATED.fullmatch(match[0]) and not morphology.begins_with_vowel_sound(
                match[0].split()[1]
            )
            unelided = match[0].split()[-1].lower() in ("onze", "onzième", "oui", "un", "yaourt")
            if not (name == "elision missed" and (aspirated or unelided)):
                found.append(f"{name}: …{text[max(0, match.start() - 20) : match.end() + 20]!r}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_french_has_no_mechanical_fault(kind: str) -> None:
    wrong = [fault for text in sample(kind) for fault in faults(text.text + "\n" + (text.title or ""))]
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_nfc_and_end_as_sentences(kind: str) -> None:
    for text in sample(kind):
        assert text.text == unicodedata.normalize("NFC", text.text).strip()
        assert all(line.endswith((".", "!", "?", "»", " :")) for line in text.text.split("\n") if line)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (f"le{MARK} arbre", "L'arbre"),
        (f"le{MARK} hibou de le{MARK} hameau", "Le hibou du hameau"),
        (f"de le{MARK} âne à le{MARK} âne", "De l'âne à l'âne"),
        (f"à les{MARK} enfants de les{MARK} autres", "Aux enfants des autres"),
        ("essayer de le voir et de les prendre", "Essayer de le voir et de les prendre"),
        (f"sa{MARK} amie et sa{MARK} hache", "Son amie et sa hache"),
        (f"un vieux{MARK} ours, un vieux{MARK} loup, ce{MARK} ours", "Un vieil ours, un vieux loup, cet ours"),
        ("si il vient, si elle vient", "S'il vient, si elle vient"),
        ("je ai dit que elle ne aime que onze héros", "J'ai dit qu'elle n'aime que onze héros"),
        ("se en aller. il se y met. ce est cela", "S'en aller. Il s'y met. C'est cela"),
        (f"il a besoin de des{MARK} pommes, de de le{MARK} eau", "Il a besoin de pommes, d'eau"),
        ("prends-le avec toi", "Prends-le avec toi"),
    ],
)
def test_words_meet_as_french_wants(written: str, read: str) -> None:
    assert polish(written) == read


@given(
    st.lists(
        st.sampled_from(("le", "la", "de", "que", "arbre", "hibou", "herbe", "homme", "il", "a", "ne")), min_size=1
    )
)
def test_joining_twice_changes_nothing(words: list[str]) -> None:
    once = polish(" ".join(words))
    assert polish(once) == once


# ---- morphology -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "many"),
    [
        *(("chat", "chats"), ("souris", "souris"), ("nez", "nez"), ("noix", "noix"), ("cheval", "chevaux")),
        *(("bal", "bals"), ("bateau", "bateaux"), ("feu", "feux"), ("pneu", "pneus"), ("bijou", "bijoux")),
        *(("clou", "clous"), ("travail", "travaux"), ("détail", "détails"), ("œil", "yeux"), ("orange", "oranges")),
        *(("pomme de terre", "pommes de terre"), ("moulin à vent", "moulins à vent")),
        *(("garde forestier", "gardes forestiers"), ("chausson aux pommes", "chaussons aux pommes")),
    ],
)
def test_plurals_of_nouns(one: str, many: str) -> None:
    assert morphology.plural(one, noun=True) == many


@pytest.mark.parametrize(
    ("masculine", "forms"),
    [
        *(
            ("grand", "grande grands grandes"),
            ("rouge", "rouge rouges rouges"),
            ("heureux", "heureuse heureux heureuses"),
        ),
        *(("blanc", "blanche blancs blanches"), ("vif", "vive vifs vives"), ("léger", "légère légers légères")),
        *(("gentil", "gentille gentils gentilles"), ("beau", "belle beaux belles"), ("doux", "douce doux douces")),
        *(("roux", "rousse roux rousses"), ("orange", "orange orange orange"), ("marron", "marron marron marron")),
        *(("inquiet", "inquiète inquiets inquiètes"), ("discret", "discrète discrets discrètes")),
        *(("malin", "maligne malins malignes"), ("travailleur", "travailleuse travailleurs travailleuses")),
        *(
            ("rêveur", "rêveuse rêveurs rêveuses"),
            ("long", "longue longs longues"),
            ("vieux", "vieille vieux vieilles"),
        ),
        *(
            ("bon", "bonne bons bonnes"),
            ("ancien", "ancienne anciens anciennes"),
            ("épais", "épaisse épais épaisses"),
        ),
        *(("parti", "partie partis parties"), ("dû", "due dus dues"), ("bleu", "bleue bleus bleues")),
        *(("frais", "fraîche frais fraîches"), ("meilleur", "meilleure meilleurs meilleures")),
    ],
)
def test_agreement_of_adjectives(masculine: str, forms: str) -> None:
    made = [
        morphology.agree(masculine, gender, many=many) for gender, many in (("f", False), ("m", True), ("f", True))
    ]
    assert " ".join(made) == forms


adjectives = st.sampled_from(
    sorted({word for group in lexicon.load("adjectives")["groups"].values() for word in group})
)


@given(adjectives)
def test_a_feminine_ends_in_e_and_its_plural_in_s(word: str) -> None:
    feminine = morphology.feminine(word)
    assert feminine.endswith("e") or feminine == word
    assert morphology.agree(word, "f", many=True) in (feminine + "s", feminine)


nouns = st.sampled_from([noun for path, group in lexicon.noun_index().items() if "." not in path for noun in group])


@given(nouns)
def test_a_plural_is_marked_once(noun: lexicon.Noun) -> None:
    assert noun.gender in ("m", "f")
    head = noun.plural.split(" ")[0]
    assert head.endswith(("s", "x", "z")) or "-" in head
    assert noun.plural == unicodedata.normalize("NFC", noun.plural)


@pytest.mark.parametrize(
    "word", ["haricot", "hibou", "hérisson", "héros", "hache", "huit", "onze", "oui", "hamster", "héron"]
)
def test_no_elision_before_an_aspirated_h(word: str) -> None:
    assert not morphology.begins_with_vowel_sound(word)


@pytest.mark.parametrize(
    "word", ["herbe", "homme", "hirondelle", "heure", "huile", "habit", "hôpital", "histoire", "hiver", "été"]
)
def test_elision_before_a_mute_h_or_a_vowel(word: str) -> None:
    assert morphology.begins_with_vowel_sound(word)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        *(
            (0, "zéro"),
            (16, "seize"),
            (17, "dix-sept"),
            (21, "vingt et un"),
            (32, "trente-deux"),
            (61, "soixante et un"),
        ),
        *((70, "soixante-dix"), (71, "soixante et onze"), (77, "soixante-dix-sept"), (80, "quatre-vingts")),
        *((81, "quatre-vingt-un"), (91, "quatre-vingt-onze"), (99, "quatre-vingt-dix-neuf"), (100, "cent")),
    ],
)
def test_numbers_in_letters(number: int, words: str) -> None:
    assert morphology.number_words(number) == words


def test_numbers_agree_and_stay_in_bounds() -> None:
    assert morphology.number_words(21, gender="f") == "vingt et une"
    assert len({morphology.number_words(number) for number in range(101)}) == 101
    with pytest.raises(ValueError, match="outside"):
        morphology.number_words(101)


# ---- conjugation ------------------------------------------------------------------------------------------------------

CONJUGATED = """
être pr suis es est sommes êtes sont; im étais étais était étions étiez étaient; ps fus fus fut fûmes fûtes furent; fs serai seras sera serons serez seront
avoir pr ai as a avons avez ont; im avais avais avait avions aviez avaient; ps eus eus eut eûmes eûtes eurent; fs aurai auras aura aurons aurez auront
aller pr vais vas va allons allez vont; im allais allais allait allions alliez allaient; ps allai allas alla allâmes allâtes allèrent; fs irai iras ira irons irez iront
faire pr fais fais fait faisons faites font; im faisais faisais faisait faisions faisiez faisaient; ps fis fis fit fîmes fîtes firent; fs ferai feras fera ferons ferez feront
finir pr finis finis finit finissons finissez finissent; im finissais finissais finissait finissions finissiez finissaient; ps finis finis finit finîmes finîtes finirent; fs finirai finiras finira finirons finirez finiront
parler pr parle parles parle parlons parlez parlent; im parlais parlais parlait parlions parliez parlaient; ps parlai parlas parla parlâmes parlâtes parlèrent; fs parlerai parleras parlera parlerons parlerez parleront
manger pr mange manges mange mangeons mangez mangent; im mangeais mangeais mangeait mangions mangiez mangeaient; ps mangeai mangeas mangea mangeâmes mangeâtes mangèrent; fs mangerai mangeras mangera mangerons mangerez mangeront
commencer pr commence commences commence commençons commencez commencent; im commençais commençais commençait commencions commenciez commençaient; ps commençai commenças commença commençâmes commençâtes commencèrent; fs commencerai commenceras commencera commencerons commencerez commenceront
appeler pr appelle appelles appelle appelons appelez appellent; im appelais appelais appelait appelions appeliez appelaient; ps appelai appelas appela appelâmes appelâtes appelèrent; fs appellerai appelleras appellera appellerons appellerez appelleront
jeter pr jette jettes jette jetons jetez jettent; im jetais jetais jetait jetions jetiez jetaient; ps jetai jetas jeta jetâmes jetâtes jetèrent; fs jetterai jetteras jettera jetterons jetterez jetteront
acheter pr achète achètes achète achetons achetez achètent; im achetais achetais achetait achetions achetiez achetaient; ps achetai achetas acheta achetâmes achetâtes achetèrent; fs achèterai achèteras achètera achèterons achèterez achèteront
espérer pr espère espères espère espérons espérez espèrent; im espérais espérais espérait espérions espériez espéraient; ps espérai espéras espéra espérâmes espérâtes espérèrent; fs espérerai espéreras espérera espérerons espérerez espéreront
envoyer pr envoie envoies envoie envoyons envoyez envoient; im envoyais envoyais envoyait envoyions envoyiez envoyaient; ps envoyai envoyas envoya envoyâmes envoyâtes envoyèrent; fs enverrai enverras enverra enverrons enverrez enverront
venir pr viens viens vient venons venez viennent; im venais venais venait venions veniez venaient; ps vins vins vint vînmes vîntes vinrent; fs viendrai viendras viendra viendrons viendrez viendront
prendre pr prends prends prend prenons prenez prennent; im prenais prenais prenait prenions preniez prenaient; ps pris pris prit prîmes prîtes prirent; fs prendrai prendras prendra prendrons prendrez prendront
voir pr vois vois voit voyons voyez voient; im voyais voyais voyait voyions voyiez voyaient; ps vis vis vit vîmes vîtes virent; fs verrai verras verra verrons verrez verront
pouvoir pr peux peux peut pouvons pouvez peuvent; im pouvais pouvais pouvait pouvions pouviez pouvaient; ps pus pus put pûmes pûtes purent; fs pourrai pourras pourra pourrons pourrez pourront
vouloir pr veux veux veut voulons voulez veulent; im voulais voulais voulait voulions vouliez voulaient; ps voulus voulus voulut voulûmes voulûtes voulurent; fs voudrai voudras voudra voudrons voudrez voudront
devoir pr dois dois doit devons devez doivent; im devais devais devait devions deviez devaient; ps dus dus dut dûmes dûtes durent; fs devrai devras devra devrons devrez devront
dire pr dis dis dit disons dites disent; im disais disais disait disions disiez disaient; ps dis dis dit dîmes dîtes dirent; fs dirai diras dira dirons direz diront
mettre pr mets mets met mettons mettez mettent; im mettais mettais mettait mettions mettiez mettaient; ps mis mis mit mîmes mîtes mirent; fs mettrai mettras mettra mettrons mettrez mettront
savoir pr sais sais sait savons savez savent; im savais savais savait savions saviez savaient; ps sus sus sut sûmes sûtes surent; fs saurai sauras saura saurons saurez sauront
partir pr pars pars part partons partez partent; im partais partais partait partions partiez partaient; ps partis partis partit partîmes partîtes partirent; fs partirai partiras partira partirons partirez partiront
ouvrir pr ouvre ouvres ouvre ouvrons ouvrez ouvrent; im ouvrais ouvrais ouvrait ouvrions ouvriez ouvraient; ps ouvris ouvris ouvrit ouvrîmes ouvrîtes ouvrirent; fs ouvrirai ouvriras ouvrira ouvrirons ouvrirez ouvriront
courir pr cours cours court courons courez courent; im courais courais courait courions couriez couraient; ps courus courus courut courûmes courûtes coururent; fs courrai courras courra courrons courrez courront
rendre pr rends rends rend rendons rendez rendent; im rendais rendais rendait rendions rendiez rendaient; ps rendis rendis rendit rendîmes rendîtes rendirent; fs rendrai rendras rendra rendrons rendrez rendront
tenir pr tiens tiens tient tenons tenez tiennent; ps tins tins tint tînmes tîntes tinrent; fs tiendrai tiendras tiendra tiendrons tiendrez tiendront
recevoir pr reçois reçois reçoit recevons recevez reçoivent; im recevais recevais recevait recevions receviez recevaient; ps reçus reçus reçut reçûmes reçûtes reçurent; fs recevrai recevras recevra recevrons recevrez recevront
boire pr bois bois boit buvons buvez boivent; im buvais buvais buvait buvions buviez buvaient; ps bus bus but bûmes bûtes burent; fs boirai boiras boira boirons boirez boiront
nettoyer pr nettoie nettoies nettoie nettoyons nettoyez nettoient; fs nettoierai nettoieras nettoiera nettoierons nettoierez nettoieront
"""
PARTICIPLES = """être été avoir eu aller allé faire fait finir fini manger mangé venir venu prendre pris voir vu pouvoir pu
vouloir voulu devoir dû dire dit mettre mis savoir su partir parti ouvrir ouvert courir couru rendre rendu recevoir reçu
lire lu écrire écrit boire bu croire cru vivre vécu suivre suivi offrir offert tenir tenu naître né connaître connu
peindre peint conduire conduit rire ri dormir dormi mourir mort apprendre appris falloir fallu"""


@pytest.mark.parametrize("line", CONJUGATED.strip().split("\n"), ids=lambda line: line.split()[0])
def test_conjugation_by_hand(line: str) -> None:
    infinitive, _, rest = line.partition(" ")
    for row in rest.split("; "):
        tense, *forms = row.split()
        assert [lexicon.verb(infinitive).form(tense, person) for person in range(6)] == forms
    future = lexicon.verb(infinitive).form("fs", 0).removesuffix("ai")
    assert lexicon.verb(infinitive).form("co", 5) == future + "aient"


def test_past_participles_by_hand() -> None:
    words = PARTICIPLES.split()
    for infinitive, participle in zip(words[::2], words[1::2], strict=True):
        assert lexicon.verb(infinitive).participle == participle


def used_verbs() -> list[str]:
    data = lexicon.load("verbs")
    conjugated = lexicon.load("questions")["conjugation"]
    listed = [*data["verb"], *data["like"], *conjugated["verbs"], *(verb for verb, _ in conjugated["actions"])]
    in_templates = [
        slot.group(1)
        for name in ("stories", "dialogues", "questions")
        for template in templates(lexicon.load(name))
        for slot in re.finditer(r"(\w+(?:er|ir|re))(?: \w+)?@[\w+$=]+:", template)
    ]
    return sorted({*listed, *in_templates} - {"falloir", "pleuvoir", "traire"})


@pytest.mark.parametrize("tense", conjugation.SIMPLE_TENSES)
def test_every_verb_has_every_form_of_every_tense(tense: str) -> None:
    endings: dict[str, tuple[str | tuple[str, ...], ...]] = {
        "im": ("ais", "ais", "ait", "ions", "iez", "aient"),
        "fs": ("rai", "ras", "ra", "rons", "rez", "ront"),
        "co": ("rais", "rais", "rait", "rions", "riez", "raient"),
        "ps": (("ai", "s"), ("s",), ("a", "t"), "mes", "tes", "rent"),
        "pr": (("e", "s", "x", "ai"), ("s", "x"), ("e", "t", "d", "a"), ("ons", "mes"), ("ez", "tes"), "nt"),
    }
    assert len(used_verbs()) > 150
    for infinitive in used_verbs():
        for person, ending in enumerate(endings[tense]):
            assert lexicon.verb(infinitive).form(tense, person).endswith(ending), (infinitive, person)


def test_what_cannot_be_conjugated_is_refused() -> None:
    with pytest.raises(ValueError, match="not regular"):
        conjugation.regular("clore")
    with pytest.raises(ValueError, match="no simple tense"):
        lexicon.verb("aller").form("pc", 0)
    with pytest.raises(ValueError, match="cannot follow"):
        conjugation.modelled("dormir", lexicon.verb("partir"), "avoir")


# ---- notation and realisation -----------------------------------------------------------------------------------------

LUCIE = Referent("fille", "filles", "f", name="Lucie")
ANE = Referent("âne", "ânes", "m", epithet="vieux")
KEY = Referent("clé", "clés", "f", epithet="rouillé")


@pytest.mark.parametrize(
    ("template", "register", "text"),
    [
        ("{hero} {partir@hero:E}.", "tale", "Lucie partit."),
        ("{hero} {partir@hero:E}.", "told", "Lucie est partie."),
        ("{hero} {ne se lever pas@hero:E}.", "told", "Lucie ne s'est pas levée."),
        ("{hero} {se dire@hero:E} non.", "told", "Lucie s'est dit non."),
        ("{donkey} {le=key prendre@donkey:E}.", "tale", "L'âne la prit."),
        ("{donkey} {le=key prendre@donkey:E}.", "told", "L'âne l'a prise."),
        ("{donkey} {ne le=key prendre jamais@donkey:E}.", "told", "L'âne ne l'a jamais prise."),
        ("{donkey} {lui=hero parler@donkey:E}.", "told", "L'âne lui a parlé."),
        ("{donkey+hero.il} {venir@donkey+hero:A}.", "told", "Ils étaient venus."),
        ("{hero+key.il} {tomber@hero+key:pc}.", "told", "Elles sont tombées."),
        ("je {aller@je=hero:pc} à {donkey}.", "told", "Je suis allée à l'âne."),
        ("{donkey.un*} et {key.des*}", "tale", "Un vieil âne et des clés rouillées"),
        ("de {donkey.des*}, de {donkey*}", "tale", "De vieux ânes, du vieil âne"),
        ("trois, {key.compte=n}, {key.décompte=n}", "tale", "Trois, 21 clés, vingt et une clés"),
        ("elle {ne y aller plus@hero:fp}", "tale", "Elle ne va plus y aller"),
    ],
)
def test_slots_agree(template: str, register: str, text: str) -> None:
    scene = Scene(
        random.Random(0), {"hero": LUCIE, "donkey": ANE, "key": KEY, "n": 21}, register=register, rules={}
    )
    assert scene.render(template) == text


@pytest.mark.parametrize("template", ["[a|b", "a]", "{hero", "{.x}", "{ne voir pas}", "{voir pas@hero:E}", "a|b"])
def test_a_template_that_cannot_be_read_is_refused(template: str) -> None:
    with pytest.raises(notation.NotationError):
        notation.parse(template)


def test_every_template_can_be_read() -> None:
    for name in ("stories", "dialogues", "questions", "arithmetic"):
        for template in templates(lexicon.load(name)):
            assert notation.parse(template)


# ---- arithmetic -------------------------------------------------------------------------------------------------------


def expected(question: str) -> int:
    """The answer, worked out from the words of the question alone."""
    numbers = [int(figure) for figure in re.findall(r"\d+", question)]
    low = question.lower()
    rules: list[tuple[str, int]] = [
        (r"le plus grand", max(numbers)),
        (r"le plus petit", min(numbers)),
        (r"double", 2 * numbers[0]),
        (r"triple", 3 * numbers[0]),
        (r"moitié", numbers[0] // 2),
        (r"après|suivant", numbers[0] + 1),
        (r"avant|précède", numbers[0] - 1),
        (r"pour faire 10|pour aller à 10", 10 - numbers[0]),
        (r"10 euros\b.*rend", 10 - numbers[0]),
    ]
    for pattern, value in rules:
        if re.search(pattern, low):
            return value
    if re.search(r"enlève", low):
        return numbers[1] - numbers[0]
    first, second = numbers[0], numbers[1] if len(numbers) > 1 else 1
    if re.search(r"partage", low):
        return first // second
    if re.search(r"×|fois|multiplie|dans chaque|coût|achète", low):
        return first * second
    if re.search(r" - |moins|reste|perdu", low):
        return first - second
    assert re.search(r"\+|plus|somme|ajoute|donne|offre|tout|maintenant|dans \d+ ans?", low), question
    return sum(numbers)


def test_arithmetic_is_right() -> None:
    for talk in sample("arithmetic"):
        lines = talk.text.split("\n")
        for question, answer in zip(lines[::2], lines[1::2], strict=True):
            result = expected(question)
            said = [int(figure) for figure in re.findall(r"\d+", answer)]
            assert result in said, (question, answer)
            for left, sign, right, value in re.findall(r"(?<!\+ )\b(\d+) ([-+×:]) (\d+) = (\d+)", answer):
                a, b, c = int(left), int(right), int(value)
                assert {"+": a + b, "-": a - b, "×": a * b, ":": a // max(b, 1)}[sign] == c, answer
            assert 0 <= result <= 100


# ---- noise ------------------------------------------------------------------------------------------------------------


def test_boilerplate_repeats_its_lines() -> None:
    for seed in range(50):
        lines = noise("boilerplate", random.Random(seed)).text.split("\n")
        assert len(set(lines)) < len(lines)
        assert "cookies" in "\n".join(lines)


def test_foreign_paragraphs_are_not_french() -> None:
    languages = set()
    for seed in range(80):
        made = noise("foreign", random.Random(seed))
        languages.add(made.metadata["language"])
        assert 60 <= len(made.text.split()) <= 120
        assert "d'" not in made.text
    assert languages == {"en", "de", "es", "it"}


def test_letters_give_one_to_three_invented_addresses() -> None:
    for seed in range(80):
        made = noise("email", random.Random(seed))
        found = re.findall(r"[\w.-]+@[\w.-]+\w", made.text)
        assert sorted(found) == sorted(made.metadata["addresses"].split())
        assert 1 <= len(found) <= 3
        assert all(re.search(r"(^|[@.])example\.(org|com|fr)$", address) for address in found)
        assert faults(re.sub(r"[\w.]+@[\w.]+\w", "Rémi", made.text)) == []


@given(st.integers(0, 10**6), st.sampled_from(["story", "dialogue"]))
def test_a_near_duplicate_is_near_and_is_not_the_same(seed: int, kind: str) -> None:
    original = compose(kind, random.Random(seed)).text
    copy = near_duplicate(original, random.Random(seed + 1))
    assert copy != original
    assert copy == near_duplicate(original, random.Random(seed + 1))
    if len(original.split()) >= 80:
        assert similarity(original, copy) >= 0.8
        words = [re.findall(r"\w+", text.lower()) for text in (original, copy)]
        shingles = [{tuple(text[i : i + 5]) for i in range(len(text) - 4)} for text in words]
        assert len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1]) >= 0.75


@given(st.text(st.sampled_from("abc .,"), max_size=40), st.integers(0, 100))
def test_a_near_duplicate_of_anything_differs(text: str, seed: int) -> None:
    assert near_duplicate(text, random.Random(seed)) != text


def test_a_short_text_changes_only_its_last_mark() -> None:
    assert near_duplicate("Le chat dort.", random.Random(3)) == "Le chat dort!"
    assert near_duplicate("Le chat", random.Random(3)) == "Le chat."
