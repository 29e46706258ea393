/** nact, the nearest actor library on npm. https://nact.xyz */

import { dispatch, query, type Ref, spawn, start } from "nact";
import type { Contender } from "./contender.ts";

interface NactMessage {
  readonly n: number;
  readonly sender?: Ref<number>;
}

const system = start();
let spawned = 0; // its own anonymous names collide near 100,000 siblings, and it throws

export const nact: Contender<Ref<NactMessage>> = {
  scale: 0.1,
  spawn: (handle) =>
    spawn(
      system,
      (_state: number, { n, sender }: NactMessage) => {
        const reply = sender && ((answer: number): void => dispatch(sender, answer));
        handle({ n, reply });
        return 0;
      },
      `counter${spawned++}`,
    ),
  tell: (actor, n) => dispatch(actor, { n }),
  ask: (actor, n) => query(actor, (sender: Ref<number>): NactMessage => ({ n, sender }), 5_000),
};
