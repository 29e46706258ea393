/** One contender in a process of its own: `child.ts ours|floor|nact` prints its figures as JSON. */

import { floor } from "./floor.ts";
import { type Figures, measure } from "./loads.ts";

/** Loads only the contender that is measured. */
async function figuresOf(name: string | undefined): Promise<Figures> {
  switch (name) {
    case "ours":
      return await measure((await import("./ours.ts")).ours);
    case "nact":
      return await measure((await import("./nact.ts")).nact);
    case "floor":
      return await measure(floor);
    default:
      throw new Error(`No contender "${name}"`);
  }
}

const figures = await figuresOf(Deno.args[0]);
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(figures)));
Deno.exit(0); // asks of nact leave timers
