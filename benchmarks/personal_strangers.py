"""Sentences written by somebody who had not read the recognisers, with values in the forms that people give them.

The other cases (personal_sentences.py) share their author with the recognisers. These were written to break them:
legal notices, signatures, logs, classified advertisements, settings, forum posts; and look-alikes from there.
`strangers()` is seeded; every sentence is filled several times.
"""

import base64
import random
import string

from benchmarks import personal_cases as made
from benchmarks.personal_cases import Maker, digits
from benchmarks.personal_sentences import Case

EACH = 8
"""Values for each sentence."""


def _some(count: int, alphabet: str = string.ascii_letters + string.digits) -> Maker:
    return lambda rng: "".join(rng.choice(alphabet) for _ in range(count))


def _shape(shape: str) -> Maker:
    """A maker of text in which each # is a digit, and each ~ one of 1 to 9."""

    def make(rng: random.Random) -> str:
        signs = {"#": string.digits, "~": "123456789"}
        return "".join(rng.choice(signs[sign]) if sign in signs else sign for sign in shape)

    return make


def _grouped(maker: Maker, *sizes: int, gap: str = " ") -> Maker:
    def make(rng: random.Random) -> str:
        number, at, parts = maker(rng), 0, []
        for size in sizes:
            parts.append(number[at : at + size])
            at += size
        return gap.join(parts)

    return make


def _base64(size: int) -> Maker:
    return lambda rng: base64.b64encode(rng.randbytes(size)).decode()


def _siret(rng: random.Random) -> str:
    return made.with_luhn(made.siren_number(rng) + f"{rng.randint(1, 60):04d}")


def _vat(rng: random.Random) -> str:
    number = made.siren_number(rng)
    return f"FR{(12 + 3 * (int(number) % 97)) % 97:02d}{number}"


def _card(prefix: str, size: int) -> Maker:
    return lambda rng: made.with_luhn(prefix + digits(rng, size - len(prefix) - 1))


def _mobile(shape: str) -> Maker:
    return lambda rng: _shape(shape)(rng).replace("M", rng.choice("67"))


