/** The services of a machine for tests: real ones where they are given, and such that refuse elsewhere. */

import type { Database } from "@/db/client.ts";
import type { Services } from "@/actors/desk/office.ts";
import type { Clock } from "@/lib/clock.ts";
import { readConfig } from "@/lib/config.ts";
import { memoryLimiter } from "@/lib/limits/memory.ts";
import { silentLog } from "@/lib/log.ts";

/** A vault that seals nothing: its values can be read, and its promises settle at once. */
export const openVault: Services["vault"] = {
  ...{} as Services["vault"], // what tests do not use is not there
  seal: ({ table, column, row }, plain) =>
    Promise.resolve(new TextEncoder().encode(`${table}/${column}/${row}:${plain}`)),
  open({ table, column, row }, sealed) {
    const place = `${table}/${column}/${row}:`;
    const text = new TextDecoder().decode(sealed);
    if (!text.startsWith(place)) return Promise.reject(new Error(`Not sealed at ${place}`));
    return Promise.resolve(text.slice(place.length));
  },
};

export function testServices(
  options: Partial<Services> & { readonly database: Database; readonly clock: Clock },
): Services {
  const services: Partial<Services> = {
    log: silentLog,
    publicUrl: "https://voice.example.com",
    vault: openVault,
    pepper: null,
    accounts: readConfig({}).providers,
    limiter: memoryLimiter(options.clock),
    liveCalls: () => Promise.resolve(0),
    outbound: {
      send: () => Promise.reject(new Error("Nothing goes out in this test")),
      check: () => {},
    },
    configChanged: () => {},
    acted: () => {},
    wakeJobs: () => {},
    wakeDeliveries: () => {},
    ...options,
  };
  return services as Services; // what a test needs beside these, it gives
}
