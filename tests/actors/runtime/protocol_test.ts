/** Typed protocols. What must not compile: `deno check` and `deno test` fail on a line here that does. */

import type { Actor, Context, Handlers, Kind } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";

interface State {
  readonly live: number;
}

type DoorMessage = { type: "open" } | { type: "close"; slowly: boolean };

const doorKind: Kind<DoorMessage> = {
  name: "door",
  controlMax: 10,
  restart: "transient",
  intensity: { restarts: 3, withinMs: 1_000 },
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
};

const sound: Handlers<State, DoorMessage> = {
  open: (state) => ({ live: state.live + 1 }),
  close(state, { slowly }) {
    return slowly ? state : undefined;
  },
};

// @ts-expect-error a forgotten handler
const forgotten: Handlers<State, DoorMessage> = { open: () => {} };

const misspelt: Handlers<State, DoorMessage> = {
  ...sound,
  // @ts-expect-error a misspelt handler
  clsoe: () => {},
};

const asynchronous: Handlers<State, DoorMessage> = {
  ...sound,
  // @ts-expect-error an async handler
  open: async (state) => await Promise.resolve(state),
};

const asynchronousToo: Handlers<State, DoorMessage> = {
  ...sound,
  // @ts-expect-error an async handler without a state
  async open() {
    await Promise.resolve();
  },
};

const mutating: Handlers<State, DoorMessage> = {
  ...sound,
  open(state) {
    // @ts-expect-error a state that is changed in place
    state.live++;
  },
};

const otherState: Handlers<State, DoorMessage> = {
  ...sound,
  // @ts-expect-error a state of another shape
  open: () => ({ alive: 1 }),
};

function messages(system: System, ctx: Context<DoorMessage>): void {
  const make = (): Actor<State, DoorMessage> => ({ init: () => ({ live: 0 }), on: sound });
  const door = system.spawn(doorKind, "d", make);
  door.send({ type: "close", slowly: true });
  // @ts-expect-error a message without its field
  door.send({ type: "close" });
  // @ts-expect-error a message that the actor does not know
  door.send({ type: "slam" });
  // @ts-expect-error a timer with a message that the actor does not know
  ctx.timer("t", 1, { type: "slam" });
  // @ts-expect-error an outcome that becomes a message the actor does not know
  ctx.run("r", () => Promise.resolve(1), () => ({ type: "slam" }));
  const otherMake = (): Actor<State, { type: "slam" }> => ({
    init: () => ({ live: 0 }),
    on: { slam: () => {} },
  });
  // @ts-expect-error an actor of another protocol than its kind's
  system.spawn(doorKind, "d", otherMake);
}

Deno.test("a forgotten, misspelt or async handler does not compile, nor an unknown message", () => {
  void [forgotten, misspelt, asynchronous, asynchronousToo, mutating, otherState, messages];
});
