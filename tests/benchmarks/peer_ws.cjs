// A peer: Node with `ws`. A message is serialised once, to bytes; compression is off, as it is by default.
// Run as a program it prints its address and serves until SIGTERM.
'use strict';
const { WebSocketServer } = require('ws');

const HEARTBEAT = 20000; // milliseconds, as our server's
const rooms = new Map();
const byName = new Map();
const seqs = new Map();

const encoded = (frame) => Buffer.from(JSON.stringify({ ...frame, timestamp: new Date().toISOString() }));
const send = (ws, data) => ws.send(data, { binary: false });

function next(place) {
  const seq = (seqs.get(place) || 0) + 1;
  seqs.set(place, seq);
  return seq;
}

function join(ws, room) {
  if (!rooms.has(room)) rooms.set(room, new Set());
  rooms.get(room).add(ws);
  ws.rooms.push(room);
}

const commands = {
  connect(ws, { username }) {
    ws.name = username;
    byName.set(username, ws);
    join(ws, 'general');
    send(ws, encoded({ type: 'system', event: 'welcome', content: `Welcome ${username}!`, user: username }));
  },
  join(ws, { id, room }) {
    join(ws, room);
    if (id !== undefined) send(ws, encoded({ type: 'ack', id, room }));
  },
  message(ws, { id, room, content }) {
    const seq = next(room);
    if (id !== undefined) send(ws, encoded({ type: 'ack', id, room, seq }));
    const data = encoded({ type: 'message', content, sender: ws.name, room, seq });
    for (const member of rooms.get(room)) send(member, data);
  },
  private(ws, { id, to, content }) {
    const seq = next([ws.name, to].sort().join('@'));
    if (id !== undefined) send(ws, encoded({ type: 'ack', id, seq }));
    const data = encoded({ type: 'private', from: ws.name, sender: ws.name, to, content, seq });
    send(byName.get(to), data);
    send(ws, data);
  },
  ping(ws, { id }) {
    send(ws, encoded({ type: 'pong', id }));
  },
};

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws', backlog: 4096, maxPayload: 1 << 20 });
server.on('connection', (ws) => {
  ws.rooms = [];
  ws.alive = true;
  ws.on('pong', () => { ws.alive = true; });
  ws.on('message', (data) => {
    const command = JSON.parse(data);
    commands[command.type](ws, command);
  });
  ws.on('error', () => ws.terminate());
  ws.on('close', () => {
    for (const room of ws.rooms) rooms.get(room).delete(ws);
    if (byName.get(ws.name) === ws) byName.delete(ws.name);
  });
});
setInterval(() => {
  for (const ws of server.clients) {
    if (!ws.alive) { ws.terminate(); continue; }
    ws.alive = false;
    ws.ping();
  }
}, HEARTBEAT);
server.on('listening', () => console.log(`ws://127.0.0.1:${server.address().port}/ws`));
process.on('SIGTERM', () => process.exit(0));
