/** The machine that is asked: its port and key go out as one JSON line, the other's come as its argument. */

import { benchMachine } from "./machine.ts";

const machine = await benchMachine(2);
machine.meet(JSON.parse(Deno.args[0] ?? ""));
const said = { port: machine.port, key: machine.neighbours.linkKey.reveal() };
Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(said)}\n`));
