// What a person thinks of an answer of the chat page: thumbs with reasons, and reports. The page tells of each complete
// answer by the event "fonderie:answer" (app.js). A thumb brings the conversation along, with the seal that the service
// gave with the answer; without consent nothing is kept, and the consent is asked for then and not before.

import { Failure, post } from "./asking.js";
import { ask as askConsent, opensConsent } from "./consent.js";
import { asked } from "./conversation.js";
import { announce, h } from "./dom.js";
import { reportDialogue, said } from "./reporting.js";
import { language, problem, t } from "./words.js";

const REASONS = {
  1: ["useful", "complete", "creative", "clear_formatting"],
  [-1]: ["incorrect", "superficial", "instructions_not_followed"],
};
const COMMENT_LIMIT = 2000;
const NAMES = { 1: "good", [-1]: "bad" };

document.addEventListener("fonderie:answer", ({ detail: { turn, index, conversation, slot } }) => {
  const answer = { turn, turns: asked({ turns: conversation.turns.slice(0, index + 1) }) };
  slot.replaceChildren(...bar(answer));
});

/** The buttons under one answer, and room for what they open. */
function bar(answer) {
  const panel = h("div", { class: "opinion" });
  const thumbs = [1, -1].map((value) => thumb(value));
  const report = h("button", { type: "button", class: "quiet", onclick: () => openReport(answer, report) }, t("judging.report"));
  const draw = () => {
    for (const { button, value } of thumbs) button.setAttribute("aria-pressed", String(answer.turn.judged === value));
  };

  function thumb(value) {
    const button = h("button", { type: "button", class: `quiet thumb ${NAMES[value]}` }, t(`judging.${NAMES[value]}`));
    button.addEventListener("click", () => {
      panel.replaceChildren(opinion(answer, value, { draw, panel, button }));
      panel.querySelector("input, button").focus();
      panel.scrollIntoView({ block: "nearest" });
    });
    return { button, value };
  }

  draw();
  const sealed = Boolean(answer.turn.end.seal); // else it comes from before, and only a report can be made of it
  const buttons = h("div", { class: "turn-tools" }, ...(sealed ? thumbs.map(({ button }) => button) : []), report);
  return [buttons, panel];
}

/** The form that says why. */
function opinion(answer, value, { draw, panel, button }) {
  const problemLine = h("p", { class: "alert", role: "alert" });
  const chips = REASONS[value].map((reason) =>
    h("label", { class: `chip ${NAMES[value]}` }, h("input", { type: "checkbox", name: "reason", value: reason }), h("span", {}, t(`judging.reason.${reason}`))),
  );
  const close = () => {
    panel.replaceChildren();
    draw();
    button.focus();
  };
  const send = (which) => async () => {
    try {
      await post("/chat/thumbs", thumbOf(answer, which, form));
      if (which === 0) delete answer.turn.judged;
      else answer.turn.judged = which;
      document.dispatchEvent(new CustomEvent("fonderie:judged"));
      announce(t(which === 0 ? "judging.removed" : "judging.kept"));
      close();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (["consent_required", "consent_stale"].includes(error.code)) await consented(send(which));
      else problemLine.textContent = problem(error.code);
    }
  };
  const remove = h("button", { type: "button", class: "quiet alert", onclick: send(0) }, t("judging.remove"));
  const form = h(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        send(value)();
      },
      onkeydown: (event) => event.key === "Escape" && close(),
    },
    h("fieldset", { class: "why" }, h("legend", {}, t(`judging.reasons_${NAMES[value]}`)), ...chips),
    h("label", { class: "comment" }, h("span", {}, t("judging.comment")), h("textarea", { name: "comment", rows: "2", maxlength: String(COMMENT_LIMIT) })),
    h("p", { class: "hint" }, t("judging.needs"), " ", h("a", { href: `/${language}/consent`, "data-consent": true }, t("judging.choose"))),
    problemLine,
    h(
      "p",
      { class: "buttons" },
      answer.turn.judged === undefined ? null : remove,
      h("button", { type: "button", class: "quiet", onclick: close }, t("common.cancel")),
      h("button", { type: "submit", class: "solid" }, t("judging.send")),
    ),
  );
  return form;
}

/** Ask for the consent, and do something once it is given. */
function consented(then) {
  return askConsent((standing) => {
    if (standing !== "refused") then();
  });
}

function thumbOf({ turn, turns }, value, form) {
  return {
    model: turn.model,
    turns,
    settings: turn.settings,
    finish_reason: turn.end.reason,
    seal: turn.end.seal,
    locale: language,
    value,
    reasons: value === 0 ? [] : [...form.querySelectorAll("input[name=reason]:checked")].map((box) => box.value),
    comment: value === 0 ? "" : form.elements.comment.value,
  };
}

/** The dialogue that sends a report of it. */
function openReport({ turn, turns }, opener) {
  const excerpt = turns.slice(-2).map(({ role, text }) => said(role === "user" ? t("chat.you") : turn.model, text)).join("\n\n");
  reportDialogue(excerpt, opener, (report) => post("/chat/reports", { model: turn.model, ...report }));
}

opensConsent(() => {});
