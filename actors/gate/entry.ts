/** An entry: what the gate does for one who has no tenant yet, or who acts as a person and not in a tenant. */

import type { Lobby } from "./lobby.ts";

/** `run` throws AppError for what its asker may act on. */
export interface Entry<I, O> {
  run(lobby: Lobby, input: I): Promise<O>;
}

export function entry<I, O>(run: (lobby: Lobby, input: I) => Promise<O>): Entry<I, O> {
  return { run };
}
