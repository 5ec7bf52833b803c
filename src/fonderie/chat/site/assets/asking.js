// Questions to the server, and answers as they grow: a stream of numbered events that a reload takes up again.

const OF_A_COOKIE = ["answer_not_found", "duel_not_found"]; // what is not there for who does not bring their cookie
const PATIENCE_SECONDS = 40; // without a connection; the server gives an answer up after 20 with no reader

/** What went wrong, by a code for which there are words. */
export class Failure extends Error {
  constructor(code, said = "", retryAfterSeconds = null, messages = null) {
    super(said || code);
    this.code = code;
    this.said = said;
    this.retryAfterSeconds = retryAfterSeconds;
    this.messages = messages; // of whoever runs the service, by language
  }
}

/** POST something as JSON; the answer, or a Failure. */
export async function post(where, body, method = "POST") {
  let response;
  try {
    response = await fetch(where, {
      method,
      headers: { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Failure("network");
  }
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

/** Put a question in line: {id, model, digest, settings}. */
export function ask(question) {
  return post("/chat/answers", question);
}

/** End an answer with what it has said. */
export async function stop(id) {
  try {
    await post(`/chat/answers/${id}`, undefined, "DELETE");
  } catch (error) {
    if (error.code !== "answer_not_found") throw error; // it ended by itself meanwhile
  }
}

/**
 * What becomes of an answer after its event `last`: {kind: "waiting" | "text" | "end" | "error", data, number}, and
 * {kind: "reconnecting"} each time that the connection breaks. Ends after "end" or "error"; a Failure if the
 * answer is not there any more, or the server cannot be reached for a while.
 */
export function follow(id, last, signal) {
  return followAt(`/chat/answers/${id}`, last, signal);
}

/** The same of the stream at an address. */
export async function* followAt(where, last, signal) {
  let lostAt = null;
  let pause = 250;
  while (true) {
    try {
      const response = await fetch(where, {
        headers: { "last-event-id": String(last), accept: "text/event-stream" },
        signal,
      });
      if (!response.ok) throw await failure(response);
      for await (const event of events(response.body)) {
        lostAt = null;
        pause = 250;
        if (event.number !== null) last = event.number;
        yield event;
        if (event.kind === "end" || event.kind === "error") return;
      }
    } catch (error) {
      if (error instanceof Failure || error.name === "AbortError") throw error;
    }
    lostAt ??= Date.now();
    if (Date.now() - lostAt > PATIENCE_SECONDS * 1000) throw new Failure("network");
    yield { kind: "reconnecting", data: {}, number: null };
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, 4000);
  }
}

async function failure(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // A proxy's page, perhaps; the status has to do.
  }
  const retry = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  const refused = OF_A_COOKIE.includes(error.code) && !navigator.cookieEnabled;
  return new Failure(refused ? "cookie_refused" : (error.code ?? "unknown"), error.message ?? "", Number.isNaN(retry) ? null : retry, error.messages ?? null);
}

/** The events of a stream (WHATWG HTML, 9.2.6), as far as our server writes them. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    while (true) {
      const { value, done } = await reader.read();
      if (done) return;
      held += value;
      const whole = held.split("\n\n");
      held = whole.pop();
      for (const block of whole) {
        const fields = Object.fromEntries(
          block.split("\n").filter((line) => line && !line.startsWith(":")).map((line) => line.split(/: (.*)/s, 2)),
        );
        if (!fields.data) continue;
        const number = fields.id === undefined ? null : Number(fields.id);
        yield { kind: fields.event, data: JSON.parse(fields.data), number };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
