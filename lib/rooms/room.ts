/** A room that an agent has joined, as the session sees it: its own sound out, one participant's in. */

export interface Room {
  /** 20 ms of 16-bit samples at 8 kHz, played behind what is there. */
  play(samples: Int16Array<ArrayBuffer>): void;
  /** Drops what has not played. */
  clear(): void;
  /** Leaves; called twice it does nothing. */
  leave(): void;
}

/** What a room tells of the participant that it was joined for. After `left` nothing more is told. */
export interface RoomEvents {
  /** They are there, and have answered if they were phoned. Once. */
  ready(): void;
  /** 20 ms of 16-bit samples at 8 kHz. */
  heard(samples: Int16Array): void;
  pressed(digit: string): void;
  left(): void;
}

export interface JoinOptions {
  readonly url: string;
  readonly token: string;
  /** Of the participant. */
  readonly identity: string;
}

/** Rejects when the room cannot be joined. */
export type JoinRoom = (options: JoinOptions, events: RoomEvents) => Promise<Room>;
