/** Takes mails and drops them: for a server that keeps nothing. */

import type { Notifier } from "./notify.ts";

export function nowhere(): Notifier {
  return {
    provider: "nowhere",
    send(_, signal) {
      return signal.aborted ? Promise.reject(signal.reason) : Promise.resolve();
    },
  };
}
