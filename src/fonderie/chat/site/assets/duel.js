// The blind duel. Until a vote has ended it, nothing here knows who answers: the server tells it with the vote.
//
// The duel is in the server's memory, under a name that this tab keeps; a reload finds it again.

import { Failure, followAt, post } from "./asking.js";
import { ballot, consent } from "./ballot.js";
import { DOUBLE_CLICK_MS, fit, question, sendOnEnter } from "./composer.js";
import { opensConsent } from "./consent.js";
import { announce, by } from "./dom.js";
import { reportDialogue } from "./reporting.js";
import * as rounds from "./rounds.js";
import * as tab from "./tab.js";
import { inAbout, language, problem, t } from "./words.js";

const TAB = "fonderie.duel";
const KEYS_OFF = "fonderie.keys-off";
const UNFINISHED = ["stopped", "left"];

let duel = null; // {id, rounds: [{question, vote, kept}], sides}
let views = [];
let running = null; // {number, since, abort}
let form = null; // the ballot of the last round, until it is voted on

function where(number) {
  return `/duels/${duel.id}/${number}`;
}

// --- what is seen -------------------------------------------------------------------------------------------------

/** Show the rounds that are not shown yet. */
function take(state) {
  duel = state;
  tab.remember(TAB, duel.id);
  for (const round of duel.rounds.slice(views.length)) {
    const view = rounds.round(round.question, report);
    views.push(view);
    by("rounds").append(view.element);
  }
  duel.rounds.forEach((round, number) => views[number].vote(round));
  drawState();
}

/** Report one side's answer; who gave it, the service knows. */
function report(side, excerpt, opener) {
  const where = `/duels/${duel.id}/report`;
  reportDialogue(excerpt, opener, (given) => post(where, { side, ...given }));
}

function drawState() {
  const over = Boolean(duel?.sides);
  by("welcome").hidden = duel !== null;
  by("rounds").hidden = duel === null;
  by("new").hidden = duel === null;
  by("question-line").hidden = over;
  by("composer").classList.toggle("over", over);
  by("content").classList.toggle("begun", duel !== null);
  by("new").className = over ? "solid" : "quiet";
  by("send").textContent = t(running ? "duel.stop" : "duel.send");
  by("send").classList.toggle("stops", running !== null);
  question.placeholder = t(duel === null ? "duel.placeholder" : "duel.question_more");
  by("question-label").textContent = t(duel === null ? "duel.question" : "duel.question_more");
}

function reveal() {
  by("reveal").replaceChildren(...rounds.reveal(duel));
  by("reveal").hidden = false;
  views.forEach((view) => view.name(duel.sides));
  by("reveal-title").focus({ preventScroll: true });
  by("reveal").scrollIntoView({ block: "nearest" });
}

// --- asking -------------------------------------------------------------------------------------------------------

async function submit(text) {
  const opening = duel === null;
  running = { number: views.length, since: Date.now(), abort: new AbortController() };
  by("problem").textContent = "";
  drawState();
  try {
    const state = await (opening
      ? post("/duels", { text, locale: language })
      : post(`/duels/${duel.id}/rounds`, { text }));
    form?.remove();
    form = null;
    take(state);
  } catch (error) {
    running = null;
    question.value = text;
    fit();
    tell(error);
    drawState();
    return;
  }
  announce(t("duel.working"));
  // The focus leaves the field, so that the keys of the vote are not typed into it.
  views.at(-1).sides.focus({ preventScroll: true });
  views.at(-1).element.scrollIntoView({ block: "start" });
  await read(running.number);
}

/** Read both answers of a round to their ends; then it can be voted on. */
async function read(number) {
  running ??= { number, since: Date.now(), abort: new AbortController() };
  const mine = running;
  drawState();
  const ends = await Promise.all(rounds.SIDES.map((side) => readSide(number, side, mine.abort.signal)));
  if (running !== mine) return; // the page turned to another duel
  running = null;
  drawState();
  if (duel.rounds[number].vote !== null || duel.sides) return;
  if (ends.some((end) => end === null)) {
    views[number].note(t("duel.failed"), true);
    return;
  }
  const unfinished = ends.some((end) => UNFINISHED.includes(end.reason));
  if (unfinished) views[number].note(t("duel.stopped"), false);
  form = ballot(where(number), voted);
  views[number].element.append(form);
  announce(t(unfinished ? "duel.stopped" : "duel.ready"));
}

