/** A LiveKit room, joined by its native client. https://github.com/livekit/node-sdks */

import {
  AudioFrame,
  AudioSource,
  AudioStream,
  LocalAudioTrack,
  type RemoteParticipant,
  type RemoteTrackPublication,
  Room as RtcRoom,
  TrackKind,
  TrackPublishOptions,
  TrackSource,
} from "@livekit/rtc-node";
import { FRAME_BYTES, FRAME_MS, SAMPLE_RATE } from "@/lib/audio/frame.ts";
import { SIP_ATTRIBUTES } from "@/lib/providers/livekit/livekit.ts";
import type { JoinOptions, Room, RoomEvents } from "./room.ts";

/** The source's own queue: a server sends 300 ms ahead. */
const QUEUE_MS = 1_000;
/** Of a page that has no keypad of SIP's: `{"digit": "5"}` as data. */
const KEYS_TOPIC = "dtmf";
const DATA_MAX_BYTES = 256;
const KEY = /^[0-9A-D*#]$/;

/** Two channels of the same event end it once. Errors of its queue are told nobody: the room is then leaving. */
export async function joinRtcRoom(options: JoinOptions, events: RoomEvents): Promise<Room> {
  const { url, token, identity } = options;
  const room = new RtcRoom();
  const source = new AudioSource(SAMPLE_RATE, 1, QUEUE_MS);
  let phase: "joining" | "ready" | "left" = "joining";
  let reader: ReadableStreamDefaultReader<AudioFrame> | null = null;

  function left(): void {
    if (phase === "left") return;
    phase = "left";
    events.left();
  }

  /** Whoever was phoned is in the room while their telephone rings. */
  function look(participant: RemoteParticipant | undefined): void {
    if (phase !== "joining" || participant?.identity !== identity) return;
    const status = participant.attributes[SIP_ATTRIBUTES.status];
    if (status !== undefined && status !== "active") return;
    phase = "ready";
    events.ready();
  }

  function subscribe(publication: RemoteTrackPublication, participant: RemoteParticipant): void {
    if (participant.identity !== identity || publication.kind !== TrackKind.KIND_AUDIO) return;
    publication.setSubscribed(true);
  }

  async function listen(stream: AudioStream): Promise<void> {
    await reader?.cancel();
    const own = stream.getReader();
    reader = own;
    while (true) {
      const { done, value } = await own.read();
      if (done) return;
      if (value.data.length === FRAME_BYTES && phase !== "left") events.heard(value.data);
    }
  }

  room
    .on("participantConnected", look)
    .on("participantAttributesChanged", () => look(room.remoteParticipants.get(identity)))
    .on("trackPublished", subscribe)
    .on("trackSubscribed", (track, _, participant) => {
      if (participant.identity !== identity || track.kind !== TrackKind.KIND_AUDIO) return;
      const format = { sampleRate: SAMPLE_RATE, numChannels: 1, frameSizeMs: FRAME_MS };
      listen(new AudioStream(track, format)).catch(left);
    })
    .on("dtmfReceived", (_, digit, participant) => {
      if (participant.identity === identity && KEY.test(digit)) events.pressed(digit);
    })
    .on("dataReceived", (data, participant, _, topic) => {
      if (participant?.identity !== identity || topic !== KEYS_TOPIC) return;
      const digit = digitOf(data);
      if (digit !== null) events.pressed(digit);
    })
    .on("participantDisconnected", (participant) => {
      if (participant.identity === identity) left();
    })
    .on("disconnected", left);

  let hasLeft = false;
  const joined: Room = {
    play(samples) {
      if (hasLeft) return;
      // Natively it is read by its length, which nobody checks: a frame is always whole here.
      const frame = new AudioFrame(samples, SAMPLE_RATE, 1, samples.length);
      source.captureFrame(frame).catch(left);
    },
    clear() {
      if (!hasLeft) source.clearQueue();
    },
    leave() {
      if (hasLeft) return;
      hasLeft = true;
      phase = "left";
      void (async () => {
        await reader?.cancel();
        await room.disconnect();
        await source.close();
      })().catch(() => {}); // it has gone by itself
    },
  };
  try {
    await room.connect(url, token, { autoSubscribe: false, dynacast: false });
    const options = new TrackPublishOptions();
    options.source = TrackSource.SOURCE_MICROPHONE;
    const track = LocalAudioTrack.createAudioTrack("agent", source);
    await room.localParticipant?.publishTrack(track, options);
  } catch (error) {
    joined.leave();
    throw error;
  }
  const participant = room.remoteParticipants.get(identity);
  for (const publication of participant?.trackPublications.values() ?? []) {
    if (participant !== undefined) subscribe(publication, participant);
  }
  look(participant);
  return joined;
}

/** Null for what is no key. */
function digitOf(data: Uint8Array): string | null {
  if (data.length > DATA_MAX_BYTES) return null;
  try {
    const { digit } = JSON.parse(new TextDecoder().decode(data));
    return typeof digit === "string" && KEY.test(digit) ? digit : null;
  } catch {
    return null;
  }
}
