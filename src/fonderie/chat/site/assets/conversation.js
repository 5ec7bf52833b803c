// One conversation, where it is kept, and how it leaves. A conversation is {format, id, begun, turns}; a question is
// {role: "user", text}, an answer {role: "assistant", text, model, digest, settings, end, error, run}.
//
// Kept in two places, both of this browser: in the tab, so that a reload loses nothing, and, only if the person
// wants it, in the history, which all tabs share.

import * as tab from "./tab.js";
import { problem, t } from "./words.js";

const FORMAT = 1;
const TAB = "fonderie.conversation";
const HISTORY = "fonderie.history";
const TITLE_LENGTH = 60;

let known = null; // the conversation of this tab, as JSON, when it was last read from the history or written there

/** A conversation in which nothing has been said. */
export function begin() {
  return { format: FORMAT, id: name(), begun: new Date().toISOString(), turns: [] };
}

function name() {
  // crypto.randomUUID is missing over plain http.
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What it is called: the beginning of its first question. */
export function title(conversation) {
  const text = [...(conversation.turns[0]?.text ?? "").replace(/\s+/g, " ").trim()];
  return text.length > TITLE_LENGTH ? `${text.slice(0, TITLE_LENGTH).join("")}…` : text.join("");
}

/**
 * What a model is asked with. A question that got no answer is one with the next, for the templates of many models
 * want the turns to alternate.
 */
export function asked(conversation) {
  const said = [];
  for (const { role, text } of conversation.turns) {
    if (!text) continue;
    if (role === "user" && said.at(-1)?.role === "user") said.at(-1).text += `\n\n${text}`;
    else said.push({ role, text });
  }
  return said;
}

/** The conversation of this tab, its settings and its model; null if there is none. */
export function restore() {
  try {
    const found = JSON.parse(tab.recall(TAB));
    if (found?.conversation?.format !== FORMAT) return null;
    opened(found.conversation);
    return found;
  } catch {
    return null;
  }
}

/** Note that this tab shows a conversation as the history has it. */
export function opened(conversation) {
  known = JSON.stringify(conversation);
}

/** Keep the conversation, and what it is held with, for a reload of this tab; false if there is no room. */
export function keepInTab(conversation, held) {
  return tab.remember(TAB, JSON.stringify({ conversation, ...held }));
}

/**
 * Keep the conversation in the history, if that is on; false if there is no room. One that this tab has not changed is
 * left as it is there: another tab may have gone on with it, or deleted it.
 */
export function keepInHistory(conversation) {
  const now = JSON.stringify(conversation);
  if (!historyIsOn() || !conversation.turns.length || now === known) return true;
  try {
    const others = history().filter((other) => other.id !== conversation.id);
    localStorage.setItem(HISTORY, JSON.stringify([conversation, ...others]));
    known = now;
    return true;
  } catch {
    return false;
  }
}

/** Before something is added to the conversation: where another tab has gone on with it, this one becomes its own. */
export function part(conversation) {
  const there = history().find((one) => one.id === conversation.id);
  if (there && JSON.stringify(there) !== known) conversation.id = name();
}

/** Whether the person wants a history: then there is a list, be it empty. */
export function historyIsOn() {
  try {
    return localStorage.getItem(HISTORY) !== null;
  } catch {
    return false;
  }
}

/** The kept conversations, the latest first. */
export function history() {
  try {
    const found = JSON.parse(localStorage.getItem(HISTORY) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => one?.format === FORMAT) : [];
  } catch {
    return [];
  }
}

/** Begin to keep conversations; false if the browser has no room for any. */
export function turnHistoryOn() {
  try {
    localStorage.setItem(HISTORY, "[]");
  } catch {
    return false;
  }
  known = null; // the conversation that is there goes into it, though nothing has changed
  return true;
}

/** Delete every kept conversation, and keep none from now on. */
export function turnHistoryOff() {
  localStorage.removeItem(HISTORY);
}

/** Delete one. */
export function forget(id) {
  localStorage.setItem(HISTORY, JSON.stringify(history().filter((one) => one.id !== id)));
}

/** A conversation as a file for programs. */
export function asJson(conversation) {
  const turns = conversation.turns.map(({ run, last, ...turn }) => turn); // where it was streamed from is of no use
  return JSON.stringify({ ...conversation, turns }, null, 2);
}

/** A conversation as a file for people. */
export function asMarkdown(conversation) {
  const parts = conversation.turns.map((turn) => {
    if (turn.role === "user") return `## ${t("chat.you")}\n\n${turn.text}\n`;
    const about = [turn.digest, turn.settings && t("chat.seed", { seed: turn.settings.seed }), ending(turn)];
    return [`## ${turn.model}`, turn.text, `*${about.filter(Boolean).join(" · ")}*`].filter(Boolean).join("\n\n") + "\n";
  });
  return `# ${title(conversation)}\n\n${parts.join("\n")}`;
}

/** How an answer ended, where that is worth saying; empty where it came to its end by itself. */
export function ending({ end, error, settings }) {
  if (error) return problem(error.code);
  // Cut by the model's context, unless it is as long as was allowed.
  const isFull = end?.reason === "length" && end.answer_tokens < settings?.max_tokens;
  const reason = isFull ? "context" : end?.reason;
  return ["length", "context", "stopped", "left", "content_filter"].includes(reason) ? t(`chat.reason.${reason}`) : "";
}

/** Have the browser save a text. */
export function download(name, kind, text) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
