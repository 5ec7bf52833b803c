// The chat page. What is said stays in this browser (conversation.js); the server holds a running answer in memory, so
// that a reload finds it again.
//
// Others add to the page by listening: when an answer is complete, or a complete one is shown again, `document` gets
// the event "fonderie:answer" with {turn, index, conversation, slot, element}; `slot` is an empty element below it.
// Who changes a turn says so by the event "fonderie:judged".

import { Failure, ask, follow, stop } from "./asking.js";
import { DOUBLE_CLICK_MS, fit, question, sendOnEnter } from "./composer.js";
import * as kept from "./conversation.js";
import * as dialogues from "./dialogues.js";
import { announce, by } from "./dom.js";
import "./judging.js";
import * as turns from "./turns.js";
import { count, inAbout, problem, t } from "./words.js";

const NEAR_END_PX = 120;
const SAVE_EVERY_MS = 1000;

const restored = kept.restore();
const settings = dialogues.settings(restored?.settings, save);
let conversation = restored?.conversation ?? kept.begin();
let running = null; // {turn, view, abort, since}
let savedAt = 0;

function save() {
  const hasRoom = [saveTab(), kept.keepInHistory(conversation)].every(Boolean);
  by("room").textContent = hasRoom ? "" : problem("storage_full");
}

/** For a reload: what is done each second while an answer grows, for a long history takes a while to write. */
function saveTab() {
  savedAt = Date.now();
  return kept.keepInTab(conversation, { settings, model: by("model").value });
}

// --- what is seen -------------------------------------------------------------------------------------------------

function nearEnd() {
  return window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - NEAR_END_PX;
}

function toEnd() {
  window.scrollTo({ top: document.documentElement.scrollHeight });
}

/** Show the conversation anew. */
function draw() {
  const views = conversation.turns.map((turn, index) => {
    if (turn.role === "assistant") return turns.answer(turn, retry);
    const wentOn = conversation.turns.length > index + 2;
    return { element: turns.question(turn, (text) => edit(index, text), wentOn) };
  });
  by("turns").replaceChildren(...views.map((view) => view.element));
  const begun = conversation.turns.length > 0;
  by("welcome").hidden = begun;
  by("title").hidden = !begun;
  by("turns").hidden = !begun;
  by("new").hidden = !begun;
  by("export-open").hidden = !begun;
  conversation.turns.forEach((turn, index) => {
    if (turn.role === "assistant" && turn.end) tell(turn, index, views[index]);
  });
  return views;
}

function tell(turn, index, { slot, element }) {
  document.dispatchEvent(new CustomEvent("fonderie:answer", { detail: { turn, index, conversation, slot, element } }));
}

/** What the buttons are while an answer runs, and when none does. */
function drawState() {
  const send = by("send");
  send.textContent = t(running ? "chat.stop" : "chat.send");
  send.classList.toggle("stops", running !== null);
  document.body.classList.toggle("running", running !== null);
  for (const button of document.querySelectorAll("[data-while-running=off]")) button.disabled = running !== null;
}

// --- asking -------------------------------------------------------------------------------------------------------

/** Have the conversation, which ends with a question, answered. */
async function answer(chosen = settings) {
  const turn = { role: "assistant", text: "", model: by("model").value };
  const question = { model: turn.model, turns: kept.asked(conversation), settings: withoutNull(chosen) };
  conversation.turns.push(turn);
  const view = draw().at(-1);
  begin(turn, view);
  view.wait(t("chat.working"));
  announce(t("chat.working"));
  toEnd();
  try {
    const said = await ask(question);
    Object.assign(turn, { model: said.model, digest: said.digest, settings: said.settings, run: said.id, last: 0 });
    if (running?.turn !== turn || running.stopped) await stop(said.id);
    if (running?.turn === turn) await read();
  } catch (error) {
    failed(turn, error);
  }
  ended(turn, view);
}

function begin(turn, view) {
  running = { turn, view, abort: new AbortController(), since: Date.now(), stopped: false };
  drawState();
  save();
}

/** Read the running answer to its end. */
async function read() {
  const { turn, view, abort } = running;
  for await (const { kind, data, number } of follow(turn.run, turn.last, abort.signal)) {
    if (kind === "text") {
      const stay = nearEnd();
      turn.text += data.text;
      view.grow();
      if (stay) requestAnimationFrame(toEnd);
    } else if (kind === "waiting") {
      view.wait(place(data));
    } else if (kind === "reconnecting") {
      view.wait(t("chat.reconnecting"));
    } else if (kind === "end") {
      turn.end = data;
    } else {
      turn.error = data;
    }
    if (number !== null) turn.last = number;
    if (Date.now() - savedAt > SAVE_EVERY_MS) saveTab();
  }
}