PLANTED: list[tuple[str, Maker, str]] = [
    (
        "email",
        _shape("marie.dupont##@orange.fr"),
        "Pour toute question, écrivez à {}.|<{}>|mailto:{}?subject=Bonjour|De : Marie Dupont <{}>\nÀ : x|« {} »|"
        "e-mail:{},|mail={}&nom=x|[{}](mailto:x)|Mme Dupont,{}|https://site.fr/?u={}|*{}*|_{}_|courriel\u00a0: {}/",
    ),
    ("email", _shape("M.DURAND##@AC-VERSAILLES.GOUV.FR"), "Courriel {} avant lundi"),
    ("email", _shape("o'brien##@post.ie"), "Write to {} please"),
    ("email", _shape("info##@пример.xn--p1ai"), "Écrire à {} ou appeler"),
    ("email", _shape("a.b.c##@sous.domaine.dept.univ-paris.fr"), "Écrire à {}, merci"),
    (
        "ipv4",
        made.ipv4,
        "Failed password for root from {} port 22 ssh2|{} - - [10/Oct/2023:13:55:36 +0200] \"GET / HTTP/1.1\" 200|"
        "client: {}, server: x|L'utilisateur 42 (adresse {}) a modifié la page|host {} is down|http://{}:8080/admin|"
        "id=42 ip={}|code 403 pour {}|Ticket 8123 : le poste {} ne répond plus|session id 7f3a from {}|"
        "erreur dans le code, voir {}|[{}]|ping {} -n 4|{}/24|version 2 of the log: {}|"
        "contribution de l’adresse IP {} (discussion)|inet {} netmask 255.255.255.0",
    ),
    ("ipv6", made.ipv6, "{} bloquée|[{}]:443|ip={}|{}%eth0|{}/64|L’IP {}.|modifié par {} (discussion)|<{}>"),
    (
        "phone",
        _mobile("0M ## ## ## ##"),
        "Mob. {}|Portable : {} / Fixe|Renseignements et commandes au {}|Pour toute commande, composez le {}.|"
        "Service facturation : {}|Informations, prix et réservations : {}|Article en vente, contacter Paul {}|"
        "Standard {} (prix d'un appel local)|Suivi de votre dossier au {}|Vends voiture, modèle 2012, {}|"
        "Contrat d'entretien : appeler le {}|Loto du club, inscriptions {}|N° vert {}|Mairie de Lyon - {}|☎ {}|"
        "M. Durand ({})|SOS médecins:{}|Urgences au {} 24h/24|code postal 69001, {}|Lot 4 bis, {}|"
        "ma référence M. Petit {}|mon numéro, c'est le {}, merci|Tableau d'affichage, {}|Budget serré ? {}|"
        "Produits régionaux : {}|le directeur (article paru hier) a donné le {}|Tél.\u00a0: {}",
    ),
    ("phone", _shape("0~.##.##.##.##"), "T. {}|{} – contact|commandes : {} ou par mail"),
    ("phone", _shape("0~-##-##-##-##"), "Standard: {}."),
    (
        "phone",
        _mobile("0M########"),
        "Mon 06 : {}|tel:{}|call me at {} tonight|(tél {})|code d'accès demandé au {} svp|phone={}|"
        "commande par téléphone au {}",
    ),
    ("phone", _mobile("+33 M ## ## ## ##"), "Mobile: {}|tel. {}/|order by phone {}"),
    ("phone", _mobile("+ 33 M ## ## ## ##"), "Tél. {}"),
    ("phone", _mobile("+33 (0) M ## ## ## ##"), "Tél. {}"),
    ("phone", _shape("(33) ~ ## ## ## ##"), "Tél. {}|Phone: {}"),
    ("phone", _shape("0033~########"), "Phone: {}"),
    ("phone", _mobile("0M## ## ## ##"), "Mobile {}"),
    ("phone", _mobile("0M## ### ###"), "Mobile {}"),
    ("phone", _mobile("0M##-######"), "Mobile {}"),
    ("phone", _shape("0 80# ### ###"), "N° vert : {}|Numéro Azur {}"),
    ("phone", _shape("+44 (0)20 7### ####"), "London office: {}."),
    ("phone", _shape("+49 (0)30 ~######"), "Tel.: {}"),
    ("phone", _shape("+32 (0)2 ### ## ##"), "Tél. {}"),
    ("phone", _shape("+41 22 ### ## ##"), "Tél. {}"),
    ("phone", _shape("+39 06 ########"), "Tel. {}"),
    ("nir", made.nir, "n° SS:{}|sécu {}, née à Lyon|assuré {} |<nir>{}</nir>|Madame Durand ({})|numéro INSEE {}"),
    (
        "siren",
        _grouped(made.siren_number, 3, 3, 3),
        "immatriculée au Registre du Commerce et des Sociétés de Nanterre sous le numéro {}|{} R.C.S. Paris|"
        "inscrite au registre du commerce et des sociétés de Boulogne-sur-Mer sous le numéro {}, représentée par|"
        "RCS PARIS B {}|SAS au capital de 10 000 euros - {} RCS Lyon|N° SIREN: {}|SIREN\u00a0: {}|RCS\u00a0Lyon {}|"
        "enregistrée au registre du commerce sous le numéro {}|Registered in France, company number {}|"
        "registered with the Paris Trade and Companies Register under number {}|identifiée au SIREN sous le n° {}|"
        "SARL immatriculée sous le numéro {} au RCS de Toulouse|dont le numéro d’immatriculation est {}",
    ),
    ("siren", made.siren_number, "(RCS {})|siren={}|immatriculée au Registre du Commerce de Paris sous le n° B {}"),
    ("siren", _vat, "TVA intracommunautaire : {}|VAT number {}|{}"),
    ("siret", _grouped(_siret, 3, 3, 3, 5), "n° {}|Siret {} - APE 6201Z"),
    ("siret", _siret, "siret={}|établissement {}|Numéro d'immatriculation : {}"),
    ("iban", made.iban, "Virement sur le compte {} avant le 5|IBAN {} BIC AGRIFRPP|commande réglée sur {}|IBAN {}"),
    ("iban", _grouped(made.iban, 64), "IBAN{}"),
    (
        "card",
        _grouped(_card("4970", 16), 4, 4, 4, 4),
        "Carte bancaire {}, exp. 12/27|n° de carte {} cvv 123|paid with Visa {}|Facture payée avec la carte {}|"
        "card {} 1227|carte {} 12/26",
    ),
    ("card", _card("5132", 16), "mastercard={}|pan={}|CB {}"),
    ("card", _grouped(_card("3782", 15), 4, 6, 5), "Amex {}"),
    ("key", _base64(16), "api_key = \"{}\"|secret: {}|API-Key: {}|password={}"),
    ("key", _base64(32), "AccountKey={};EndpointSuffix=x|clé secrète : {}|token: {}|AWS_SECRET_ACCESS_KEY={}"),
    (
        "key",
        _some(32, "0123456789abcdef"),
        "apikey: '{}'|&access_token={}&x|X-Api-Key: {}|client_secret={}|jeton = {}|Authorization: token {}|"
        "mot_de_passe : {}|apiKey={}",
    ),
    ("key", _some(40), "Authorization: Bearer {}|-H 'Authorization: Bearer {}'|OAUTH_TOKEN={}|run --token {}"),
    ("key", _base64(24), "Authorization: Basic {}"),
    ("key", _some(12), "https://admin:{}@db.exemple.fr/base|postgres://user:{}@db.local/x"),
    ("key", lambda rng: "ghp_" + _some(36)(rng), "https://{}@github.com/x/y|token {}"),
    ("key", lambda rng: f"github_pat_{_some(22)(rng)}_{_some(59)(rng)}", "{}"),
    ("key", lambda rng: f"SG.{_some(22)(rng)}.{_some(43)(rng)}", "{}|SENDGRID={}"),
    ("key", lambda rng: "ya29." + _some(60)(rng), "{}"),
    ("key", lambda rng: "hvs." + _some(90)(rng), "{}"),
    ("key", lambda rng: "GOCSPX-" + _some(28)(rng), "{}"),
]  # fmt: skip

