// Where questions are written, on the chat page and in a duel: the field grows with its text, and Enter sends.

import { by } from "./dom.js";

export const DOUBLE_CLICK_MS = 500; // the button that sends stops as soon as it has sent

export const question = by("question");

/** Make the field as high as its text, up to a part of the window. */
export function fit() {
  question.style.height = "auto";
  question.style.height = `${Math.min(question.scrollHeight, window.innerHeight * 0.4)}px`;
}

/** Let Enter send what is written, unless an answer is being waited for; and the button, which was off until now. */
export function sendOnEnter(isWaiting) {
  by("send").disabled = false;
  question.addEventListener("input", fit);
  question.addEventListener("keydown", (event) => {
    const types = window.matchMedia("(pointer: coarse)").matches; // on a phone, Enter is a new line
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || types) return;
    event.preventDefault();
    if (!isWaiting()) by("composer").requestSubmit();
  });
}
