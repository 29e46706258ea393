/** The socket in memory keeps to what a MessageSocket promises. */

import assert from "node:assert/strict";
import type { MessageSocket } from "@/lib/socket.ts";
import { manualClock } from "./manual_clock.ts";
import { socketPair } from "./socket_pair.ts";

/** Listens and writes down what comes, with the clock's time. */
function note(socket: MessageSocket, now: () => number): unknown[] {
  const notes: unknown[] = [];
  socket.listen({
    message: (data) => notes.push([now(), data]),
    closed: (code, reason) => notes.push([now(), code, reason]),
  });
  return notes;
}

Deno.test("socket pair without latency delivers before send returns", () => {
  const clock = manualClock();
  const [client, server] = socketPair({ clock });
  const notes = note(server, clock.now);
  client.send("a");
  assert.deepEqual(notes, [[0, "a"]]);
  client.close(1000, "bye");
  assert.deepEqual(notes, [[0, "a"], [0, 1000, "bye"]]);
});

Deno.test("socket pair keeps the order of messages sent from within a delivery", () => {
  const clock = manualClock();
  const [client, server] = socketPair({ clock });
  const heard: unknown[] = [];
  client.listen({
    message(data) {
      if (data === "1") client.send("again");
      heard.push(data); // the answers to "again" wait until this delivery has returned
    },
    closed() {},
  });
  server.listen({
    message(data) {
      server.send(`${data}.1`);
      server.send(`${data}.2`);
    },
    closed() {},
  });
  server.send("1");
  server.send("2");
  assert.deepEqual(heard, ["1", "again.1", "again.2", "2"]);
});

Deno.test("socket pair delivers in order, each way after its own latency", async () => {
  const clock = manualClock();
  const [client, server] = socketPair({ clock, thereMs: 30, backMs: 50 });
  const there = note(server, clock.now);
  const back = note(client, clock.now);
  client.send("a");
  server.send("x");
  await clock.advance(10);
  client.send(new Uint8Array([1]));
  client.close(1000, "bye");
  await clock.advance(100);
  assert.deepEqual(there, [[30, "a"], [40, new Uint8Array([1])], [40, 1000, "bye"]]);
  assert.deepEqual(back, [[10, 1000, "bye"]]); // what was on its way to a closed end is lost
  assert.equal(clock.armed, 0);
});

Deno.test("socket pair holds what arrives before anybody listens", () => {
  const clock = manualClock();
  const [client, server] = socketPair({ clock });
  client.send("a");
  client.send("b");
  client.close(1001, "");
  assert.deepEqual(note(server, clock.now), [[0, "a"], [0, "b"], [0, 1001, ""]]);
});

Deno.test("socket pair tells each end of its close once, and takes no more", () => {
  const clock = manualClock();
  const [client, server] = socketPair({ clock });
  const there = note(server, clock.now);
  const back = note(client, clock.now);
  server.close(1008, "wrong");
  server.close(1000, "");
  client.close(1000, "");
  client.send("late");
  server.send("late");
  assert.deepEqual(there, [[0, 1008, "wrong"]]);
  assert.deepEqual(back, [[0, 1008, "wrong"]]);
});
