/**
 * Where a client stands in each room: what it has, what is new, and what it must have missed.
 * Pure: no socket, no clock. Part of the module that `chat-client.js` is the door of.
 */

/** What two ways to write the name of one room have in common. */
export function keyOf(room) {
  return String(room).normalize("NFKC").toLowerCase().normalize("NFKC");
}

export class Positions {
  /** @type {Map<string, {room: string, epoch: ?string, seq: ?number}>} `seq` null: we are there, and don't know where. */
  #places = new Map();

  place(room) {
    return this.#places.get(keyOf(room));
  }

  put(room, epoch, seq) {
    this.#places.set(keyOf(room), { room, epoch, seq });
  }

  forget(room) {
    this.#places.delete(keyOf(room));
  }

  /** We are in these rooms only. */
  keep(rooms) {
    const keys = new Set([...rooms].map(keyOf));
    for (const key of this.#places.keys()) if (!keys.has(key)) this.#places.delete(key);
  }

  /** All places that are known, as `resume.rooms` wants them. */
  known() {
    const known = [...this.#places.values()].filter(({ epoch, seq }) => epoch !== null && seq !== null);
    return Object.fromEntries(known.map(({ room, epoch, seq }) => [room, { epoch, seq }])); // one may be called `__proto__`
  }

  /** We are in a room whose log goes to `last`; if we stood nowhere so far, we hear of it from here on. */
  told(room, epoch, last) {
    const place = this.place(room);
    if (!place || place.seq === null || (place.epoch !== null && place.epoch !== epoch)) this.put(room, epoch, last);
    else place.epoch = epoch;
  }

  /** The log no longer reaches back to where we stand: what follows begins at `first`. */
  lagged(room, epoch, first, last) {
    const place = this.place(room);
    const held = place && place.epoch === epoch && place.seq !== null && place.seq <= last ? place.seq : 0;
    this.put(room, epoch, Math.max(first - 1, held));
  }

  /** An entry came. Returns "new" (and we have moved), "old" (we have it already) or "gap" (one before it is missing). */
  entry(room, seq, epoch = null) {
    const place = this.place(room) ?? { room, epoch: null, seq: null };
    this.#places.set(keyOf(room), place);
    if (epoch !== null && epoch !== place.epoch) {
      if (place.epoch !== null) place.seq = null;
      place.epoch = epoch;
    }
    if (place.seq !== null && seq <= place.seq) return "old";
    if (place.seq !== null && place.epoch !== null && seq > place.seq + 1) return "gap";
    place.seq = seq;
    return "new";
  }
}
