// What the message service sees of a server: two scenes, the same in Node and in a page. Load message_service.js first.
//
//   await seedProof(url)             two meet, talk, are refused, are cut off, come back and part
//   await seedComesBack(url, ready)  one is there; `ready` is called, and the server started anew; it is there again
//
// A last argument says how many milliseconds anything that is waited for may take. Each resolves to what was checked, as lines of text, or rejects with the first thing that is wrong. No imports.

"use strict";

(() => {
  const PATIENCE = 15000; // milliseconds
  const FIRST_DELAY = 50;

  // One user, with all frames that came, and waits for conditions.
  class Person {
    constructor(url, patience) {
      this.patience = patience;
      this.service = new MessageService(url, { firstDelay: FIRST_DELAY });
      this.frames = [];
      this.waiting = [];
      this.service.onframe = (frame) => this.frames.push(frame);
      this.service.onchange = () => this.look();
    }

    look() {
      this.waiting = this.waiting.filter((wait) => !wait());
    }

    // Wait until `good()`; it is asked at each frame and each close.
    until(what, good) {
      return new Promise((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error(`never ${what}: ${JSON.stringify(this.frames)} ${this.service.closes}`)),
          this.patience,
        );
        this.waiting.push(() => {
          if (!good()) return false;
          clearTimeout(late);
          resolve();
          return true;
        });
        this.look();
      });
    }

    // The frames with all these fields.
    got(fields) {
      return this.frames.filter((frame) => Object.entries(fields).every(([name, value]) => same(frame[name], value)));
    }

    async sees(fields) {
      await this.until(`saw ${JSON.stringify(fields)}`, () => this.got(fields).length > 0);
      return this.got(fields).at(-1);
    }

    async arrives(name) {
      this.service.connect(name);
      await this.until(`welcomed as ${name}`, () => this.service.connected || this.service.rejected);
    }
  }

  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  function check(lines, what, good) {
    if (!good) throw new Error(`not so: ${what}`);
    lines.push(what);
  }

  globalThis.seedProof = async (url, patience = PATIENCE) => {
    const lines = [];
    const [ann, bob, late] = [1, 2, 3].map(() => new Person(url, patience));
    await ann.arrives("js ann");
    check(lines, "the first frame is the welcome", ann.frames[0].content === "Welcome js ann!");
    await bob.arrives("js bob");
    const both = (list) => Array.isArray(list) && list.includes("js ann") && list.includes("js bob");
    for (const one of [ann, bob]) {
      await one.until("listed both", () => one.got({ type: "user_list" }).some((frame) => both(frame.users)));
    }
    check(lines, "a list of users holds names", true);
    check(lines, "no subprotocol was chosen", ann.service.socket.protocol === "");

    ann.service.message("hello <b>everybody</b> 👋");
    for (const one of [ann, bob]) {
      const said = await one.sees({ type: "message" });
      check(lines, "a message has sender, content, room and timestamp",
        said.sender === "js ann" && said.content === "hello <b>everybody</b> 👋" && said.room === "general" &&
        !Number.isNaN(Date.parse(said.timestamp)));
    }
    bob.service.private("js ann", "psst");
    for (const one of [ann, bob]) {
      const said = await one.sees({ type: "private" });
      check(lines, "a private message comes once to each end",
        said.from === "js bob" && said.sender === "js bob" && said.to === "js ann" && said.content === "psst" &&
        one.got({ type: "private" }).length === 1);
    }
    bob.service.typing("js ann", true);
    bob.service.typing("js ann", false);
    await ann.sees({ type: "typing", from: "js bob", isTyping: true });
    await ann.sees({ type: "typing", from: "js bob", isTyping: false });
    check(lines, "typing begins and stops", bob.got({ type: "typing" }).length === 0);
    ann.service.ping();
    check(lines, "a ping has its pong", !Number.isNaN(Date.parse((await ann.sees({ type: "pong" })).timestamp)));

    await late.arrives("js ann");
    await late.until("closed", () => late.service.closes.length > 0);
    check(lines, "a taken name is final", late.service.rejected && same(late.service.closes, [4502]));
    ann.service.private("js nobody", "is nobody there");
    const refused = await ann.sees({ type: "error" });
    check(lines, "no other error is", !ann.service.rejected && typeof refused.content === "string");

    for (const code of [null, 3000, 4321]) {
      const before = bob.service.closes.length;
      bob.service.leave(code);
      await bob.until("closed", () => bob.service.closes.length > before && !bob.service.connected);
      await bob.until("back", () => bob.service.connected);
    }
    check(lines, "it comes back by name after any close but 1000", same(bob.service.closes, [1005, 3000, 4321]));
    ann.service.message("there you are again");
    await bob.sees({ type: "message", content: "there you are again" });
    check(lines, "and hears what is said then, once", bob.got({ content: "there you are again" }).length === 1);

    bob.service.leave();
    await ann.until("alone", () => !both(ann.got({ type: "user_list" }).at(-1).users));
    await bob.until("closed", () => bob.service.closes.at(-1) === 1000);
    check(lines, "who leaves is gone from the list", true);
    ann.service.leave();
    await ann.until("closed", () => ann.service.closes.length > 0);
    check(lines, "1000 is the end", same(ann.service.closes, [1000]));
    return lines;
  };

  globalThis.seedComesBack = async (url, ready, patience = PATIENCE) => {
    const lines = [];
    const ann = new Person(url, patience);
    await ann.arrives("js returning");
    ann.service.message("before");
    await ann.sees({ type: "message", content: "before" });
    ready();
    await ann.until("cut off", () => ann.service.closes.length > 0);
    check(lines, "a server that goes away closes with a code that is not 1000", ann.service.closes[0] !== 1000);
    await ann.until("back", () => ann.service.connected);
    ann.service.message("after");
    await ann.sees({ type: "message", content: "after" });
    check(lines, "and it is back by itself when the server is", !ann.service.rejected);
    ann.service.leave();
    await ann.until("closed", () => ann.service.closes.at(-1) === 1000);
    return lines;
  };
})();
