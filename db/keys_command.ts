/** `keys`: rotates the house's key-encryption key, and renews tenants' data keys, from the command line. */

import type { KeyEncryptionKey } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Log } from "@/lib/log.ts";
import type { Database } from "./client.ts";
import { renewDataKeys, rewrapKeys } from "./rotation.ts";

export type KeysCommand =
  /** Everything by the first key. */
  | { readonly type: "rotate" }
  /** A new data key for these tenants; null: for all. */
  | { readonly type: "renew"; readonly tenantIds: readonly string[] | null };

/** `rotate`, or `renew` and the tenants' ids. Throws AppError("invalid"). */
export function readKeysCommand(args: readonly string[]): KeysCommand {
  const [type, ...ids] = args;
  if (type === "rotate" && ids.length === 0) return { type };
  if (type === "renew" && ids.every((id) => uuidOf("tenant", id) !== null)) {
    return { type, tenantIds: ids.length === 0 ? null : ids };
  }
  throw new AppError("invalid", "Write keys rotate, or keys renew [TENANT…]");
}

/** False when something could not be opened any more, and was left as it is. */
export async function runKeysCommand(
  database: Database,
  command: KeysCommand,
  options: {
    readonly keys: readonly KeyEncryptionKey[] | null;
    readonly log: Log;
    readonly say: (line: string) => void;
  },
): Promise<boolean> {
  const { keys, log, say } = options;
  if (command.type === "renew") {
    const { tenants, sealed, retired } = await renewDataKeys(
      { database, keys, log },
      command.tenantIds,
    );
    say(
      `${tenants} tenants have a new data key, ${sealed} values are sealed by it, ` +
        `${retired} old data keys are gone`,
    );
    return true;
  }
  const { dataKeys, houseSecrets, lost } = await rewrapKeys({ database, keys, log });
  const name = keys?.[0]?.name ?? "";
  say(`${dataKeys} data keys and ${houseSecrets} secrets of the house are under "${name}" now`);
  if (lost === 0) say("All are under it: the other keys can go");
  else say(`${lost} need a key that is not in KEY_ENCRYPTION_KEYS, and were left as they are`);
  return lost === 0;
}