function place({ position, seconds }) {
  if (position === null) return t("chat.working");
  return (position === 0 ? t("chat.waiting.first") : count("chat.waiting", position)) + inAbout(seconds);
}

function failed(turn, error) {
  if (error.name === "AbortError") return; // the page turned to another conversation
  if (!(error instanceof Failure)) throw error;
  turn.error = { code: error.code, retryAfterSeconds: error.retryAfterSeconds, messages: error.messages };
}

function ended(turn, view) {
  if (running?.turn !== turn) return;
  const stay = nearEnd();
  running = null;
  if (!turn.end && !turn.error) turn.error = { code: "network" };
  view.end();
  drawState();
  save();
  if (!turn.error) announce(t("chat.done"));
  if (turn.end) tell(turn, conversation.turns.indexOf(turn), view);
  if (stay) toEnd();
}

function withoutNull(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}

/** Give up what runs, because the page turns to something else. */
function leave() {
  if (!running) return;
  const { turn, abort } = running;
  running = null;
  abort.abort();
  turn.end = { reason: "stopped" };
  if (turn.run) stop(turn.run).catch(() => {}); // nobody reads it any more: the server gives it up by itself
  drawState();
}

function submit(text) {
  kept.part(conversation);
  conversation.turns.push({ role: "user", text });
  answer();
}

function edit(index, text) {
  conversation.turns.length = index;
  submit(text);
  by("question").focus();
}

/** Another answer to the last question: with another seed, or it would be the same. */
function retry() {
  kept.part(conversation);
  conversation.turns.length = conversation.turns.findLastIndex((turn) => turn.role === "user") + 1;
  answer({ ...settings, seed: null });
  by("question").focus();
}

/** Show another conversation; this one is kept as it is, where it is kept at all. */
function turnTo(other, keepThis = true) {
  if (running && other.id === conversation.id) return; // what is written here is ahead of what is kept
  leave();
  if (keepThis) save();
  kept.opened(other);
  conversation = other;
  choose(other.turns.findLast((turn) => turn.role === "assistant")?.model);
  goOn();
  save();
  by("question").focus();
}

/** Show the conversation, and read on where its last answer had not come to its end. */
function goOn() {
  const view = draw().at(-1);
  const turn = conversation.turns.at(-1);
  if (turn?.role === "assistant" && !turn.end && !turn.error) {
    if (turn.run) {
      begin(turn, view);
      read().catch((error) => failed(turn, error)).then(() => ended(turn, view));
    } else {
      turn.error = { code: "network" }; // the page went before the server had said what it is called
      view.end();
    }
  }
  drawState();
  if (turn) toEnd();
}

// --- what the person does -----------------------------------------------------------------------------------------

sendOnEnter(() => running);

by("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) {
    if (Date.now() - running.since < DOUBLE_CLICK_MS) return;
    running.stopped = true;
    if (running.turn.run) stop(running.turn.run).catch((error) => failed(running.turn, error));
    return;
  }
  const text = question.value.trim();
  if (!text) return;
  question.value = "";
  fit();
  submit(text);
});

/** Have a model answer from now on, if it is one of those that are served; else the one that does. */
function choose(model) {
  const chosen = by("model");
  if ([...(chosen.options ?? [])].some((option) => option.value === model)) chosen.value = model;
  for (const section of document.querySelectorAll("[data-model]")) {
    section.hidden = section.dataset.model !== chosen.value;
  }
}

by("model").addEventListener("change", (event) => {
  choose(event.target.value);
  save();
});

for (const example of document.querySelectorAll(".example")) {
  example.addEventListener("click", () => {
    submit(example.textContent);
    question.focus({ preventScroll: true });
  });
}

by("new").addEventListener("click", () => turnTo(kept.begin()));
by("export-json").addEventListener("click", () => {
  kept.download(`fonderie-${conversation.id}.json`, "application/json", kept.asJson(conversation));
});
by("export-markdown").addEventListener("click", () => {
  kept.download(`fonderie-${conversation.id}.md`, "text/markdown", kept.asMarkdown(conversation));
});
const fillHistory = dialogues.history({
  open: turnTo,
  forgotten: (id) => id === conversation.id && turnTo(kept.begin(), false),
  turnedOn: save,
});
dialogues.openers((name) => name === "history" && fillHistory());

by("to-end").addEventListener("click", toEnd);
document.addEventListener("scroll", () => {
  by("to-end").hidden = nearEnd() || !conversation.turns.length;
}, { passive: true });
document.addEventListener("fonderie:judged", save);
addEventListener("pagehide", () => (running ? save() : saveTab()));

fit();
choose(restored?.model);
goOn();
