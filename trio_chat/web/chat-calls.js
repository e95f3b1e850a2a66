/**
 * Commands that wait for their answer, the pace they are sent at, and what is sent again after a lost connection.
 *
 * A `message` and a `private` have a key, which makes that harmless; what only asks is harmless anyway. `edit`, `react`
 * and the like may leave a second entry that says the same. `typing` is never repeated.
 * Pure: times (seconds) are arguments. Part of the module that `chat-client.js` is the door of.
 */

const PACE = 0.9; // of the rate that the server allows: neither end knows the other's clock
const HEADROOM = 4096; // bytes of a frame beside its content

/** The server answered a command with an error, or would: nothing was done. */
export class Refused extends Error {
  constructor(code, content, retryAfter = null) {
    super(content);
    this.name = "Refused";
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** A message was sent, its answer was lost, and nobody can tell any more: it may be posted or not. */
export class OutcomeUnknown extends Error {
  name = "OutcomeUnknown";
}

/** The connection is over, and coming back is no use. `code`: a close code; 1000: we left. */
export class ConnectionEnded extends Error {
  constructor(code, reason) {
    super(reason);
    this.name = "ConnectionEnded";
    this.code = code;
  }
}

// What a repeated command is answered when its first sending, whose answer was lost, did it.
const DONE_BEFORE = {
  delete: ["no_such_entry"],
  leave: ["not_in_room", "no_such_room"],
  kick: ["no_such_user"],
  unmute: ["no_such_user"],
  unban: ["no_such_user"],
  unblock: ["no_such_user"],
};
// Refusals for what the command itself says: its first sending was refused, too.
const ALWAYS_REFUSED = ["bad_message", "bad_room", "key_reused", "too_large", "unknown_type"];

const bytesOf = (text) => new TextEncoder().encode(text).length;

/** A command as it will be sent, each time the same. Throws `Refused` where the server's limits would refuse it. */
export function newCall(id, type, fields, limits) {
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
  const text = JSON.stringify({ type, id, ...given });
  const content = given.content ?? "";
  if (limits.content_chars && [...content].length > limits.content_chars) {
    throw new Refused("too_large", `A message has at most ${limits.content_chars} characters`);
  }
  if (limits.message_bytes && bytesOf(JSON.stringify(content)) > limits.message_bytes - HEADROOM) {
    throw new Refused("too_large", `A message has at most ${limits.message_bytes - HEADROOM} bytes`);
  }
  return { id, type, fields: given, text, sent: false, repeated: false, notBefore: 0, internal: false };
}

/** The room that a call is about, or nothing. */
export function roomOfCall({ fields }) {
  return fields.to === undefined ? (fields.room ?? "") : `@${fields.to}`;
}

/** What an error means for whoever waits for the call: null where the call was done all the same, else what to throw. */
export function failureOf(call, frame) {
  const { code = "", content = "", retry_after: retryAfter = null } = frame;
  if (call.repeated && DONE_BEFORE[call.type]?.includes(code)) return null;
  if (call.repeated && "key" in call.fields && !ALWAYS_REFUSED.includes(code)) {
    return new OutcomeUnknown(`The answer was lost; sent again, it was refused: ${content}`);
  }
  return new Refused(code, content, retryAfter);
}

export class Calls {
  #calls = new Map(); // by id, in the order in which they were made
  #rate = 1;
  #burst = 1;
  #tokens = 1;
  #counted = 0; // when #tokens was true
  #lastId = 0;

  add(type, fields, limits) {
    const call = newCall(++this.#lastId, type, fields, limits);
    this.#calls.set(call.id, call);
    return call;
  }

  [Symbol.iterator]() {
    return this.#calls.values();
  }

  /** The call with this id, if it was sent on this connection. */
  sent(id) {
    const call = this.#calls.get(id);
    return call?.sent ? call : undefined;
  }

  remove(id) {
    this.#calls.delete(id);
  }

  clear() {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    return calls;
  }

  /** Send it once more, from a time on. */
  again(call, notBefore) {
    call.sent = false;
    call.notBefore = notBefore;
  }

  /** The connection is gone: all is to be sent again, but what is never repeated. Returns that. */
  lost() {
    const dropped = [...this].filter((call) => call.type === "typing");
    for (const call of dropped) this.remove(call.id);
    for (const call of this) {
      call.repeated ||= call.sent;
      call.sent = false;
    }
    return dropped;
  }

  /** Send no faster than the server's `limits` allow. */
  pace({ messages_per_second: rate = 10, messages_burst: burst = 40 }, now) {
    this.#rate = Math.max(rate * PACE, 0.001);
    this.#burst = this.#tokens = Math.max(1, burst * PACE);
    this.#counted = now;
  }

  /** The frames to be sent now, in order: each is taken to be sent. */
  takeDue(now) {
    const frames = [];
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#counted) * this.#rate);
    this.#counted = now;
    for (const call of this) {
      if (call.sent || call.notBefore > now) continue;
      if (this.#tokens < 1) break;
      this.#tokens -= 1;
      call.sent = true;
      frames.push(call.text);
    }
    return frames;
  }

  /** When there is more to be sent, if nothing else happens; null: never. */
  nextDue() {
    const times = [...this].filter((call) => !call.sent).map((call) => call.notBefore);
    if (times.length === 0) return null;
    const token = this.#tokens < 1 ? this.#counted + (1 - this.#tokens) / this.#rate : 0;
    return Math.max(Math.min(...times), token);
  }
}
