// A model of the message service of a browser client written for the older system, by its documented behaviour.
//
// It offers no subprotocol, sends no `id`, and never `join`. An `error` whose content holds `Username` is final: the
// user is asked for another name. After a close with any code but 1000 it waits, longer each time it was in vain, and
// connects anew, by name: it knows of no session.
//
// A classic script without imports, so that a page loads it with <script src>, and Node with `vm.runInThisContext`.

"use strict";

class MessageService {
  constructor(url, { firstDelay = 1000, maxDelay = 30000 } = {}) {
    this.url = url;
    this.firstDelay = firstDelay; // milliseconds
    this.maxDelay = maxDelay;
    this.delay = firstDelay;
    this.connected = false;
    this.rejected = false; // the name was taken
    this.closes = []; // codes, as the browser tells them
    this.onframe = () => {};
    this.onchange = () => {};
  }

  connect(username) {
    this.username = username;
    this.socket = new WebSocket(this.url);
    this.socket.onopen = () => this.send({ type: "connect", username });
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => this.closed(event.code);
    this.socket.onerror = () => {}; // a close follows
  }

  message(content) {
    this.send({ type: "message", content });
  }

  private(to, content) {
    this.send({ type: "private", to, content });
  }

  typing(to, isTyping) {
    this.send({ type: "typing", to, isTyping });
  }

  ping() {
    this.send({ type: "ping" });
  }

  // The user leaves: 1000, and it does not come back. Any other code is a cut of the tests.
  leave(code = 1000) {
    if (code === null) this.socket.close();
    else this.socket.close(code);
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  receive(frame) {
    if (frame.type === "error" && frame.content.includes("Username")) this.rejected = true;
    if (frame.type === "system" && frame.content === `Welcome ${this.username}!`) {
      this.connected = true;
      this.delay = this.firstDelay;
    }
    this.onframe(frame);
    this.onchange();
  }

  closed(code) {
    this.connected = false;
    this.closes.push(code);
    if (code !== 1000 && !this.rejected) {
      setTimeout(() => this.connect(this.username), this.delay);
      this.delay = Math.min(2 * this.delay, this.maxDelay);
    }
    this.onchange();
  }
}

globalThis.MessageService = MessageService;
