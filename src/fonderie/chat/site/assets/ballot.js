// The vote on two answers: five choices, reasons and a comment if the person likes, and two ways to go on.

import { Failure, post } from "./asking.js";
import { by } from "./dom.js";
import { solve, possible } from "./work.js";
import { problem, t } from "./words.js";

const KEPT = new Set(["evaluation", "publication"]);

/** What the visitor's consent comes to; shared by every ballot of the page. */
export const consent = {
  standing: by("rounds").dataset.standing,
  set(standing) {
    consent.standing = standing;
    for (const line of document.querySelectorAll(".ballot .standing")) tellStanding(line);
  },
};
const workBits = Number(by("rounds").dataset.workBits);

/** Whether a vote can be kept. */
function isKept() {
  return KEPT.has(consent.standing) && (workBits === 0 || possible);
}

function tellStanding(line) {
  const words = { none: "kept_no", refused: "kept_no", stale: "kept_stale", evaluation: "kept_yes", publication: "kept_published" };
  const key = KEPT.has(consent.standing) && !isKept() ? "no_crypto" : words[consent.standing];
  line.firstElementChild.textContent = t(`duel.vote.${key}`);
  line.classList.toggle("kept", isKept());
}

/** The form for one round of a duel; `voted(state)` is called with what the server says of the duel then. */
export function ballot(where, voted) {
  const form = by("ballot").content.firstElementChild.cloneNode(true);
  const more = form.querySelector(".ballot-more");
  const alert = form.querySelector("[role=alert]");
  tellStanding(form.querySelector(".standing"));
  form.addEventListener("change", () => {
    more.hidden = !form.elements.choice.value;
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!form.elements.choice.value || form.dataset.sending) return;
    form.dataset.sending = "true";
    alert.textContent = "";
    const reveal = event.submitter?.value !== "go_on";
    try {
      voted(await post(`${where}/vote`, { ...said(form), reveal, keep: isKept(), ...(await work(alert)) }));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.code === "consent_required") consent.set("none");
      if (error.code === "consent_stale") consent.set("stale");
      alert.textContent = problem(error.code);
    } finally {
      delete form.dataset.sending;
    }
  });
  return form;
}

function said(form) {
  const checked = (side) => [...form.querySelectorAll(`input[name=${side}]:checked`)].map((box) => box.value);
  return {
    choice: form.elements.choice.value,
    reasons: { a: checked("a"), b: checked("b") },
    comment: form.elements.comment.value,
  };
}

/** The proof of work that goes with a vote which is to be kept, where one is asked for. */
async function work(line) {
  if (!isKept() || workBits === 0) return {};
  line.textContent = t("duel.vote.proving");
  const { challenge, bits } = await post("/duels/work");
  const proof = await solve(challenge, bits);
  line.textContent = "";
  return { challenge, proof };
}
