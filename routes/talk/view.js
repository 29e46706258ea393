/** What the page shows: the conversation as it is heard, how it stands, and the silence before an answer. */

const $ = (id) => document.getElementById(id);

const FLOORS = {
  quiet: "Listening",
  caller: "Listening to you",
  pause: "Listening to you",
  thinking: "Thinking",
  agent: "Speaking – you may interrupt",
  closing: "Saying goodbye",
};

const PARTS = {
  endpointing: "end of your turn",
  model: "thinking",
  clause: "first clause",
  synthesis: "voice",
  playout: "sending",
  carrier: "network",
  silence: "silent start",
};

export function setPhase(phase, status) {
  document.body.dataset.phase = phase;
  const isLive = phase === "live" || phase === "lost";
  for (const id of ["mute", "keys", "end", "typed"]) $(id).hidden = !isLive;
  $("start").hidden = isLive;
  $("start").disabled = phase === "connecting";
  if (!isLive) $("keypad").hidden = true;
  if (phase === "over") $("start").textContent = "Talk again";
  $("status").textContent = status;
}

export function setFloor(floor) {
  document.body.dataset.floor = floor;
  if (document.body.dataset.phase === "live") $("status").textContent = FLOORS[floor] ?? "";
}

export function setAgent(name, language) {
  $("agent").textContent = name;
  document.title = `Talk to ${name}`;
  $("log").lang = language;
}

/** Said in words; null takes it away. */
export function setProblem(text) {
  $("problem").hidden = text === null;
  $("problem").textContent = text ?? "";
}

export function setLevel(level) {
  $("orb").style.setProperty("--level", Math.min(1, level * 2).toFixed(2));
}

function append(node) {
  const log = $("log");
  log.querySelector(".hint")?.remove();
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.append(node);
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

export function note(text) {
  const line = document.createElement("p");
  line.className = "note";
  line.textContent = text;
  append(line);
}

/** A turn of `caller` or `agent`: what is certain, what may still change, and what was not heard. */
function newTurn(who) {
  const turn = document.createElement("p");
  turn.className = `turn ${who}`;
  const name = document.createElement("b");
  name.textContent = who === "agent" ? "Agent" : "You";
  const certain = document.createElement("span");
  const open = document.createElement(who === "agent" ? "s" : "i");
  turn.append(name, certain, " ", open);
  return {
    set(text, rest = "") {
      certain.textContent = text;
      open.textContent = rest;
      if (!turn.isConnected && text + rest !== "") append(turn);
      $("log").scrollTop = $("log").scrollHeight;
    },
  };
}

/** The conversation: utterances of the agent by their generation, and the turn that the caller is in. */
export function newConversation() {
  const utterances = new Map();
  let caller = null;

  function utterance(generation) {
    let it = utterances.get(generation);
    if (it === undefined) {
      it = { words: [], heard: 0, turn: newTurn("agent") };
      utterances.set(generation, it);
    }
    return it;
  }

  function show(it) {
    const text = it.words.slice(0, it.heard).join(" ");
    if (text === "") return;
    it.turn.set(text);
    caller = null; // what the caller says next answers this
  }

  return {
    words({ generation, index, words }) {
      const it = utterance(generation);
      words.forEach((word, i) => it.words[index + i] = word);
      show(it);
    },
    /** So many words of an utterance have been heard. */
    heard(generation, count) {
      const it = utterance(generation);
      it.heard = Math.max(it.heard, count);
      show(it);
    },
    /** An utterance is over: the newest one that begins so, since others may have ended unseen. */
    said({ heard, unheard }) {
      const begins = (it) => !it.isOver && it.heard > 0 && it.words.join(" ").startsWith(heard);
      const it = [...utterances.values()].findLast(begins);
      if (it === undefined || heard === "") return;
      it.isOver = true;
      it.turn.set(heard, unheard);
    },
    caller({ text, isFinal }) {
      caller ??= { finals: "", turn: newTurn("caller") };
      if (isFinal) caller.finals = `${caller.finals} ${text}`.trim();
      caller.turn.set(caller.finals, isFinal ? "" : text);
    },
  };
}

export function showLatency({ gapMs, parts }) {
  const shown = Object.entries(parts).filter(([, ms]) => ms > 0);
  $("latency").hidden = false;
  $("gap").textContent = `${Math.round(gapMs)} ms`;
  $("parts").replaceChildren(...shown.map(([name, ms]) => {
    const part = document.createElement("div");
    part.className = name;
    part.style.flexGrow = ms;
    part.title = `${PARTS[name] ?? name}: ${Math.round(ms)} ms`;
    return part;
  }));
  $("legend").replaceChildren(...shown.map(([name, ms]) => {
    const item = document.createElement("li");
    item.className = name;
    item.textContent = `${PARTS[name] ?? name} ${Math.round(ms)}`;
    return item;
  }));
  const words = shown.map(([name, ms]) => `${PARTS[name] ?? name} ${Math.round(ms)}`).join(", ");
  $("parts").setAttribute("aria-label", `${Math.round(gapMs)} milliseconds: ${words}`);
}

/** Keys of a telephone. */
export function fillKeypad(press) {
  $("keypad").replaceChildren(...[..."123456789*0#"].map((digit) => {
    const key = document.createElement("button");
    key.type = "button";
    key.textContent = digit;
    key.addEventListener("click", () => press(digit));
    return key;
  }));
}
