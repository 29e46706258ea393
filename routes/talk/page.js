/** The page on which a person talks to an agent: tickets, the socket, and who hears and speaks. The protocol: docs/talk.md. */

import { findVoice, isEcho, newNarrator, newRecogniser } from "./narrator.js";
import * as view from "./view.js";

const PROTOCOL = "ringmaster.talk.v1";
/** The server waits so long for a page that has lost its socket. */
const RESUME_WITHIN_MS = 14_000;
const RESUME_EVERY_MS = 1_000;
const PROCESSED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const RAW = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const CLOSED = {
  4403: "You may not talk here: the ticket was used, or is too old.",
  4404: "There is no such conversation any more.",
  4409: "This conversation goes on in another window.",
  4429: "All lines are busy. Please try again in a moment.",
};

const agentId = location.pathname.split("/").at(-1);
const $ = (id) => document.getElementById(id);

let credential = null;
let call = null;

/** A refusal in words that a person can do something with. */
class Refusal extends Error {}

async function getTicket() {
  const given = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (given !== null) {
    history.replaceState(null, "", location.pathname); // it is good once
    return given;
  }
  const response = credential === null
    ? await fetch(`${agentId}/tickets`, { method: "POST" })
    : await fetch(`../api/v1/agents/${agentId}/talk-tickets`, {
      method: "POST",
      headers: { Authorization: `Bearer ${credential}` },
    });
  if (response.ok) return (await response.json()).ticket;
  if (response.status === 429) throw new Refusal("That was often. Please wait a minute.");
  if (response.status === 404 && credential === null) {
    $("key").hidden = false;
    $("token").focus();
    throw new Refusal("A key is needed to talk to this agent.");
  }
  if (response.status === 401) credential = null;
  const { detail } = await response.json().catch(() => ({}));
  throw new Refusal(detail ?? `The server refused with ${response.status}.`);
}

/** Null: there is none, or it may not be used. */
async function getMicrophone(processing) {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: processing });
  } catch {
    return null;
  }
}

async function newAudio() {
  const context = new AudioContext({ latencyHint: "interactive" });
  await context.resume();
  await context.audioWorklet.addModule("files/worklet.js");
  const node = new AudioWorkletNode(context, "talk", { outputChannelCount: [2] });
  node.connect(context.destination);
  return { context, node, source: null };
}

function listenTo(it, microphone) {
  it.audio.source?.disconnect();
  it.microphone?.getTracks().forEach((track) => track.stop());
  it.microphone = microphone;
  if (microphone === null) return;
  it.audio.source = it.audio.context.createMediaStreamSource(microphone);
  it.audio.source.connect(it.audio.node);
}

async function start() {
  view.setProblem(null);
  view.setPhase("connecting", "Connecting…");
  const it = {
    audio: null,
    microphone: null,
    socket: null,
    resume: null,
    narrator: null,
    recogniser: null,
    conversation: view.newConversation(),
    isMuted: false,
    isOver: false,
    lostAt: null,
  };
  try {
    it.audio = await newAudio();
    listenTo(it, await getMicrophone(PROCESSED));
    if (it.microphone === null) {
      view.note("No microphone can be used here: write to the agent instead.");
    }
    it.audio.node.port.onmessage = ({ data }) => fromAudio(it, data);
    open(it, `ticket.${await getTicket()}`);
    call = it;
  } catch (error) {
    close(it);
    const isOurs = error instanceof Refusal;
    view.setPhase("idle", "Ready when you are.");
    view.setProblem(isOurs ? error.message : `This browser cannot do it: ${error.message}`);
  }
}

function open(it, shown) {
  const url = new URL(`${agentId}/socket`, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  const socket = new WebSocket(url, [PROTOCOL, shown]);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    if (it.socket === socket) {
      if (typeof data === "string") fromServer(it, JSON.parse(data));
      else if (it.narrator === null) play(it, data);
    }
  };
  socket.onclose = ({ code }) => it.socket === socket && lost(it, code);
  it.socket = socket;
}

function send(it, message) {
  if (it.socket?.readyState === WebSocket.OPEN) it.socket.send(JSON.stringify(message));
}

function play(it, data) {
  const samples = new Int16Array(data);
  it.audio.node.port.postMessage({ type: "audio", samples }, [samples.buffer]);
}

async function fromServer(it, message) {
  switch (message.type) {
    case "admitted":
      it.resume = `resume.${message.callId}.${message.resume}`;
      return;
    case "welcome":
      return await welcome(it, message);
    case "mark":
      if (it.narrator !== null) return it.narrator.mark(message.name);
      return it.audio.node.port.postMessage(message);
    case "clear":
      it.narrator?.clear();
      return it.audio.node.port.postMessage(message);
    case "words":
      it.conversation.words(message);
      return it.narrator?.add(message);
    case "callerWords":
      return it.conversation.caller(message);
    case "state":
      return view.setFloor(message.floor);
    case "agentSaid":
      return it.conversation.said(message);
    case "latency":
      return view.showLatency(message);
    case "over":
      it.isOver = true;
      if (message.sentence !== null) view.note(message.sentence);
  }
}

