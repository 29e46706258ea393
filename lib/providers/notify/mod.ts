/** The notifiers that there are. */

import type { Clock } from "@/lib/clock.ts";
import type { Config } from "@/lib/config.ts";
import { fileOutbox } from "./file.ts";
import { nowhere } from "./nowhere.ts";
import type { Notifier } from "./notify.ts";
import { smtp } from "./smtp.ts";

/** By SMTP where it is set, else into the folder; with `isTemporary` nothing is kept and nothing sent. */
export function newNotifier(
  { smtpUrl, from, dir }: Config["mail"],
  { clock, isTemporary }: { readonly clock: Clock; readonly isTemporary: boolean },
): Notifier {
  if (smtpUrl !== null) return smtp({ url: smtpUrl, from, clock });
  return isTemporary ? nowhere() : fileOutbox({ dir, from, clock });
}
