/** Runs entries of the gate on a real database at virtual time, as a stranger or as a person. */

import { type Entries, entries } from "@/actors/gate/entries.ts";
import type { Entry } from "@/actors/gate/entry.ts";
import type { Lobby, Visitor } from "@/actors/gate/lobby.ts";
import type { Services } from "@/actors/desk/office.ts";
import type { Database } from "@/db/client.ts";
import { newAccessTokens } from "@/lib/access_tokens.ts";
import { newBackground } from "@/lib/background.ts";
import { silentLog } from "@/lib/log.ts";
import { checkNewPassword, type Passwords } from "@/lib/passwords.ts";
import type { Mail } from "@/lib/providers/notify/notify.ts";
import { Secret } from "@/lib/secret.ts";
import { type ManualClock, manualClock } from "./manual_clock.ts";
import { testServices } from "./services.ts";
import { keyShelf } from "./signing_keys.ts";

export interface Entrance {
  readonly clock: ManualClock;
  readonly mails: readonly Mail[];
  /** How many passwords were hashed, of accounts that are there or not. */
  readonly work: { hashed: number; verified: number };
  /** People of whom the gate was told that what it knows is stale. */
  readonly changed: readonly string[];
  run<N extends keyof Entries>(
    name: N,
    input: Parameters<Entries[N]["run"]>[1],
    visitor?: Partial<Visitor>,
  ): ReturnType<Entries[N]["run"]>;
}

export function entrance(database: Database, more: Partial<Services> = {}): Entrance {
  const clock = manualClock();
  const mails: Mail[] = [];
  const changed: string[] = [];
  const work = { hashed: 0, verified: 0 };
  const publicUrl = "https://voice.example.com";
  const services = testServices({
    database,
    clock,
    publicUrl,
    pepper: new Secret("a pepper of tests, 32 characters"),
    passwords: plainPasswords(work),
    tokens: newAccessTokens({ store: keyShelf(), issuer: publicUrl, clock, log: silentLog }),
    notifier: { provider: "test", send: (mail) => Promise.resolve(void mails.push(mail)) },
    background: newBackground({ clock, log: silentLog }),
    auth: { signup: "open", missing: null },
    personChanged: (personId) => void changed.push(personId),
    ...more,
  });
  const { signal } = new AbortController();
  return {
    clock,
    mails,
    work,
    changed,
    run(name, input, visitor = {}) {
      const lobby: Lobby = {
        ...services,
        by: null,
        person: null,
        operator: null,
        request: { requestId: "r1", address: "192.0.2.1", idempotencyKey: null },
        userAgent: "test",
        signal,
        ...visitor,
      };
      const entry = entries[name] as Entry<never, unknown>;
      // The types of input and answer are those of the entry's name.
      return entry.run(lobby, input as never) as ReturnType<Entries[typeof name]["run"]>;
    },
  };
}

/** Hashes that anybody can read, at once: `plain:` and the password. */
function plainPasswords(work: Entrance["work"]): Passwords {
  function hash(password: string): Promise<string> {
    work.hashed++;
    return Promise.resolve(`plain:${password}`);
  }
  return {
    hash,
    async hashNew({ password, email, field }) {
      checkNewPassword(password, email, field);
      return await hash(password);
    },
    verify(password, hash) {
      work.verified++;
      return Promise.resolve({ isRight: hash === `plain:${password}`, isStale: false });
    },
    close() {},
  };
}
