// The chat page's dialogues: settings, history, export, and "are you sure". They are native: Escape closes them, and
// the browser keeps the focus inside and gives it back.

import * as kept from "./conversation.js";
import { by, h } from "./dom.js";
import { locale, problem, t } from "./words.js";

const DEFAULTS = { temperature: 0.7, max_tokens: 1000, seed: null };

/** Make the buttons that open dialogues do so; `before` is called first with a dialogue's id. */
export function openers(before) {
  for (const button of document.querySelectorAll("[data-opens]")) {
    button.addEventListener("click", () => {
      before(button.dataset.opens);
      by(button.dataset.opens).showModal();
    });
  }
}

/** Whether a person says yes. */
export function sure(text, yes) {
  const dialogue = by("confirm");
  by("confirm-text").textContent = text;
  by("confirm-yes").textContent = yes;
  dialogue.returnValue = "no";
  dialogue.showModal();
  return new Promise((resolve) => {
    dialogue.addEventListener("close", () => resolve(dialogue.returnValue === "yes"), { once: true });
  });
}

/** The settings, as the server takes them; `changed` is called when the person has changed them. */
export function settings(restored, changed) {
  const now = { ...DEFAULTS, ...restored };
  const [temperature, length, seed] = ["temperature", "length", "seed"].map(by);
  const fill = () => {
    temperature.value = now.temperature;
    length.value = now.max_tokens;
    seed.value = now.seed ?? "";
    shown();
  };
  const shown = () => {
    by("temperature-shown").textContent = Number(temperature.value).toLocaleString(document.documentElement.lang);
  };
  temperature.addEventListener("input", shown);
  by("settings").addEventListener("close", () => {
    if (by("settings-form").checkValidity()) {
      now.temperature = Number(temperature.value);
      now.max_tokens = Number(length.value);
      now.seed = seed.value === "" ? null : Number(seed.value);
      changed();
    }
    fill(); // what was not valid is not taken
  });
  by("settings-reset").addEventListener("click", () => {
    Object.assign(now, DEFAULTS);
    fill();
  });
  fill();
  return now;
}

/** The history; `open(conversation)` and `forgotten(id)` are called when one is chosen or deleted. */
export function history({ open, forgotten, turnedOn }) {
  const box = by("history-on");
  const clear = by("history-clear");
  const fill = () => {
    const on = kept.historyIsOn();
    const found = kept.history();
    box.checked = on;
    clear.hidden = !found.length;
    const items = found.map((one) => item(one, { open, forgotten, fill }));
    by("kept").replaceChildren(...(items.length || !on ? items : [h("li", { class: "soft" }, t("history.empty"))]));
  };
  box.addEventListener("change", async () => {
    by("history-problem").textContent = "";
    if (box.checked) {
      if (kept.turnHistoryOn()) turnedOn();
      else by("history-problem").textContent = problem("history_impossible");
    } else if (!kept.history().length || (await sure(t("history.confirm_clear"), t("history.clear")))) {
      kept.turnHistoryOff();
    }
    fill();
    box.focus();
  });
  clear.addEventListener("click", async () => {
    if (await sure(t("history.confirm_clear"), t("history.clear"))) {
      for (const one of kept.history()) {
        kept.forget(one.id);
        forgotten(one.id);
      }
    }
    fill();
    box.focus();
  });
  return fill;
}

function item(one, { open, forgotten, fill }) {
  const name = kept.title(one);
  const when = new Date(one.begun);
  const opener = h(
    "button",
    { type: "button", class: "kept-open" },
    h("span", {}, name),
    h("time", { datetime: one.begun }, when.toLocaleDateString(locale, { dateStyle: "medium" })),
  );
  opener.addEventListener("click", () => {
    by("history").close();
    open(one);
  });
  const remove = h("button", { type: "button", class: "quiet", "aria-label": t("history.delete_one", { title: name }) }, t("history.delete"));
  remove.addEventListener("click", () => {
    kept.forget(one.id);
    forgotten(one.id);
    fill();
    by("history-on").focus();
  });
  return h("li", {}, opener, remove);
}
