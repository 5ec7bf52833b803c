// The consent as a dialogue: the very form of the page /consent, shown above the page that needs it. It never stands
// in the way: closing it changes nothing.

import { Failure } from "./asking.js";
import { announce, h } from "./dom.js";
import { language, problem, t } from "./words.js";

/** Have the links to the consent page open it as a dialogue; `changed(standing)` is called after a choice. */
export function opensConsent(changed) {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-consent]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      await ask(changed);
    } catch {
      location.assign(link.href); // what the dialogue cannot show, the page can
    }
  });
}

/** Show the dialogue; resolves when it stands open. */
export async function ask(changed) {
  const response = await fetch(`/${language}/consent`, { headers: { accept: "text/html" } });
  if (!response.ok) throw new Failure("unknown");
  // Our own page, made by our own server; scripts in a document made this way do not run.
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const form = document.importNode(page.getElementById("consent-form"), true);
  const later = h("button", { type: "button", class: "quiet", onclick: () => dialogue.close() }, t("consent.later"));
  form.querySelector(".buttons").prepend(later);
  const dialogue = h("dialog", { class: "consent-dialogue", "aria-labelledby": "consent-title" }, form);
  follows(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const standing = await send(form);
      dialogue.close();
      announce(t(standing === "refused" ? "consent.withdrawn" : "consent.saved"));
      changed(standing);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      form.querySelector("[role=alert]").textContent = problem(error.code);
    }
  });
  dialogue.addEventListener("close", () => dialogue.remove());
  document.body.append(dialogue);
  dialogue.showModal();
}

/** What is not kept cannot be published: the second box can be ticked once the first is. Neither ticks the other. */
function follows(form) {
  const { evaluation, publication } = form.elements;
  const fit = () => {
    publication.disabled = !evaluation.checked;
    if (!evaluation.checked) publication.checked = false;
  };
  evaluation.addEventListener("change", fit);
  fit();
}

async function send(form) {
  let response;
  try {
    response = await fetch(form.action, {
      method: "POST",
      headers: { accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
  } catch {
    throw new Failure("network");
  }
  const said = await response.json();
  if (!response.ok) throw new Failure(said.error?.code ?? "unknown");
  return said.standing;
}

const page = document.querySelector("main > #consent-form");
if (page) follows(page);