LOOK_ALIKES: list[tuple[Maker, str]] = [
    (
        lambda rng: " ".join([str(rng.randint(1, 999)), digits(rng, 3), digits(rng, 3)]),
        "un chiffre d'affaires de {} euros|RCS Paris, au capital de {} euros|{} F CFA|TVA comprise, soit {} €|"
        "les sociétés ont versé {} €|{} habitants au recensement",
    ),
    (
        _shape("~.1#.##.#"),
        "version {}|versions {} et 2.1.33.4|passer à la version {}|release {}|article {}|rubrique {}|§{}|§\u00a0{}|"
        "chapitre {} du règlement|firmware {} (beta)|driver version: {}|Windows build {}|Chrome/{} |norme EN {}|"
        "l’article {}|cote {}",
    ),
    (
        _shape("0~########"),
        "commande n° {}|réf. {}|n° de suivi {}|ticket #{}|lot n° {}|code barres {}|facture n°{}|dossier numéro {}|"
        "order number {}|numéro de série {}|item {}|brevet {}|https://exemple.fr/p/{}|notice n° {}|timestamp {}",
    ),
    (
        _shape("0~ ## ## ## ##"),
        "réf. {}|commande n° {}|dossier n° {}|facture {}|code {}|lot n°{}|n° de série : {}|numéro de dossier : {}|"
        "10 {} 22 33",
    ),
    (_shape("978##########"), "{}|code-barres : {}|isbn={}"),
    (_shape("##############"), "date {}|identifiant {}|marché n° {}|FINESS {}|contrat {}"),
    (_shape("~###############"), "token_count={}|colis {}|reference {}|id {}|transaction 0x{}"),
    (_shape("status/~#################"), "tweet {}"),
    (_shape("4#.#######"), "lat {}, lon 2.3522219|{}"),
    (_shape("2023-10-1# 1#:3#:4#.######"), "{}|[{}] INFO démarrage"),
    (
        _some(64, "0123456789abcdef"),
        "sha256:{}|commit {}|author: {}|etag: \"{}\"|checksum: {}|tokenizer hash: {}|keyboard: {}|monkey: {}",
    ),
    (_base64(48), "data:image/png;base64,{}|\"integrity\": \"sha512-{}\"|{}"),
    (
        _shape("getUserNameFromConfigV##Table"),
        "{}|token = {}()|password = {}(request)|author = {}",
    ),
    (
        lambda rng: rng.choice(
            ["correct-horse-battery-staple", "AbstractSingletonProxyFactoryBean", "UPPER_CASE_CONSTANT_NAME"]
        ),
        "key = {}|token: {}|auth = {}|clé : {}|Authorization: Bearer {}",
    ),
    (_shape("/usr/share/lib##/Key##/aB##"), "key: {}|secret path = {}"),
    (_shape("https://exemple.fr/a##B##/c###"), "token url: {}|auth: {}"),
    (_shape("+ 4~ ### ###"), "une hausse de {} euros|{} emplois"),
    (_shape("+ 33 ### ### ###"), "soit {} euros"),
    (_shape("1 8# 13 75 ### ### ##"), "{}|code {}"),
    (
        lambda rng: rng.choice(
            ["@Override", "a @ b", "git@github.com:foo/bar.git", "lib@1.2.3", "@types/node@18.1", "img@2x.png"]
        ),
        "{}|voir {} ici",
    ),
    (_shape("https://exemple.fr:8080/u###@v2/page"), "{}"),
]  # fmt: skip


def strangers(seed: int = 0) -> list[Case]:
    """All of them: planted values first, then look-alikes."""
    rng = random.Random(seed)
    out: list[Case] = []

    def place(sentence: str, value: str) -> str:
        return rng.choice(["", "Bonjour à tous. "]) + sentence.replace("{}", value) + " À bientôt."

    for kind, maker, sentences in PLANTED:
        for sentence in sentences.split("|"):
            for value in (maker(rng) for _ in range(EACH)):
                out.append(Case(place(sentence, value), kind, value))
    for maker, sentences in LOOK_ALIKES:
        for sentence in sentences.split("|"):
            for value in (maker(rng) for _ in range(EACH)):
                out.append(Case(place(sentence, value), "look-alike"))
    return out
