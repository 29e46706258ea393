/** A TCP line that can be cut: nothing gets through then, nothing is lost, and neither end is told. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Wire {
  /** Where to connect to in place of what is behind it: `HOST:PORT`. */
  readonly host: string;
  readonly port: number;
  /** From now on; what is sent waits, as in a network that drops packets and tells nobody. */
  cut(): void;
  /** What waits goes through. */
  heal(): void;
  close(): Promise<void>;
}

export interface WireOptions {
  /** What is behind it, on loopback. */
  readonly to: number;
  /** Where it listens; loopback when absent. */
  readonly host?: string;
}

const LOOPBACK = "127.0.0.1";

export async function startWire({ to, host = LOOPBACK }: WireOptions): Promise<Wire> {
  const open = new Set<Socket>();
  let isCut = false;

  function carry(from: Socket, other: Socket): void {
    open.add(from);
    from.on("data", (data) => {
      if (!other.write(data)) from.pause();
    });
    other.on("drain", () => {
      if (!isCut) from.resume();
    });
    from.on("error", () => {}); // "close" always follows
    from.on("close", () => {
      open.delete(from);
      other.end();
    });
    if (isCut) from.pause();
  }

  const server = createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
    const behind = connect({ host: LOOPBACK, port: to, noDelay: true });
    carry(client, behind);
    carry(behind, client);
    if (!isCut) client.resume();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, resolve);
  });
  return {
    host,
    port: (server.address() as AddressInfo).port, // it listens on TCP
    cut() {
      isCut = true;
      for (const socket of open) socket.pause();
    },
    heal() {
      isCut = false;
      for (const socket of open) socket.resume();
    },
    close() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
