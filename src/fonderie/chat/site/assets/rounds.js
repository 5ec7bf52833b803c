// Rounds of a duel as elements of the page: a question, two answers side by side, and at the end who they were.

import { h } from "./dom.js";
import { show } from "./markdown.js";
import { said } from "./reporting.js";
import { count, language, t } from "./words.js";

export const SIDES = ["a", "b"];

/**
 * One question with room for both answers: {element, sides, side(name), vote, note, name, said}. `report(side, excerpt,
 * opener)` is called by the button below an answer.
 */
export function round(question, report) {
  const excerpt = (side, text) => `${said(t("duel.you"), question)}\n\n${said(t("duel.side", { side: side.toUpperCase() }), text)}`;
  const made = Object.fromEntries(
    SIDES.map((side) => [side, oneSide(side, (text, opener) => report(side, excerpt(side, text), opener))]),
  );
  const sides = h("div", { class: "sides", tabindex: "-1" }, ...SIDES.map((side) => made[side].element));
  const voted = h("p", { class: "voted", hidden: true });
  const asked = h(
    "div",
    { class: "turn question" },
    h("h3", { class: "who" }, t("duel.you")),
    h("div", { class: "text" }, question),
  );
  const element = h("li", { class: "round" }, asked, sides, voted);
  return {
    element,
    sides,
    side: (name) => made[name],
    /** Show what was voted, if anything was. */
    vote({ vote, kept }) {
      if (vote === null) return;
      const outcome = t(kept ? "duel.vote.done_kept" : "duel.vote.done_not_kept");
      voted.textContent = `${t("duel.vote.yours", { choice: t(`duel.vote.${vote}`) })} ${outcome}`;
      voted.hidden = false;
      for (const side of SIDES) made[side].element.classList.toggle("chosen", vote === side || vote === "both_good");
    },
    /** Say something about the round, below its answers. */
    note(words, isProblem) {
      sides.after(h("p", { class: isProblem ? "note alert" : "note soft", role: isProblem ? "alert" : null }, words));
    },
    /** Put the names above the answers. */
    name(revealed) {
      for (const side of SIDES) made[side].name(apart(revealed, side));
    },
    said: () => voted.textContent,
  };
}

function oneSide(side, report) {
  const heading = h("h3", { class: "who" }, t("duel.side", { side: side.toUpperCase() }));
  const text = h("div", { class: "text prose" });
  const state = h("p", { class: "state" });
  const element = h("section", { class: "side", "aria-label": t("duel.side", { side: side.toUpperCase() }) }, heading, text, state);
  let answer = "";
  let asked = null;
  const draw = () => {
    asked = null;
    show(text, answer);
  };
  const reports = h("button", { type: "button", class: "quiet", onclick: () => report(answer, reports) }, t("duel.report", { side: side.toUpperCase() }));
  const ended = () => {
    if (asked !== null) cancelAnimationFrame(asked);
    draw();
    text.removeAttribute("aria-busy");
    state.textContent = "";
  };
  return {
    element,
    /** Say that nothing comes yet, and why. */
    wait(words) {
      text.setAttribute("aria-busy", "true");
      state.textContent = words;
    },
    /** More of the answer. */
    grow(more) {
      text.setAttribute("aria-busy", "true");
      state.textContent = "";
      answer += more;
      asked ??= requestAnimationFrame(draw);
    },
    /** It has ended. */
    end({ reason, notices }) {
      ended();
      for (const notice of notices ?? []) state.before(h("p", { class: "advice" }, notice[language] ?? notice.en ?? ""));
      if (["length", "stopped", "left", "content_filter"].includes(reason)) state.textContent = t(`chat.reason.${reason}`);
      if (answer) state.after(h("div", { class: "turn-tools" }, reports));
    },
    /** It cannot be answered. */
    fail(words) {
      ended();
      state.append(h("span", { class: "alert", role: "alert" }, words));
    },
    /** Whose it was. */
    name(model) {
      heading.replaceChildren(t("duel.side", { side: side.toUpperCase() }), h("strong", {}, model));
    },
  };
}

/** How many are in line before an answer. */
export function inLine(position) {
  return count("chat.waiting", position);
}

/** Who answered on either side: the elements of the reveal. */
export function reveal({ sides }) {
  return [
    h("h2", { id: "reveal-title", tabindex: "-1" }, t("duel.reveal.title")),
    h("div", { class: "sides" }, ...SIDES.map((side) => revealed(side, sides[side]))),
    h("p", { class: "soft" }, t("duel.reveal.again")),
  ];
}

/** What tells one side from the other: the release's name, or of the same release the settings that differ. */
function apart(revealed, side) {
  if (revealed.a.digest !== revealed.b.digest) return revealed[side].model;
  const [mine, other] = [revealed[side].settings, revealed[side === "a" ? "b" : "a"].settings];
  return settingsOf({ settings: Object.fromEntries(Object.entries(mine).filter(([name, value]) => other[name] !== value)) });
}

function settingsOf({ settings }) {
  return Object.entries(settings).map(([name, value]) => `${name} ${value.toLocaleString(language)}`).join(", ");
}

function revealed(side, it) {
  const facts = [
    ["licence", it.licence],
    ["digest", h("code", { title: it.digest }, it.short)],
    ["settings", settingsOf(it)],
    ["seeds", it.seeds.join(", ")],
  ];
  const card = it.cards[language];
  return h(
    "section",
    { class: "side", "aria-label": t("duel.side", { side: side.toUpperCase() }) },
    h("h3", {}, h("span", { class: "who" }, side.toUpperCase()), ` ${it.name} `, h("small", {}, t("duel.reveal.version", { version: it.version }))),
    it.demonstration ? h("p", { class: "soft" }, t("duel.reveal.demonstration")) : null,
    h("dl", { class: "facts" }, ...facts.map(([key, value]) => h("div", {}, h("dt", {}, t(`duel.reveal.${key}`)), h("dd", {}, value)))),
    h(
      "p",
      { class: "links" },
      h("a", { href: `/${language}/models/${it.model}` }, t("duel.reveal.about")),
      card ? h("a", { href: card }, t("duel.reveal.card")) : null,
    ),
  );
}
