/** Sounds of rooms, made of shaped noise: seeded, so that they are the same everywhere, and closed to a loop. */

import { SAMPLE_RATE } from "./frame.ts";
import { encodeMulaw } from "./mulaw.ts";

export const AMBIENT_SOUNDS = ["office", "cafe", "street"] as const;
export type AmbientSound = typeof AMBIENT_SOUNDS[number];

/** Long enough not to be noticed as a loop under speech. */
export const LOOP_MS = 8_000;
const LOOP_SAMPLES = LOOP_MS * SAMPLE_RATE / 1000;
/** Root mean square at full volume: 26 dB below the loudest. */
const LEVEL = 1_640;
const PEAK = 20_000;
const SWELL_STEP = 40; // 5 ms

type Samples = Float64Array;
type Random = () => number;

/** What lies over each other, made in this order. */
const LAYERS: Readonly<Record<AmbientSound, readonly ((random: Random) => Samples)[]>> = {
  office: [
    (random) => scaled(band(noise(random), 60, 450), 1), // air conditioning
    (random) => scaled(murmur(random), 0.5), // people, some rooms away
    (random) => scaled(clicks(random, 30), 0.5), // keyboards
  ],
  cafe: [
    (random) => scaled(band(noise(random), 100, 900), 0.25),
    ...Array.from({ length: 3 }, () => (random: Random) => scaled(murmur(random), 0.6)),
    (random) => scaled(clinks(random, 7), 0.5), // cups
  ],
  street: [
    (random) => scaled(band(noise(random), 40, 220), 1),
    ...Array.from({ length: 2 }, () => (random: Random) => scaled(passing(random), 1.4)), // cars
  ],
};

/** µ-law. Its end leads into its beginning. Each layer takes some milliseconds: `rest` is awaited between them. */
export async function ambience(
  sound: AmbientSound,
  rest: () => Promise<void>,
): Promise<Uint8Array<ArrayBuffer>> {
  const random = randomOf(AMBIENT_SOUNDS.indexOf(sound) + 1);
  const samples = new Float64Array(LOOP_SAMPLES);
  for (const layer of LAYERS[sound]) {
    const more = layer(random);
    for (let i = 0; i < samples.length; i++) samples[i] = (samples[i] ?? 0) + (more[i] ?? 0);
    await rest();
  }
  const gain = LEVEL / rootMeanSquare(samples);
  const pcm = new Int16Array(LOOP_SAMPLES);
  for (let i = 0; i < pcm.length; i++) {
    pcm[i] = Math.max(-PEAK, Math.min(PEAK, Math.round((samples[i] ?? 0) * gain)));
  }
  return encodeMulaw(pcm);
}

/** From any sound a loop: its end is blended into its beginning. One that is too short for it stays. */
export function looped(samples: Int16Array): Int16Array {
  const fade = SAMPLE_RATE / 10;
  if (samples.length < 4 * fade) return samples;
  const length = samples.length - fade;
  return Int16Array.from({ length }, (_, i) => {
    const own = samples[i] ?? 0;
    if (i >= fade) return own;
    return Math.round(own * i / fade + (samples[length + i] ?? 0) * (1 - i / fade));
  });
}

/** Voices that cannot be understood: a band of speech that swells by the syllable and by the sentence. */
function murmur(random: Random): Samples {
  const low = 200 + 200 * random();
  const sound = band(noise(random), low, low * 4);
  const syllables = wave(random, 24, 40); // three to five a second
  const sentences = wave(random, 2, 4);
  const words = wave(random, 5, 8);
  return swelled(
    sound,
    (at) => Math.max(0, syllables(at)) * Math.max(0.1, sentences(at) + words(at)),
  );
}

/** Something that comes near and goes away. */
function passing(random: Random): Samples {
  const sound = band(noise(random), 120, 300 + 900 * random());
  const at = random() * LOOP_SAMPLES;
  const width = (1 + random() / 2) * SAMPLE_RATE;
  return swelled(sound, (it) => Math.exp(-((aroundFrom(it, at) / width) ** 2)));
}

