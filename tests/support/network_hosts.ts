/**
 * Hosts on this machine, each a network namespace with an address of its own, that can vanish from the network
 * without a word: no packet comes out or in, and no connection is reset. Wants root, `ip` and `iptables`.
 */

import { AppError } from "@/lib/errors.ts";

export interface NetworkHosts {
  /** This process, as the hosts reach it. */
  readonly gateway: string;
  /** The address of a host, which is made when it is first named. */
  addressOf(number: number): Promise<string>;
  /** What a command that is to run there begins with. */
  commandAt(number: number): readonly string[];
  vanish(number: number): Promise<void>;
  comeBack(number: number): Promise<void>;
  /** After all that runs there has ended. */
  close(): Promise<void>;
}

const NETS = 250;
const FIRST_HOST = 10;

export async function startNetworkHosts(): Promise<NetworkHosts> {
  if (Deno.uid() !== 0) throw missing("root");
  const [luck = 0] = crypto.getRandomValues(new Uint8Array(1));
  const net = 1 + luck % NETS; // another run may have its own
  const bridge = `rmbr${net}`;
  const subnet = `10.77.${net}`;
  const gateway = `${subnet}.1`;
  const made = new Map<number, Promise<string>>();
  const spaceOf = (number: number): string => `rm${net}-${number}`;

  await ip("link", "add", bridge, "type", "bridge");
  await ip("addr", "add", `${gateway}/24`, "dev", bridge);
  await ip("link", "set", bridge, "up");

  async function make(number: number): Promise<string> {
    const [space, cable] = [spaceOf(number), `rmv${net}-${number}`];
    const address = `${subnet}.${FIRST_HOST + number}`;
    await ip("netns", "add", space);
    await ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space);
    await ip("link", "set", cable, "master", bridge, "up");
    await ip("-n", space, "addr", "add", `${address}/24`, "dev", "eth0");
    await ip("-n", space, "link", "set", "eth0", "up");
    await ip("-n", space, "link", "set", "lo", "up");
    return address;
  }

  const filter = (number: number, ...args: readonly string[]): Promise<void> =>
    ip("netns", "exec", spaceOf(number), "iptables", ...args);

  return {
    gateway,
    addressOf(number) {
      const address = made.get(number) ?? make(number);
      made.set(number, address);
      return address;
    },
    commandAt: (number) => ["ip", "netns", "exec", spaceOf(number)],
    async vanish(number) {
      await filter(number, "-A", "INPUT", "!", "-i", "lo", "-j", "DROP");
      await filter(number, "-A", "OUTPUT", "!", "-o", "lo", "-j", "DROP");
    },
    comeBack: (number) => filter(number, "-F"),
    async close() {
      for (const number of made.keys()) await ip("netns", "del", spaceOf(number));
      await ip("link", "del", bridge);
    },
  };
}

async function ip(...args: readonly string[]): Promise<void> {
  const command = new Deno.Command("ip", { args: [...args], stdout: "null", stderr: "piped" });
  const { success, stderr } = await command.output().catch((cause) => {
    throw missing("ip, of iproute2", cause);
  });
  if (success) return;
  throw missing(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}

function missing(what: string, cause?: unknown): AppError {
  return new AppError("not_configured", `Cannot make network namespaces: it needs ${what}`, {
    cause,
  });
}
