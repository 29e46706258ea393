/** A file outbox: a mail is an .eml file in a folder, which any mail program opens. */

import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { newToken } from "@/lib/ids.ts";
import { messageOf } from "./message.ts";
import type { Notifier } from "./notify.ts";

/** A mail may hold what lets its reader in: its owner's alone. */
const MODE = 0o600;

export interface FileOptions {
  readonly dir: string;
  readonly from: string;
  readonly clock: Clock;
}

/** Names sort by time: `2026-01-05T09-00-00.000Z-….eml`. A file that is there is whole. */
export function fileOutbox({ dir, from, clock }: FileOptions): Notifier {
  return {
    provider: "file",
    async send(mail, signal) {
      signal.throwIfAborted();
      const date = clock.date();
      const name = `${date.toISOString().replaceAll(":", "-")}-${newToken().slice(0, 8)}.eml`;
      const bytes = await messageOf(mail, { from, date });
      try {
        await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
        await Deno.writeFile(`${dir}/.${name}`, bytes, { mode: MODE, signal });
        await Deno.rename(`${dir}/.${name}`, `${dir}/${name}`);
      } catch (cause) {
        signal.throwIfAborted();
        throw new AppError("provider_failed", "file: cannot write the mail", { cause });
      }
    },
  };
}
