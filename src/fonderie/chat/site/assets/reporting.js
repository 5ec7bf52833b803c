// The dialogue by which a person reports an answer of the chat or of a duel to those who run the service.

import { Failure } from "./asking.js";
import { announce, h } from "./dom.js";
import { problem, t } from "./words.js";

const REASONS = ["dangerous", "hateful", "sexual", "personal_data", "copyright", "false", "other"];
const COMMENT_LIMIT = 2000;
const EXCERPT_LIMIT = 20000;

/** What somebody said, as a report quotes it. */
export function said(who, text) {
  return `[${who}]\n${text}`;
}

/**
 * Open it; what is sent stands in a field, and is the person's to change. `send({reason, comment, excerpt})` sends it,
 * and `opener`, the button that opened it, says so then.
 */
export function reportDialogue(excerpt, opener, send) {
  const problemLine = h("p", { class: "alert", role: "alert" });
  const reasons = REASONS.map((reason) => h("option", { value: reason }, t(`judging.reporting.reasons.${reason}`)));
  const field = (key, control) => h("p", { class: "field" }, h("label", {}, t(`judging.reporting.${key}`), control));
  const sent = h("textarea", { name: "excerpt", rows: "7", maxlength: String(EXCERPT_LIMIT) });
  sent.value = excerpt.slice(0, EXCERPT_LIMIT);
  const form = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        const { reason, comment } = form.elements;
        submit.disabled = true;
        try {
          await send({ reason: reason.value, comment: comment.value, excerpt: sent.value });
          dialogue.close();
          announce(t("judging.reporting.sent"));
          opener.textContent = t("judging.reporting.sent");
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          problemLine.textContent = problem(error.code);
        } finally {
          submit.disabled = false;
        }
      },
    },
    h("h2", { id: "report-title" }, t("judging.reporting.title")),
    h("p", {}, t("judging.reporting.intro")),
    field("reason", h("select", { name: "reason" }, ...reasons)),
    field("excerpt", sent),
    field("comment", h("textarea", { name: "comment", rows: "2", maxlength: String(COMMENT_LIMIT) })),
    problemLine,
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", class: "quiet", onclick: () => dialogue.close() }, t("common.cancel")),
      h("button", { type: "submit", class: "solid" }, t("judging.reporting.send")),
    ),
  );
  const submit = form.querySelector("[type=submit]");
  const dialogue = h("dialog", { "aria-labelledby": "report-title" }, form);
  dialogue.addEventListener("close", () => dialogue.remove());
  document.body.append(dialogue);
  dialogue.showModal();
}
