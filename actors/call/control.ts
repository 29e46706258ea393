/** Live control: what a person or a program may do to a call while it goes on. */

/** Each is on record, with who gave it. */
export type Command =
  /** The agent says it, word for word: now, or, unless it `interrupts`, once it has said what it is saying. */
  | { readonly type: "say"; readonly text: string; readonly interrupts: boolean }
  /** Something for the model to know from its next reply on. The caller does not hear it. */
  | { readonly type: "addContext"; readonly text: string }
  /** The agent says nothing by itself until `unmute`: it listens, and keeps the record. */
  | { readonly type: "mute" }
  | { readonly type: "unmute" }
  /** Presses keys on the caller's line as soon as nobody speaks: 0 to 9, A to D, `*`, `#`; `w` waits. */
  | { readonly type: "pressKeys"; readonly keys: string }
  /** Silence in the recording until `resumeRecording`. */
  | { readonly type: "pauseRecording" }
  | { readonly type: "resumeRecording" }
  /** Hands the caller to another number, E.164, and leaves the call. `sentence` is said first; null: nothing. */
  | { readonly type: "transfer"; readonly to: string; readonly sentence: string | null }
  | { readonly type: "hangUp" };

/** A command as it stands in the record of a call. */
export interface Controlled {
  readonly type: "controlled";
  readonly action: Command["type"];
  /** `person_…`, `key_…`, an operator's name, or `hook:…`. */
  readonly by: string;
  /** What is said, to be known or pressed; null for the others. */
  readonly text: string | null;
  /** Of a transfer. */
  readonly to: string | null;
}

export function controlled(command: Command, by: string): Controlled {
  return {
    type: "controlled",
    action: command.type,
    by,
    text: textOf(command),
    to: command.type === "transfer" ? command.to : null,
  };
}

function textOf(command: Command): string | null {
  if (command.type === "pressKeys") return command.keys;
  return "text" in command ? command.text : null;
}