/** Who speaks and who hears is settled, then the call begins: `start` is awaited for five seconds. */
async function welcome(it, { agent, language, simulated }) {
  const isBack = it.lostAt !== null;
  it.lostAt = null;
  view.setAgent(agent, language);
  if (!isBack && simulated.stt) {
    // Nobody's ears are cleaned for tones, and people are heard by the browser's own recogniser.
    if (it.microphone !== null) listenTo(it, await getMicrophone(RAW));
    it.recogniser = newRecogniser({
      language,
      said(text, isFinal) {
        const echo = it.narrator?.isSpeaking && isEcho(text, it.narrator.words);
        if (!it.isMuted && !echo) send(it, { type: "text", text, isFinal });
      },
      failed() {
        it.recogniser = null;
        view.note("This browser recognises no speech: write to the agent.");
        $("words").focus();
      },
    });
    if (it.recogniser === null && it.microphone !== null) {
      view.note("This browser recognises no speech: write to the agent.");
    }
  }
  if (!isBack && simulated.tts) {
    const voice = await findVoice(language);
    if (voice === null) {
      view.note("This browser has no voice: what the agent says is written here.");
      it.audio.node.port.postMessage({ type: "set", isQuiet: true });
    } else {
      it.narrator = newNarrator({
        voice,
        mark: (name) => send(it, { type: "mark", name }),
        heard: (generation, count) => it.conversation.heard(generation, count),
      });
    }
  }
  view.setProblem(null);
  view.setPhase("live", "Listening");
  send(it, { type: "start", version: 1 });
}

function fromAudio(it, message) {
  switch (message.type) {
    case "frame":
      if (it.lostAt === null && document.body.dataset.phase === "live") {
        if (it.socket?.readyState === WebSocket.OPEN) it.socket.send(message.buffer);
      }
      return;
    case "level":
      return view.setLevel(message.level);
    case "mark": {
      // What the worklet has played is heard when it has left the loudspeaker.
      const { outputLatency = 0, baseLatency = 0 } = it.audio.context;
      setTimeout(() => played(it, message.name), (outputLatency + baseLatency) * 1_000);
    }
  }
}

function played(it, name) {
  send(it, { type: "mark", name });
  const [, generation, index] = /^(\d+):w(\d+)$/.exec(name) ?? [];
  if (index !== undefined) it.conversation.heard(Number(generation), Number(index) + 1);
}

/** The socket is gone: of a call that is not over another is tried for. */
function lost(it, code) {
  it.narrator?.clear();
  it.audio.node.port.postMessage({ type: "clear" });
  const isRefused = code in CLOSED;
  if (it.isOver || it.resume === null || isRefused) {
    return over(it, it.isOver ? null : CLOSED[code] ?? "The server cannot be reached.");
  }
  it.lostAt ??= performance.now();
  if (performance.now() - it.lostAt > RESUME_WITHIN_MS) {
    return over(it, "The connection was lost.");
  }
  view.setPhase("lost", "The connection was lost. Trying again…");
  setTimeout(() => call === it && open(it, it.resume), RESUME_EVERY_MS);
}

function close(it) {
  it.recogniser?.stop();
  it.narrator?.clear();
  it.microphone?.getTracks().forEach((track) => track.stop());
  void it.audio?.context.close();
}

function over(it, problem) {
  if (call === it) call = null;
  close(it);
  view.setLevel(0);
  view.setFloor("quiet");
  view.setPhase("over", problem === null ? "The conversation has ended." : "Not connected.");
  view.setProblem(problem);
  $("start").focus();
}

function end() {
  if (call === null) return;
  const it = call;
  send(it, { type: "end" });
  const { socket } = it;
  it.socket = null; // whatever it still tells is of no interest
  socket.close(1000);
  over(it, null);
}

function mute() {
  if (call === null) return;
  call.isMuted = !call.isMuted;
  call.audio.node.port.postMessage({ type: "set", isMuted: call.isMuted });
  if (call.recogniser !== null) call.recogniser.isOn = !call.isMuted;
  $("mute").setAttribute("aria-pressed", String(call.isMuted));
}

$("start").addEventListener("click", start);
$("end").addEventListener("click", end);
$("mute").addEventListener("click", mute);
$("keys").addEventListener("click", () => {
  $("keypad").hidden = !$("keypad").hidden;
  $("keys").setAttribute("aria-expanded", String(!$("keypad").hidden));
});
$("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("words").value.trim();
  if (text === "" || call === null) return;
  send(call, { type: "text", text, isFinal: true });
  $("words").value = "";
});
$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  credential = $("token").value.trim();
  $("token").value = "";
  $("key").hidden = true;
  start();
});
document.addEventListener("keydown", (event) => {
  if (call === null || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return end();
  if (event.target instanceof HTMLInputElement) return;
  if (event.key === "m" || event.key === "M") mute();
});
view.fillKeypad((digit) => call !== null && send(call, { type: "dtmf", digit }));
