/** One address in front of several machines: each connection goes to the next one that is ready. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Cancel, deadline, systemClock } from "@/lib/clock.ts";

const LOOK_EVERY_MS = 500;
const LOOK_MS = 1_000;
const CONNECT_MS = 1_000;

export interface Front {
  readonly port: number;
  /** A machine at `HOST:PORT`; it gets connections while its `/ready` says 200. */
  add(address: string): void;
  /** No more connections go there; those that it has stay. */
  remove(address: string): void;
  close(): Promise<void>;
}

export async function startFront(options: { readonly port: number }): Promise<Front> {
  const machines = new Map<string, { isReady: boolean }>();
  const open = new Set<Socket>();
  let turn = 0;
  let cancelLook: Cancel = () => {};

  async function look(): Promise<void> {
    await Promise.all([...machines].map(async ([address, machine]) => {
      machine.isReady = await isReady(address);
    }));
    cancelLook = systemClock.timer(LOOK_EVERY_MS, () => void look());
  }

  /** The ready ones first, each in its turn; then the others: one of them may just have come up. */
  function order(): string[] {
    const all = [...machines.keys()];
    const from = all.length === 0 ? 0 : turn++ % all.length;
    const turned = [...all.slice(from), ...all.slice(0, from)];
    const ready = (address: string): boolean => machines.get(address)?.isReady ?? false;
    return [...turned.filter(ready), ...turned.filter((address) => !ready(address))];
  }

  function join(client: Socket, [address, ...others]: readonly string[]): void {
    if (address === undefined) return void client.destroy();
    const { hostname: host, port } = new URL(`http://${address}`);
    const machine = connect({ port: Number(port), host, noDelay: true });
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
    add: (address) => void machines.set(address, { isReady: false }),
    remove: (address) => void machines.delete(address),
    close() {
      cancelLook();
      for (const client of open) client.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function isReady(address: string): Promise<boolean> {
  const limit = deadline(systemClock, LOOK_MS, () => new Error("It does not answer"));
  try {
    const response = await fetch(`http://${address}/ready`, { signal: limit.signal });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  } finally {
    limit.cancel();
  }
}
