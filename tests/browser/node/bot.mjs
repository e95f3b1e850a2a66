/** A client to be tested, ours, in Node (`… URL`) or in a page (`?URL`): it says something now and then, until it may not. */

import { ChatClient, ConnectionEnded } from "../../../trio_chat/web/chat-client.js";

const url = globalThis.location ? decodeURIComponent(location.search.slice(1)) : process.argv.at(-1);
const client = new ChatClient(url, { username: "bot" });
client.open();
for (let number = 0, ended = false; !ended; number++) {
  try {
    await client.sendMessage(`I am here, ${number}`);
  } catch (error) {
    ended = error instanceof ConnectionEnded;
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
}
