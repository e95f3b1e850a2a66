/** The program of docs/web.md does what it says, against a real server. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";

import { ChatClient } from "../../../trio_chat/web/chat-client.js";

const ROOT = new URL("../../../", import.meta.url).pathname;
const MODULES = ["chat-client.js", "chat-session.js", "chat-calls.js", "chat-positions.js"];
const place = mkdtempSync(join(tmpdir(), "trio_chat-web-"));
const started = [];

after(() => {
  for (const child of started) child.kill();
  rmSync(place, { recursive: true });
});

/** Start a process. Returns the first line of its output in which `words` are. */
function start(command, args, stream, words) {
  const child = spawn(command, args, { cwd: place, env: { ...process.env, PYTHONPATH: ROOT }, stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  const said = [];
  return new Promise((resolve, reject) => {
    for (const name of ["stdout", "stderr"]) {
      createInterface({ input: child[name] }).on("line", (line) => {
        said.push(line);
        if (name === stream && line.includes(words)) resolve(line);
      });
    }
    child.on("exit", (code) => reject(new Error(`${command} ended with ${code}: ${said.join("\n")}`)));
  });
}

test("the echo of docs/web.md echoes, and a client of Node hears it", { timeout: 60_000 }, async () => {
  const flags = ["-m", "trio_chat", "--host", "127.0.0.1", "--port", "0", "--log", "memory", "--drain-seconds", "0"];
  const line = await start(process.env.PYTHON ?? "python3", flags, "stderr", "listening on");
  const [server] = /ws:\/\/[^\s]+\/ws/.exec(line);

  const [, program] = /```js\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, "docs/web.md"), "utf8"));
  for (const name of MODULES) cpSync(join(ROOT, "trio_chat/web", name), join(place, name));
  writeFileSync(join(place, "package.json"), '{"type": "module"}');
  writeFileSync(join(place, "echo.js"), program.replace("SERVER", JSON.stringify(server)));
  assert.equal(await start(process.execPath, ["--experimental-websocket", "echo.js"], "stdout", "in den"), "in den, which has 0 entries");

  const heard = await new Promise((resolve, reject) => {
    const client = new ChatClient(server, {
      username: "ann",
      onEvent: (event) => event.type === "message" && event.sender === "echo" && resolve({ event, client }),
    });
    client.open();
    client.sendMessage("hi", "den").catch(reject);
  });
  assert.equal(heard.event.content, "ann said hi");
  assert.equal(heard.event.reply_to, 1);
  heard.client.close();
  await assert.rejects(heard.client.sendMessage("too late"), { name: "ConnectionEnded", code: 1000 });
});
