/** What a contender of the runtime benchmark must be able to do, so that all carry the same loads. */

/** `reply` is there when somebody asks. */
export interface Counted {
  readonly n: number;
  readonly reply?: ((answer: number) => void) | undefined;
}

export interface Contender<Handle> {
  /** An actor that calls `handle` for every message. */
  spawn(handle: (message: Counted) => void): Handle;
  tell(actor: Handle, n: number): void;
  /** With a deadline of 5 s where the contender knows deadlines. */
  ask(actor: Handle, n: number): Promise<number>;
  /** How much of the full load it is given: slow ones get less, rates stay comparable. */
  readonly scale: number;
}
