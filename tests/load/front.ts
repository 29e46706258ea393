/** One address in front of several machines: each connection goes to the next one that is ready. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Cancel, deadline, systemClock } from "@/lib/clock.ts";

const LOOK_EVERY_MS = 500;
const LOOK_MS = 1_000;
const CONNECT_MS = 1_000;

export interface Front {
  readonly port: number;
  /** A machine on this port of the same host; it gets connections while its `/ready` says 200. */
  add(port: number): void;
  /** No more connections go there; those that it has stay. */
  remove(port: number): void;
  close(): Promise<void>;
}

export async function startFront(options: { readonly port: number }): Promise<Front> {
  const machines = new Map<number, { isReady: boolean }>();
  const open = new Set<Socket>();
  let turn = 0;
  let cancelLook: Cancel = () => {};

  async function look(): Promise<void> {
    await Promise.all([...machines].map(async ([port, machine]) => {
      machine.isReady = await isReady(port);
    }));
    cancelLook = systemClock.timer(LOOK_EVERY_MS, () => void look());
  }

  /** The ready ones first, each in its turn; then the others: one of them may just have come up. */
  function order(): number[] {
    const ports = [...machines.keys()];
    const from = ports.length === 0 ? 0 : turn++ % ports.length;
    const turned = [...ports.slice(from), ...ports.slice(0, from)];
    const ready = (port: number): boolean => machines.get(port)?.isReady ?? false;
    return [...turned.filter(ready), ...turned.filter((port) => !ready(port))];
  }

  function join(client: Socket, [port, ...others]: readonly number[]): void {
    if (port === undefined) return void client.destroy();
    const machine = connect({ port, host: "127.0.0.1", noDelay: true });
    machine.setTimeout(CONNECT_MS, () => machine.destroy(new Error("No connection in time")));
    let isJoined = false;
    machine.once("connect", () => {
      isJoined = true;
      machine.setTimeout(0);
      client.pipe(machine).pipe(client);
    });
    machine.on("error", () => {}); // "close" always follows
    machine.on("close", () => isJoined ? client.destroy() : join(client, others));
    client.on("close", () => machine.destroy());
  }

  const server = createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
    open.add(client);
    client.on("error", () => {});
    client.on("close", () => open.delete(client));
    join(client, order());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", resolve);
  });
  await look();
  return {
    port: (server.address() as AddressInfo).port, // it listens on TCP
    add: (port) => void machines.set(port, { isReady: false }),
    remove: (port) => void machines.delete(port),
    close() {
      cancelLook();
      for (const client of open) client.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function isReady(port: number): Promise<boolean> {
  const limit = deadline(systemClock, LOOK_MS, () => new Error("It does not answer"));
  try {
    const response = await fetch(`http://127.0.0.1:${port}/ready`, { signal: limit.signal });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  } finally {
    limit.cancel();
  }
}
