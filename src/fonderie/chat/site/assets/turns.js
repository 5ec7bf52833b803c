// Turns of a conversation as elements of the page.

import { ending } from "./conversation.js";
import { copier, h } from "./dom.js";
import { show } from "./markdown.js";
import { count, inAbout, language, problem, t } from "./words.js";

/**
 * A question: what the person wrote, as written. `edited(text)` is called with what they change it to; if the
 * conversation went on after its answer, the form says that this will be lost.
 */
export function question(turn, edited, wentOn) {
  const text = h("div", { class: "text", dir: "auto" }, turn.text);
  const tools = h("div", { class: "turn-tools" });
  const element = h("li", { class: "turn question" }, h("h3", { class: "who" }, t("chat.you")), text, tools);
  const edit = tool("chat.edit", () => {
    const field = h("textarea", { class: "edit", rows: "3", dir: "auto", "aria-label": t("chat.question") });
    field.value = turn.text;
    const back = () => {
      form.replaceWith(text);
      tools.hidden = false;
      edit.focus();
    };
    const form = h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          if (field.value.trim()) edited(field.value.trim());
        },
        onkeydown: (event) => event.key === "Escape" && back(),
      },
      field,
      wentOn ? h("p", { class: "hint" }, t("chat.edit_hint")) : null,
      h("p", { class: "buttons" }, tool("common.cancel", back), h("button", { type: "submit", class: "solid" }, t("chat.save"))),
    );
    text.replaceWith(form);
    tools.hidden = true;
    field.focus();
  });
  edit.dataset.whileRunning = "off";
  tools.append(copier(() => turn.text), edit);
  return element;
}

/**
 * An answer that may grow: {element, grow, wait, end}. `retry()` asks once more.
 * `slot` is empty: what lets people judge an answer goes there (see app.js).
 */
export function answer(turn, retry) {
  const text = h("div", { class: "text prose" });
  const state = h("p", { class: "state" });
  const about = h("p", { class: "about" });
  const again = tool("chat.retry", retry);
  again.dataset.whileRunning = "off";
  again.classList.add("retry");
  const copies = copier(() => turn.text);
  const tools = h("div", { class: "turn-tools", hidden: true }, copies, again);
  const slot = h("div", { class: "judging" });
  const who = h("h3", { class: "who" }, turn.model);
  const foot = h("div", { class: "turn-foot" }, tools, slot, about);
  const element = h("li", { class: "turn answer" }, who, text, state, foot);
  let asked = null;

  const draw = () => {
    asked = null;
    show(text, turn.text);
  };
  const finished = () => Boolean(turn.end ?? turn.error);
  const view = {
    element,
    slot,
    /** Show what the turn says now, with the next picture that the screen shows. */
    grow() {
      text.setAttribute("aria-busy", "true");
      state.textContent = "";
      asked ??= requestAnimationFrame(draw);
    },
    /** Say that nothing comes yet, and why. */
    wait(words) {
      text.setAttribute("aria-busy", "true");
      state.textContent = words;
    },
    /** Show the turn as it has ended. */
    end() {
      if (asked !== null) cancelAnimationFrame(asked);
      draw();
      text.removeAttribute("aria-busy");
      state.textContent = "";
      if (turn.error) {
        state.append(h("span", { class: "alert", role: "alert" }, told(turn.error)));
      }
      for (const notice of turn.end?.notices ?? []) {
        state.append(h("span", { class: "advice" }, notice[language] ?? notice.en ?? ""));
      }
      tools.hidden = false;
      copies.hidden = !turn.text;
      who.textContent = turn.model;
      about.textContent = described(turn);
    },
  };
  if (finished()) view.end();
  else view.grow();
  return view;
}

function told(error) {
  return (error.messages?.[language] ?? problem(error.code)) + inAbout(error.retryAfterSeconds ?? null);
}

function described(turn) {
  if (turn.error && !turn.text) return "";
  const parts = [];
  if (!turn.error && ending(turn)) parts.push(ending(turn));
  if (turn.end?.answer_tokens !== undefined) parts.push(count("chat.tokens", turn.end.answer_tokens));
  if (turn.settings) parts.push(t("chat.seed", { seed: turn.settings.seed }));
  return parts.join(" · ");
}

function tool(key, act) {
  return h("button", { type: "button", class: "quiet", onclick: act }, t(key));
}
