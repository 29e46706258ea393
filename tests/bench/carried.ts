/** What it costs a media socket to come in at another machine than its call's: messages there and back, one at a time. */

import { newTunnels } from "@/lib/tunnel.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { type MessageSocket, openSocket } from "@/lib/socket.ts";
import type { UpgradeAnswer } from "@/lib/socket_server.ts";
import { listen, type Listener } from "@/routes/server.ts";
import { newWay } from "@/routes/way.ts";
import { CALL } from "@/tests/routes/fakes.ts";

const MESSAGES = 5_000;
const WARM = 500;
/** A frame of 20 ms as Twilio sends it. */
const FRAME = JSON.stringify({
  ...{ event: "media", sequenceNumber: "4", streamSid: `MZ${"0".repeat(32)}` },
  media: { track: "inbound", chunk: "2", timestamp: "5", payload: "/".repeat(216) },
});
const PATH = `/media/owner/${CALL}/1/${"t".repeat(32)}`;

function start(upgrade: (url: string) => Promise<UpgradeAnswer | null>, way: Way | null) {
  return listen({ fetch: () => new Response() }, {
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, log: silentLog },
    limits: { messagesPerSecond: 1_000_000, messagesBurst: 1_000_000 },
    upgrade: async (request) =>
      await way?.elsewhere(request) ?? await upgrade(request.url ?? "") ??
        { type: "refuse", status: 404, body: "" },
  });
}
type Way = ReturnType<typeof newWay>;

/** Milliseconds of each message there and back. */
async function times(port: number): Promise<number[]> {
  const headers = { "X-Twilio-Signature": "s" };
  const socket = await openSocket(`ws://127.0.0.1:${port}${PATH}`, { headers });
  let heard: () => void = () => {};
  socket.listen({ message: () => heard(), closed() {} });
  const all: number[] = [];
  for (let nth = 0; nth < WARM + MESSAGES; nth++) {
    const sentMs = systemClock.now();
    await new Promise<void>((resolve) => {
      heard = resolve;
      socket.send(FRAME);
    });
    if (nth >= WARM) all.push(systemClock.now() - sentMs);
  }
  socket.close(1000, "");
  return all.sort((a, b) => a - b);
}

function figures(sorted: readonly number[]) {
  const at = (share: number) => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 1000);
  return { p50Us: at(0.5), p99Us: at(0.99) };
}

export async function run(): Promise<Record<string, unknown>> {
  const echo = (socket: MessageSocket): void =>
    socket.listen({ message: (data) => socket.send(data), closed() {} });
  const owner: Listener = await start(
    () => Promise.resolve({ type: "accept", opened: echo }),
    null,
  );
  const way = newWay({
    nodeId: "other",
    edge: { origins: [], hosts: [], trustsFly: false, clientHeader: null },
    pepper: null,
    isHere: () => false,
    addressOf: () => Promise.resolve(`127.0.0.1:${owner.port}`),
    holderOf: () => Promise.resolve(null),
    mayOpen: () => true,
    tunnels: newTunnels(systemClock),
    log: silentLog,
  });
  const other = await start(() => Promise.resolve(null), way);
  const direct = figures(await times(owner.port));
  const carried = figures(await times(other.port));
  await other.close();
  await owner.close();
  return { messages: MESSAGES, direct, carried, addedP50Us: carried.p50Us - direct.p50Us };
}
