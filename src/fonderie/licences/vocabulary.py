"""Words by which a sentence around a licence is known for what it is: its language, a mention, a description."""

import re

from fonderie.licences.words import FUNCTION_WORDS, word_set

ADDRESS = re.compile(r"(?:https?://|www\.)\S{1,300}|(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,200}")
"""Web and mail addresses; bounded, so that no text makes the search slow."""

READABLE = FUNCTION_WORDS | word_set(
    "license licenses software third party notice notices file files component components version library "
    "project package author authors contributors list source data model models following details see text "
    "texts copyright maintained by"
)
"""Words by which English and French are known in a title or a list."""

FOREIGN = word_set(
    "der die das und nur nicht fur ist von durch mit ein eine einer zu im dem den el los las y para solo sin "
    "por con del una se il gli che per senza della dello di e non o os nao com uma do da het een niet voor van "
    "en zijn wordt"
)
"""Function words of German, Spanish, Italian, Portuguese and Dutch, in which licences also restrict."""

NAMING = word_set(
    "license licenses licensed dual dually released release available distributed published provided under the "
    "terms of this that it is are be as a an all and or either at your option work works software program "
    "project package library code source model models weights data dataset datasets corpus documentation "
    "documents content contents text texts repository repo file files in with see details copy full version "
    "international v spdx identifier https http www org by unless otherwise stated noted c copyright ce cet "
    "cette ces le la les l un une des de du d jeu jeux donnees diffuse diffusee diffuses diffusees publie "
    "publiee publies publiees distribue distribuee mis mise mises disposition est sont sous selon termes et ou "
    "logiciel modele modeles poids oeuvre contenu contenus ouverte ouvertes texte textes depot fichier "
    "fichiers etalab creative commons"
)
"""Words with which a text names its licence and says no more."""

DESCRIPTIVE = (
    READABLE
    | NAMING
    | word_set(
        "about above academie academy acknowledge acknowledgements acknowledges additional agence agency ainsi "
        "alphabetical also annee annees annexe appears applied applies appliquant applique appliquent apply "
        "archive archives article associe auteur auteurs autre autres avant based because been before begins below "
        "bibliotheque book branch bug bugs build built bundle bundled card cards centre changelog changes chapitre "
        "chapter cite cited class code collecte collected collection college comes commit commun communaute "
        "community compiled complet complete compose concerne conference contact contain contained containing "
        "contains contient contributeurs contribution contributions contributor corpora corpus created creator "
        "credit credits cree creee current currently dans date dated decrit department depuis derived dernier "
        "derniere describe described describes description designed developed developer developers development "
        "developpe developpee developpement direction directories directory documented dossier each ecole ecrit "
        "editeur edition editor editors email ensemble entire entre equipe etabli etablie etait etat etude example "
        "examples exemple extrait faculty files finance financee financement first folder followed follows "
        "fondation found foundation from full fund funded funding further generated government grant group groupe "
        "had has have header headers heberge here histoire history home homepage host hosted images included "
        "includes including individual information institut institute institution introduced issu issue issues its "
        "jour journal keep kept kindly known laboratoire laboratory language languages langue langues last later "
        "latest list liste listed lists livre made mail main maintainer maintainers maintenu maintenue major many "
        "may meme mentioned merci ministere minor mise module modules more most name named names national network "
        "new next nom nombre noms nouveau nouvelle number numbers numero of off official one online origin "
        "original originale originally originaux origine other others own owner owners page pages paper papers "
        "parameters parametres part partie parties parts people peut please plus point pouvez preamble premier "
        "premiere presente presentes president press previous produit programme programs projects projet projets "
        "propose provides publication publications published publisher qualite question questions rapport "
        "rassemble readme realise realisee recherche record recorded redige reference references regroupe related "
        "report reports repository research researchers respective responsable reunit root same school science "
        "section sections separate separately series service several since site size some soutenu soutien start "
        "started story structure suivant suivante suivants support supported supporting team technology than thank "
        "thanked thanks their them then there they time title titre together tokenizer tokens tool tools top total "
        "trained tree two universite university update updated uses using utilise utiliser various version "
        "versions voir volume was website were which whole wiki with work writer writers written wrote year years "
    )
)
"""Words with which people describe a work, its makers and its story. None commands, forbids or sells."""