/** As loud as `level` says of a sample; it is asked for one of SWELL_STEP, and what is between is on a line. */
function swelled(samples: Samples, level: (sample: number) => number): Samples {
  for (let from = 0; from < samples.length; from += SWELL_STEP) {
    const at = level(from);
    const slope = (level(from + SWELL_STEP) - at) / SWELL_STEP;
    for (let i = 0; i < SWELL_STEP; i++) {
      samples[from + i] = (samples[from + i] ?? 0) * (at + slope * i);
    }
  }
  return samples;
}

function clicks(random: Random, count: number): Samples {
  const grain = band(noise(random), 1_200, 2_800);
  return scattered(
    random,
    count,
    12,
    (age, seed) => (grain[(seed + age) % grain.length] ?? 0) * Math.exp(-age / 16),
  );
}

function clinks(random: Random, count: number): Samples {
  return scattered(random, count, 150, (age, seed) => {
    const hz = 1_900 + seed % 1_300;
    return Math.sin(2 * Math.PI * hz * age / SAMPLE_RATE) * Math.exp(-age / 220);
  });
}

/** Short sounds at random places; one that is over the end goes on at the beginning. */
function scattered(
  random: Random,
  count: number,
  lengthMs: number,
  shape: (age: number, seed: number) => number,
): Samples {
  const out = new Float64Array(LOOP_SAMPLES);
  const length = lengthMs * SAMPLE_RATE / 1000;
  for (let nth = 0; nth < count; nth++) {
    const at = Math.floor(random() * LOOP_SAMPLES);
    const seed = Math.floor(random() * LOOP_SAMPLES);
    const loud = 0.3 + 0.7 * random();
    for (let age = 0; age < length; age++) {
      const i = (at + age) % LOOP_SAMPLES;
      out[i] = (out[i] ?? 0) + loud * shape(age, seed);
    }
  }
  return out;
}

/** A sine with a whole number of periods in the loop: from -1 to 1. */
function wave(random: Random, least: number, most: number): (sample: number) => number {
  const periods = Math.round(least + (most - least) * random());
  const phase = random() * 2 * Math.PI;
  return (sample) => Math.sin(2 * Math.PI * periods * sample / LOOP_SAMPLES + phase);
}

/** The distance on the loop. */
function aroundFrom(sample: number, at: number): number {
  const apart = Math.abs(sample - at);
  return Math.min(apart, LOOP_SAMPLES - apart);
}

function noise(random: Random): Samples {
  const samples = new Float64Array(LOOP_SAMPLES);
  for (let i = 0; i < samples.length; i++) samples[i] = 2 * random() - 1;
  return samples;
}

/** Two one-pole filters each way, run round the loop once before: what comes out is closed as well. Changed in place. */
function band(samples: Samples, lowHz: number, highHz: number): Samples {
  return lowPass(lowPass(highPass(highPass(samples, lowHz), lowHz), highHz), highHz);
}

function lowPass(samples: Samples, hz: number): Samples {
  const part = 1 - Math.exp(-2 * Math.PI * hz / SAMPLE_RATE);
  let at = 0;
  for (let i = 0; i < samples.length; i++) at += part * ((samples[i] ?? 0) - at);
  for (let i = 0; i < samples.length; i++) samples[i] = at += part * ((samples[i] ?? 0) - at);
  return samples;
}

function highPass(samples: Samples, hz: number): Samples {
  const low = lowPass(samples.slice(), hz);
  for (let i = 0; i < samples.length; i++) samples[i] = (samples[i] ?? 0) - (low[i] ?? 0);
  return samples;
}

/** At this root mean square. */
function scaled(samples: Samples, level: number): Samples {
  const gain = level / rootMeanSquare(samples);
  for (let i = 0; i < samples.length; i++) samples[i] = (samples[i] ?? 0) * gain;
  return samples;
}

function rootMeanSquare(samples: Samples): number {
  let power = 0;
  for (let i = 0; i < samples.length; i++) power += (samples[i] ?? 0) ** 2;
  return Math.sqrt(power / samples.length) || 1;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): Random {
  let state = seed * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
