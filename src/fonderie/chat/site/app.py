"""The site: its pages and routes, put into the application that answers the API."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from fonderie.chat.site.asking import add_asking
from fonderie.chat.site.documents import add_documents
from fonderie.chat.site.models import About, about
from fonderie.chat.site.pages import Site
from fonderie.chat.site.running import Runs
from fonderie.chat.site.sealing import Seals
from fonderie.chat.site.words import Language
from fonderie.serve.access import Door
from fonderie.serve.served import Served


def add_site(
    app: FastAPI,
    models: Mapping[str, Served],
    door: Door,
    *,
    runs: Runs | None = None,
    seals: Seals | None = None,
    operator: str = "",
) -> Site:
    """Add the pages; ReleaseError where a release's own account of itself cannot be read."""
    site = Site(app, operator)
    runs = runs or Runs()
    add_documents(app, models)
    add_asking(app, models, door, runs, seals or Seals(door.database))
    _add_models(site, {name: about(model) for name, model in models.items()})
    return site


def _add_models(site: Site, said: Mapping[str, About]) -> None:
    """The chat page, which says what each model is, and a page on each with what that rests on."""

    @site.page("/", nav="chat.nav")
    async def chat(request: Request, language: Language) -> Response:
        return await run_in_threadpool(
            site.render, request, "chat.html.jinja", language, models=list(said.values())
        )

    @site.page("/models/{name}", always=True)
    async def model(request: Request, language: Language) -> Response:
        found = said.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "no such model")
        return await run_in_threadpool(site.render, request, "model.html.jinja", language, model=found)