/** One side's end, {reason}; null if it could not be answered. */
async function readSide(number, side, signal) {
  const view = views[number].side(side);
  view.wait(t("chat.working"));
  try {
    for await (const { kind, data } of followAt(`${where(number)}/${side}`, 0, signal)) {
      if (kind === "text") view.grow(data.text);
      else if (kind === "waiting") view.wait(place(data));
      else if (kind === "reconnecting") view.wait(t("chat.reconnecting"));
      else if (kind === "end") {
        view.end(data);
        return data;
      } else {
        view.fail(problem(data.code));
      }
    }
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (!(error instanceof Failure)) throw error;
    view.fail(problem(error.code));
  }
  return null;
}

function place({ position, seconds }) {
  if (position === null) return t("chat.working");
  return (position === 0 ? t("chat.waiting.first") : rounds.inLine(position)) + inAbout(seconds);
}

function voted(state) {
  form.remove();
  form = null;
  take(state);
  announce(views.at(-1).said());
  if (duel.sides) reveal();
  else question.focus();
}

function tell(error) {
  if (!(error instanceof Failure)) throw error;
  if (error.code === "duel_not_found") tab.forget(TAB);
  by("problem").textContent = error.messages?.[language] ?? problem(error.code);
}

function begin() {
  if (running) {
    running.abort.abort();
    if (duel) post(where(running.number), undefined, "DELETE").catch(() => {}); // else it is given up by itself
  }
  tab.forget(TAB);
  [duel, views, running, form] = [null, [], null, null];
  by("rounds").replaceChildren();
  by("reveal").hidden = true;
  by("problem").textContent = "";
  drawState();
  question.focus();
}

// --- what the person does -----------------------------------------------------------------------------------------

sendOnEnter(() => running);

by("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) {
    if (duel && Date.now() - running.since > DOUBLE_CLICK_MS) post(where(running.number), undefined, "DELETE").catch(tell);
    return;
  }
  const text = question.value.trim();
  if (!text) return;
  question.value = "";
  fit();
  submit(text);
});

by("new").addEventListener("click", begin);
for (const button of document.querySelectorAll("[data-opens]")) {
  button.addEventListener("click", () => by(button.dataset.opens).showModal());
}

const keysOn = by("keys-on");
keysOn.checked = tab.recall(KEYS_OFF) === null;
keysOn.addEventListener("change", () => {
  if (keysOn.checked) tab.forget(KEYS_OFF);
  else tab.remember(KEYS_OFF, "true");
});

/** The keys of the vote; not while a field takes text, nor in a dialogue, nor with another key held. */
document.addEventListener("keydown", (event) => {
  const typed = event.target.closest("textarea, select, dialog, input:not([type=radio], [type=checkbox])");
  if (!keysOn.checked || typed || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "n" && duel && !running) begin();
  else if (form && key >= "1" && key <= "5") choose(form.querySelectorAll("input[name=choice]")[Number(key) - 1]);
  else if (form && key === "v") form.requestSubmit(form.querySelector("[value=reveal]"));
  else if (form && key === "c") form.requestSubmit(form.querySelector("[value=go_on]"));
  else return;
  event.preventDefault();
});

function choose(radio) {
  radio.checked = true;
  radio.focus();
  radio.dispatchEvent(new Event("change", { bubbles: true }));
}

opensConsent(consent.set);

// --- begin, or go on after a reload -------------------------------------------------------------------------------

const held = tab.recall(TAB);
if (held) {
  try {
    take(await post(`/duels/${held}`, undefined, "GET"));
    const last = duel.rounds.length - 1;
    duel.rounds.forEach((round, number) => {
      if (number < last) rounds.SIDES.forEach((side) => readSide(number, side));
    });
    await read(last);
    if (duel.sides) reveal();
  } catch (error) {
    tell(error);
  }
}
drawState();
fit();
