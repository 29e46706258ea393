/** The session of a joined room, at virtual time: what is played when, which marks come back, how it ends. */

import assert from "node:assert/strict";
import { FRAME_BYTES, SILENCE } from "@/lib/audio/frame.ts";
import { silentLog } from "@/lib/log.ts";
import { parseFromRoom } from "@/lib/rooms/messages.ts";
import type { JoinOptions, RoomEvents } from "@/lib/rooms/room.ts";
import { PLAYOUT_LAG_MS, QUEUE_MAX_MS, serveRoom } from "@/lib/rooms/session.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { socketPair } from "@/tests/support/socket_pair.ts";

const JOIN = { type: "join", url: "ws://x", token: "t", identity: "ada", waitMs: 10_000 } as const;
const FRAME = new Uint8Array(FRAME_BYTES).fill(SILENCE);

async function setUp({ refuses = false, isLive = true } = {}) {
  const clock = manualClock();
  const [server, socket] = socketPair({ clock });
  const room = { played: 0, cleared: 0, hasLeft: false };
  const told: { events: RoomEvents; options: JoinOptions }[] = [];
  const got: string[] = [];
  let heard = 0;
  let closed: number | null = null;
  serveRoom({
    socket,
    clock,
    log: silentLog,
    join(options, events) {
      if (refuses) return Promise.reject(new Error("refused"));
      told.push({ events, options });
      return Promise.resolve({
        play: () => void room.played++,
        clear: () => void room.cleared++,
        leave: () => void (room.hasLeft = true),
      });
    },
  });
  server.listen({
    message(data) {
      if (typeof data !== "string") return void heard++;
      const message = parseFromRoom(data);
      got.push(message.type === "mark" ? message.name : message.type);
    },
    closed: (code) => void (closed = code),
  });
  const send = (message: unknown): void => server.send(JSON.stringify(message));
  const kit = {
    ...{ clock, server, room, got, send },
    closed: () => closed,
    heard: () => heard,
    events: () => told[0]?.events ?? assert.fail("Nobody has joined"),
    options: () => told[0]?.options,
    mark: (name: string) => send({ type: "mark", name }),
    play(count: number) {
      for (let i = 0; i < count; i++) server.send(FRAME);
    },
  };
  if (!isLive) return kit;
  send(JOIN);
  await Promise.resolve();
  kit.events().ready();
  await Promise.resolve();
  return kit;
}

Deno.test("a room is live when its participant is there, and not before", async () => {
  const { send, got, events, options, play, room, heard } = await setUp({ isLive: false });
  send(JOIN);
  await Promise.resolve();
  assert.deepEqual(options(), { url: "ws://x", token: "t", identity: "ada" });
  play(1);
  events().heard(new Int16Array(FRAME_BYTES));
  assert.deepEqual([got, room.played, heard()], [[], 0, 0]);
  await Promise.resolve();
  events().ready();
  assert.deepEqual(got, ["started"]);
  play(1);
  events().heard(new Int16Array(FRAME_BYTES));
  events().pressed("5");
  assert.deepEqual([got, room.played, heard()], [["started", "dtmf"], 1, 1]);
});

Deno.test("a mark comes back when what stands before it has been heard", async () => {
  const { play, mark, got, clock } = await setUp();
  mark("none");
  assert.deepEqual(got.splice(0), ["started", "none"]);
  play(5);
  mark("five");
  play(5);
  mark("ten");
  await clock.advance(5 * 20 + PLAYOUT_LAG_MS - 1);
  assert.deepEqual(got, []);
  await clock.advance(1);
  assert.deepEqual(got, ["five"]);
  await clock.advance(100);
  assert.deepEqual(got, ["five", "ten"]);
  await clock.advance(1_000);
  play(1); // after a silence it plays at once
  mark("late");
  await clock.advance(20 + PLAYOUT_LAG_MS);
  assert.deepEqual(got, ["five", "ten", "late"]);
});

Deno.test("what is cleared returns its marks at once and in order, the cut's last", async () => {
  const { play, mark, got, clock, room, send } = await setUp();
  play(10);
  mark("word");
  play(10);
  mark("end");
  await clock.advance(10 * 20 + PLAYOUT_LAG_MS);
  mark("cut");
  send({ type: "clear" });
  assert.deepEqual([got, room.cleared], [["started", "word", "end", "cut"], 1]);
  play(1);
  mark("next");
  await clock.advance(20 + PLAYOUT_LAG_MS);
  assert.deepEqual(got.at(-1), "next");
});

Deno.test("a participant who leaves ends it, and so does a server that goes", async () => {
  const left = await setUp();
  left.events().left();
  assert.deepEqual([left.got, left.closed(), left.room.hasLeft], [
    ["started", "stopped"],
    1000,
    true,
  ]);
  const gone = await setUp();
  gone.server.close(1006, "");
  assert.ok(gone.room.hasLeft);
});

Deno.test("a room that cannot be joined, and one to which nobody comes, say so", async () => {
  const refused = await setUp({ refuses: true, isLive: false });
  refused.send(JOIN);
  await refused.clock.advance(0);
  assert.deepEqual([refused.got, refused.closed()], [["failed"], 1011]);
  const empty = await setUp({ isLive: false });
  empty.send(JOIN);
  await empty.clock.advance(JOIN.waitMs);
  assert.deepEqual([empty.got, empty.closed(), empty.room.hasLeft], [["failed"], 1011, true]);
  const early = await setUp({ isLive: false });
  early.send(JOIN);
  await early.clock.advance(0);
  early.events().left();
  assert.deepEqual([early.got, early.room.hasLeft], [["failed"], true]);
});

Deno.test("what is not of the protocol closes with 1008: native code is given nothing else", async () => {
  const rows: ((kit: Awaited<ReturnType<typeof setUp>>) => void)[] = [
    ({ server }) => server.send(new Uint8Array(FRAME_BYTES - 1)),
    ({ server }) => server.send("{"),
    ({ send }) => send({ type: "mark", name: "" }),
    ({ send }) => send(JOIN),
    ({ play }) => play(QUEUE_MAX_MS / 20 + 2),
  ];
  for (const row of rows) {
    const kit = await setUp();
    row(kit);
    assert.deepEqual([kit.closed(), kit.room.hasLeft], [1008, true]);
  }
  const silent = await setUp({ isLive: false });
  await silent.clock.advance(5_000);
  assert.equal(silent.closed(), 1008);
});
