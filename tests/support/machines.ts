/** Several whole servers on one database, with one public address and the house's secrets in common. */

import assert from "node:assert/strict";
import type { Database } from "@/db/client.ts";
import { type FlyProxy, type FlyProxyOptions, startFlyProxy } from "./fly_proxy.ts";
import { type ServerKit, serverKit, type ServerKitOptions } from "./server.ts";

export interface Machines {
  readonly proxy: FlyProxy;
  readonly kits: readonly ServerKit[];
  /** One more, which gets requests once it is uncordoned. */
  start(id: string): Promise<ServerKit>;
  close(): Promise<void>;
}

export interface MachinesOptions extends FlyProxyOptions {
  readonly database: Database;
  /** Their names in the proxy, and on Fly everywhere. */
  readonly names: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly twilio?: ServerKitOptions["twilio"];
}

export async function startMachines(options: MachinesOptions): Promise<Machines> {
  const { database, names, env = {}, isFly = true } = options;
  const proxy = await startFlyProxy(options);
  const shared = {
    PUBLIC_URL: proxy.url,
    TOKEN_PEPPER: "p".repeat(32),
    KEY_ENCRYPTION_KEYS: `test:${btoa("k".repeat(32))}`,
    ...env,
  };
  const authToken = crypto.randomUUID();
  const kits: ServerKit[] = [];

  async function start(id: string): Promise<ServerKit> {
    const own = isFly ? { FLY_MACHINE_ID: id } : {};
    const twilio = { authToken, ...options.twilio };
    const kit = await serverKit({ database, env: { ...shared, ...own }, twilio });
    kits.push(kit);
    proxy.add({ id, port: kit.server.port });
    proxy.cordon(id);
    return kit;
  }

  for (const id of names) { // one after the other: the first one seeds
    await start(id);
    proxy.uncordon(id);
  }
  return {
    proxy,
    kits,
    start,
    async close() {
      for (const kit of kits) await kit.close();
      await proxy.close();
      assert.deepEqual(proxy.faults, []);
    },
  };
}
