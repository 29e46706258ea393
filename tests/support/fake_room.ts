/** A LiveKit room in memory for the process that joins rooms: one participant, who hears and speaks. */

import { FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { JoinOptions, Room, RoomEvents } from "@/lib/rooms/room.ts";
import { newPlayer, type Player } from "./twilio_player.ts";

export interface FakeRoom {
  readonly player: Player;
  readonly startedAtMs: number;
  readonly options: JoinOptions;
  readonly hasLeft: boolean;
  /** µ-law, frame by frame from now on. */
  say(audio: Uint8Array): Promise<number | null>;
  press(digit: string): void;
  /** The participant leaves. */
  end(): void;
}

/** Joins as the real one; each room that was joined is told to `joined`. */
export function fakeRooms(
  clock: Clock,
  joined: (room: FakeRoom) => void,
): (options: JoinOptions, events: RoomEvents) => Promise<Room> {
  return (options, events) => {
    const player = newPlayer({ clock, mark() {} });
    let waiting = new Uint8Array(0);
    let hasLeft = false;
    let cancel: Cancel = clock.timer(0, tick);

    function tick(): void {
      cancel = clock.timer(FRAME_MS, tick);
      const frame = new Uint8Array(FRAME_BYTES).fill(SILENCE);
      frame.set(waiting.subarray(0, FRAME_BYTES));
      waiting = waiting.slice(FRAME_BYTES);
      events.heard(decodeMulaw(frame));
    }

    function stop(): void {
      hasLeft = true;
      cancel();
      player.stop();
    }

    joined({
      ...{ player, options, startedAtMs: clock.now() },
      get hasLeft() {
        return hasLeft;
      },
      say(audio) {
        waiting = new Uint8Array([...waiting, ...audio]);
        return Promise.resolve(null);
      },
      press: (digit) => events.pressed(digit),
      end() {
        if (hasLeft) return;
        stop();
        events.left();
      },
    });
    queueMicrotask(() => events.ready());
    return Promise.resolve({
      play: (samples) => player.audio(encodeMulaw(samples)),
      clear: () => player.clear(),
      leave: stop,
    });
  };
}
